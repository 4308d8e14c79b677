"""The command line as a process: its pipes, its signals, and what it imports."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.processes import COMMAND, SECONDS, started

from apify_tasks_async import Bookmark
from apify_tasks_async.cli._loop import Canceller
from apify_tasks_async.cli._signals import Interrupted, terminate
from apify_tasks_async.testing import FakeApify, Hang

INSTALL = "apify-tasks: the command line needs the extra: python -m pip install 'apify-tasks-async[cli]'\n"


@pytest.fixture
def api() -> Iterator[FakeApify]:
    """A server of six tasks."""
    with FakeApify(tasks=6) as api:
        yield api


# Pipes


def test_rows_come_as_they_arrive(api: FakeApify) -> None:
    """The first page is there while the second one hangs."""
    api.fail(Hang(), offset=2)
    with started(api, "list", "-o", "name", "--page-size", 2) as process:
        assert process.stdout
        assert [b"my-task-0\n", b"my-task-1\n"] == [process.stdout.readline() for _ in range(2)]
        api.clear_faults()
        rest, errors = process.communicate(timeout=SECONDS)
    assert (0, 4, b"") == (process.returncode, rest.count(b"\n"), errors)


@pytest.mark.parametrize("output", ["json", "tsv", "table"])
def test_a_reader_that_has_enough(api: FakeApify, output: str) -> None:
    """`| head -1` ends the command silently and at once, with the code that SIGPIPE has in a shell."""
    hangs = threading.Event()
    api.fail(Hang(), offset=2)
    api.on_request = lambda request: hangs.set() if request.offset == 2 else None
    with started(api, "list", "-o", output, "--page-size", 2) as process:
        assert process.stdout
        assert process.stderr
        assert output == "table" or process.stdout.readline()
        assert hangs.wait(SECONDS)
        process.stdout.close()
        assert (141, b"") == (process.wait(SECONDS), process.stderr.read())


def test_follow_ends_with_its_reader(api: FakeApify, tmp_path: Path) -> None:
    """`follow | head -1` does not wait for a task that may never come, only to hear that nobody reads any more."""
    with started(api, "follow", "-o", "name", "--interval", 3600, "--bookmark", tmp_path / "bookmark") as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline()
        process.stdout.close()
        assert (141, b"") == (process.wait(SECONDS), process.stderr.read())


def test_a_pipe_that_can_be_read_and_written(api: FakeApify, tmp_path: Path) -> None:
    """Something to read in a named pipe does not mean that its reader is gone."""
    os.mkfifo(tmp_path / "pipe")
    # Opened for both, it has a reader in the command itself, and its rows are something to read.
    with (tmp_path / "pipe").open("r+b", buffering=0) as pipe:
        with started(api, "list", "-o", "name", "--page-size", 2, stdout=pipe) as process:
            assert 0 == process.wait(SECONDS)
        assert 6 == pipe.read(1000).count(b"\n")


@pytest.mark.parametrize("arguments", [("--help",), ("count",)])
def test_a_reader_that_wants_nothing(api: FakeApify, arguments: tuple[str, ...]) -> None:
    """Nothing is said either if the pipe was closed before, whatever was to be said."""
    reader, writer = os.pipe()
    os.close(reader)
    with started(api, *arguments, stdout=writer) as process:
        os.close(writer)
        _, errors = process.communicate(timeout=SECONDS)
    assert (141, b"") == (process.returncode, errors)


def test_an_error_that_nobody_reads(api: FakeApify) -> None:
    """`2>&1 | head -0` is a closed pipe, too."""
    reader, writer = os.pipe()
    os.close(reader)
    with started(api, "nonsense", stderr=writer) as process:
        os.close(writer)
        output, _ = process.communicate(timeout=SECONDS)
    assert (141, b"") == (process.returncode, output)


def test_an_output_that_cannot_be_written(api: FakeApify, tmp_path: Path) -> None:
    """A full disk, say, is one line on stderr, and the bookmark is not behind what was lost."""
    arguments = ("list", "--bookmark", tmp_path / "bookmark")
    with Path(os.devnull).open("rb") as unwritable, started(api, *arguments, stdout=unwritable) as process:
        _, errors = process.communicate(timeout=SECONDS)
    assert (1, b"apify-tasks: error: cannot write: Bad file descriptor\n") == (process.returncode, errors)
    assert [] == list(tmp_path.iterdir())


# Signals


def test_ctrl_c_ends_follow(api: FakeApify) -> None:
    """Ctrl-C is how `follow` ends: silently, at once, with the code 130."""
    with started(api, "follow", "-o", "name", "--interval", 3600) as process:
        assert process.stdout
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=SECONDS)
    assert (130, 5, b"") == (process.returncode, rest.count(b"\n"), errors)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_was_shown_stays(api: FakeApify, tmp_path: Path, number: int, code: int) -> None:
    """An interrupted list can be read, and its bookmark leads to the rest."""
    file = tmp_path / "bookmark"
    api.fail(Hang(), offset=2)
    arguments = ("list", "-o", "json", "--page-size", 2, "--after", file, "--bookmark", file)
    with started(api, *arguments) as process:
        assert process.stdout
        begun = [process.stdout.readline() for _ in range(2)]
        while not file.exists():
            assert process.poll() is None
        process.send_signal(number)
        rest, errors = process.communicate(timeout=SECONDS)
    assert ["my-task-0", "my-task-1"] == [task["name"] for task in json.loads(b"".join([*begun, rest]))]
    assert (code, f"apify-tasks: the bookmark is in '{file}'; pass it to --after to continue\n") == (
        process.returncode,
        errors.decode(),
    )
    assert Bookmark.from_json(file.read_text()).ids == {api.tasks[1].id}


def test_a_second_ctrl_c_ends_it_at_once(api: FakeApify) -> None:
    """Nobody has to wait until everything is cleared up, and no traceback comes of it."""
    with started(api, "follow", "-o", "name", "--interval", 3600) as process:
        assert process.stdout
        assert process.stdout.readline()
        for _ in range(3):
            process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=SECONDS)
    # A shell says 130 of both.
    assert process.returncode in (130, -signal.SIGINT)
    assert b"" == errors


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("output", ["jsonl", "table", "name"])
def test_a_reader_that_does_not_read(api: FakeApify, output: str, number: int, code: int) -> None:
    """One signal ends a command that waits for its reader, too, as `less` is one, and leaves the rest unwritten."""
    for _ in range(600):
        api.create_task()
    reader, writer = os.pipe()
    size = fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    with started(api, "list", "-o", output, "--page-size", 100, stdout=writer) as process:
        os.close(writer)
        while struct.unpack("i", fcntl.ioctl(reader, termios.FIONREAD, b"1234"))[0] < size * 4 // 5:
            assert process.poll() is None
        process.send_signal(number)
        assert code == process.wait(SECONDS)
    os.close(reader)


def test_ctrl_c_is_ignored_if_it_was_before(api: FakeApify) -> None:
    """What a shell starts in the background goes on."""
    api.fail(Hang())
    begun = threading.Event()
    api.on_request = lambda _: begun.set()
    command = 'trap "" INT; exec "$@"'
    with started(api, "count", command=("sh", "-c", command, "sh", *COMMAND)) as process:
        assert begun.wait(SECONDS)
        process.send_signal(signal.SIGINT)
        api.clear_faults()
        assert (b"6\n", b"") == process.communicate(timeout=SECONDS)
    assert 0 == process.returncode


def test_the_end_of_a_process() -> None:
    """The cursor that the bar has hidden is there again, and the signal does what it does by itself."""
    master, slave = os.openpty()
    with os.fdopen(slave, "w") as stderr, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "__stderr__", stderr)
        # By itself, this one does nothing.
        terminate(signal.SIGURG)
        patch.setattr(sys, "__stderr__", None)
        terminate(signal.SIGURG)
    os.set_blocking(master, False)
    assert b"\x1b[?25h" == os.read(master, 100)
    os.close(master)
    assert signal.SIG_DFL == signal.getsignal(signal.SIGURG)


def test_the_second_signal_does_not_wait() -> None:
    """The first one cancels the work, the second one ends the process."""
    code = """
