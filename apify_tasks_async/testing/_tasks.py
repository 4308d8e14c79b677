"""The tasks of the fake API: how they are made, and the sorted list."""

from __future__ import annotations

import base64
import hashlib
import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from random import Random
from threading import Lock
from typing import Any

import attrs
import msgspec

from apify_tasks_async._arguments import check_instance
from apify_tasks_async._fields import fields_of
from apify_tasks_async.models import Task, TaskStats

__all__ = ["TaskList", "make_task", "make_task_of"]

_FIRST_CREATED_AT = datetime(2024, 1, 1, 0, 0, 0, 855_000, tzinfo=UTC)
_STEP = timedelta(minutes=1)
_EDIT = timedelta(hours=6, milliseconds=723)
_ACTORS = ("web-scraper", "website-content-crawler", "google-search-scraper")
# The API's ids have letters and digits only.
_LETTERS = bytes.maketrans(b"+/", b"xy")


def _make_id(kind: str, number: int) -> str:
    """Return an id like the API's: 17 letters and digits. The same number gives the same id."""
    digest = hashlib.blake2b(f"{kind}-{number}".encode(), digest_size=16).digest()
    return base64.b64encode(digest).translate(_LETTERS)[:17].decode()


_USER_ID = _make_id("user", 0)
_REQUIRED: dict[str, type] = {
    "id": str,
    "user_id": str,
    "act_id": str,
    "name": str,
    "created_at": datetime,
    "modified_at": datetime,
    "extra": Mapping,
}
_NULLABLE: dict[str, type] = {"act_name": str, "username": str, "act_username": str, "stats": TaskStats}
_STATS = tuple(map(TaskStats, range(20)))
_ACT_IDS = tuple(_make_id("actor", number) for number in range(len(_ACTORS)))


def make_task(number: int = 0, **fields: Any) -> Task:
    """Return a plausible task. The same arguments give the same task.

    The creation times ascend with the numbers, one minute apart.

    Args:
        number: Which task to make. Each number gives a different id.
        **fields: Fields of `Task` that replace the plausible ones.

    Raises:
        TypeError: A field does not exist or has the wrong type, or the number is not an integer.
        ValueError: The number is negative, a time is naive, or a text has half of a surrogate pair.

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
    _check_fields(fields)
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


def make_task_of(owner: str, number: int, **fields: Any) -> Task:
    """Return a plausible task of an account. Its ids differ from those of another account; "" makes `make_task`'s."""
    ids = {"id": _make_id(f"task-of-{owner}", number), "user_id": _make_id(f"user-of-{owner}", 0)} if owner else {}
    return make_task(number, **{**ids, **fields})


def _without(name: str) -> str:
    """Return what to do for a task that lacks a field which every `Task` has."""
    [field] = [field.wire for field in fields_of(Task) if field.attribute == name]
    return (
        f"{name} must be {_REQUIRED[name].__name__}, got None: every Task has one; for an API that sends null, use "
        f"fail(MalformedItem(index, {field!r}, None))"
    )


