"""Writes rows to standard output, and the bookmark after them to its file."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Sequence
from typing import BinaryIO, Self

import attrs

from apify_tasks_async import Bookmark, Task
from apify_tasks_async.cli._bookmark import BookmarkFile
from apify_tasks_async.cli._exit import Failure, is_terminal, print_message
from apify_tasks_async.cli._formats import Format, make_format
from apify_tasks_async.cli._loop import interruptible
from apify_tasks_async.cli._options import Options
from apify_tasks_async.cli._pager import page
from apify_tasks_async.cli._streams import write_lines

__all__ = ["Output", "open_output"]


@attrs.define
class Output:
    """Writes rows first and the bookmark second, so that a crash may repeat rows but never loses one.

    On exit, this context manager writes the footer, also if the list ended early.
    """

    _format: Format
    _stream: BinaryIO
    _bookmark_file: BookmarkFile | None
    bookmark: Bookmark | None
    """The place after the last row."""
    count: int = 0
    """The number of rows written so far."""
    progress: str = ""
    """What to say if the list ends early: how much of it is shown."""
    most: int | None = None
    """How many rows to show of those that are written; `None` for all."""
    is_table: bool = False
    """Whether the format is the table."""
    is_paged: bool = False
    """Whether what is longer than the screen goes through the pager."""
    notes: bool = True
    """Whether to say on stderr how much is shown, and where the bookmark is."""
    _started: bool = attrs.field(default=False, init=False)
    _failed: bool = attrs.field(default=False, init=False)

    @property
    def streams(self) -> bool:
        """Whether rows are printed as they arrive."""
        return self._format.streams

    @property
    def is_file(self) -> bool:
        """Whether standard output is a regular file."""
        return stat.S_ISREG(os.fstat(self._stream.fileno()).st_mode)

    def write_rows(self, tasks: Sequence[Task], bookmark: Bookmark | None) -> None:
        """Write the rows of the tasks, and save the bookmark after them."""
        shown = tasks if self.most is None else tasks[: max(0, self.most - self.count)]
        try:
            rows = self._format.format_rows(shown)
        except RecursionError:
            raise Failure("a task has a field that is nested too deeply to be shown") from None
        self._write(rows)
        self.count += len(tasks)
        self.bookmark = bookmark
        if self.streams:
            self._save_bookmark()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if self._failed or isinstance(error, BrokenPipeError):
            return
        # A list that fails before its first page must not look like an empty list.
        if error is None or self._started:
            self._write(self._format.format_footer())
            self._save_bookmark()
        if error is None or not self._started or not self.notes:
            return
        if self.progress:
            print_message(self.progress)  # What is shown looks whole.
        if self._bookmark_file is not None and self.bookmark is not None:
            print_message(f"the bookmark is in {str(self._bookmark_file.path)!r}; pass it to --after to continue")

    def _write(self, text: str) -> None:
        with interruptible():
            started, self._started = self._started, True
            try:
                whole = text if started else self._format.format_header() + text
                if not (self.is_paged and page(whole)):
                    write_lines(self._stream.fileno(), whole.encode())
            except BaseException:
                # A part of the text may be written.
                self._failed = True
                raise

    def _save_bookmark(self) -> None:
        if self._bookmark_file is None or self.bookmark is None:
            return
        # The bookmark survives a power failure, so the rows before it have to survive it too.
        if self.is_file:
            os.fsync(self._stream.fileno())
        self._bookmark_file.write(self.bookmark)


def open_output(options: Options, bookmark: Bookmark | None) -> Output:
    """Return standard output in the requested format.

    Args:
        options: The options of the command.
        bookmark: The start of the list; `None` for its first task.
    """
    file = BookmarkFile(options.bookmark) if options.bookmark else None
    terminal = is_terminal(sys.stdout)
    name = options.output or ("table" if terminal else "tsv")
    output_format = make_format(
        name, options.columns, headers=not options.no_headers, terminal=terminal, mark=options.bom
    )
    table = name == "table"
    return Output(
        output_format,
        sys.stdout.buffer,
        file,
        bookmark,
        is_table=table,
        is_paged=table and terminal and not options.no_pager,
        notes=options.errors != "json",
    )
