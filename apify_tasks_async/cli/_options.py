"""What can be asked for on the command line."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import attrs
import click

from apify_tasks_async._defaults import CONCURRENCY, DEFAULT_BASE_URL, INTERVAL, MAX_LIMIT, PAGE_SIZE, TIMEOUT
from apify_tasks_async.cli._exit import TokenFailure

__all__ = [
    "Options",
    "Seconds",
    "connection",
    "exact",
    "filters",
    "formats",
    "no_token",
    "places",
    "reading",
    "verbose",
    "walking",
]

_Command = TypeVar("_Command", bound=Callable[..., Any])

_COLUMNS = (
    "id",
    "name",
    "actor",
    "runs",
    "created",
    "modified",
    "username",
    "user_id",
    "act_id",
    "act_name",
    "act_username",
)
_DEFAULT_COLUMNS = "id,name,actor,runs,created,modified"


def _columns(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[str, ...]:
    columns = tuple(name.strip() for name in value.split(","))
    for column in columns:
        if column not in _COLUMNS and not column.startswith("extra."):
            raise click.BadParameter(f"{column!r} is none of {', '.join(_COLUMNS)}, extra.NAME.")
    return columns


def _complete_columns(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    before, comma, _ = incomplete.rpartition(",")
    named = before.split(",")
    names = [before + comma + column for column in _COLUMNS if column not in named]
    return [name for name in names if name.startswith(incomplete)]


def _refuse_token(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    # Nobody is to see it once more.
    if value is not None and not context.resilient_parsing:
        raise click.UsageError(
            "a token does not go into the command line, where `ps` and the shell's history show it; "
            "set APIFY_TOKEN or pass --token-file"
        )


class Seconds(click.FloatRange):
    """A time in seconds, more than none and not for ever."""

    name = "SECONDS"

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        seconds: float = super().convert(value, param, ctx)
        if not math.isfinite(seconds):
            self.fail(f"{value!r} is no number of seconds.", param, ctx)
        return seconds


_FILE = click.Path(dir_okay=False, path_type=Path)


@attrs.frozen
class Options:
    """What was asked for. Each command has some of them."""

    token_file: str | None = None
    base_url: str | None = None
    timeout: float = TIMEOUT
    concurrency: int = CONCURRENCY
    verbose: bool = False
    quiet: bool = False
    output: str | None = None
    columns: tuple[str, ...] = ()
    headers: bool = True
    limit: int | None = None
    offset: int = 0
    desc: bool = False
    page_size: int = PAGE_SIZE
    exact: bool = False
    skip_invalid: bool = False
    actor: str | None = None
    name: str | None = None
    after: Path | None = None
    bookmark: Path | None = None
    interval: float = INTERVAL

    @property
    def token(self) -> str:
        """The token, from the file if one was named, else from the environment.

        Raises:
            TokenFailure: There is none, or what is there cannot be one.
        """
        if self.token_file is None:
            token, source = os.environ.get("APIFY_TOKEN", ""), "APIFY_TOKEN"
        else:
            token, source = _read_token(self.token_file), f"--token-file {self.token_file}"
        token = token.strip()
        if not token:
            raise TokenFailure("no token" if self.token_file is None else f"no token in {source}")
        if not (token.isascii() and token.isprintable()) or " " in token:
            # It is not shown: it may be a token with a slip of the keyboard in it.
            raise TokenFailure(f"what is in {source} is no token: a token is letters, digits and underscores")
        return token


_TOKEN_LIKE = re.compile(r"\w{16,}")
"""A name of a file would hold a dot or a slash."""


def _read_token(path: str) -> str:
    hint = "'--token-file'"
    try:
        with click.open_file(path, encoding="utf-8", errors="replace") as file:
            return str(file.read())
    except OSError as error:
        if _TOKEN_LIKE.fullmatch(path):
            raise click.BadParameter(
                "it takes the name of a file that holds the token, not the token.", param_hint=hint
            ) from None
        raise click.BadParameter(f"cannot read {path!r}: {error.strerror}.", param_hint=hint) from None


def _all(*options: Callable[[_Command], _Command]) -> Callable[[_Command], _Command]:
    def decorate(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def formats(*names: str, default: str | None = None) -> Callable[[_Command], _Command]:
    """Return the options that say how tasks are shown.

    Args:
        *names: The formats that there are.
        default: The one that is taken if none is asked for; `None` if that depends on where the output goes.
    """
    taken = default or "table on a terminal, else tsv"
    return _all(
        click.option(
            "-o",
            "--output",
            type=click.Choice(names),
            default=default,
            help=f"How to show the tasks.  [default: {taken}]",
        ),
        click.option(
            "--columns",
            metavar="NAMES",
            callback=_columns,
            shell_complete=_complete_columns,
            default=_DEFAULT_COLUMNS,
            show_default=True,
            help=f"What to show of a task where there are columns: {', '.join(_COLUMNS)}, "
            "or extra.NAME for a field that the API added, such as extra.title.",
        ),
        click.option("--no-headers", "headers", flag_value=False, default=True, help="Leave the column names out."),
    )


no_token = click.option(
    "--token", hidden=True, expose_value=False, callback=_refuse_token, is_flag=False, flag_value=""
)
"""What says where a token goes instead."""

verbose = click.option("-v", "--verbose", is_flag=True, help="Say on stderr what is done.")

exact = click.option(
    "--exact",
    is_flag=True,
    help="Every task exactly once, or an error, whatever changes meanwhile. A few more requests.",
)

connection = _all(
    click.option(
        "--token-file",
        type=click.Path(allow_dash=True),
        metavar="FILE",
        help="Read the token from FILE, - for stdin.  [default: APIFY_TOKEN is used]",
    ),
    no_token,
    click.option(
        "--base-url", metavar="URL", help=f"Where the API is.  [default: APIFY_API_BASE_URL, else {DEFAULT_BASE_URL}]"
    ),
    click.option("--timeout", type=Seconds(), default=TIMEOUT, show_default=True, help="For one attempt at a page."),
    verbose,
)
"""How to reach the API."""

walking = _all(
    click.option("-L", "--limit", type=click.IntRange(min=1), help="Show so many tasks at most.  [default: all]"),
    click.option("--desc/--asc", default=False, help="Newest or oldest first.  [default: asc]"),
    click.option(
        "--concurrency", type=click.IntRange(min=1), default=CONCURRENCY, show_default=True, help="Pages at a time."
    ),
)
"""Which part of the list."""

reading = _all(
    click.option(
        "--page-size",
        type=click.IntRange(1, MAX_LIMIT),
        default=PAGE_SIZE,
        show_default=True,
        help="Tasks in a request.",
    ),
    click.option(
        "--skip-invalid",
        is_flag=True,
        help="Leave out tasks that are not as the API documents them, and say so.  [default: end with an error]",
    ),
)
"""How to read it."""

filters = _all(
    click.option(
        "--actor",
        metavar="NAME",
        help="Only tasks of this Actor: its name, user/name or id. Filtered locally: the whole list is still read.",
    ),
    click.option(
        "--name",
        metavar="GLOB",
        help="Only tasks with such a name: * is any text, ? any character. Filtered locally, too.",
    ),
)
"""Which of its tasks."""

places = _all(
    click.option("--after", type=_FILE, metavar="FILE", help="Carry on behind the bookmark in FILE."),
    click.option(
        "--bookmark",
        type=_FILE,
        metavar="FILE",
        help="Keep a bookmark in FILE, behind the rows shown so far. "
        "Give both the same FILE to see only what is new each time; it may be missing at first.",
    ),
)
"""Where to begin, and where it ended."""
