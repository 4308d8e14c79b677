"""The models: a task, a page of tasks, a bookmark."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, overload

import attrs

from apify_tasks_async._document import Document, PydanticType
from apify_tasks_async._plain_time import as_plain

__all__ = ["Bookmark", "Task", "TaskPage", "TaskStats"]


def _as_utc(moment: datetime) -> datetime:
    if not isinstance(moment, datetime):
        raise TypeError(f"expected a datetime, got {moment!r}")
    if moment.tzinfo is UTC:
        return as_plain(moment)
    if moment.utcoffset() is None:
        raise ValueError(f"expected an aware datetime, got the naive {moment!r}")
    try:
        return as_plain(moment.astimezone(UTC))
    except OverflowError:
        raise ValueError(f"expected a time within the years 1 to 9999 of UTC, got {moment!r}") from None


def _as_frozenset(ids: Iterable[str]) -> frozenset[str]:
    return frozenset(ids)


def _extra() -> Any:
    return attrs.field(factory=dict[str, Any], repr=False, eq=False, kw_only=True)


@attrs.frozen
class TaskStats(Document):
    """The counters of a task.

    Example:
        >>> TaskStats(total_runs=15)
        TaskStats(total_runs=15)
    """

    total_runs: int | None = None
    """How many times the task was run."""

    extra: Mapping[str, Any] = _extra()
    """Fields that this version does not know, by their names in JSON. Not part of `repr` and equality."""


@attrs.frozen
class Task(Document):
    """One Actor task, as the API lists it.

    The fields are those of https://docs.apify.com/api/v2/actor-tasks-get

    Raises:
        TypeError: A time is not a `datetime`.
        ValueError: A time is naive, or in UTC outside the years 1 to 9999.

    Example:
        >>> from datetime import UTC, datetime
        >>> moment = datetime(2018, 10, 26, 7, 23, 14, 855000, tzinfo=UTC)
        >>> task = Task("zdc3Pyhyz3m8vjDeM", "wRsJZtadYvn4mBZmm", "asADASadYvn4mBZmm", "my-task", moment, moment)
        >>> task.name
        'my-task'
    """

    id: str
    """The identifier of the task."""

    user_id: str
    """The identifier of the user who owns the task."""

    act_id: str
    """The identifier of the Actor that the task runs."""

    name: str
    """The name of the task."""

    created_at: datetime = attrs.field(converter=_as_utc)
    """When the task was created, aware and in UTC. The list is sorted by it."""

    modified_at: datetime = attrs.field(converter=_as_utc)
    """When the task was last changed, aware and in UTC."""

    act_name: str | None = None
    """The name of the Actor."""

    username: str | None = None
    """The name of the user who owns the task."""

    act_username: str | None = None
    """The name of the user who owns the Actor."""

    stats: TaskStats | None = None
    """The counters of the task."""

    extra: Mapping[str, Any] = _extra()
    """Fields that this version does not know, by their names in JSON. Not part of `repr` and equality."""

    def _repr_html_(self) -> str:
        from apify_tasks_async._html import show_task  # noqa: PLC0415 - it imports the models

        return show_task(self)


@attrs.frozen
class Bookmark(PydanticType):
    """A place in the list, after which a walk can continue later, also in another process.

    Treat it as opaque: store what `to_json` gives, and pass what `from_json` returns as `after`.

    Example:
        >>> text = '{"version":1,"desc":false,"createdAt":"2018-10-26T07:23:14.855000+00:00","ids":["a"],"offset":0}'
        >>> Bookmark.from_json(text).to_json() == text
        True
    """

    created_at: datetime = attrs.field(converter=_as_utc)
    """The `created_at` of the last task delivered."""

    ids: frozenset[str] = attrs.field(converter=_as_frozenset)
    """The ids of the tasks delivered with exactly that `created_at`."""

    offset: int
    """The offset to read from. A hint, since the list may change."""

    desc: bool
    """Whether the walk was descending."""

    floor: datetime | None = attrs.field(default=None, converter=attrs.converters.optional(_as_utc))
    """Of a list that is followed: all tasks delivered after this time are in `recent`. `None`: all are."""

    recent: tuple[tuple[datetime, str], ...] = attrs.field(default=(), repr=False)
    """Of a list that is followed: `created_at` and id of the tasks delivered last."""

    def to_json(self) -> str:
        """Return the bookmark as one line of JSON."""
        document: dict[str, Any] = {
            "version": 1,
            "desc": self.desc,
            "createdAt": self.created_at.isoformat(),
            "ids": sorted(self.ids),
            "offset": self.offset,
        }
        if self.recent:
            document["floor"] = self.floor and self.floor.isoformat()
            document["recent"] = [[moment.isoformat(), id_] for moment, id_ in self.recent]
        return json.dumps(document, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Bookmark:
        """Return the bookmark that `to_json` wrote.

        Args:
            text: What `to_json` returned.

        Raises:
            ValueError: The text is damaged, or of a version that this library does not know.
        """
        document = _read_json(text)
        problem = _bookmark_problem(document)
        if problem:
            raise ValueError(f"not a usable bookmark: {problem}")
        floor = document.get("floor")
        return cls(
            datetime.fromisoformat(document["createdAt"]),
            frozenset(document["ids"]),
            document["offset"],
            document["desc"],
            floor and datetime.fromisoformat(floor),
            tuple((_as_utc(datetime.fromisoformat(moment)), id_) for moment, id_ in document.get("recent") or ()),
        )


def _read_json(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return None


def _is_time(value: Any) -> bool:
    try:
        _as_utc(datetime.fromisoformat(value))
    except (TypeError, ValueError):
        return False
    return True


def _is_offset(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _is_ids(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(id_, str) for id_ in value)


def _is_recent(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(entry, list) and len(entry) == 2 and _is_time(entry[0]) and isinstance(entry[1], str)
        for entry in value
    )


_BOOKMARK_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "version": (lambda value: type(value) is int and value == 1, "its version is not 1, the only known one"),
    "desc": (lambda value: type(value) is bool, "desc is not a boolean"),
    "offset": (_is_offset, "offset is not a non-negative integer of 63 bits"),
    "ids": (_is_ids, "ids is not a list of strings"),
    "createdAt": (_is_time, "createdAt is not a time with its zone"),
    "floor": (lambda value: value is None or _is_time(value), "floor is not a time with its zone"),
    "recent": (lambda value: value is None or _is_recent(value), "recent is not a list of times and ids"),
}


def _bookmark_problem(document: Any) -> str | None:
    """Return what is wrong with a bookmark's JSON document; `None` if it is fine."""
    if not isinstance(document, dict):
        return "it is not a JSON object"
    problems = (problem for name, (valid, problem) in _BOOKMARK_FIELDS.items() if not valid(document.get(name)))
    return next(problems, None)


