"""Bookmarks in files."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from pathlib import Path

import click

from apify_tasks_async import Bookmark, TaskPage
from apify_tasks_async.cli._exit import Failure

__all__ = ["BookmarkFile", "bookmark_after", "read_bookmark"]


_LONGEST = 2**26
"""The bytes that a bookmark may have: enough for a million tasks that `follow` remembers."""


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
        with path.open("rb") as file:
            content = file.read(_LONGEST + 1)
        if len(content) > _LONGEST:  # such as /dev/zero
            raise _unusable(f"{str(path)!r} is too large to hold a bookmark.")
        bookmark = Bookmark.from_json(content)
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


_CANNOT_REPLACE = (errno.EACCES, errno.EBUSY, errno.EPERM, errno.EROFS, errno.EXDEV)
"""A mount cannot be replaced, and a folder or the file's owner may not allow it."""


class BookmarkFile:
    """A file that holds a complete bookmark: the old one or the new one.

    The new one replaces the old one at once. Where the file is a mount, or its folder is not writable, it is written in
    place. Mode and owner are kept.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._target = _resolve(path)  # keeps a symbolic link
        # Replacing a device such as /dev/null would turn it into a file.
        if not self._target.parent.is_dir() or (self._target.exists() and not self._target.is_file()):
            message = f"{str(path)!r} must be a regular file in an existing directory."
            raise click.BadParameter(message, param_hint="'--bookmark'")
        try:
            self._try_writing()
        except OSError as error:
            message = f"cannot write {str(path)!r}: {error.strerror}."
            raise click.BadParameter(message, param_hint="'--bookmark'") from None

    def write(self, bookmark: Bookmark) -> None:
        """Replace the content of the file."""
        content = f"{bookmark.to_json()}\n".encode("ascii")
        try:
            try:
                self._replace(content)
            except OSError as error:
                if error.errno not in _CANNOT_REPLACE:
                    raise
                self._overwrite(content)
        except OSError as error:
            raise Failure(f"cannot write the bookmark {str(self.path)!r}: {error.strerror or error}") from None

    def _try_writing(self) -> None:
        """Raise if `write` would fail: after the rows it would be too late."""
        if self._target.exists():
            self._target.open("r+b").close()
        else:
            tempfile.TemporaryFile(dir=self._target.parent).close()

    def _replace(self, content: bytes) -> None:
        # mkstemp follows no link that somebody put there, and two processes never share its file.
        descriptor, temporary = tempfile.mkstemp(prefix=".bookmark.", suffix=".tmp", dir=self._target.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                self._copy_owner_and_mode(temporary)
                os.fsync(descriptor)
            Path(temporary).replace(self._target)
        finally:
            # Also after Ctrl-C.
            with contextlib.suppress(OSError):
                Path(temporary).unlink()

    def _copy_owner_and_mode(self, temporary: str) -> None:
        """Give the new file the owner and mode of the old one; without one, the mode of any new file."""
        try:
            old = self._target.stat()
        except FileNotFoundError:
            mask = os.umask(0o077)
            os.umask(mask)
            Path(temporary).chmod(0o666 & ~mask)
            return
        new = Path(temporary).stat()
        if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
            os.chown(temporary, old.st_uid, old.st_gid)
        Path(temporary).chmod(stat.S_IMODE(old.st_mode))

    def _overwrite(self, content: bytes) -> None:
        with self._target.open("r+b") as file:
            # Spaces over the rest of the old bookmark: the file is complete JSON before it is cut, too.
            file.write(content.ljust(os.fstat(file.fileno()).st_size))
            file.flush()
            os.ftruncate(file.fileno(), len(content))
            os.fsync(file.fileno())


def _resolve(path: Path) -> Path:
    return Path(os.path.realpath(path))
