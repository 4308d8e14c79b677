"""What a task, a page of tasks, and a bookmark are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import attrs

__all__ = ["Bookmark", "Task", "TaskPage", "TaskStats"]


def _as_utc(moment: datetime) -> datetime:
    if not isinstance(moment, datetime):
        raise TypeError(f"expected a datetime, got {moment!r}")
    if moment.tzinfo is UTC:
        return moment
    if moment.utcoffset() is None:
        raise ValueError(f"expected an aware datetime, got the naive {moment!r}")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"expected a time within the years 1 to 9999 of UTC, got {moment!r}") from None


def _as_frozenset(ids: Iterable[str]) -> frozenset[str]:
    return frozenset(ids)


def _extra() -> Any:
    return attrs.field(factory=dict[str, Any], repr=False, eq=False, kw_only=True)


class _Model:
    """What pydantic, and with it FastAPI, asks for the schema of a type."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        # Imported here, because it imports pydantic, and this module.
        from apify_tasks_async._pydantic import make_core_schema  # noqa: PLC0415

        return make_core_schema(cls, handler)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> Any:
        from apify_tasks_async._pydantic import make_json_schema  # noqa: PLC0415

        return make_json_schema(cls, schema, handler)


@attrs.frozen
class TaskStats(_Model):
    """What the API counts for a task.

    Example:
        >>> TaskStats(total_runs=15)
        TaskStats(total_runs=15)
    """

    total_runs: int | None = None
    """How many times the task was run."""

    extra: Mapping[str, Any] = _extra()
    """Fields that this version does not know, by their names on the wire. Left out of `repr` and equality."""


@attrs.frozen
class Task(_Model):
    """One Actor task, as the API lists it.

    The fields are those of https://docs.apify.com/api/v2/actor-tasks-get

    Raises:
        TypeError: A time is no `datetime`.
        ValueError: A time is naive, or in UTC out of the years 1 to 9999.

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
    """The identifier of the user who owns it."""

    act_id: str
    """The identifier of the Actor that it runs."""

    name: str
    """The name of the task."""

    created_at: datetime = attrs.field(converter=_as_utc)
    """When it was created, aware and in UTC. The list is sorted by it."""

    modified_at: datetime = attrs.field(converter=_as_utc)
    """When it was last changed, aware and in UTC."""

    act_name: str | None = None
    """The name of the Actor."""

    username: str | None = None
    """The name of the user who owns the task."""

    act_username: str | None = None
    """The name of the user who owns the Actor."""

    stats: TaskStats | None = None
    """What the API counts for the task."""

    extra: Mapping[str, Any] = _extra()
    """Fields that this version does not know, by their names on the wire. Left out of `repr` and equality."""


@attrs.frozen
class Bookmark(_Model):
    """A place in the list, behind which a walk can carry on later, in another process if need be.

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
    """Where the list is worth reading from: a hint, since the list may change."""

    desc: bool
    """The direction of the walk that it belongs to."""

    def to_json(self) -> str:
        """Return the bookmark as one line of JSON."""
        document = {
            "version": 1,
            "desc": self.desc,
            "createdAt": self.created_at.isoformat(),
            "ids": sorted(self.ids),
            "offset": self.offset,
        }
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
        moment = datetime.fromisoformat(document["createdAt"])
        return cls(moment, frozenset(document["ids"]), document["offset"], document["desc"])


def _read_json(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return None


def _bookmark_problem(document: Any) -> str | None:
    """Say what is wrong with a bookmark's JSON document, or `None` if nothing is."""
    if not isinstance(document, dict):
        return "it is not a JSON object"
    if type(document.get("version")) is not int or document["version"] != 1:
        return "its version is not 1, the only one that this library knows"
    if type(document.get("desc")) is not bool:
        return "desc is not a boolean"
    if type(document.get("offset")) is not int or not 0 <= document["offset"] < 2**63:
        return "offset is not a non-negative integer of 63 bits"
    ids = document.get("ids")
    if not isinstance(ids, list) or not ids or not all(isinstance(id_, str) for id_ in ids):
        return "ids is not a list of strings"
    problem = None
    try:
        _as_utc(datetime.fromisoformat(document["createdAt"]))
    except (KeyError, TypeError, ValueError):
        problem = "createdAt is not a time with its zone"
    return problem


def _as_tuple(tasks: Iterable[Task]) -> tuple[Task, ...]:
    return tuple(tasks)


@attrs.frozen
class TaskPage(_Model):
    """One page of tasks. It has a length, and iterates over its tasks."""

    total: int
    """How many tasks the server says that there are in all. A hint: it may be stale."""

    offset: int
    """The place of the first item of the page in the list, as the server gave it."""

    limit: int
    """The most items that the server would have put into the page."""

    desc: bool
    """Whether the order is descending, newest first."""

    count: int
    """How many items are in the page."""

    items: tuple[Task, ...] = attrs.field(converter=_as_tuple, repr=lambda items: f"<{len(items)} tasks>")
    """The tasks."""

    bookmark: Bookmark | None = attrs.field(default=None, eq=False)
    """The place behind the last item, for `after`; `None` as long as there is nothing to be behind of."""

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Task]:
        return iter(self.items)
