"""Bookmarks in files."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import click

from apify_tasks_async import Bookmark, TaskPage
from apify_tasks_async.cli._exit import Failure

__all__ = ["BookmarkFile", "bookmark_after", "read_bookmark"]


def read_bookmark(path: Path | None, target: Path | None, *, desc: bool) -> Bookmark | None:
    """Return the bookmark in the file, or `None` for the start of the list.

    Args:
        path: The file of `--after`. It may be missing if it is also the target: the first run of a series has none.
        target: The file of `--bookmark`.
        desc: Whether the list is newest first.
    """
    if path is None:
        return None
    try:
        bookmark = Bookmark.from_json(path.read_bytes())
    except FileNotFoundError:
        if target is not None and _resolve(path) == _resolve(target):
            return None
        raise _unusable(f"the file {str(path)!r} does not exist.") from None
    except (OSError, ValueError) as error:
        raise _unusable(f"cannot read {str(path)!r}: {error}.") from None
    if bookmark.desc != desc:
        direction = "a descending" if bookmark.desc else "an ascending"
        raise _unusable(f"{str(path)!r} belongs to {direction} list.")
    return bookmark


def _unusable(message: str) -> click.BadParameter:
    return click.BadParameter(message, param_hint="'--after'")


def bookmark_after(page: TaskPage, count: int, previous: Bookmark | None) -> Bookmark | None:
    """Return the bookmark after the first `count` tasks of a page. For a whole page, use `page.bookmark`.

    Args:
        page: The page.
        count: The number of tasks.
        previous: The bookmark before the page.
    """
    if not count:
        return previous
    moment = page.items[count - 1].created_at
    ids = {task.id for task in page.items[:count] if task.created_at == moment}
    if previous is not None and previous.created_at == moment:
        ids |= previous.ids
    # The offset is only a hint: the walk steps back as far as it has to.
    return Bookmark(moment, frozenset(ids), page.offset, page.desc)


class BookmarkFile:
    """A file that always holds a complete bookmark: the old one or the new one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._target = _resolve(path)  # keeps a symbolic link
        # Replacing a device such as /dev/null would turn it into a file.
        if not self._target.parent.is_dir() or (self._target.exists() and not self._target.is_file()):
            message = f"{str(path)!r} must be a regular file in an existing directory."
            raise click.BadParameter(message, param_hint="'--bookmark'")

    def write(self, bookmark: Bookmark) -> None:
        """Replace the content of the file."""
        temporary = self._target.with_name(f".{self._target.name}.{os.getpid()}.tmp")
        try:
            with temporary.open("w", encoding="ascii") as file:
                file.write(f"{bookmark.to_json()}\n")
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._target)
        except OSError as error:
            raise Failure(f"cannot write the bookmark {str(self.path)!r}: {error.strerror or error}") from None
        finally:
            # Also after Ctrl-C.
            with contextlib.suppress(OSError):
                temporary.unlink()


def _resolve(path: Path) -> Path:
    return Path(os.path.realpath(path))
