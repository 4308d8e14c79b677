"""The command line as a process: its pipes, its signals, and what it imports."""

# Most tests here take over one second: each starts a Python process.

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
    """Return a server with six tasks."""
    with FakeApify(tasks=6) as api:
        yield api


# Pipes


def test_rows_appear_as_they_arrive(api: FakeApify) -> None:
    """The first page is printed while the second request hangs."""
    api.fail(Hang(), offset=2)
    with started(api, "list", "-o", "name", "--page-size", 2) as process:
        assert process.stdout
        assert [b"my-task-0\n", b"my-task-1\n"] == [process.stdout.readline() for _ in range(2)]
        api.clear_faults()
        rest, errors = process.communicate(timeout=SECONDS)
    assert (0, 4, b"") == (process.returncode, rest.count(b"\n"), errors)


@pytest.mark.parametrize("output", ["json", "tsv", "table"])
def test_a_closed_pipe_ends_list(api: FakeApify, output: str) -> None:
    """`| head -1` ends the command silently and at once, with the exit code of SIGPIPE."""
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


def test_a_closed_pipe_ends_follow(api: FakeApify, tmp_path: Path) -> None:
    """`follow | head -1` notices the closed pipe without waiting for a new task."""
    with started(api, "follow", "-o", "name", "--interval", 3600, "--bookmark", tmp_path / "bookmark") as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline()
        process.stdout.close()
        assert (141, b"") == (process.wait(SECONDS), process.stderr.read())


def test_a_pipe_that_can_be_read_and_written(api: FakeApify, tmp_path: Path) -> None:
    """Data to read in a named pipe does not mean that its reader is gone."""
    os.mkfifo(tmp_path / "pipe")
    # The command itself is a reader of this pipe, and its rows are data to read.
    with (tmp_path / "pipe").open("r+b", buffering=0) as pipe:
        with started(api, "list", "-o", "name", "--page-size", 2, stdout=pipe) as process:
            assert 0 == process.wait(SECONDS)
        assert 6 == pipe.read(1000).count(b"\n")


@pytest.mark.parametrize("arguments", [("--help",), ("count",)])
def test_a_pipe_closed_before_the_start(api: FakeApify, arguments: tuple[str, ...]) -> None:
    """A pipe that is closed from the start also ends the command silently."""
    reader, writer = os.pipe()
    os.close(reader)
    with started(api, *arguments, stdout=writer) as process:
        os.close(writer)
        _, errors = process.communicate(timeout=SECONDS)
    assert (141, b"") == (process.returncode, errors)


def test_a_closed_stderr_pipe(api: FakeApify) -> None:
    """An error message in a closed pipe ends the command silently."""
    reader, writer = os.pipe()
    os.close(reader)
    with started(api, "nonsense", stderr=writer) as process:
        os.close(writer)
        output, _ = process.communicate(timeout=SECONDS)
    assert (141, b"") == (process.returncode, output)


# Signals


def test_ctrl_c_ends_follow(api: FakeApify) -> None:
    """Ctrl-C ends `follow` silently and at once, with exit code 130."""
    with started(api, "follow", "-o", "name", "--interval", 3600) as process:
        assert process.stdout
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=SECONDS)
    assert (130, 5, b"") == (process.returncode, rest.count(b"\n"), errors)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_completes_the_output(api: FakeApify, tmp_path: Path, number: int, code: int) -> None:
    """An interrupted array can be parsed, and its bookmark leads to the rest."""
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
    assert code == process.returncode
    assert [
        "apify-tasks: 2 of 6 tasks shown",
        f"apify-tasks: the bookmark is in '{file}'; pass it to --after to continue",
    ] == errors.decode().splitlines()
    assert Bookmark.from_json(file.read_text()).ids == {api.tasks[1].id}


