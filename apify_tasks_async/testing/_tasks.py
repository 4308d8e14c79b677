"""The tasks that the fake API has: plausible ones, and the sorted list of them."""

from __future__ import annotations

import base64
import hashlib
import itertools
from bisect import bisect_left, bisect_right, insort_right
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from random import Random
from threading import Lock
from typing import Any

import msgspec

from apify_tasks_async.models import Task, TaskStats

__all__ = ["TaskList", "make_task"]

_FIRST_CREATED_AT = datetime(2024, 1, 1, 0, 0, 0, 855_000, tzinfo=UTC)
_STEP = timedelta(minutes=1)
_EDIT = timedelta(hours=6, milliseconds=723)
_ACTORS = ("web-scraper", "website-content-crawler", "google-search-scraper")
# The API's ids are of letters and digits only.
_LETTERS = bytes.maketrans(b"+/", b"xy")


def _make_id(kind: str, number: int) -> str:
    """Return 17 letters and digits, as the API's ids have them: always the same for the same number."""
    digest = hashlib.blake2b(f"{kind}-{number}".encode(), digest_size=16).digest()
    return base64.b64encode(digest).translate(_LETTERS)[:17].decode()


_USER_ID = _make_id("user", 0)
_STATS = tuple(map(TaskStats, range(20)))
_ACT_IDS = tuple(_make_id("actor", number) for number in range(len(_ACTORS)))


def make_task(number: int = 0, **fields: Any) -> Task:
    """Return a plausible task: always the same one for the same arguments.

    Tasks of ascending numbers have ascending creation times, a minute apart.

    Args:
        number: Which task to make; every number gives another id.
        **fields: Any field of `Task`, in place of the one that it would get.

    Raises:
        TypeError: There is no such field, or the number is not an integer.
        ValueError: The number is negative.

    Example:
        >>> make_task(7, name="mine").name
        'mine'
        >>> make_task(7) == make_task(7)
        True
        >>> make_task(7).created_at < make_task(8).created_at
        True
    """
    if type(number) is not int:
        raise TypeError(f"number must be an integer >= 0, got {number!r}")
    if number < 0:
        raise ValueError(f"number must be an integer >= 0, got {number!r}")
    created_at = fields.get("created_at", _FIRST_CREATED_AT + number * _STEP)
    actor = number % len(_ACTORS)
    plausible: dict[str, Any] = {
        "id": _make_id("task", number),
        "user_id": _USER_ID,
        "act_id": _ACT_IDS[actor],
        "name": f"my-task-{number}",
        "created_at": created_at,
        "modified_at": created_at + _EDIT,
        "act_name": _ACTORS[actor],
        "username": "janedoe",
        "act_username": "apify",
        "stats": _STATS[number % len(_STATS)],
        "extra": {"title": f"My task {number}", "isPublic": False},
    }
    return Task(**(plausible | fields))


def _encode_time(moment: datetime) -> msgspec.Raw:
    # Three times as fast as isoformat(), which took a quarter of the time in which a task is made.
    text = msgspec.json.encode(moment)
    if not moment.microsecond:
        return msgspec.Raw(text.replace(b"Z", b".000Z"))
    return msgspec.Raw(text if moment.microsecond % 1000 else text.replace(b"000Z", b"Z"))


def _encode_stats(stats: TaskStats) -> dict[str, Any]:
    # The models have None for what was not there; the specification has an integer or nothing.
    total_runs = {} if stats.total_runs is None else {"totalRuns": stats.total_runs}
    return {**stats.extra, **total_runs}


def _encode(task: Task) -> bytes:
    """Return a task as the API sends it.

    The library's converter is not asked, though it could do this: a fake that writes with what the client reads with
    would hide their common mistakes. It would also take four times as long.
    """
    document = {
        **task.extra,
        "id": task.id,
        "userId": task.user_id,
        "actId": task.act_id,
        "actName": task.act_name,
        "name": task.name,
        "username": task.username,
        "actUsername": task.act_username,
        "createdAt": _encode_time(task.created_at),
        "modifiedAt": _encode_time(task.modified_at),
        "stats": None if task.stats is None else _encode_stats(task.stats),
    }
    return msgspec.json.encode(document)