import asyncio, signal
from apify_tasks_async.cli import _loop
signal.signal(signal.SIGINT, signal.default_int_handler)
ends = []
_loop.terminate = ends.append
async def work():
    try:
        signal.raise_signal(signal.SIGTERM)
        await asyncio.sleep(0)
    finally:
        signal.raise_signal(signal.SIGINT)
try:
    _loop.run_async(work())
except KeyboardInterrupt as error:
    print(error.exit_code, ends == [signal.SIGINT])
"""
    assert "143 True\n" == run_python(code).stdout


def test_a_signal_just_before_a_wait() -> None:
    """Rows that nobody reads are not begun any more."""
    code = """
import signal
from apify_tasks_async.cli._loop import interruptible, run_async
async def work():
    signal.raise_signal(signal.SIGTERM)
    with interruptible():
        print("waits")
try:
    run_async(work())
except KeyboardInterrupt as error:
    print(error.exit_code)
"""
    assert "143\n" == run_python(code).stdout


def test_a_signal_while_the_event_loop_opens() -> None:
    """It is not lost before there is anything to cancel."""
    canceller = Canceller()
    canceller.on_signal(signal.SIGTERM, None)
    with pytest.raises(Interrupted) as raised:
        asyncio.run(canceller.run(asyncio.sleep(SECONDS)))
    assert 143 == raised.value.exit_code


# Closed and full files


@pytest.mark.parametrize(
    ("redirection", "code"),
    [
        ("2>&-", 2),
        (">&- 2>&-", 1),
        ("2>/dev/full", 1),
        (">/dev/full 2>&1", 2),
    ],
)
def test_an_error_that_cannot_be_said(api: FakeApify, redirection: str, code: int) -> None:
    """There is no traceback of it anywhere."""
    with started(api, "list", "--wrong", command=("sh", "-c", f'"$@" {redirection}', "sh", *COMMAND)) as process:
        assert (b"", b"") == process.communicate(timeout=SECONDS)
    assert process.returncode in (1, code)


def test_a_full_disk(api: FakeApify) -> None:
    """It is one line, and the exit code 1."""
    with Path("/dev/full").open("wb") as full, started(api, "list", stdout=full) as process:
        _, errors = process.communicate(timeout=SECONDS)
    assert (1, b"apify-tasks: error: cannot write: No space left on device\n") == (process.returncode, errors)


# Imports


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the code in an interpreter of its own."""
    return subprocess.run(
        (sys.executable, "-c", code, *arguments), capture_output=True, text=True, timeout=SECONDS, check=False
    )


