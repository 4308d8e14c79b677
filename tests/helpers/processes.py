"""Run the command line, or another command, in a process with pipes or in a pseudo-terminal."""

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
"""A program that takes control of its terminal, so that ^C reaches it, and then runs the command."""

SECONDS = 30
"""The longest time that a process may take."""


def environment(api: FakeApify | None, **variables: str) -> dict[str, str]:
    """Return the environment of a process, with the token and the URL of the server."""
    kept = {
        name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES")
    }
    server = {"APIFY_TOKEN": api.token, "APIFY_API_BASE_URL": api.url} if api else {}
    return kept | server | {"TERM": "xterm-256color", "PAGER": "cat"} | variables


@contextlib.contextmanager
def _ctrl_c_works() -> Iterator[None]:
    """Start processes that react to Ctrl-C: this one may ignore it, as background jobs do, and they inherit that."""
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
    """Start the command line, or another command, and kill it at the end of the block."""
    # Without a buffer, a line can be read as soon as it is written.
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
        """Read until the terminal shows the text, or the process ends."""
        while text not in self.output and self._read():
            pass

    def read_all(self) -> str:
        """Read until the process ends."""
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
            # On Linux, this means that the other side was closed.
            data = b""
        self.output += data.decode(errors="replace")
        return data != b""

    @property
    def text(self) -> list[str]:
        """The lines shown, without control sequences."""
        return [line for line in CONTROL.sub("", self.output).replace("\r", "\n").split("\n") if line.strip()]


@contextlib.contextmanager
def terminal(
    api: FakeApify | None,
    *arguments: object,
    command: Sequence[str] = COMMAND,
    columns: int = 100,
    piped: bool = False,
    file: IO[bytes] | None = None,
    blocking: bool = True,
    **variables: str,
) -> Iterator[Terminal]:
    """Start a command in a terminal, by default the command line; its stdout may be a pipe or a file."""
    master, slave = os.openpty()
    os.set_blocking(slave, blocking)
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
