"""Dask: many accounts at once, each in a partition of its own, by the processes of one machine or by a cluster.

Run it with `APIFY_TOKEN_ALICE=... APIFY_TOKEN_BOB=... python recipes/dask_accounts.py ALICE BOB`. The API's limits are
per token, so that accounts are what is worth distributing. Each partition opens and closes a client of its own.
"""

import asyncio
import os
import sys

from dask import bag

from apify_tasks_async import Task, TasksClient


async def fetch(account: str) -> list[Task]:
    """Return the tasks of an account, whose token the worker has."""
    async with TasksClient(os.environ[f"APIFY_TOKEN_{account}"]) as client:
        return await client.all_tasks()


def summarise(account: str) -> tuple[str, int, int]:
    """Return the account, and how many tasks and runs it has."""
    tasks = asyncio.run(fetch(account))
    return account, len(tasks), sum(task.stats.total_runs or 0 for task in tasks if task.stats)


def main(accounts: list[str]) -> None:
    """Summarise each account, as many at once as there are processors."""
    summaries = bag.from_sequence(accounts, partition_size=1).map(summarise)
    for account, count, runs in summaries.compute():
        print(account, count, "tasks", runs, "runs")


if __name__ == "__main__":
    main(sys.argv[1:])
