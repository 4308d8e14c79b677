"""A table for people."""

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
from apify_tasks_async.cli._output import cell
from apify_tasks_async.cli._text import printable

__all__ = ["Table"]

_GAP = "  "
_TIMES = ("created", "modified")
_NUMBERS = ("runs",)
_WHOLE = ("id", "user_id", "act_id", *_NUMBERS, *_TIMES)
"""What is never cut: a part of an id is of no use, and a part of a number is another number."""
_LEGIBLE = 12
"""How wide the others stay at least."""


@attrs.define(eq=False)
class _Column:
    name: str
    title: str = attrs.field(init=False)
    cells: list[str] = attrs.field(init=False, factory=list[str])
    width: int = attrs.field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        self.title = printable(f"{self.name} (UTC)" if self.name in _TIMES else self.name)

    @property
    def least(self) -> int:
        """How narrow it may become."""
        return self.width if self.name in _WHOLE else min(self.width, _LEGIBLE)

    def widen(self) -> None:
        """Make it as wide as its widest cell."""
        self.width = max(cell_len(self.title), max(map(cell_len, self.cells), default=0))

    def leave_out_hours(self) -> None:
        """Show the day only."""
        if self.name in _TIMES:
            self.title = self.name
            self.cells = [text[: len("2026-12-31")] for text in self.cells]
            self.widen()

    def fitted(self, text: str) -> str:
        """Return the text, exactly as wide as the column."""
        if cell_len(text) > self.width:
            return f"{set_cell_size(text, self.width - 1)}…"
        padding = " " * (self.width - cell_len(text))
        return padding + text if self.name in _NUMBERS else text + padding


class Table:
    """As wide as the terminal at most. Its columns fit its rows, so that it needs all of them before the first.

    rich has tables too. They take half a millisecond for a row: a minute for a hundred thousand tasks.
    """

    streams = False

    def __init__(self, columns: Sequence[str], *, headers: bool, terminal: bool) -> None:
        self._columns = [_Column(name) for name in columns]
        self._headers = headers
        self._terminal = terminal

    def head(self) -> str:
        """Return nothing: how wide the columns are is not yet known."""
        return ""

    def rows(self, tasks: Sequence[Task]) -> str:
        """Put the tasks into the table, and return nothing yet."""
        for column in self._columns:
            column.cells += (_text(cell(task, column.name)) for task in tasks)
        return ""

    def tail(self) -> str:
        """Return the table."""
        for column in self._columns:
            column.widen()
        # Where nobody looks there is no width to fit, and nothing may be cut off.
        columns = _fit(self._columns, shutil.get_terminal_size().columns) if self._terminal else self._columns
        text = io.StringIO()
        if self._headers:
            console = Console(file=text, force_terminal=self._terminal)
            console.print(Text(_line(columns, [column.title for column in columns]), style="bold"), soft_wrap=True)
            text.write(f"{_line(columns, ['─' * column.width for column in columns])}\n")
        rows = zip(*(column.cells for column in columns), strict=True)
        text.writelines(f"{_line(columns, row)}\n" for row in rows)
        if len(columns) < len(self._columns):
            left_out = [column.title for column in self._columns if column not in columns]
            text.write(f"(too narrow for {', '.join(left_out)})\n")
        return text.getvalue()


def _fit(columns: Sequence[_Column], most: int) -> Sequence[_Column]:
    """Make the columns fit together, and return those that there is room for.

    The hours give way first, then long texts, then the columns from the right, but not the id of the task.
    """
    if _excess(columns, most) > 0:
        for column in columns:
            column.leave_out_hours()
    columns = list(columns)
    while len(columns) > 1 and _excess(columns, most) > sum(column.width - column.least for column in columns):
        columns.remove(next((column for column in reversed(columns) if column.name != "id"), columns[-1]))
    for _ in range(_excess(columns, most)):
        widest = max(columns, key=lambda column: (column.width > column.least, column.width))
        # Nothing is left that may shrink: then the terminal wraps the lines.
        widest.width = max(widest.width - 1, widest.least)
    return columns


def _excess(columns: Sequence[_Column], most: int) -> int:
    return sum(column.width for column in columns) + len(_GAP) * (len(columns) - 1) - most


def _line(columns: Sequence[_Column], texts: Sequence[str]) -> str:
    return _GAP.join(column.fitted(text) for column, text in zip(columns, texts, strict=True)).rstrip()


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return f"{value:%Y-%m-%d %H:%M}"
        case _:
            return printable(str(value))
