"""Walk a list, and print the peak memory of this process in bytes. It walks once, since the peak never falls."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

from apify_tasks_async import TasksClient


async def walk(url: str) -> None:
    """Iterate over all tasks, without keeping them."""
    async with TasksClient("token-of-no-account", base_url=url, rate_limit=None) as client:
        async for _ in client.iter_tasks():
            pass


def peak_memory() -> int:
    """Return the peak of the resident memory in bytes."""
    # Not ru_maxrss of getrusage: a process inherits it from its parent, which is larger.
    [kibibytes] = re.findall(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(kibibytes) * 1024


if __name__ == "__main__":
    asyncio.run(walk(sys.argv[1]))
    print(peak_memory())
