"""A table for people."""

from __future__ import annotations

import io
import shutil
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from apify_tasks_async import Task
from apify_tasks_async.cli._output import cell
from apify_tasks_async.cli._text import printable

__all__ = ["Table"]

_GAP = "  "
_TIMES = ("created", "modified")
_TO_THE_RIGHT = ("runs",)
_FIRST_TO_SHRINK = ("name", "actor")
_LEGIBLE = 12
"""How wide those stay until the others have to shrink as well."""


class Table:
    """As wide as the terminal at most. Its columns fit its rows, so that it needs all of them before the first.

    rich has tables too. They take half a millisecond for a row: a minute for a hundred thousand tasks.
    """

    streams = False

    def __init__(self, columns: Sequence[str], *, headers: bool, terminal: bool) -> None:
        self._columns = columns
        self._headers = headers
        self._terminal = terminal
        self._titles = [printable(f"{column} (UTC)" if column in _TIMES else column) for column in columns]
        self._rows: list[list[str]] = []

    def head(self) -> str:
        """Return nothing: how wide the columns are is not yet known."""
        return ""

    def rows(self, tasks: Sequence[Task]) -> str:
        """Put the tasks into the table, and return nothing yet."""
        self._rows += ([_text(cell(task, column)) for column in self._columns] for task in tasks)
        return ""

    def tail(self) -> str:
        """Return the table."""
        widths = self._widths()
        gaps = len(_GAP) * (len(widths) - 1)
        # Where nobody looks there is no width to fit, and nothing may be cut off.
        most = shutil.get_terminal_size().columns if self._terminal else sum(widths) + gaps
        if sum(widths) + gaps > most:
            self._leave_out_times()
            widths = self._widths()
        _shrink(widths, self._columns, most - gaps)
        text = io.StringIO()
        if self._headers:
            console = Console(file=text, force_terminal=self._terminal, width=most)
            console.print(Text(self._line(self._titles, widths, most), style="bold"), soft_wrap=True)
            text.write(f"{self._line(['─' * width for width in widths], widths, most)}\n")
        text.writelines(f"{self._line(row, widths, most)}\n" for row in self._rows)
        return text.getvalue()

    def _widths(self) -> list[int]:
        return [max(map(cell_len, column)) for column in zip(self._titles, *self._rows, strict=True)]

    def _leave_out_times(self) -> None:
        """Show the day only."""
        for index, column in enumerate(self._columns):
            if column in _TIMES:
                self._titles[index] = column
                for row in self._rows:
                    row[index] = row[index][: len("2026-12-31")]

    def _line(self, row: Sequence[str], widths: Sequence[int], most: int) -> str:
        cells = (_fitted(text, width, column) for text, width, column in zip(row, widths, self._columns, strict=True))
        return _shortened(_GAP.join(cells).rstrip(), most)


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return f"{value:%Y-%m-%d %H:%M}"
        case _:
            return printable(str(value))


def _shrink(widths: list[int], columns: Sequence[str], most: int) -> None:
    """Make the columns fit together: long names and Actors give way first, then the widest, whichever it is."""
    while sum(widths) > most and max(widths) > 1:
        indices = [index for index, column in enumerate(columns) if column in _FIRST_TO_SHRINK]
        first = [index for index in indices if widths[index] > _LEGIBLE]
        widest = max(first or range(len(widths)), key=widths.__getitem__)
        widths[widest] -= 1


def _fitted(text: str, width: int, column: str) -> str:
    shortened = _shortened(text, width)
    padding = " " * (width - cell_len(shortened))
    return padding + shortened if column in _TO_THE_RIGHT else shortened + padding


def _shortened(text: str, width: int) -> str:
    return text if cell_len(text) <= width else f"{set_cell_size(text, width - 1)}…"
