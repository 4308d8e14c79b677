"""dlt: a table with the tasks of many accounts, kept true by upserts and tombstones.

Run it with `APIFY_TOKEN_ALICE=... APIFY_TOKEN_BOB=... python recipes/dlt_inventory.py ALICE BOB`, again and again. It
loads into DuckDB; any destination of dlt that can merge does. A removed task becomes a row with `deleted`, at which dlt
deletes it. An account that cannot be read to its end yields no row, and so stays as it was. (`scd2` would retire what
is missing from half a list.)
"""

import os
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import dlt

from apify_tasks_async import Changes, Task, TasksClient, converter, map_accounts

DEADLINE = 300
"""Seconds for each account."""

COLUMNS: Any = {
    "version": {"data_type": "text"},
    "deleted": {"data_type": "bool", "hard_delete": True},
}

Known = dict[str, dict[str, object]]
"""The version of each stored task, by account and id."""


def version(task: Task) -> str:
    """Return what changes when a task does."""
    return task.modified_at.isoformat()


def load_versions(pipeline: dlt.Pipeline) -> Known:
    """Return what the destination has."""
    known: Known = {}
    if pipeline.schema_names and "tasks" in pipeline.default_schema.data_table_names(seen_data_only=True):
        with pipeline.sql_client() as sql:
            for account, key, stored in sql.execute_sql("SELECT account, id, version FROM tasks") or ():
                known.setdefault(account, {})[key] = stored
    return known


def rows(account: str, changes: Changes) -> Iterator[dict[str, Any]]:
    """Yield a row for each task that was added or changed, and a tombstone for each that was removed."""
    for task in changes.added + changes.changed:
        yield {**converter.unstructure(task), "account": account, "version": version(task), "deleted": False}
    for key in changes.removed:
        yield {"account": account, "id": key, "deleted": True}


@dlt.resource(name="tasks", write_disposition="merge", primary_key=("account", "id"), columns=COLUMNS)
async def tasks(known: Known, accounts: list[str]) -> AsyncIterator[list[dict[str, Any]]]:
    """Yield the changes of each account."""

    async def changes(client: TasksClient, account: str) -> Changes:
        return await client.changes_since(known.get(account, {}), version=version)

    tokens = {account: os.environ.get(f"APIFY_TOKEN_{account}", "") for account in accounts}
    async for result in map_accounts(tokens, changes, deadline=DEADLINE):
        print(result.account, "is read" if result.value else f"stays as it was: {result.error}")
        if result.value:
            yield list(rows(result.account, result.value))


def main(accounts: list[str]) -> None:
    """Update the table."""
    pipeline = dlt.pipeline("apify_tasks", destination="duckdb", dataset_name="apify", pipelines_dir=".dlt-pipelines")
    pipeline.run()  # loads what a run that was killed had left
    pipeline.run(tasks(load_versions(pipeline), accounts))


if __name__ == "__main__":
    main(sys.argv[1:])
