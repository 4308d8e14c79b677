"""Bookmarks in files."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import click

from apify_tasks_async import Bookmark, TaskPage
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


def behind(page: TaskPage, count: int, previous: Bookmark | None) -> Bookmark:
    """Return the bookmark behind the first tasks of a page; behind the last one the page has its own.

    Args:
        page: The page.
        count: How many of its tasks, one at least.
        previous: The bookmark before the page.
    """
    moment = page.items[count - 1].created_at
    ids = {task.id for task in page.items[:count] if task.created_at == moment}
    if previous is not None and previous.created_at == moment:
        ids |= previous.ids
    # The place is a hint: the walk steps back as far as it has to.
    return Bookmark(moment, frozenset(ids), page.offset, page.desc)


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
            raise Failure(f"cannot write the bookmark {str(self.path)!r}: {error.strerror or error}") from None
        finally:
            # Ctrl-C may come in between, too.
            with contextlib.suppress(OSError):
                temporary.unlink()


def _place(path: Path) -> Path:
    return Path(os.path.realpath(path))
