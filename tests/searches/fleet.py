"""Keep a copy of 500 lists that change all the time, while the process that keeps it is killed again and again.

It fails if a living task was ever removed from the copy, or if the copy does not equal the lists in the end. Decisions
depend on the seed; moments also on the machine.
"""

import argparse
import contextlib
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import attrs
from helpers.support import wait_until

from apify_tasks_async.testing import Disconnect, FakeApify, OtherRequest, RecordedRequest, ShortPage, Status

RECIPES = Path(__file__).parents[2] / "recipes"

SIZES = (0, 1, 5, 19, 19, 40, 80)
"""How many tasks accounts begin with. One in a hundred has 3,000."""

LOG = """
CREATE TABLE removals (account TEXT, id TEXT, at REAL);
CREATE TRIGGER log_removal AFTER DELETE ON tasks BEGIN
    INSERT INTO removals VALUES (OLD.account, OLD.id, (julianday('now') - 2440587.5) * 86400);
END;
"""

CLOCK_ERROR = 0.01
"""Seconds by which the clock of SQLite may be behind."""


@attrs.define
class Fleet:
    """The accounts, and what happens to them."""

    api: FakeApify
    names: dict[str, FakeApify]
    chance: random.Random
    deleted: dict[str, float] = attrs.field(factory=dict[str, float])
    """When each task was deleted."""
    changes: int = 0

    def disturb(self) -> None:
        """Let answers fail and contradict themselves, and change a list with each request."""
        for account in self.names.values():
            account.fail(Status(503), times=None, probability=0.02)
            account.fail(Disconnect(), times=None, probability=0.02)
            account.fail(ShortPage(), times=None, probability=0.02)
            account.fail(OtherRequest(desc=True), times=None, probability=0.02)
            account.fail(ShortPage(total=0), times=1)  # a lie that looks whole
            account.replica_lags = (0, 1)
            account.on_request = self.change

    def quieten(self) -> None:
        """Let everything be as it is."""
        for account in self.names.values():
            account.clear_faults()
            account.replica_lags = (0,)
            account.on_request = None

    def change(self, _: RecordedRequest) -> None:
        """Create, rename or delete a task of some account."""
        account = self.chance.choice([*self.names.values()])
        tasks = account.tasks
        self.changes += 1
        match self.chance.choice(("create", "rename", "delete") if tasks else ("create",)):
            case "create":
                account.create_task()
            case "rename":
                account.update_task(self.chance.choice(tasks).id, name=f"renamed-{self.changes}")
            case "delete":
                task = self.chance.choice(tasks)
                self.deleted[task.id] = time.time()
                account.delete_task(task.id)

    def tasks(self) -> set[tuple[str, str, str]]:
        """Return all tasks: account, id and name."""
        return {(name, task.id, task.name) for name, account in self.names.items() for task in account.tasks}


@contextlib.contextmanager
def serving(accounts: int, seed: int) -> Iterator[Fleet]:
    """Run a server with so many accounts; their tokens are in the environment."""
    chance = random.Random(seed)
    sizes = {f"fake-token-of-{number}": chance.choice(SIZES) for number in range(accounts)}
    sizes |= dict.fromkeys(list(sizes)[::100], 3000)
    with FakeApify(accounts=sizes, latency=0.01, seed=seed) as api:
        names = {f"A{number}": api.account(token) for number, token in enumerate(sizes)}
        os.environ |= {f"APIFY_TOKEN_{name}": account.token for name, account in names.items()}
        os.environ |= {"APIFY_API_BASE_URL": api.url}
        yield Fleet(api, names, chance)


def keep_copy(path: Path, fleet: Fleet) -> subprocess.Popen[bytes]:
    """Start the recipe that brings the copy up to date."""
    command = [sys.executable, str(RECIPES / "sqlite_inventory.py"), str(path), *fleet.names]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def check_removals(path: Path, fleet: Fleet) -> int:
    """Check that each task was deleted before it was removed from the copy; return how many there were."""
    with closing(sqlite3.connect(path)) as database:
        removals = database.execute("SELECT account, id, at FROM removals").fetchall()
    early = [removal for removal in removals if removal[2] + CLOCK_ERROR < fleet.deleted.get(removal[1], float("inf"))]
    assert not early, f"living tasks were removed: {early}"
    return len(removals)


def read_copy(path: Path) -> set[tuple[str, str, str]]:
    """Return the tasks of the copy: account, id and name."""
    with closing(sqlite3.connect(path)) as database:
        return set(database.execute("SELECT account, id, name FROM tasks"))


def finish(path: Path, fleet: Fleet) -> None:
    """Let the recipe come to its end."""
    code = keep_copy(path, fleet).wait()
    assert code == 0, f"the recipe ended with code {code}"


def kill_once(path: Path, fleet: Fleet) -> bool:
    """Kill the recipe after some of its requests; return False if it ended before."""
    last = len(fleet.api.requests) + fleet.chance.randrange(1, 2 * len(fleet.names))
    process = keep_copy(path, fleet)
    wait_until(lambda: len(fleet.api.requests) >= last or process.poll() is not None)
    killed = process.poll() is None
    process.kill()
    process.wait()
    check_removals(path, fleet)
    return killed


def copy_lists(accounts: int, kills: int, seed: int) -> Iterator[str]:
    """Kill the process at random moments, then let it come to its end, compare, and yield figures."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, serving(accounts, seed) as fleet:
        path = Path(folder, "inventory.db")
        finish(path, fleet)
        with closing(sqlite3.connect(path)) as database:
            database.executescript(LOG)
        fleet.disturb()
        killed = sum(kill_once(path, fleet) for _ in range(kills))
        finish(path, fleet)
        fleet.quieten()
        finish(path, fleet)
        differences = read_copy(path) ^ fleet.tasks()
        assert not differences, f"the copy differs: {sorted(differences)[:10]}"
        yield f"{accounts} accounts, {len(fleet.tasks())} tasks, {len(fleet.api.requests)} requests"
        yield f"{fleet.changes} changes, {killed} kills, {check_removals(path, fleet)} removals, none of a living task"
        yield f"the copy equals the lists; {time.monotonic() - started:.0f} s"


def main() -> None:
    """Run for as long as asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=500, help="how many (default: %(default)s)")
    parser.add_argument("--kills", type=int, default=30, help="of the process (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="the seed of all decisions (default: %(default)s)")
    arguments = parser.parse_args()
    for line in copy_lists(arguments.accounts, arguments.kills, arguments.seed):
        print(line)  # noqa: T201 - the output of the script


if __name__ == "__main__":
    main()
