"""The recipes for many accounts, each with a list of its own."""

import json
import os
import re
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import dask
import duckdb
import pytest
from dask import bag
from dask_accounts import read_accounts
from distributed import Client, LocalCluster
from helpers.support import wait_until
from hosting import Recipe

from apify_tasks_async import Task, converter
from apify_tasks_async.testing import FakeApify, ShortPage, Status

TOKENS = {"ALICE": "fake-token-of-alice", "BOB": "fake-token-of-bob", "CAROL": "fake-token-of-carol"}
ACCOUNTS = dict(zip(TOKENS.values(), (2500, 30, 0), strict=True))

pytestmark = pytest.mark.fake_apify(accounts=ACCOUNTS)


@pytest.fixture
def fleet(recipe: Recipe, fake_apify: FakeApify, monkeypatch: pytest.MonkeyPatch) -> dict[str, FakeApify]:
    """Return the accounts by their names, whose tokens the environment has."""
    for name, token in TOKENS.items():
        monkeypatch.setenv(f"APIFY_TOKEN_{name}", token)
    return {name: fake_apify.account(token) for name, token in TOKENS.items()}


def change(fleet: dict[str, FakeApify]) -> None:
    """Create, rename and delete in one account; let another refuse its token, and a third give half a list."""
    account = fleet["BOB"]
    account.delete_task(account.tasks[3].id)
    account.update_task(account.tasks[5].id, name="renamed")
    account.create_task(name="new")
    fleet["CAROL"].fail(Status(401), times=None)
    fleet["ALICE"].delete_task(fleet["ALICE"].tasks[7].id)
    fleet["ALICE"].fail(Status(403), times=None, offset=992)


def expected(fleet: dict[str, FakeApify]) -> dict[tuple[str, str], str]:
    """Return the names of all tasks, by account and id."""
    return {(name, task.id): task.name for name, account in fleet.items() for task in account.tasks}


@pytest.mark.asyncio
async def test_dask_names_the_account_that_failed(recipe: Recipe, fleet: dict[str, FakeApify]) -> None:
    """A revoked token fails one account, and every account is told once."""
    fleet["BOB"].fail(Status(401), times=None)
    lines = (await recipe.run("dask_accounts", "DORA")).splitlines()

    runs = sum(task.stats.total_runs or 0 for task in fleet["ALICE"].tasks if task.stats)
    assert lines[0] == f"ALICE 2500 tasks {runs} runs"
    assert re.match("BOB failed: the API .*answered 401", lines[1])
    assert "account BOB" in lines[1]
    assert lines[2].startswith("DORA failed: token is empty")
    assert len(lines) == 3


@pytest.mark.fake_apify(accounts={f"fake-token-of-{number}": number for number in range(60)}, latency=0.005)
def test_dask_survives_killed_workers(account: FakeApify, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that are killed are started again, every account is read, and none is told twice."""
    counts = {f"A{number}": number for number in range(60)}
    for name, number in counts.items():
        monkeypatch.setenv(f"APIFY_TOKEN_{name}", f"fake-token-of-{number}")
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 10}),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        partitions = bag.from_sequence([*counts], npartitions=10).map_partitions(read_accounts)
        future = client.compute(partitions)
        # Dask can wait for ever if a worker ends while it starts. Kill those that run, and go on when both run again.
        workers = [(worker, worker.pid) for worker in cluster.workers.values()]
        for (_, pid), requests in zip(workers, (10, 30), strict=True):
            wait_until(lambda: len(account.requests) >= requests)  # noqa: B023 - called here
            os.kill(pid, signal.SIGKILL)
        rows = future.result(timeout=60)
        for worker, pid in workers:
            wait_until(lambda: worker.pid != pid and worker.process.status.name == "running")  # noqa: B023 - called here

    assert sorted((row.account, row.tasks) for row in rows) == sorted(counts.items())


class Store:
    """What a recipe stores, and how to look at it."""

    name = ""
    arguments: tuple[str, ...] = ()

    def read(self, folder: Path) -> dict[tuple[str, str], str]:
        """Return the names of the stored tasks, by account and id."""
        raise NotImplementedError


class Sqlite(Store):
    """The file of the SQLite recipe."""

    name = "sqlite_inventory"

    def read(self, folder: Path) -> dict[tuple[str, str], str]:
        """Return the names."""
        with closing(sqlite3.connect(folder / "inventory.db")) as database:
            rows = database.execute("SELECT account, id, name FROM tasks").fetchall()
        return {(account, key): name for account, key, name in rows}


class Duckdb(Store):
    """The file of the dlt recipe."""

    name = "dlt_inventory"

    def read(self, folder: Path) -> dict[tuple[str, str], str]:
        """Return the names."""
        with duckdb.connect(folder / "apify_tasks.duckdb") as database:
            rows = database.execute("SELECT account, id, name FROM apify.tasks").fetchall()
        assert len({row[:2] for row in rows}) == len(rows)
        return {(account, key): name for account, key, name in rows}


@pytest.mark.asyncio
@pytest.mark.parametrize("store", [Sqlite(), Duckdb()], ids=lambda store: store.name)
async def test_copies_stay_true(store: Store, recipe: Recipe, fleet: dict[str, FakeApify]) -> None:
    """After each run the copy equals the lists, or an account's list as it was before it failed."""
    await recipe.run(store.name, "CAROL")
    first = expected(fleet)
    assert store.read(recipe.folder) == first

    change(fleet)
    output = await recipe.run(store.name, "CAROL")
    after = {key: name for key, name in first.items() if key[0] != "BOB"}
    after |= {key: name for key, name in expected(fleet).items() if key[0] == "BOB"}
    assert store.read(recipe.folder) == after
    assert re.search("ALICE stays as it was: the API .*answered 403", output)
    assert re.search("CAROL stays as it was: the API .*answered 401", output)

    for account in fleet.values():
        account.clear_faults()
    fleet["BOB"].fail(ShortPage(total=0))  # once, the list seems to be empty
    await recipe.run(store.name, "CAROL")
    assert store.read(recipe.folder) == expected(fleet)


@pytest.mark.asyncio
async def test_sqlite_keeps_the_documents(recipe: Recipe, fleet: dict[str, FakeApify]) -> None:
    """Each row has the task in the API's form, and a run without changes says so."""
    await recipe.run("sqlite_inventory")
    output = await recipe.run("sqlite_inventory")
    with closing(sqlite3.connect(recipe.folder / "inventory.db")) as database:
        documents: list[Any] = [json.loads(row[0]) for row in database.execute("SELECT document FROM tasks")]

    stored = {task.id: task for task in (converter.structure(document, Task) for document in documents)}
    assert stored == {task.id: task for name in ("ALICE", "BOB") for task in fleet[name].tasks}
    assert sorted(output.splitlines()) == [f"{name} 0 added, 0 changed, 0 removed" for name in ("ALICE", "BOB")]
