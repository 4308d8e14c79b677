"""What tasks look like in each format, and how they get to standard output."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
import sys
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, Protocol, Self

import attrs
import msgspec

from apify_tasks_async import Bookmark, Task, converter
from apify_tasks_async.cli._bookmark import BookmarkFile
from apify_tasks_async.cli._exit import is_terminal, say
from apify_tasks_async.cli._loop import interruptible
from apify_tasks_async.cli._options import Options
from apify_tasks_async.cli._text import as_json_text, printable

__all__ = ["Rows", "cell", "open_rows"]


def _actor(task: Task) -> str:
    if task.act_name is None:
        return task.act_id
    return f"{task.act_username}/{task.act_name}" if task.act_username is not None else task.act_name


_VALUES: dict[str, Callable[[Task], Any]] = {
    "actor": _actor,
    "runs": lambda task: task.stats and task.stats.total_runs,
    "created": lambda task: task.created_at,
    "modified": lambda task: task.modified_at,
}


def cell(task: Task, column: str) -> Any:
    """Return what stands in that column; `None` if the task has no such thing."""
    if column.startswith("extra."):
        return task.extra.get(column.removeprefix("extra."))
    return _VALUES[column](task) if column in _VALUES else getattr(task, column)


def _cell_text(task: Task, column: str) -> str:
    value = converter.unstructure(cell(task, column))
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _document(task: Task) -> str:
    return as_json_text(msgspec.json.encode(converter.unstructure(task)))


class Format(Protocol):
    """Turns tasks into text. Its methods are called in this order."""

    streams: bool
    """Whether rows come out as they go in, not all at the end."""

    def head(self) -> str:
        """Return what comes before the first row."""
        ...

    def rows(self, tasks: Sequence[Task]) -> str:
        """Return the rows of these tasks."""
        ...

    def tail(self) -> str:
        """Return what comes after the last row."""
        ...


class _Lines:
    """A line for each task, and nothing around them."""

    streams = True

    def __init__(self, line: Callable[[Task], str]) -> None:
        self._line = line

    def head(self) -> str:
        return ""

    def rows(self, tasks: Sequence[Task]) -> str:
        return "".join(f"{self._line(task)}\n" for task in tasks)

    def tail(self) -> str:
        return ""


class _JsonArray:
    """One array. It is closed even if the list ends early, so that what was printed can be read."""

    streams = True

    def __init__(self) -> None:
        self._separator = "\n"

    def head(self) -> str:
        return "["

    def rows(self, tasks: Sequence[Task]) -> str:
        text: list[str] = []
        for task in tasks:
            text += self._separator, _document(task)
            self._separator = ",\n"
        return "".join(text)

    def tail(self) -> str:
        return "\n]\n"


class _Separated:
    """A line for each task, a cell for each column."""

    streams = True

    def __init__(self, columns: Sequence[str], *, headers: bool) -> None:
        self._columns = columns
        self._headers = headers

    def head(self) -> str:
        return self._line(self._columns) if self._headers else ""

    def rows(self, tasks: Sequence[Task]) -> str:
        return "".join(self._line([_cell_text(task, column) for column in self._columns]) for task in tasks)

    def tail(self) -> str:
        return ""

    def _line(self, cells: Sequence[str]) -> str:
        return "\t".join(map(_escaped, cells)) + "\n"


_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""A spreadsheet takes a cell that begins with one of these for a formula, and runs it: the last four are wide = + - @.

https://owasp.org/www-community/attacks/CSV_Injection
"""


class _Csv(_Separated):
    """RFC 4180. Control characters are data in a file, and escaped on a terminal."""

    def __init__(self, columns: Sequence[str], *, headers: bool, terminal: bool) -> None:
        super().__init__(columns, headers=headers)
        self._terminal = terminal

    def _line(self, cells: Sequence[str]) -> str:
        text = io.StringIO()
        safe = list(map(self._safe, cells))
        # In some countries a spreadsheet splits at these, and would find a formula behind one that is not in quotes.
        splits = any(";" in cell or "\t" in cell for cell in safe)
        csv.writer(text, quoting=csv.QUOTE_ALL if splits else csv.QUOTE_MINIMAL).writerow(safe)
        return text.getvalue()

    def _safe(self, text: str) -> str:
        harmless = f"'{text}" if text.startswith(_FORMULAS) else text
        return printable(harmless) if self._terminal else harmless


def _escaped(text: str) -> str:
    return printable(text.replace("\\", "\\\\"))


def _format(options: Options, *, terminal: bool) -> Format:
    match options.output or ("table" if terminal else "tsv"):
        case "table":
            from apify_tasks_async.cli._table import Table  # noqa: PLC0415 - rich is slow to import

            return Table(options.columns, headers=options.headers, terminal=terminal)
        case "json":
            return _JsonArray()
        case "jsonl":
            return _Lines(_document)
        case "csv":
            return _Csv(options.columns, headers=options.headers, terminal=terminal)
        case "name":
            return _Lines(lambda task: _escaped(task.name))
        case _:
            return _Separated(options.columns, headers=options.headers)


@attrs.define
class Rows:
    """Writes rows, then the bookmark behind them: in this order, so that a crash repeats rows but loses none.

    As a context manager it finishes the output, also when the list ended early.
    """

    _format: Format
    _stream: BinaryIO
    _file: BookmarkFile | None
    bookmark: Bookmark | None
    """The place behind the last row."""
    shown: int = 0
    """How many rows there are."""
    _begun: bool = attrs.field(default=False, init=False)
    _broken: bool = attrs.field(default=False, init=False)

    @property
    def streams(self) -> bool:
        """Whether rows come out as they go in."""
        return self._format.streams

    @property
    def to_file(self) -> bool:
        """Whether the rows go to a file, where nobody looks at them meanwhile."""
        return stat.S_ISREG(os.fstat(self._stream.fileno()).st_mode)

    def show(self, tasks: Sequence[Task], bookmark: Bookmark | None) -> None:
        """Write rows, and keep the bookmark that is behind them."""
        self._write(self._format.rows(tasks))
        self.shown += len(tasks)
        self.bookmark = bookmark
        if self.streams:
            self._keep_bookmark()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if self._broken or isinstance(error, BrokenPipeError):
            return
        # A list that failed before its first page does not look like an empty one.
        if error is None or self._begun:
            self._write(self._format.tail())
            self._keep_bookmark()
        if self._begun and error is not None and self._file is not None and self.bookmark is not None:
            say(f"the bookmark is in {str(self._file.path)!r}: carry on with --after")

    def _write(self, text: str) -> None:
        with interruptible():
            begun, self._begun = self._begun, True
            try:
                # Nothing is left in a buffer, which the interpreter would wait to get rid of at its exit.
                rest = memoryview((text if begun else self._format.head() + text).encode())
                while rest:
                    rest = rest[os.write(self._stream.fileno(), rest) :]
            except BaseException:
                # It may be there in part.
                self._broken = True
                raise

    def _keep_bookmark(self) -> None:
        if self._file is None or self.bookmark is None:
            return
        # The bookmark is made to survive a power failure, so the rows before it have to be as well.
        if self.to_file:
            os.fsync(self._stream.fileno())
        self._file.write(self.bookmark)


def open_rows(options: Options, bookmark: Bookmark | None) -> Rows:
    """Return the rows on standard output, in the format that was asked for.

    Args:
        options: What was asked for.
        bookmark: Where the list begins.
    """
    file = BookmarkFile(options.bookmark) if options.bookmark else None
    return Rows(_format(options, terminal=is_terminal(sys.stdout)), sys.stdout.buffer, file, bookmark)