def test_repeated_ctrl_c(api: FakeApify) -> None:
    """Repeated Ctrl-C ends the command without a traceback."""
    with started(api, "follow", "-o", "name", "--interval", 3600) as process:
        assert process.stdout
        assert process.stdout.readline()
        for _ in range(3):
            process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=SECONDS)
    # A shell reports both as 130.
    assert process.returncode in (130, -signal.SIGINT)
    assert b"" == errors


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("output", ["jsonl", "table", "name"])
def test_a_signal_interrupts_a_blocked_write(api: FakeApify, output: str, number: int, code: int) -> None:
    """One signal ends a command that waits for a slow reader such as `less`, and cuts no line."""
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
    with os.fdopen(reader, "rb") as pipe:
        assert pipe.read().endswith(b"\n")


def test_an_ignored_signal_stays_ignored(api: FakeApify) -> None:
    """A command in the background of a shell survives Ctrl-C."""
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


def test_terminate() -> None:
    """The cursor is visible again, and the signal has its default action."""
    master, slave = os.openpty()
    with os.fdopen(slave, "w") as stderr, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "__stderr__", stderr)
        # The default action of SIGURG is to do nothing.
        terminate(signal.SIGURG)
        patch.setattr(sys, "__stderr__", None)
        terminate(signal.SIGURG)
    os.set_blocking(master, False)
    assert b"\x1b[?25h" == os.read(master, 100)
    os.close(master)
    assert signal.SIG_DFL == signal.getsignal(signal.SIGURG)


def test_a_second_signal_terminates() -> None:
    """The first signal cancels the work, the second one ends the process."""
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


def test_a_signal_just_before_a_write() -> None:
    """Rows are not written after a signal."""
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


def test_a_signal_while_the_event_loop_starts() -> None:
    """A signal is not lost before there is a task to cancel."""
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
def test_an_error_message_that_cannot_be_written(api: FakeApify, redirection: str, code: int) -> None:
    """The command prints no traceback if stderr is closed or full."""
    with started(api, "list", "--wrong", command=("sh", "-c", f'"$@" {redirection}', "sh", *COMMAND)) as process:
        assert (b"", b"") == process.communicate(timeout=SECONDS)
    assert process.returncode in (1, code)


def test_a_full_disk(api: FakeApify, tmp_path: Path) -> None:
    """A full disk is one line on stderr and exit code 1. The bookmark is not saved, because the rows are lost."""
    arguments = ("list", "--bookmark", tmp_path / "bookmark")
    with Path("/dev/full").open("wb") as full, started(api, *arguments, stdout=full) as process:
        _, errors = process.communicate(timeout=SECONDS)
    assert (1, b"apify-tasks: error: cannot write: No space left on device\n") == (process.returncode, errors)
    assert [] == list(tmp_path.iterdir())


# Imports


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the code in a new interpreter."""
    return subprocess.run(
        (sys.executable, "-c", code, *arguments), capture_output=True, text=True, timeout=SECONDS, check=False
    )


@pytest.mark.parametrize("arguments", [("--help",), ("list", "--help"), ("complete",)])
def test_help_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    """Help and completion are fast: they import neither aiohttp nor asyncio nor rich."""
    code = """
import os
import sys
from apify_tasks_async.cli import main
if sys.argv[1:] == ["complete"]:
    os.environ.update(_APIFY_TASKS_COMPLETE="bash_complete", COMP_WORDS="apify-tasks list -", COMP_CWORD="2")
code = main()
print(code, sorted({"aiohttp", "asyncio", "cattrs", "rich"} & set(sys.modules)), file=sys.stderr)
"""
    assert "0 []\n" == run_python(code, *arguments).stderr


@pytest.mark.parametrize("missing", ["click", "rich"])
@pytest.mark.parametrize("how", ["sys.modules[name] = None", "sys.meta_path.insert(0, Blocked())"])
def test_without_the_extra(missing: str, how: str) -> None:
    """One line says how to install the missing package."""
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
    result = run_python(code, "list")
    assert (1, "", INSTALL) == (result.returncode, result.stdout, result.stderr)
