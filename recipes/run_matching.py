"""The official client beside this one: list here, and run there each task that matches.

Run it with `APIFY_TOKEN=... python recipes/run_matching.py 'my-task-1?'`. Both clients are closed by `async with`, or
need no closing. At most five runs are started at once. The official client is the synchronous one, in threads: the
asynchronous one of version 3 now and then aborts the process at its very end, when its own thread still holds Python.
"""

import asyncio
import os
import sys
from fnmatch import fnmatchcase

from apify_client import ApifyClient

from apify_tasks_async import Task, TasksClient

DEFAULT = "https://api.apify.com"


async def main(glob: str) -> None:
    """Start each task whose name matches, without waiting for its run to end."""
    official = ApifyClient(os.environ["APIFY_TOKEN"], api_url=os.environ.get("APIFY_API_BASE_URL", DEFAULT))
    async with TasksClient() as client:
        tasks = [task async for task in client.iter_tasks(exact=True) if fnmatchcase(task.name, glob)]
    turns = asyncio.Semaphore(5)

    async def start(task: Task) -> None:
        async with turns:
            run = await asyncio.to_thread(official.task(task.id).start)
        print(task.name, run.id)

    async with asyncio.TaskGroup() as group:
        for task in tasks:
            group.create_task(start(task))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