_created_at = attrgetter("created_at")


class TaskList:
    """Tasks by creation time, equal times in the order in which they came. Any thread may use it."""

    def __init__(self, tasks: Iterable[Task], *, seed: int) -> None:
        self._lock = Lock()
        self._random = Random(seed)  # noqa: S311 - it shuffles test data, reproducibly
        self._turn = False
        self._numbers = itertools.count()
        self._by_id: dict[str, Task] = {}
        self._used_ids: set[str] = set()  # those of deleted tasks too: no id is given out twice
        # Each is encoded once, and pages are joined from the results.
        self._encoded: dict[str, bytes] = {}
        for task in tasks:
            self._register(task)
        # Dictionaries keep their order and sorting is stable: equal times stay as they came.
        self._tasks = sorted(self._by_id.values(), key=_created_at)

    def snapshot(self) -> tuple[Task, ...]:
        """Return the tasks in their order."""
        with self._lock:
            return tuple(self._tasks)

    def create(self, fields: dict[str, Any]) -> Task:
        """Add a plausible task with those fields, behind all others unless its creation time says otherwise."""
        with self._lock:
            number = next(number for number in self._numbers if _make_id("task", number) not in self._used_ids)
            if "created_at" not in fields and self._tasks:
                # A number that was not used yet need not have a time that comes after all others.
                newest = self._tasks[-1].created_at
                fields = {**fields, "created_at": max(make_task(number).created_at, newest + _STEP)}
            task = make_task(number, **fields)
            self._register(task)
            insort_right(self._tasks, task, key=_created_at)
            return task

    def remove(self, task_id: str) -> Task:
        """Remove the task with that id; a `KeyError` if there is none."""
        with self._lock:
            task = self._by_id.pop(task_id)
            del self._encoded[task_id]
            first_of_time = bisect_left(self._tasks, task.created_at, key=_created_at)
            del self._tasks[self._tasks.index(task, first_of_time)]
            return task

    def page(self, offset: int, limit: int, *, desc: bool, shuffle_ties: bool) -> tuple[int, list[bytes]]:
        """Return how many tasks there are, and the JSON of those of a page, all as of the same moment."""
        with self._lock:
            total = len(self._tasks)
            # A descending list is the ascending one read from its end: only the page is copied, and turned round.
            start = max(total - offset - limit, 0) if desc else min(offset, total)
            stop = max(total - offset, 0) if desc else min(offset + limit, total)
            tasks = self._shuffled(start, stop) if shuffle_ties else self._tasks[start:stop]
            items = [self._encoded[task.id] for task in tasks]
        if desc:
            items.reverse()
        return total, items

    def _register(self, task: Task) -> None:
        if not isinstance(task, Task):
            raise TypeError(f"tasks must be of Task, got {task!r}")
        if task.id in self._by_id:
            raise ValueError(f"id must be one that no other task has, got {task.id!r}")
        self._encoded[task.id] = _encode(task)
        self._by_id[task.id] = task
        self._used_ids.add(task.id)

    def _shuffled(self, start: int, stop: int) -> list[Task]:
        """Return a slice of the list as it is after every group of equal times was shuffled."""
        self._turn = not self._turn
        if start >= stop:
            return []
        # Groups may reach over the ends of the slice: shuffle them whole, then cut.
        first = bisect_left(self._tasks, self._tasks[start].created_at, key=_created_at)
        last = bisect_right(self._tasks, self._tasks[stop - 1].created_at, key=_created_at)
        tasks: list[Task] = []
        for _, group in itertools.groupby(self._tasks[first:last], key=_created_at):
            tasks += self._shuffled_group(list(group))
        return tasks[start - first : stop - first]

    def _shuffled_group(self, group: list[Task]) -> list[Task]:
        if len(group) == 1:
            return group
        shuffled = self._random.sample(group, len(group))
        # Chance alone would repeat the order of a small group: its two oldest change places with every request.
        older, newer = shuffled.index(group[0]), shuffled.index(group[1])
        if (older < newer) == self._turn:
            shuffled[older], shuffled[newer] = shuffled[newer], shuffled[older]
        return shuffled
