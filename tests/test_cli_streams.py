"""The command line on hard ground: streams that do not block, sockets, terminals that hang up, slow names."""

# Each test starts a Python process.

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import select
import signal
import socket
import struct
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen

import pytest
from helpers.processes import SECONDS, started, terminal

from apify_tasks_async.cli._daemons import DaemonExecutor
from apify_tasks_async.cli._reader import watch_reader
from apify_tasks_async.cli._streams import patient_streams, write_all
from apify_tasks_async.testing import FakeApify

TASKS = 400
FORMATS = ("table", "json", "jsonl", "csv", "tsv", "name")
SIZE = 4096
"""The size of a pipe that is soon full."""


@pytest.fixture
def api() -> Iterator[FakeApify]:
    """Return a server with so many tasks that they fill a pipe several times."""
    with FakeApify(tasks=TASKS) as api:
        yield api


def small_pipe() -> tuple[int, int]:
    """Return the ends of a small pipe, which another program made non-blocking."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, SIZE)
    os.set_blocking(writer, False)
    return reader, writer


def read_once_full(reader: int, process: Popen[bytes]) -> bytes:
    """Wait until the pipe is nearly full, or the process has ended, and read it to its end."""
    waiting = b"\0\0\0\0"
    while struct.unpack("i", waiting)[0] < SIZE * 4 // 5 and process.poll() is None:
        waiting = fcntl.ioctl(reader, termios.FIONREAD, b"1234")
    with os.fdopen(reader, "rb") as file:
        return file.read()


@pytest.mark.parametrize("output", FORMATS)
def test_a_pipe_that_does_not_block(api: FakeApify, output: str) -> None:
    """The command waits for the reader of a pipe that another program made non-blocking, in every format."""
    reader, writer = small_pipe()
    with started(api, "list", "-o", output, "--page-size", 100, stdout=writer) as process:
        os.close(writer)
        rows = read_once_full(reader, process)
        assert process.stderr
        assert (0, b"") == (process.wait(SECONDS), process.stderr.read())
    assert TASKS == rows.count(b"my-task-")
    assert output != "json" or TASKS == len(json.loads(rows))


def test_help(api: FakeApify) -> None:
    """Help waits for its reader, too."""
    reader, writer = small_pipe()
    with started(api, "list", "--help", stdout=writer) as process:
        os.close(writer)
        text = read_once_full(reader, process)
        assert 0 == process.wait(SECONDS)
    assert text.endswith(b"> tasks.csv\n")


def test_log_lines(api: FakeApify) -> None:
    """Lines on stderr wait for their reader, too."""
    reader, writer = small_pipe()
    arguments = ("list", "--verbose", "--page-size", 4, "--rate-limit", 1000, "-o", "name")
    with started(api, *arguments, stderr=writer) as process:
        os.close(writer)
        text = read_once_full(reader, process)
        assert 0 == process.wait(SECONDS)
    assert TASKS // 4 == text.count(b"apify-tasks: debug: the page at offset")
    assert b"Traceback" not in text


@pytest.mark.parametrize("output", FORMATS)
def test_a_terminal_that_does_not_block(api: FakeApify, output: str) -> None:
    """The same in a terminal, whose buffer is smaller than the rows."""
    with terminal(api, "list", "-o", output, "--quiet", blocking=False) as shown:
        text = shown.read_all()
    assert (0, TASKS) == (shown.process.returncode, text.count("my-task-"))


def test_a_signal_while_the_command_waits(api: FakeApify) -> None:
    """One signal ends a command that waits for the reader of such a pipe."""
    reader, writer = small_pipe()
    with started(api, "list", "-o", "jsonl", "--page-size", 100, stdout=writer) as process:
        os.close(writer)
        while struct.unpack("i", fcntl.ioctl(reader, termios.FIONREAD, b"1234"))[0] < SIZE * 4 // 5:
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert 143 == process.wait(SECONDS)
    os.close(reader)


SIGNALLED_WHILE_FULL = """
import signal, sys, threading
main_thread = threading.main_thread().ident
def send():
    while sys._current_frames()[main_thread].f_code.co_name != "write_all":
        pass
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    threading.Event().wait()
from apify_tasks_async.cli import _streams, main
poll = _streams.select.poll
def full():
    threading.Thread(target=send, daemon=True).start()
    _streams.select.poll = poll
    return poll()
