"""The command line as a process, with its pipes, or in a pseudo-terminal of its own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import sys
import termios
from collections.abc import Iterator, Sequence
from subprocess import DEVNULL, PIPE, Popen
from typing import IO

import attrs

from apify_tasks_async.testing import FakeApify

__all__ = ["COMMAND", "SECONDS", "Terminal", "environment", "started", "terminal"]

COMMAND = (sys.executable, "-m", "apify_tasks_async")

CONTROL = re.compile(r"\x1b(\[[0-9;?]*[a-zA-Z]|\][^\x07]*\x07)")

TAKE_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""What makes a process the owner of its terminal, so that ^C reaches it, and then the command."""

SECONDS = 30
"""How long a process may take that hangs."""


def environment(api: FakeApify | None, **variables: str) -> dict[str, str]:
    """Return the variables of a process that knows the server."""
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    server = {"APIFY_TOKEN": api.token, "APIFY_API_BASE_URL": api.url} if api else {}
    return kept | server | {"TERM": "xterm-256color"} | variables


@contextlib.contextmanager
def _ctrl_c_works() -> Iterator[None]:
    """Let a process be started that does not ignore Ctrl-C, as those do that are started in the background."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


@contextlib.contextmanager
def started(
    api: FakeApify | None,
    *arguments: object,
    command: Sequence[str] = COMMAND,
    stdout: int | IO[bytes] = PIPE,
    stderr: int | IO[bytes] = PIPE,
) -> Iterator[Popen[bytes]]:
    """Start the command line, or another command; it does not outlive the block."""
    # Without a buffer here, a line can be read before all the rest is.
    with _ctrl_c_works():
        process = Popen(
            (*command, *map(str, arguments)),
            bufsize=0,
            stdin=DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env=environment(api),
        )
    with process:
        try:
            yield process
        finally:
            process.kill()


@attrs.define
class Terminal:
    """A pseudo-terminal with a process in it."""

    process: Popen[bytes]
    _master: int
    output: str = ""

    def read_until(self, text: str) -> None:
        """Read until the text was shown, or the process ended."""
        while text not in self.output and self._read():
            pass

    def read_all(self) -> str:
        """Read until the process ended."""
        while self._read():
            pass
        self.process.wait(SECONDS)
        return self.output

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._master, text.encode())

    def _read(self) -> bool:
        if not select.select([self._master], [], [], SECONDS)[0]:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:
            # That is how Linux says that the other side was closed.
            data = b""
        self.output += data.decode(errors="replace")
        return data != b""

    @property
    def text(self) -> list[str]:
        """What was shown, without what steers the terminal."""
        return [line for line in CONTROL.sub("", self.output).replace("\r", "\n").split("\n") if line.strip()]


@contextlib.contextmanager
def terminal(
    api: FakeApify | None,
    *arguments: object,
    command: Sequence[str] = COMMAND,
    columns: int = 100,
    piped: bool = False,
    file: IO[bytes] | None = None,
    **variables: str,
) -> Iterator[Terminal]:
    """Start the command line, or another command, in a terminal; its standard output may be a pipe or a file."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    with _ctrl_c_works():
        process = Popen(
            (sys.executable, "-S", "-c", TAKE_TERMINAL, *command, *map(str, arguments)),
            stdin=slave,
            stdout=PIPE if piped else file or slave,
            stderr=slave,
            env=environment(api, **variables),
        )
    os.close(slave)
    with process:
        try:
            yield Terminal(process, master)
        finally:
            process.kill()
            os.close(master)
