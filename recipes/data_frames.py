"""pandas and polars: the tasks as a data frame, with times in UTC.

Run it with `APIFY_TOKEN=... python recipes/data_frames.py`. The client is closed before the first data frame is made,
which needs neither a network nor an event loop.
"""

import asyncio
from typing import Any

import attrs
import pandas as pd
import polars as pl

from apify_tasks_async import Task, TasksClient, to_row

COLUMNS = [field.name for field in attrs.fields(Task) if field.name not in ("stats", "extra")] + ["total_runs", "extra"]
TIMES = dict.fromkeys(("created_at", "modified_at"), pl.Datetime(time_zone="UTC"))


async def fetch() -> list[dict[str, Any]]:
    """Return a row for each task."""
    async with TasksClient() as client:
        return [to_row(task) for task in await client.all_tasks()]


def main() -> None:
    """Count the tasks and runs of each Actor, with either library."""
    rows = asyncio.run(fetch())

    tasks = pd.DataFrame(rows, columns=COLUMNS)
    print(tasks.dtypes)
    print(tasks.groupby("act_name").agg(tasks=("id", "count"), runs=("total_runs", "sum")))

    # Of all rows, since a column may begin with any number of nulls.
    frame = pl.DataFrame(rows, schema=COLUMNS, schema_overrides=TIMES, infer_schema_length=None)
    print(frame.schema)
    print(frame.group_by("act_name").agg(tasks=pl.len(), runs=pl.col("total_runs").sum()).sort("act_name"))


if __name__ == "__main__":
    main()
