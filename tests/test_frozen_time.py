"""Subclasses of `datetime`: those of users, and the one that freezegun puts in the place of the class."""

from __future__ import annotations

import pickle
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone

import pytest

from apify_tasks_async import Bookmark, Task, converter
from apify_tasks_async.testing import FakeApify, make_task

LATE = """
import datetime, sys
REAL = [datetime.datetime]
class Meta(type):
    def __instancecheck__(cls, value): return isinstance(value, REAL[0])
    def __subclasscheck__(cls, kind): return issubclass(kind, REAL[0])
class Frozen(datetime.datetime, metaclass=Meta):
    pass
Frozen.__module__ = "freezegun.api"
def replace(old, new):
    for module in list(sys.modules.values()):
        for name, value in list(vars(module).items()):
            if value is old and module.__name__.startswith(("apify_tasks_async", "datetime")):
                setattr(module, name, new)
"""
"""Replaces the class as freezegun does: wherever a module has it by name."""

USE = """
from apify_tasks_async import Task, converter
from apify_tasks_async.testing import make_task
DOCUMENT = {"id": "a", "userId": "u", "actId": "x", "name": "n"}
DOCUMENT |= {"createdAt": "2026-01-01T02:00:00+02:00", "modifiedAt": "2026-01-01T00:00:00Z"}
def use(**more):
    assert type(make_task(1).created_at) is REAL[0]
    assert make_task(1, created_at=Frozen.now(datetime.UTC)).to_json()
    for task in (converter.structure(DOCUMENT | more, Task), *converter.structure([DOCUMENT | more], list[Task])):
        assert "2026-01-01T00:00:00+00:00" == task.created_at.isoformat(), task
        assert type(task.created_at) is REAL[0]
    naive = DOCUMENT | more | {"createdAt": "2026-01-01T00:00:00"}
    try:
        converter.structure([naive], list[Task])
    except ValueError as error:
        assert "expected an RFC 3339 time" in str(error)
    else:
        raise AssertionError("a naive time was accepted")
"""


@pytest.mark.parametrize(
    "steps",
    [
        "replace(REAL[0], Frozen)\n" + USE + "use()\nreplace(Frozen, REAL[0])\nuse()\nuse(new=1)\n",
        USE + "replace(REAL[0], Frozen)\nuse(new=1)\nreplace(Frozen, REAL[0])\nuse(new=1)\nuse(other=1)\n",
    ],
    ids=["imported", "used"],
)
def test_frozen_first(steps: str) -> None:
    """What is read, and how, does not depend on whether time is frozen at the first import or the first use."""
    done = subprocess.run((sys.executable, "-c", LATE + steps), capture_output=True, text=True, check=False, timeout=60)
    assert (0, "") == (done.returncode, done.stderr)


class Later(datetime):
    """A subclass, as pendulum has one."""


MOMENT = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)
TIMES = [
    Later(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC),
    Later(2026, 3, 1, 14, 30, 15, 123456, timezone(timedelta(hours=2))),
]


@pytest.mark.parametrize("moment", TIMES)
def test_a_subclass(moment: datetime) -> None:
    """A subclass is a datetime: it is kept as a plain one, in UTC."""
    with FakeApify() as api:
        task = api.create_task(created_at=moment)
    assert MOMENT == task.created_at
    assert type(task.created_at) is datetime
    assert task == pickle.loads(pickle.dumps(task))
    assert task == converter.structure(task.to_dict(), Task)
    assert type(Bookmark(moment, frozenset({"a"}), 0, desc=False).created_at) is datetime


def test_a_naive_subclass() -> None:
    """A naive one is refused as any naive time."""
    with pytest.raises(ValueError, match="naive"):
        make_task(created_at=Later(2026, 3, 1))
