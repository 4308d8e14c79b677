"""Walk a list twice over TLS with one client, and print the seconds of each walk.

A process of its own, since OpenSSL reads the variable `SSL_CERT_FILE` when aiohttp is imported.
"""

from __future__ import annotations

import asyncio
import sys
import time

from contenders import UNPACED


async def walk_twice(contender: str, url: str) -> None:
    """Walk on new connections, and once more on these."""
    async with UNPACED[contender](url) as walk:
        for _ in range(2):
            start = time.perf_counter()
            async for _ in walk():
                pass
            print(time.perf_counter() - start)


if __name__ == "__main__":
    asyncio.run(walk_twice(*sys.argv[1:]))
