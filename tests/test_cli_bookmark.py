"""The file of `--bookmark`: mounts, folders that are not writable, modes and owners. Most tests start processes."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from helpers.processes import COMMAND, SECONDS, environment

from apify_tasks_async import Bookmark
from apify_tasks_async.cli._bookmark import BookmarkFile
from apify_tasks_async.cli._exit import Failure
from apify_tasks_async.testing import FakeApify

NOBODY = 65534
OLD = Bookmark(datetime(2026, 3, 1, tzinfo=UTC), frozenset({"an-old-id", "another-old-id"}), 7, desc=False)
NEW = Bookmark(datetime(2026, 3, 2, tzinfo=UTC), frozenset({"new"}), 8, desc=False)

MOUNT = 'mount --bind "$0" "$0"'
READ_ONLY = f'{MOUNT} && mount -o remount,ro,bind "$0"'


@pytest.fixture
def api() -> Iterator[FakeApify]:
    """Return a server with three tasks."""
    with FakeApify(tasks=3) as api:
        yield api


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """Return the path of a bookmark, in a folder that a test may make read-only."""
    folder = tmp_path / "folder"
    folder.mkdir()
    yield folder / "bookmark"
    folder.chmod(0o755)


def obey_modes() -> None:
    """Let the modes of folders and files count for the process, even if it is root's."""
    drop, cap_dac_override = 24, 1
    ctypes.CDLL(None).prctl(drop, cap_dac_override, 0, 0, 0)


def run(api: FakeApify, file: Path, *command: str) -> tuple[int, list[str], str]:
    """List what is new since the bookmark in the file; return the exit code, the rows and the messages."""
    arguments = ("list", "-o", "name", "--after", f"{file}", "--bookmark", f"{file}")
    done = subprocess.run(
        (*command, *COMMAND, *arguments),
        capture_output=True,
        text=True,
        env=environment(api),
        timeout=SECONDS,
        check=False,
        preexec_fn=obey_modes,
    )
    return done.returncode, done.stdout.splitlines(), done.stderr


def mounted(file: Path, script: str) -> tuple[str, ...]:
    """Return a command that runs the rest with the file as a mount, as `docker run -v` has them."""
    command = ("unshare", "-m", "sh", "-c", f'{script} && exec "$@"', f"{file}")
    if subprocess.run((*command, "true"), capture_output=True, check=False).returncode:
        pytest.skip("this machine allows no mounts")
    return command


def test_a_mount(api: FakeApify, file: Path) -> None:
    """A file that is a mount is written in place: the next run shows only what is new."""
    run(api, file)
    mount = mounted(file, MOUNT)
    for name in ("first", "second"):
        api.create_task(name=name)
        assert (0, [name], "") == run(api, file, *mount)
    assert [file] == list(file.parent.iterdir())


def test_a_mount_that_is_read_only(api: FakeApify, file: Path) -> None:
    """A file that cannot be written at all is found out before the first row."""
    run(api, file)
    api.create_task(name="first")
    code, rows, errors = run(api, file, *mounted(file, READ_ONLY))
    assert (2, []) == (code, rows)
    assert f"cannot write '{file}': Read-only file system\n" in errors


def test_a_folder_that_is_not_writable(api: FakeApify, file: Path) -> None:
    """A bookmark in a folder where nothing can be created is written in place."""
    run(api, file)
    file.parent.chmod(0o555)
    api.create_task(name="new")
    assert (0, ["new"], "") == run(api, file)
    assert (0, [], "apify-tasks: no new tasks\n") == run(api, file)


def test_no_place_for_a_new_file(api: FakeApify, file: Path) -> None:
    """A folder where the bookmark cannot be created is found out before the first row."""
    file.parent.chmod(0o555)
    code, rows, errors = run(api, file)
    assert (2, []) == (code, rows)
    assert f"cannot write '{file}': Permission denied\n" in errors
    assert not api.requests


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_the_mode_is_kept(api: FakeApify, file: Path, mode: int) -> None:
    """The new bookmark has the mode of the old one."""
    run(api, file)
    file.chmod(mode)
    api.create_task(name="new")
    assert (0, ["new"], "") == run(api, file)
    assert oct(mode) == oct(stat.S_IMODE(file.stat().st_mode))


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_the_mode_of_a_new_file(file: Path, mask: int, mode: int) -> None:
    """A first bookmark has the mode of any new file."""
    previous = os.umask(mask)
    try:
        BookmarkFile(file).write(NEW)
    finally:
        os.umask(previous)
    assert oct(mode) == oct(stat.S_IMODE(file.stat().st_mode))


def test_the_owner_is_kept(api: FakeApify, file: Path) -> None:
    """A bookmark that root writes still belongs to its owner."""
    run(api, file)
    try:
        os.chown(file, NOBODY, NOBODY)
    except PermissionError:
        pytest.skip("only root can give a file away")
    file.chmod(0o666)
    api.create_task(name="new")
    assert (0, ["new"], "") == run(api, file)
    assert (NOBODY, NOBODY) == (file.stat().st_uid, file.stat().st_gid)


def test_a_link_in_the_folder_is_not_followed(file: Path) -> None:
    """The name of the temporary file cannot be foreseen, so no link can stand there, and no other process."""
    code = """
import os, sys
from pathlib import Path
from apify_tasks_async import Bookmark
from apify_tasks_async.cli._bookmark import BookmarkFile
file = Path(sys.argv[1])
# Every name that follows from the file's and the process's.
for name in (f".{file.name}.{os.getpid()}.tmp", f"{file.name}.tmp", f".{file.name}.tmp", f"{file.name}.{os.getpid()}"):
    file.with_name(name).symlink_to(sys.argv[2])
BookmarkFile(file).write(Bookmark.from_json(sys.argv[3]))
"""
    other = file.with_name("other")
    subprocess.run((sys.executable, "-c", code, file, other, NEW.to_json()), check=True, timeout=SECONDS)
    assert not other.exists()
    assert NEW == Bookmark.from_json(file.read_bytes())


@pytest.mark.parametrize("reason", [errno.EBUSY, errno.EPERM, errno.EROFS])
@pytest.mark.parametrize(("old", "new"), [(OLD, NEW), (NEW, OLD)])
def test_a_file_that_cannot_be_replaced(
    file: Path, monkeypatch: pytest.MonkeyPatch, reason: int, old: Bookmark, new: Bookmark
) -> None:
    """It is written in place, a shorter or a longer bookmark than before, and nothing is left beside it."""
    target = BookmarkFile(file)
    target.write(old)
    inode = file.stat().st_ino

    def refuse(*_: object) -> None:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(Path, "replace", refuse)
    target.write(new)
    assert f"{new.to_json()}\n" == file.read_text()
    assert inode == file.stat().st_ino
    assert [file] == list(file.parent.iterdir())


def test_a_crash_while_it_is_written_in_place(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the file is cut, it already holds a bookmark that can be read."""
    BookmarkFile(file).write(OLD)
    target = BookmarkFile(file)

    def refuse(*_: object) -> None:
        raise OSError(errno.EBUSY, "busy")

    def crash(*_: object) -> None:
        raise OSError(errno.EIO, "the power fails")

    monkeypatch.setattr(Path, "replace", refuse)
    monkeypatch.setattr(os, "ftruncate", crash)
    with pytest.raises(Failure, match="the power fails"):
        target.write(NEW)
    assert NEW == Bookmark.from_json(file.read_bytes())
