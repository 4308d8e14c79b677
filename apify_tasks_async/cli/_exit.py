"""How a command ends: what it says on stderr, and its exit code."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from types import FrameType
from typing import IO, Any, NoReturn, TextIO, TypeVar

import click

from apify_tasks_async.cli._text import printable

__all__ = [
    "CLOSED_PIPE",
    "Failure",
    "Terminated",
    "TokenFailure",
    "discard_output",
    "is_terminal",
    "run_async",
    "say",
    "terminate",
]

_Result = TypeVar("_Result")

CLOSED_PIPE = 128 + 13
"""The shell's code for a process that SIGPIPE ended."""

_WHERE_TOKENS_ARE = (
    "set APIFY_TOKEN or pass --token-file; Apify Console > Settings > API & Integrations shows your tokens"
)


class Failure(click.ClickException):
    """The command cannot go on: one line on stderr, and the exit code 1."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Say it on stderr, or in `file`."""
        click.echo(f"apify-tasks: error: {printable(self.format_message())}", file=file, err=True)


class TokenFailure(Failure):
    """The token is missing or of no use: the exit code 4, and where to find one."""

    exit_code = 4

    def format_message(self) -> str:
        """Return the problem, and what to do about it."""
        return f"{self.message}; {_WHERE_TOKENS_ARE}"


class Terminated(KeyboardInterrupt):
    """SIGTERM came. It ends a command as Ctrl-C does: rows are finished, the bookmark is kept, the bar goes away."""


def terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    """Handle SIGTERM."""
    raise Terminated


def say(message: str) -> None:
    """Write one line to stderr."""
    click.echo(f"apify-tasks: {printable(message)}", err=True)


def run_async(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run the work in an event loop of its own, and turn the library's errors into a `Failure`."""
    from apify_tasks_async import (  # noqa: PLC0415 - --help shall not import it
        ApifyTasksError,
        AuthenticationError,
        InvalidTaskError,
    )

    previous = signal.signal(signal.SIGTERM, terminate)
    try:
        return asyncio.run(work)
    except AuthenticationError as error:
        raise TokenFailure(str(error.problem)) from None
    except InvalidTaskError as error:
        raise Failure(f"{error.problem}; pass --skip-invalid to leave such tasks out") from None
    except ApifyTasksError as error:
        raise Failure(str(error)) from None
    finally:
        signal.signal(signal.SIGTERM, previous)


def is_terminal(stream: TextIO | None) -> bool:
    """Tell whether somebody looks at it; Python has `None` for a stream that was closed from the start."""
    return stream is not None and stream.isatty()


def discard_output(*streams: TextIO | None) -> None:
    """Send what is still buffered nowhere, so that the interpreter does not fail over it at its exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in filter(None, streams):
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
