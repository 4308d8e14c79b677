"""A table that fits the terminal."""

from __future__ import annotations

import io
import shutil
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import attrs
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from apify_tasks_async import Task
from apify_tasks_async.cli._cells import read_cells
from apify_tasks_async.cli._columns import Column
from apify_tasks_async.cli._text import printable

__all__ = ["Table"]

_SEPARATOR = "  "
_MINIMUM_TEXT_WIDTH = 12
"""A text is truncated to this width at least."""

_LONGEST_CELL = 4096
"""Characters of a text in a table: more than a terminal shows. Each row would be padded to the longest one."""


@attrs.define(eq=False)
class _TableColumn:
    """A column with its cells and its current width, in terminal cells: a wide character takes two."""

    column: Column
    title: str = attrs.field(init=False)
    cells: list[str] = attrs.field(init=False, factory=list[str])
    width: int = attrs.field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        self.title = printable(self.column.title)

    @property
    def minimum_width(self) -> int:
        return min(self.width, _MINIMUM_TEXT_WIDTH) if self.column.can_truncate else self.width

    @property
    def spare_width(self) -> int:
        """By how much the column can shrink."""
        return self.width - self.minimum_width

    def fit_cells(self) -> None:
        """Make the column as wide as its widest cell."""
        self.width = max(cell_len(self.title), max(map(cell_len, self.cells), default=0))

    def drop_hours(self) -> None:
        """Shorten times to dates."""
        if self.column.is_time:
            self.title = self.column.name
            self.cells = [text[: len("2026-12-31")] for text in self.cells]
            self.fit_cells()

    def format_cell(self, text: str) -> str:
        """Return the text, padded or truncated to the width."""
        if cell_len(text) > self.width:
            return f"{set_cell_size(text, self.width - 1)}…"
        padding = " " * (self.width - cell_len(text))
        return padding + text if self.column.is_number else text + padding


class Table:
    """A table at most as wide as the terminal. It needs all rows to compute the widths, so it prints at the end.

    rich's own table takes half a millisecond per row: a minute for 100,000 tasks.
    """

    streams = False

    def __init__(self, columns: Sequence[Column], *, headers: bool, terminal: bool) -> None:
        self._columns = [_TableColumn(column) for column in columns]
        self._headers = headers
        self._terminal = terminal

    def format_header(self) -> str:
        """Return nothing: the widths are not known yet."""
        return ""

    def format_rows(self, tasks: Sequence[Task]) -> str:
        """Collect the cells, and return nothing yet."""
        for task in tasks:
            values = read_cells(task, [column.column for column in self._columns])
            for column, value in zip(self._columns, values, strict=True):
                column.cells.append(_format_value(value))
        return ""

    def format_footer(self) -> str:
        """Return the whole table; nothing if it has no rows."""
        if not self._columns[0].cells:
            return ""
        for column in self._columns:
            column.fit_cells()
        # Not a terminal: do not truncate.
        columns = _fit_columns(self._columns, shutil.get_terminal_size().columns) if self._terminal else self._columns
        text = io.StringIO()
        if self._headers:
            self._write_header(columns, text)
        rows = zip(*(column.cells for column in columns), strict=True)
        text.writelines(f"{_format_line(columns, row)}\n" for row in rows)
        if len(columns) < len(self._columns):
            dropped = [column.title for column in self._columns if column not in columns]
            text.write(f"(too narrow for {', '.join(dropped)})\n")
        return text.getvalue()

    def _write_header(self, columns: Sequence[_TableColumn], text: io.StringIO) -> None:
        console = Console(file=text, force_terminal=self._terminal)
        titles = _format_line(columns, [column.title for column in columns])
        console.print(Text(titles, style="bold"), soft_wrap=True)
        text.write(f"{_format_line(columns, ['─' * column.width for column in columns])}\n")


def _fit_columns(columns: Sequence[_TableColumn], maximum: int) -> Sequence[_TableColumn]:
    """Fit the columns into the width, and return those that remain.

    There are three steps, each taken only if needed: times lose their hours; texts shrink; columns are dropped from the
    right, the id last.
    """
    if _overflow(columns, maximum) > 0:
        for column in columns:
            column.drop_hours()
    remaining = list(columns)
    while len(remaining) > 1 and _overflow(remaining, maximum) > sum(column.spare_width for column in remaining):
        remaining.remove(_next_to_drop(remaining))
    _shrink_columns(remaining, _overflow(remaining, maximum))
    return remaining


def _next_to_drop(columns: Sequence[_TableColumn]) -> _TableColumn:
    return next((column for column in reversed(columns) if column.column.name != "id"), columns[-1])


def _shrink_columns(columns: Sequence[_TableColumn], excess: int) -> None:
    """Take the excess from the widest columns. If no column can shrink any more, the terminal wraps the lines."""
    for _ in range(excess):
        widest = max(columns, key=lambda column: (column.spare_width > 0, column.width))
        widest.width = max(widest.width - 1, widest.minimum_width)


def _overflow(columns: Sequence[_TableColumn], maximum: int) -> int:
    return sum(column.width for column in columns) + len(_SEPARATOR) * (len(columns) - 1) - maximum


def _format_line(columns: Sequence[_TableColumn], texts: Sequence[str]) -> str:
    return _SEPARATOR.join(column.format_cell(text) for column, text in zip(columns, texts, strict=True)).rstrip()


def _format_value(value: Any) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return f"{value:%Y-%m-%d %H:%M}"
        case _:
            text = str(value)
            return printable(text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}…")
