"""The output formats: each turns tasks into text."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import msgspec

from apify_tasks_async import Task, converter
from apify_tasks_async.cli._cells import read_cells
from apify_tasks_async.cli._columns import Column
from apify_tasks_async.cli._text import escape_json, printable

__all__ = ["Format", "make_format"]


class Format(Protocol):
    """Turns tasks into text. Its methods are called in this order: header, rows (any number of times), footer."""

    streams: bool
    """Whether rows are printed as they arrive, and not all at the end."""

    def format_header(self) -> str:
        """Return the text before the first row."""
        ...

    def format_rows(self, tasks: Sequence[Task]) -> str:
        """Return the rows of these tasks."""
        ...

    def format_footer(self) -> str:
        """Return the text after the last row."""
        ...


class _Lines:
    """One line per task."""

    streams = True

    def __init__(self, format_task: Callable[[Task], str]) -> None:
        self._format_task = format_task

    def format_header(self) -> str:
        return ""

    def format_rows(self, tasks: Sequence[Task]) -> str:
        return "".join(f"{self._format_task(task)}\n" for task in tasks)

    def format_footer(self) -> str:
        return ""


class _JsonArray:
    """One JSON array. The footer closes it even if the list ends early, so that it can be parsed."""

    streams = True

    def __init__(self, format_task: Callable[[Task], str]) -> None:
        self._format_task = format_task
        self._separator = "\n"

    def format_header(self) -> str:
        return "["

    def format_rows(self, tasks: Sequence[Task]) -> str:
        text: list[str] = []
        for task in tasks:
            text += self._separator, self._format_task(task)
            self._separator = ",\n"
        return "".join(text)

    def format_footer(self) -> str:
        return "\n]\n"


class _Tsv:
    """Tab-separated values. Tab, newline, backslash and other control characters are escaped."""

    streams = True

    def __init__(self, columns: Sequence[Column], *, headers: bool, terminal: bool) -> None:
        self._columns = columns
        self._headers = headers
        self._terminal = terminal

    def format_header(self) -> str:
        return ""

    def format_rows(self, tasks: Sequence[Task]) -> str:
        lines = [list(map(_format_value, read_cells(task, self._columns))) for task in tasks]
        # The names come with the first row: a list without rows needs no header.
        if lines and self._headers:
            self._headers = False
            lines.insert(0, [column.name for column in self._columns])
        return "".join(map(self._format_line, lines))

    def format_footer(self) -> str:
        return ""

    def _format_line(self, cells: Sequence[str]) -> str:
        return "\t".join(_escape(cell, terminal=self._terminal) for cell in cells) + "\n"


_FORMULA_PREFIXES = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""A spreadsheet runs a cell that begins with one of these as a formula. The last four are full-width = + - @.

https://owasp.org/www-community/attacks/CSV_Injection
"""


class _Csv(_Tsv):
    """RFC 4180. Control characters are kept in a file, and escaped on a terminal."""

    def __init__(self, columns: Sequence[Column], *, headers: bool, terminal: bool, mark: bool) -> None:
        super().__init__(columns, headers=headers, terminal=terminal)
        self._mark = "\ufeff" if mark and not terminal else ""

    def format_rows(self, tasks: Sequence[Task]) -> str:
        text = super().format_rows(tasks)
        if text:
            text, self._mark = self._mark + text, ""
        return text

    def _format_line(self, cells: Sequence[str]) -> str:
        text = io.StringIO()
        safe = list(map(self._make_safe, cells))
        # A spreadsheet may split at ; or tab, depending on the country. Quotes keep it from finding a formula there.
        needs_quotes = any(";" in cell or "\t" in cell for cell in safe)
        csv.writer(text, quoting=csv.QUOTE_ALL if needs_quotes else csv.QUOTE_MINIMAL).writerow(safe)
        return text.getvalue()

    def _make_safe(self, text: str) -> str:
        # Spreadsheets skip what is invisible at the start, such as a byte order mark.
        start = next((character for character in text if character.isprintable() and not character.isspace()), "")
        harmless = f"'{text}" if start in _FORMULA_PREFIXES or text.startswith(_FORMULA_PREFIXES) else text
        return printable(harmless) if self._terminal else harmless


def _to_json(task: Task, *, terminal: bool) -> str:
    return escape_json(msgspec.json.encode(converter.unstructure(task)), invisible=terminal)


def _format_value(cell: Any) -> str:
    value = converter.unstructure(cell)
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _escape(text: str, *, terminal: bool) -> str:
    return printable(text.replace("\\", "\\\\"), invisible=terminal)


def make_format(name: str, columns: Sequence[Column], *, headers: bool, terminal: bool, mark: bool = False) -> Format:
    """Return the format.

    Args:
        name: The name in `--output`.
        columns: The columns of a table, CSV or TSV.
        headers: Whether to print the column names.
        terminal: Whether the output goes to a terminal.
        mark: Whether CSV begins with a byte order mark.
    """
    match name:
        case "table":
            from apify_tasks_async.cli._table import Table  # noqa: PLC0415 - rich is slow to import

            return Table(columns, headers=headers, terminal=terminal)
        case "json":
            return _JsonArray(partial(_to_json, terminal=terminal))
        case "jsonl":
            return _Lines(partial(_to_json, terminal=terminal))
        case "csv":
            return _Csv(columns, headers=headers, terminal=terminal, mark=mark)
        case "name":
            return _Lines(lambda task: _escape(task.name, terminal=terminal))
        case _:
            return _Tsv(columns, headers=headers, terminal=terminal)
