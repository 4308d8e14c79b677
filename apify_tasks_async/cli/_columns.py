"""The columns of a table, CSV or TSV: the only module that knows what a column is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any

import attrs

from apify_tasks_async import Task
from apify_tasks_async._fields import fields_of

__all__ = ["COLUMN_NAMES", "DEFAULT_COLUMNS", "Column", "parse_columns"]

_EXTRA = "extra."

DEFAULT_COLUMNS = "id,name,actor,runs,created,modified"


@attrs.frozen
class Column:
    """A column: its name, its value for a task, and how a table may show it."""

    name: str
    """The name in `--columns` and in the header of CSV and TSV."""

    value: Callable[[Mapping[str, Any]], Any]
    """Returns the value of a task's flat row; `None` leaves the cell empty."""

    extra: str | None = attrs.field(default=None, kw_only=True)
    """The name of a field that the API added, which the row has to hold."""

    is_time: bool = attrs.field(default=False, kw_only=True)
    """Whether a table may shorten the value to the date."""

    is_number: bool = attrs.field(default=False, kw_only=True)
    """Whether a table aligns it to the right."""

    can_truncate: bool = attrs.field(default=True, kw_only=True)
    """Whether a table may truncate it. A part of an id is useless, and a part of a number is another number."""

    @property
    def title(self) -> str:
        """The header in a table."""
        return f"{self.name} (UTC)" if self.is_time else self.name


def parse_columns(text: str) -> tuple[Column, ...]:
    """Return the columns of a comma-separated list of names.

    Raises:
        ValueError: A name is unknown.
    """
    return tuple(_find_column(name.strip()) for name in text.split(","))


def _find_column(name: str) -> Column:
    if name.startswith(_EXTRA):
        if not name.isascii() and "\\udc" in ascii(name):  # bytes of the command line that are not UTF-8
            raise ValueError(f"{name!r} is not UTF-8")
        return Column(name, itemgetter(name), extra=name.removeprefix(_EXTRA))
    known = _ALIASES.get(name, name)
    if known not in _COLUMNS:
        raise ValueError(f"unknown column {name!r}; choose from {', '.join(COLUMN_NAMES)}, {_EXTRA}NAME")
    return attrs.evolve(_COLUMNS[known], name=name)


def _actor(row: Mapping[str, Any]) -> Any:
    if row["act_name"] is None:
        return row["act_id"]
    return f"{row['act_username']}/{row['act_name']}" if row["act_username"] is not None else row["act_name"]


def _id_column(name: str) -> Column:
    return Column(name, itemgetter(name), can_truncate=False)


def _text_column(name: str) -> Column:
    return Column(name, itemgetter(name))


def _time_column(name: str, field: str) -> Column:
    return Column(name, itemgetter(field), is_time=True, can_truncate=False)


_COLUMNS = {
    column.name: column
    for column in (
        _id_column("id"),
        _text_column("name"),
        Column("actor", _actor),
        Column("runs", itemgetter("total_runs"), is_number=True, can_truncate=False),
        _time_column("created", "created_at"),
        _time_column("modified", "modified_at"),
        _text_column("username"),
        _id_column("user_id"),
        _id_column("act_id"),
        _text_column("act_name"),
        _text_column("act_username"),
    )
}

_ALIASES = {field.wire: field.attribute for field in fields_of(Task)} | {
    "createdAt": "created",
    "modifiedAt": "modified",
    "created_at": "created",
    "modified_at": "modified",
    "total_runs": "runs",
    "totalRuns": "runs",
    "stats.totalRuns": "runs",
}
"""The names in JSON and in Python."""

COLUMN_NAMES = tuple(_COLUMNS)
"""The names that `--columns` takes, besides `extra.NAME`."""
