"""The options of the commands. Imports nothing slow, so that `--help` is fast."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import attrs
import click

from apify_tasks_async._defaults import (
    CONCURRENCY,
    DEFAULT_BASE_URL,
    INTERVAL,
    LOOKBACK,
    MAX_LIMIT,
    MINIMUM_RATE,
    PAGE_SIZE,
    RATE_LIMIT,
    TIMEOUT,
)
from apify_tasks_async.cli._columns import COLUMN_NAMES, DEFAULT_COLUMNS, Column, parse_columns
from apify_tasks_async.cli._environment import combine, option

__all__ = [
    "Options",
    "Seconds",
    "bookmark_options",
    "connection_options",
    "exact_option",
    "format_options",
    "interval_option",
    "lookback_option",
    "offset_option",
    "page_options",
    "quiet_option",
    "token_option",
    "verbose_option",
    "walk_options",
]

_Command = TypeVar("_Command", bound=Callable[..., Any])


@attrs.frozen
class Options:
    """The values of the options. A command sets those that it has."""

    token_file: str | None = None
    base_url: str | None = None
    allow_insecure: bool = False
    proxy: str = "env"
    rate_limit: float | None = RATE_LIMIT
    timeout: float = TIMEOUT
    concurrency: int = CONCURRENCY
    verbose: bool = False
    quiet: bool = False
    output: str | None = None
    columns: tuple[Column, ...] = ()
    no_headers: bool = False
    bom: bool = False
    no_pager: bool = False
    sort: str | None = None
    limit: int | None = None
    offset: int = 0
    desc: bool = False
    page_size: int = PAGE_SIZE
    exact: bool = False
    skip_invalid: bool = False
    actor: str | None = None
    name: str | None = None
    title: str | None = None
    ignore_case: bool = False
    since: datetime | None = None
    until: datetime | None = None
    modified_since: datetime | None = None
    errors: str = "text"
    after: Path | None = None
    bookmark: Path | None = None
    interval: float = INTERVAL
    lookback: int = LOOKBACK


class _Finite(click.FloatRange):
    """A finite number: a range without an end admits infinity, and any range admits NaN."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


class Seconds(_Finite):
    """A positive, finite number of seconds."""

    name = "SECONDS"

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True)


class Rate(_Finite):
    """A number of requests per second."""

    name = "NUMBER"

    def __init__(self) -> None:
        super().__init__(min=MINIMUM_RATE)


def _parse_columns(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[Column, ...]:
    try:
        return parse_columns(value)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from None


def _complete_columns(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    before, comma, _ = incomplete.rpartition(",")
    used = before.split(",")
    names = [before + comma + name for name in COLUMN_NAMES if name not in used]
    return [name for name in names if name.startswith(incomplete)]


def _refuse_token(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    # The message must not repeat the token.
    if value is not None and not context.resilient_parsing:
        raise click.UsageError(
            "do not pass the token on the command line, where `ps` and the shell history show it; "
            "set APIFY_TOKEN or pass --token-file"
        )


def format_options(*names: str, default: str | None = None) -> Callable[[_Command], _Command]:
    """Return the options for the output format.

    Args:
        *names: The formats of the command.
        default: The default format; `None` if it depends on whether the output is a terminal.
    """
    shown_default = default or "table on a terminal, else tsv"
    return combine(
        option(
            "-o",
            "--output",
            type=click.Choice(names),
            default=default,
            help=f"Output format.  [default: {shown_default}]",
        ),
        option(
            "--columns",
            metavar="NAMES",
            callback=_parse_columns,
            shell_complete=_complete_columns,
            default=DEFAULT_COLUMNS,
            show_default=True,
            help=f"Columns to show, for formats that have columns: {', '.join(COLUMN_NAMES)}, "
            "their names in JSON, or extra.NAME for a field that the API added, such as extra.title.",
        ),
        option("--no-headers", is_flag=True, help="Omit the column names."),
    )


token_option = click.option(
    "--token", hidden=True, expose_value=False, callback=_refuse_token, is_flag=False, flag_value=""
)
"""A hidden option that explains how to pass the token instead."""

verbose_option = option("-v", "--verbose", is_flag=True, help="Log to stderr what the client does.")

quiet_option = option(
    "-q",
    "--quiet",
    is_flag=True,
    help="Hide the progress bar and the messages about retries, which appear on a terminal only, and the notes on how "
    "many tasks there are.",
)

exact_option = option(
    "--exact",
    is_flag=True,
    help="Show every task exactly once or fail, even if the list changes meanwhile. Takes a few more requests.",
)

offset_option = option(
    "--offset",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Skip this many tasks at the start of the list.",
)

interval_option = option(
    "--interval",
    type=Seconds(),
    default=INTERVAL,
    show_default=True,
    help="Time between two checks for new tasks.",
)

lookback_option = option(
    "--lookback",
    type=click.IntRange(min=0),
    default=LOOKBACK,
    show_default=True,
    help="Look again at this many tasks that were shown, to show what appears late.",
)

connection_options = combine(
    option(
        "--token-file",
        type=click.Path(allow_dash=True),
        metavar="FILE",
        help="Read the token from FILE; - means stdin.  [default: read APIFY_TOKEN instead]",
    ),
    token_option,
    option(
        "--base-url", metavar="URL", help=f"URL of the API.  [default: APIFY_API_BASE_URL, else {DEFAULT_BASE_URL}]"
    ),
    option(
        "--allow-insecure",
        is_flag=True,
        help="Send the token over plain http, also to a host that is not this machine.",
    ),
    option(
        "--proxy",
        metavar="URL",
        default="env",
        help="Proxy, such as http://user:password@host:3128; '' means no proxy.  "
        "[default: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY]",
    ),
    option(
        "--timeout",
        type=Seconds(),
        default=TIMEOUT,
        show_default=True,
        help="Time limit for the first attempt at a page; each further attempt may take twice as long.",
    ),
    verbose_option,
)
"""How to reach the API."""

walk_options = combine(
    option("-L", "--limit", type=click.IntRange(min=1), help="Show at most this many tasks.  [default: all]"),
    option("--desc/--asc", default=False, help="Newest or oldest first.  [default: asc]"),
    option(
        "--concurrency",
        type=click.IntRange(min=1),
        default=CONCURRENCY,
        show_default=True,
        help="Pages to request at the same time.",
    ),
)
"""Which part of the list to read, and how."""

page_options = combine(
    option(
        "--rate-limit",
        type=Rate(),
        default=RATE_LIMIT,
        show_default=True,
        help="Requests per second.",
    ),
    option(
        "--page-size",
        type=click.IntRange(1, MAX_LIMIT),
        default=PAGE_SIZE,
        show_default=True,
        help="Tasks per request.",
    ),
    option(
        "--skip-invalid",
        is_flag=True,
        help="Skip tasks that do not match the API's documentation, and log a warning.  [default: fail]",
    ),
)
"""How to read a page."""

_FILE = click.Path(dir_okay=False, path_type=Path)

bookmark_options = combine(
    option("--after", type=_FILE, metavar="FILE", help="Continue after the bookmark in FILE."),
    option(
        "--bookmark",
        type=_FILE,
        metavar="FILE",
        help="Save a bookmark in FILE, after the rows shown so far. "
        "Pass the same FILE to --after to see only new tasks each time; it may be missing on the first run.",
    ),
)
"""Where to start, and where to save the end."""
