"""Bookmarks in files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

import attrs
import click

from apify_tasks_async import Bookmark, Task
from apify_tasks_async.cli._exit import Failure

__all__ = ["BookmarkFile", "behind", "read_bookmark"]


def read_bookmark(path: Path | None, written: Path | None, *, desc: bool) -> Bookmark | None:
    """Return the bookmark in the file, or `None` for the start of the list.

    Args:
        path: The file. It may be missing if it is the one that will be written: that is how a series of runs begins.
        written: The file that will be written.
        desc: The direction of the list that is asked for.
    """
    if path is None:
        return None
    hint = "'--after'"
    try:
        bookmark = Bookmark.from_json(path.read_bytes())
    except FileNotFoundError:
        if written is not None and _place(path) == _place(written):
            return None
        raise click.BadParameter(f"there is no file {str(path)!r}.", param_hint=hint) from None
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"cannot read {str(path)!r}: {error}.", param_hint=hint) from None
    if bookmark.desc != desc:
        direction = "a descending" if bookmark.desc else "an ascending"
        raise click.BadParameter(f"{str(path)!r} belongs to {direction} list.", param_hint=hint)
    return bookmark


def behind(tasks: Sequence[Task], previous: Bookmark | None, *, offset: int, desc: bool) -> Bookmark:
    """Return the bookmark behind the last of these tasks.

    Args:
        tasks: The tasks that were read since, one at least.
        previous: The bookmark behind the task before them.
        offset: The place in the list of the first of them.
        desc: The direction of the list.
    """
    moment = tasks[-1].created_at
    tied = [task.id for task in tasks if task.created_at == moment]
    if previous is not None and previous.created_at == moment:
        return attrs.evolve(previous, ids=previous.ids.union(tied))
    # A bookmark points at the task before the tied ones: reading on from there shows that nothing was missed.
    before = max(0, offset + len(tasks) - len(tied) - 1)
    return Bookmark(moment, frozenset(tied), before, desc)


class BookmarkFile:
    """A file that always holds a whole bookmark: the old one or the new one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # A symbolic link stays one.
        self._place = _place(path)
        # Anything else than a file would be replaced by one: /dev/null, say.
        if not self._place.parent.is_dir() or (self._place.exists() and not self._place.is_file()):
            message = f"{str(path)!r} is not a file, or in no directory that exists."
            raise click.BadParameter(message, param_hint="'--bookmark'")

    def write(self, bookmark: Bookmark) -> None:
        """Replace what is in the file."""
        temporary = self._place.with_name(f".{self._place.name}.{os.getpid()}.tmp")
        try:
            with temporary.open("w", encoding="ascii") as file:
                file.write(f"{bookmark.to_json()}\n")
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._place)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise Failure(f"cannot write the bookmark {str(self.path)!r}: {error.strerror or error}") from None


def _place(path: Path) -> Path:
    return Path(os.path.realpath(path))
