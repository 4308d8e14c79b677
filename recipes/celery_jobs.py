"""Celery: a job for each account, with a client of its own.

Run it with `APIFY_TOKEN_ALICE=... APIFY_TOKEN_BOB=... python recipes/celery_jobs.py ALICE BOB`, which runs the jobs at
once in this process; elsewhere, give the application a broker and start `celery -A celery_jobs worker`. The name of the
account travels through the broker; the token stays with the worker. What a job returns is JSON.
"""

import asyncio
import os
import sys
from typing import Any

from celery import Celery

from apify_tasks_async import Task, TasksClient

app = Celery("celery_jobs")
app.conf.update(task_always_eager=True, task_store_eager_result=False)  # without a broker; leave it out elsewhere


async def fetch(account: str, limit: int) -> list[Task]:
    """Return the newest tasks of an account."""
    async with TasksClient(os.environ[f"APIFY_TOKEN_{account}"]) as client:
        return await client.all_tasks(desc=True, limit=limit)


@app.task(name="newest")  # type: ignore[untyped-decorator]  # Celery has no annotations
def newest(account: str, limit: int) -> list[dict[str, Any]]:
    """Return the newest tasks of an account, as the API's JSON."""
    return [task.to_dict() for task in asyncio.run(fetch(account, limit))]


def main(accounts: list[str]) -> None:
    """Run a job for each account."""
    jobs = {account: newest.delay(account, 3) for account in accounts}
    for account, job in jobs.items():
        print(account, *(document["name"] for document in job.get()))


if __name__ == "__main__":
    main(sys.argv[1:])
