"""How a command fails: its exit code, and its message on stderr."""

from __future__ import annotations

import os
import re
import sys
from typing import TextIO

import click

from apify_tasks_async import ApifyTasksError
from apify_tasks_async.cli._text import printable

__all__ = [
    "Failure",
    "TokenFailure",
    "discard_output",
    "is_terminal",
    "mask_tokens",
    "print_error",
    "print_line",
    "print_message",
]

_AUTHENTICATION_ADVICE = (
    "set APIFY_TOKEN, or run `apify auth token | apify-tasks list --token-file -`; "
    "Apify Console > Settings > API & Integrations shows your tokens"
)
_TOKEN_PATTERN = re.compile(r"apify_api_\w+")


class Failure(click.ClickException):
    """The command cannot continue. Exit code 1.

    Args:
        message: What failed, and what to do.
        cause: The error of the library.
        advice: What to do.
    """

    def __init__(self, message: str, cause: ApifyTasksError | None = None, advice: str = "") -> None:
        super().__init__(message)
        self.cause = cause
        self.advice = advice


class TokenFailure(Failure):
    """The token is missing or invalid. Exit code 4; the message says where to find one."""

    exit_code = 4

    def __init__(self, problem: str, cause: ApifyTasksError | None = None) -> None:
        super().__init__(f"{problem}; {_AUTHENTICATION_ADVICE}", cause, _AUTHENTICATION_ADVICE)


def mask_tokens(text: str) -> str:
    """Return the text without a token that the user pasted in the wrong place."""
    return _TOKEN_PATTERN.sub("apify_api_***", text)


def print_message(message: str) -> None:
    """Write one line to stderr, with the name of the command in front."""
    print_line(f"apify-tasks: {printable(mask_tokens(message))}")


def print_line(line: str) -> None:
    """Write one line to stderr."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(f"{line}\n")  # not click.echo, which ignores the progress bar
        sys.stderr.flush()
    except OSError:
        discard_output(sys.stderr)
        raise


def print_error(error: click.ClickException) -> None:
    """Write one line that says why the command failed; a usage error also gets a line that names the help."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()  # prints the help
        return
    print_message(f"error: {error.format_message().removesuffix('.')}")
    if isinstance(error, click.UsageError) and error.ctx is not None:
        print_message(f"see '{error.ctx.command_path} --help'")


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether the stream is a terminal. Python sets a standard stream that was closed at the start to `None`."""
    return stream is not None and stream.isatty()


def discard_output(*streams: TextIO | None) -> None:
    """Discard what is still buffered. The interpreter would fail to write it at exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in filter(None, streams):
        os.dup2(null, stream.fileno())
    os.close(null)