_streams.select.poll = full
sys.exit(main())
"""
"""A program that gets a signal in another thread than the one that waits for the reader of its output."""


def test_a_signal_that_interrupts_no_wait_for_a_reader(api: FakeApify) -> None:
    """The command ends, though the wait is not interrupted: as by a signal right before it begins to wait."""
    reader, writer = small_pipe()
    program = (sys.executable, "-c", SIGNALLED_WHILE_FULL)
    with started(api, "list", "-o", "jsonl", stdout=writer, command=program) as process:
        os.close(writer)
        assert 143 == process.wait(SECONDS)
    os.close(reader)


def test_streams_that_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that was closed at the start stays closed, and each stream is as before at the end."""
    monkeypatch.setattr(sys, "stdout", None)
    before = sys.stderr
    with patient_streams():
        assert sys.stdout is None
        assert sys.stderr is not before
        assert before.fileno() == sys.stderr.fileno()
        assert not sys.stderr.isatty()
    assert before is sys.stderr


# The reader goes

SYSTEMS = {"Linux": (), "macOS": ("epoll",), "Windows": ("epoll", "poll")}
"""What a system has not."""

WATCHING = ["Linux", "macOS"]


def command_on(system: str) -> tuple[str, ...]:
    """Return the command line as it runs on another system."""
    missing = "".join(f"del select.{name}; " for name in SYSTEMS[system])
    code = f"import select, sys; {missing}from apify_tasks_async.cli import main; sys.exit(main())"
    return sys.executable, "-c", code


@pytest.mark.parametrize("system", WATCHING)
@pytest.mark.parametrize("data", [b"", b"something that nobody reads"])
def test_a_socket_that_is_closed(api: FakeApify, data: bytes, system: str) -> None:
    """`follow` ends as for a pipe once its reader is gone: Node.js gives sockets to its children."""
    ours, theirs = socket.socketpair()
    arguments = ("follow", "-o", "name", "--interval", 3600)
    with started(api, *arguments, stdout=theirs.fileno(), command=command_on(system)) as process:
        theirs.close()
        ours.sendall(data)
        assert ours.recv(1)
        ours.close()
        assert process.stderr
        assert (141, b"") == (process.wait(SECONDS), process.stderr.read())


@pytest.mark.parametrize("system", WATCHING)
def test_a_pipe_that_is_closed(api: FakeApify, system: str) -> None:
    """`follow` ends once its reader is gone, although there is nothing to write."""
    reader, writer = os.pipe()
    arguments = ("follow", "-o", "name", "--interval", 3600)
    with started(api, *arguments, stdout=writer, command=command_on(system)) as process:
        os.close(writer)
        assert os.read(reader, 1)
        os.close(reader)
        assert process.stderr
        assert (141, b"") == (process.wait(SECONDS), process.stderr.read())


@pytest.mark.asyncio
@pytest.mark.virtual_time
async def test_a_pipe_is_looked_at_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the event loop cannot wait for its end."""
    monkeypatch.delattr(select, "epoll")
    reader, writer = os.pipe()
    is_gone = asyncio.Event()
    with watch_reader(writer, is_gone.set):
        await asyncio.sleep(1)
        assert not is_gone.is_set()
        os.close(reader)
        await asyncio.sleep(1)
        assert is_gone.is_set()
    os.close(writer)


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_socket_that_only_reads(api: FakeApify, system: str) -> None:
    """A reader that will send nothing is still a reader."""
    ours, theirs = socket.socketpair()
    ours.shutdown(socket.SHUT_WR)
    arguments = ("list", "-o", "name", "--page-size", 100)
    with started(api, *arguments, stdout=theirs.fileno(), command=command_on(system)) as process:
        theirs.close()
        with ours.makefile("rb") as file:
            assert TASKS == file.read().count(b"\n")
        assert 0 == process.wait(SECONDS)
    ours.close()


@pytest.mark.parametrize("system", WATCHING)
def test_a_terminal_that_hangs_up(api: FakeApify, system: str) -> None:
    """`follow` ends when its terminal is gone, also where that sends no signal."""
    master, slave = os.openpty()
    arguments = ("follow", "-o", "name", "--interval", 3600)
    with started(api, *arguments, stdout=slave, command=command_on(system)) as process:
        os.close(slave)
        assert os.read(master, 1)
        os.close(master)
        assert process.stderr
        assert (141, b"") == (process.wait(SECONDS), process.stderr.read())


def test_writing_to_a_terminal_that_is_gone() -> None:
    """It is an error of input and output, which means the same as a broken pipe. That of a disk stays what it is."""
    master, slave = os.openpty()
    os.close(master)
    with pytest.raises(BrokenPipeError):
        write_all(slave, b"x")
    os.close(slave)
    with Path("/dev/full").open("wb") as full, pytest.raises(OSError, match="No space left"):
        write_all(full.fileno(), b"x")


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_file_has_no_reader(api: FakeApify, tmp_path: Path, system: str) -> None:
    """A regular file is written to its end."""
    with (
        (tmp_path / "rows").open("wb") as file,
        started(api, "list", "-o", "name", stdout=file, command=command_on(system)) as process,
    ):
        assert 0 == process.wait(SECONDS)
    assert TASKS == (tmp_path / "rows").read_bytes().count(b"\n")


def test_another_system(api: FakeApify) -> None:
    """Where the end of a pipe cannot be watched, the command works all the same."""
    with started(api, "list", "-o", "name", command=command_on("Windows")) as process:
        output, _ = process.communicate(timeout=SECONDS)
    assert (0, TASKS) == (process.returncode, output.count(b"\n"))


WITHOUT_READERS = """
import asyncio, select, sys

