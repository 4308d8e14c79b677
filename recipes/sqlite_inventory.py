"""SQLite: a copy of the lists of many accounts that stays true, whatever is created, renamed and deleted.

Run it with `APIFY_TOKEN_ALICE=... APIFY_TOKEN_BOB=... python recipes/sqlite_inventory.py inventory.db ALICE BOB`, again
and again. Each account's changes are one transaction: a run that is killed leaves each account as it was before or as
it is now. An account that cannot be read to its end stays as it was.
"""

import asyncio
import json
import os
import sqlite3
import sys
from contextlib import closing

from apify_tasks_async import Changes, Task, TasksClient, converter, map_accounts

DEADLINE = 300
"""Seconds for each account."""

TABLE = """
CREATE TABLE IF NOT EXISTS tasks (
    account TEXT, id TEXT, version TEXT, name TEXT, document TEXT, PRIMARY KEY (account, id)
) WITHOUT ROWID
"""


def version(task: Task) -> str:
    """Return what changes when a task does, as text, since SQLite has no times."""
    return task.modified_at.isoformat()


def load_versions(database: sqlite3.Connection, account: str) -> dict[str, object]:
    """Return the version of each task that is stored."""
    return dict(database.execute("SELECT id, version FROM tasks WHERE account = ?", [account]))


def store(database: sqlite3.Connection, account: str, changes: Changes) -> None:
    """Apply the changes, all or none."""
    rows = [
        (account, task.id, version(task), task.name, json.dumps(converter.unstructure(task)))
        for task in changes.added + changes.changed
    ]
    with database:
        database.executemany(
            "DELETE FROM tasks WHERE account = ? AND id = ?", [(account, key) for key in changes.removed]
        )
        database.executemany("INSERT OR REPLACE INTO tasks VALUES (?, ?, ?, ?, ?)", rows)


async def update(database: sqlite3.Connection, accounts: list[str]) -> None:
    """Bring the copy up to date, many accounts at once."""

    async def update_account(client: TasksClient, account: str) -> Changes:
        changes = await client.changes_since(load_versions(database, account), version=version)
        store(database, account, changes)  # nothing is awaited in it, so that transactions do not mix
        return changes

    tokens = {account: os.environ.get(f"APIFY_TOKEN_{account}", "") for account in accounts}
    async for result in map_accounts(tokens, update_account, deadline=DEADLINE):
        if changes := result.value:
            counts = f"{len(changes.added)} added, {len(changes.changed)} changed, {len(changes.removed)} removed"
        print(result.account, counts if changes else f"stays as it was: {result.error}")


def main(path: str, *accounts: str) -> None:
    """Update the copy in a file."""
    with closing(sqlite3.connect(path)) as database:
        database.execute(TABLE)
        asyncio.run(update(database, list(accounts)))


if __name__ == "__main__":
    main(*sys.argv[1:])
