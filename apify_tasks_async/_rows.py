"""A task as a flat row, for data frames, CSV and Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import attrs

from apify_tasks_async._convert import unstructure_extra
from apify_tasks_async.models import Task

__all__ = ["to_row"]

_NESTED = ("stats", "extra")
_FLAT = tuple(field.name for field in attrs.fields(Task) if field.name not in _NESTED)


def to_row(task: Task, *, extra: Iterable[str] | None = None) -> dict[str, Any]:
    """Return the task as a flat row. All rows of one call's arguments have the same columns.

    The columns are the fields of `Task` by their names in Python, with aware times; then `total_runs`; then `extra`:
    the fields that this version does not know, as JSON text, `"{}"` without any. An unknown
    counter is in it as `stats.NAME`.

    Args:
        task: The task.
        extra: Names of unknown fields, such as `"title"` or `"stats.lastRunStartedAt"`. Each becomes a column
            `extra.NAME` in place of `extra`: `None` if the task lacks it, JSON text if it is an array or an object.

    Raises:
        TypeError: `extra` is one text. Pass a list of names.

    Example:
        >>> from datetime import UTC, datetime
        >>> moment = datetime(2018, 10, 26, tzinfo=UTC)
        >>> task = Task("id", "user", "actor", "my-task", moment, moment, extra={"title": "Mine"})
        >>> to_row(task)["extra"], to_row(task, extra=["title"])["extra.title"]
        ('{"title":"Mine"}', 'Mine')
    """
    if isinstance(extra, str):
        raise TypeError(f"extra must be a list of names, got {extra!r}")
    row = {name: getattr(task, name) for name in _FLAT}
    row["total_runs"] = None if task.stats is None else task.stats.total_runs
    unknown = _unknown_fields(task)
    if extra is None:
        return row | {"extra": _to_json(unknown)}
    return row | {f"extra.{name}": _to_cell(unknown.get(name)) for name in extra}


def _unknown_fields(task: Task) -> dict[str, Any]:
    stats = {} if task.stats is None else task.stats.extra
    return unstructure_extra({**task.extra, **{f"stats.{name}": stats[name] for name in stats}})


def _to_cell(value: Any) -> Any:
    return _to_json(value) if isinstance(value, dict | list) else value


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