def _as_tuple(tasks: Iterable[Task]) -> tuple[Task, ...]:
    return tuple(tasks)


@attrs.frozen
class TaskPage(Document):
    """One page of tasks. It has a length, indices and slices, and iterates over its tasks.

    `to_dict` and `to_json` leave out the bookmark, which is not the API's.

    Example:
        >>> async def newest(client: TasksClient) -> tuple[Task, ...]:
        ...     page = await client.list_tasks(desc=True)
        ...     return page[:10]
    """

    total: int
    """How many tasks there are, as the server says. A hint: it may be stale."""

    offset: int
    """The offset of the first item of the page."""

    limit: int
    """The maximum number of items in the page, as the server says."""

    desc: bool
    """Whether the order is descending, newest first."""

    count: int
    """How many items are in the page."""

    items: tuple[Task, ...] = attrs.field(converter=_as_tuple, repr=lambda items: f"<{len(items)} tasks>")
    """The tasks."""

    bookmark: Bookmark | None = attrs.field(default=None, eq=False)
    """The place after the last item, for `after`; `None` if no item came yet."""

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Task]:
        return iter(self.items)

    @overload
    def __getitem__(self, index: int) -> Task: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Task, ...]: ...

    def __getitem__(self, index: int | slice) -> Task | tuple[Task, ...]:
        return self.items[index]

    def _repr_html_(self) -> str:
        from apify_tasks_async._html import show_page  # noqa: PLC0415 - it imports the models

        return show_page(self)