def _check_fields(fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        if name in _REQUIRED and value is None:
            raise TypeError(_without(name))
        if name in _REQUIRED:
            check_instance(name, value, kinds=(_REQUIRED[name],))
        elif name in _NULLABLE and value is not None:
            check_instance(name, value, kinds=(_NULLABLE[name],))
        if isinstance(value, str):
            _check_encodable(name, value)


def _check_encodable(name: str, value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} must be text that UTF-8 can encode, got {value!r}") from None


def _encode_time(moment: datetime) -> msgspec.Raw:
    # msgspec is three times as fast as isoformat().
    text = msgspec.json.encode(moment)
    if not moment.microsecond:
        return msgspec.Raw(text.replace(b"Z", b".000Z"))
    return msgspec.Raw(text if moment.microsecond % 1000 else text.replace(b"000Z", b"Z"))


def _encode_stats(stats: TaskStats) -> dict[str, Any]:
    # None in the model means that the field is absent. The specification does not allow null here.
    total_runs = {} if stats.total_runs is None else {"totalRuns": stats.total_runs}
    return {**stats.extra, **total_runs}


def _encode(task: Task) -> bytes:
    """Return a task as the API sends it.

    It does not use the library's converter. A fake that shares code with the client would hide their common mistakes,
    and the converter takes four times as long.
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
    """Tasks sorted by creation time; equal times keep their insertion order. Thread-safe."""

    def __init__(self, tasks: Iterable[Task], *, seed: int, owner: str = "") -> None:
        self._owner = owner
        self._lock = Lock()
        self._random = Random(seed)  # noqa: S311 - it shuffles test data, reproducibly
        self._turn = False
        self._numbers = itertools.count()
        self._by_id: dict[str, Task] = {}
        self._used_ids: set[str] = set()  # Includes deleted tasks, since ids are never reused.
        # Each task is encoded once. A page joins the encoded tasks.
        self._encoded: dict[str, bytes] = {}
        self._hidden: set[str] = set()
        self._changes: list[tuple[Task | None, Task | None, int]] = []  # what was at the index before, and after
        for task in tasks:
            self._register(task)
        # Sorting is stable, so equal times keep their insertion order.
        self._tasks = sorted(self._by_id.values(), key=_created_at)

    def snapshot(self) -> tuple[Task, ...]:
        """Return the tasks in their order."""
        with self._lock:
            return tuple(self._tasks)

    def create(self, fields: dict[str, Any]) -> Task:
        """Add a plausible task with those fields. Without `created_at` it becomes the newest."""
        with self._lock:
            number = next(number for number in self._numbers if self._make(number).id not in self._used_ids)
            if "created_at" not in fields and self._tasks:
                # The time of an unused number may be older than the newest task.
                newest = self._tasks[-1].created_at
                fields = {**fields, "created_at": max(self._make(number).created_at, newest + _STEP)}
            task = self._make(number, **fields)
            self._register(task)
            index = bisect_right(self._tasks, task.created_at, key=_created_at)
            self._tasks.insert(index, task)
            self._changes.append((None, task, index))
            return task

    def _make(self, number: int, **fields: Any) -> Task:
        return make_task_of(self._owner, number, **fields)

    def remove(self, task_id: str) -> Task:
        """Remove the task with that id. Raises KeyError for an unknown id."""
        with self._lock:
            task = self._by_id.pop(task_id)
            del self._encoded[task_id]
            index = self._index(task)
            del self._tasks[index]
            self._changes.append((task, None, index))
            self._hidden.discard(task_id)
            return task

    def update(self, task_id: str, fields: dict[str, Any]) -> Task:
        """Change fields of the task with that id. Raises KeyError for an unknown id."""
        if "created_at" in fields:
            raise ValueError("created_at of a task never changes")
        _check_fields(fields)
        with self._lock:
            before = self._by_id[task_id]
            task = attrs.evolve(before, **{"modified_at": before.modified_at + _STEP, **fields})
            index = self._index(before)
            self._encoded[task_id] = _encode(task)
            self._by_id[task_id] = self._tasks[index] = task
            self._changes.append((before, task, index))
            return task

    def hide(self, task_id: str) -> None:
        """Leave the task out of every page. Raises `KeyError` if no task has the id."""
        with self._lock:
            self._hidden.add(self._by_id[task_id].id)

    def reveal(self, task_id: str) -> None:
        """Show the task again. Raises `KeyError` if no task has the id."""
        with self._lock:
            self._hidden.discard(self._by_id[task_id].id)

    def page(
        self,
        offset: int,
        limit: int,
        *,
        desc: bool,
        shuffle_ties: bool,
        lag: int = 0,
        total_lag: int | None = None,
    ) -> tuple[int, list[bytes]]:
        """Return how many tasks there are, and the JSON of those of a page, all as of the same moment.

        That moment is `lag` changes ago, and `total_lag` changes ago for how many there are, unless it is `None`.
        """
        with self._lock:
            whole = self._as_of(lag)
            total = len(whole)
            reported = total if total_lag is None else len(self._as_of(total_lag))
            # A descending page is read from the end of the ascending list, and reversed.
            start = max(total - offset - limit, 0) if desc else min(offset, total)
            stop = max(total - offset, 0) if desc else min(offset + limit, total)
            tasks = self._shuffled(whole, start, stop) if shuffle_ties else whole[start:stop]
            items = [self._document(task) for task in tasks if task.id not in self._hidden]
        if desc:
            items.reverse()
        return reported, items

    def _document(self, task: Task) -> bytes:
        # A replica that lags has versions and tasks that are not kept.
        return self._encoded[task.id] if self._by_id.get(task.id) is task else _encode(task)

    def _index(self, task: Task) -> int:
        return self._tasks.index(task, bisect_left(self._tasks, task.created_at, key=_created_at))

    def _as_of(self, lag: int) -> list[Task]:
        """Return the list as it was that many changes ago."""
        if not lag:
            return self._tasks
        tasks = self._tasks.copy()
        for before, after, index in reversed(self._changes[-lag:]):
            tasks[index : index + (after is not None)] = [] if before is None else [before]
        return tasks

    def _register(self, task: Task) -> None:
        if not isinstance(task, Task):
            raise TypeError(f"tasks must contain only Task, got {task!r}")
        if task.id in self._by_id:
            raise ValueError(f"id must be unique, got {task.id!r}")
        self._encoded[task.id] = _encode(task)
        self._by_id[task.id] = task
        self._used_ids.add(task.id)

    def _shuffled(self, whole: list[Task], start: int, stop: int) -> list[Task]:
        """Return a slice of the list as it is after every group of equal times was shuffled."""
        self._turn = not self._turn
        if start >= stop:
            return []
        # Groups may reach over the ends of the slice: shuffle them whole, then cut.
        first = bisect_left(whole, whole[start].created_at, key=_created_at)
        last = bisect_right(whole, whole[stop - 1].created_at, key=_created_at)
        tasks: list[Task] = []
        for _, group in itertools.groupby(whole[first:last], key=_created_at):
            tasks += self._shuffled_group(list(group))
        return tasks[start - first : stop - first]

    def _shuffled_group(self, group: list[Task]) -> list[Task]:
        if len(group) == 1:
            return group
        shuffled = self._random.sample(group, len(group))
        # Chance alone may repeat the order of a small group, so its two oldest swap on every request.
        older, newer = shuffled.index(group[0]), shuffled.index(group[1])
        if (older < newer) == self._turn:
            shuffled[older], shuffled[newer] = shuffled[newer], shuffled[older]
        return shuffled
