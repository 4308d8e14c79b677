"""pyarrow: the tasks as a Parquet file, with times in UTC and without nested columns.

Run it with `APIFY_TOKEN=... python recipes/parquet_file.py tasks.parquet`. The client is closed before the file is
written. The columns have their types even if the account has no tasks.
"""

import asyncio
import sys

import pyarrow as pa
import pyarrow.parquet as pq

from apify_tasks_async import TasksClient, to_row

TIME = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("id", "user_id", "act_id", "name", "act_name", "username", "act_username")),
        ("created_at", TIME),
        ("modified_at", TIME),
        ("total_runs", pa.int64()),
        ("extra", pa.string()),
    ]
)


async def main(path: str) -> None:
    """Write the file, and say what is in it."""
    async with TasksClient() as client:
        rows = [to_row(task) for task in await client.all_tasks()]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), path)
    print(pq.read_schema(path))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
