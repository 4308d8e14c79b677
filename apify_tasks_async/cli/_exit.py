"""How a command ends: what it says on stderr, and its exit code."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
from collections.abc import Callable, Generator
from types import FrameType
from typing import NoReturn, TextIO

import click

from apify_tasks_async.cli._text import printable

__all__ = [
    "SIGNALLED",
    "Failure",
    "Interrupted",
    "TokenFailure",
    "die",
    "discard_output",
    "handling",
    "interrupt",
    "is_terminal",
    "say",
    "show",
]

SIGNALLED = 128
"""What a shell adds to the number of the signal that ended a process."""

_WHERE_TOKENS_ARE = (
    "set APIFY_TOKEN or pass --token-file; Apify Console > Settings > API & Integrations shows your tokens"
)
_TOKEN = re.compile(r"apify_api_\w+")


class Failure(click.ClickException):
    """The command cannot go on: the exit code 1."""


class TokenFailure(Failure):
    """The token is missing or of no use: the exit code 4, and where to find one."""

    exit_code = 4

    def format_message(self) -> str:
        """Return the problem, and what to do about it."""
        return f"{self.message}; {_WHERE_TOKENS_ARE}"


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM came. Rows are finished, the bookmark is kept, the bar goes away."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.exit_code = SIGNALLED + number


@contextlib.contextmanager
def handling(handler: Callable[[int, FrameType | None], object]) -> Generator[None, None, None]:
    """Handle Ctrl-C and SIGTERM like this, unless the process was started to ignore them."""
    heeded = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) != signal.SIG_IGN]
    previous = {number: signal.signal(number, handler) for number in heeded}
    try:
        yield
    finally:
        for number, restored in previous.items():
            signal.signal(number, restored)


def interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    """Handle a signal where our own code waits, such as for a reader that is in no hurry."""
    raise Interrupted(number)


def die(number: int) -> None:
    """End at once, as the signal does by itself."""
    # Not sys.stderr, in whose place the bar may have put something else. It has hidden the cursor as well.
    if sys.__stderr__ is not None and sys.__stderr__.isatty():
        os.write(sys.__stderr__.fileno(), b"\x1b[?25h")
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


def say(message: str) -> None:
    """Write one line to stderr."""
    if sys.stderr is None:
        return
    # Who pastes a token in the wrong place would find it in the message. Not click.echo: it writes past the bar.
    try:
        sys.stderr.write(f"apify-tasks: {printable(_TOKEN.sub('apify_api_***', message))}\n")
        sys.stderr.flush()
    except OSError:
        discard_output(sys.stderr)  # or the interpreter fails over what is left of it at its exit
        raise
    sys.stderr.flush()


def show(error: click.ClickException) -> None:
    """Say why the command cannot go on, in a line; where the command was not understood, in which help to look."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()  # the help itself
        return
    say(f"error: {error.format_message().removesuffix('.')}")
    if isinstance(error, click.UsageError) and error.ctx is not None:
        say(f"see '{error.ctx.command_path} --help'")


def is_terminal(stream: TextIO | None) -> bool:
    """Tell whether somebody looks at it; Python has `None` for a stream that was closed from the start."""
    return stream is not None and stream.isatty()


def discard_output(*streams: TextIO | None) -> None:
    """Send what is still buffered nowhere, so that the interpreter does not fail over it at its exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in filter(None, streams):
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