@pytest.mark.parametrize("arguments", [("--help",), ("list", "--help"), ("complete",)])
def test_help_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    """Help and completion come at once: neither the network's library nor the terminal's is imported for it."""
    code = """
import os
import sys
from apify_tasks_async.cli import main
if sys.argv[1:] == ["complete"]:
    os.environ.update(_APIFY_TASKS_COMPLETE="bash_complete", COMP_WORDS="apify-tasks list -", COMP_CWORD="2")
code = main()
print(code, sorted({"aiohttp", "asyncio", "rich"} & set(sys.modules)), file=sys.stderr)
"""
    assert "0 []\n" == run_python(code, *arguments).stderr


@pytest.mark.parametrize("missing", ["click", "rich"])
@pytest.mark.parametrize("how", ["sys.modules[name] = None", "sys.meta_path.insert(0, Blocked())"])
def test_without_the_extra(missing: str, how: str) -> None:
    """One line says how to install what is missing."""
    code = f"""
import sys
name = {missing!r}
class Blocked:
    def find_spec(self, module, path=None, target=None):
        if module.split(".")[0] == name:
            raise ModuleNotFoundError(f"No module named {{module!r}}", name=module)
{how}
import runpy
runpy.run_module("apify_tasks_async", run_name="__main__")
"""
    ended = run_python(code, "list")
    assert (1, "", INSTALL) == (ended.returncode, ended.stdout, ended.stderr)
