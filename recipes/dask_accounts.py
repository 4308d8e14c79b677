"""Dask: thousands of accounts, some of them in each partition, and fifty at once within a partition.

Run it with `APIFY_TOKEN_ALICE=... APIFY_TOKEN_BOB=... python recipes/dask_accounts.py ALICE BOB`. `read_accounts` takes
names and returns rows, so that Spark runs it as `rdd.mapPartitions(read_accounts)`, and Ray as
`ray.remote(read_accounts).remote(names)`. The names travel; each token stays with the workers. Give an account to one
partition only: its rate limit is one for all that share its token.
"""

import asyncio
import os
import sys
from collections.abc import Iterable

import attrs
from dask import bag

from apify_tasks_async import TasksClient, map_accounts

DEADLINE = 300
"""Seconds for each account."""


@attrs.frozen
class Row:
    """What became of one account. It travels between processes."""

    account: str
    tasks: int = 0
    runs: int = 0
    problem: str | None = None


async def summarise(client: TasksClient, account: str) -> Row:
    """Count the tasks and runs of an account."""
    tasks = await client.all_tasks()
    return Row(account, len(tasks), sum(task.stats.total_runs or 0 for task in tasks if task.stats))


async def summarise_all(accounts: Iterable[str]) -> list[Row]:
    """Return a row for each account, whether it could be read or not."""
    tokens = {account: os.environ.get(f"APIFY_TOKEN_{account}", "") for account in accounts}
    results = map_accounts(tokens, summarise, deadline=DEADLINE)
    return [result.value or Row(result.account, problem=str(result.error)) async for result in results]


def read_accounts(accounts: Iterable[str]) -> list[Row]:
    """Return a row for each account of a partition."""
    return asyncio.run(summarise_all(accounts))


def main(accounts: list[str]) -> None:
    """Summarise all accounts, with a partition for each processor."""
    partitions = bag.from_sequence(accounts, npartitions=min(len(accounts), os.cpu_count() or 1))
    for row in sorted(partitions.map_partitions(read_accounts).compute(), key=lambda row: row.account):
        print(row.account, f"failed: {row.problem}" if row.problem else f"{row.tasks} tasks {row.runs} runs")


if __name__ == "__main__":
    main(sys.argv[1:])