del select.epoll, select.poll


class Loop(asyncio.SelectorEventLoop):
    def refuse(self, *_):
        raise NotImplementedError

    add_signal_handler = add_reader = add_writer = refuse


class Policy(asyncio.DefaultEventLoopPolicy):
    _loop_factory = Loop


asyncio.set_event_loop_policy(Policy())
from apify_tasks_async.cli import main
sys.exit(main())
"""
"""A program that runs the command line on an event loop that can do as little as the one of Windows."""


@pytest.mark.parametrize("command", ["list", "follow"])
def test_a_loop_without_readers(api: FakeApify, command: str) -> None:
    """On such a loop the command works, and ends at Ctrl-C."""
    arguments = (command, "-o", "name", *(("--interval", 3600) if command == "follow" else ()))
    with started(api, *arguments, command=(sys.executable, "-W", "ignore", "-c", WITHOUT_READERS)) as process:
        assert process.stdout
        rows = [process.stdout.readline() for _ in range(TASKS)]
        assert TASKS == len({*rows} - {b""})
        if command == "follow":
            process.send_signal(signal.SIGINT)
        assert (b"", b"") == process.communicate(timeout=SECONDS)
    assert (130 if command == "follow" else 0) == process.returncode


# Slow names

SLOW_NAMES = """
import socket, sys, time
def look_up(*_, **__):
    print("looking", flush=True)
    time.sleep(3600)
socket.getaddrinfo = look_up
from apify_tasks_async.cli import main
sys.exit(main())
"""
"""A program that runs the command line where a look-up of a name does not end."""

SLOW = (sys.executable, "-c", SLOW_NAMES)

IMPATIENT = f"""
from apify_tasks_async import _retry
_retry.backoff = lambda *_: 0.0
{SLOW_NAMES}
"""
"""The same, and it does not wait between its attempts."""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("command", ["count", "list", "follow"])
def test_a_signal_while_a_name_is_looked_up(api: FakeApify, command: str, number: int, code: int) -> None:
    """The command ends when a signal says so, and does not wait for the resolver."""
    with started(api, command, "--base-url", "https://api.example", command=SLOW) as process:
        assert process.stdout
        assert b"looking\n" == process.stdout.readline()
        process.send_signal(number)
        assert (b"", b"") == process.communicate(timeout=SECONDS)
    assert code == process.returncode


SIGNALLED_ELSEWHERE = """
import signal, socket, sys, threading, time
main_thread = threading.main_thread().ident
def look_up(*_, **__):
    while sys._current_frames()[main_thread].f_code.co_name != "select":
        pass
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    time.sleep(3600)
socket.getaddrinfo = look_up
from apify_tasks_async.cli import main
sys.exit(main())
"""
"""A program that gets a signal in another thread than the one that waits in the event loop."""


@pytest.mark.parametrize("command", ["count", "list", "follow"])
def test_a_signal_that_interrupts_no_wait(api: FakeApify, command: str) -> None:
    """The command ends, though the event loop is not interrupted: as by a signal right before it begins to wait."""
    program = (sys.executable, "-c", SIGNALLED_ELSEWHERE)
    with started(api, command, "--base-url", "https://api.example", command=program) as process:
        assert (b"", b"") == process.communicate(timeout=SECONDS)
    assert 143 == process.returncode


def test_a_timeout_while_a_name_is_looked_up(api: FakeApify) -> None:
    """The same for `--timeout`."""
    arguments = ("follow", "--base-url", "https://api.example", "--timeout", 0.01)
    with started(api, *arguments, command=(sys.executable, "-c", IMPATIENT)) as process:
        _, errors = process.communicate(timeout=SECONDS)
    assert 1 == process.returncode
    assert b"apify-tasks: error: " in errors
    assert b"Traceback" not in errors


def test_calls_in_daemon_threads() -> None:
    """A call returns or raises; its thread does not keep the process alive."""
    executor = DaemonExecutor()
    assert executor.submit(lambda: threading.current_thread().daemon).result(SECONDS)
    with pytest.raises(ZeroDivisionError):
        executor.submit(divmod, 1, 0).result(SECONDS)
