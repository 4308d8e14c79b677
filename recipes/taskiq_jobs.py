"""taskiq: one job for each account, which returns the tasks that it had not yet seen.

Run it with `APIFY_TOKEN_ALICE=... APIFY_TOKEN_BOB=... python recipes/taskiq_jobs.py ALICE BOB`. A job opens and closes
a client of its own. The name of the account and a bookmark travel through the broker; the token stays with the worker.
"""

import asyncio
import os
import sys

from taskiq import InMemoryBroker

from apify_tasks_async import Bookmark, TasksClient

broker = InMemoryBroker()  # elsewhere a broker for Redis, RabbitMQ or NATS, and `taskiq worker taskiq_jobs:broker`


@broker.task
async def list_new_tasks(account: str, after: str | None) -> tuple[list[str], str | None]:
    """Return the names of the tasks behind a bookmark, and the next bookmark."""
    bookmark = Bookmark.from_json(after) if after else None
    async with TasksClient(os.environ[f"APIFY_TOKEN_{account}"]) as client, client.iter_pages(after=bookmark) as pages:
        names = [task.name async for page in pages for task in page]
        return names, pages.bookmark.to_json() if pages.bookmark else None


async def main(accounts: list[str]) -> None:
    """Start a job for each account, twice; the second finds what is new since the first."""
    await broker.startup()
    bookmarks: dict[str, str | None] = dict.fromkeys(accounts)
    for _ in range(2):
        jobs = {account: await list_new_tasks.kiq(account, bookmarks[account]) for account in accounts}
        for account, job in jobs.items():
            result = await job.wait_result()
            result.raise_for_error()
            names, bookmarks[account] = result.return_value
            print(account, len(names), "new tasks")
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
