"""The commands, and what is said about them. Only click is imported here, so that `--help` comes at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import click
from click.shell_completion import shell_complete

from apify_tasks_async._defaults import INTERVAL, MINIMUM_EXACT_PAGE_SIZE
from apify_tasks_async.cli._exit import (
    SIGNALLED,
    Failure,
    Interrupted,
    discard_output,
    is_terminal,
    show,
)
from apify_tasks_async.cli._options import (
    Options,
    Seconds,
    connection,
    exact,
    filters,
    formats,
    no_token,
    places,
    reading,
    verbose,
    walking,
)

__all__ = ["cli", "run"]

# Windows has no SIGPIPE.
_CLOSED_PIPE = SIGNALLED + 13
_CTRL_C = SIGNALLED + 2

_NAME = "apify-tasks"
_COMPLETE = "_APIFY_TASKS_COMPLETE"

_ALIASES = {"ls": "list"}

_LIST_FORMATS = ("table", "json", "jsonl", "csv", "tsv", "name")
_FOLLOW_FORMATS = ("jsonl", "tsv", "name")

_QUIET = click.option(
    "-q",
    "--quiet",
    is_flag=True,
    help="No progress bar, and no word of what is tried again. Both are for a terminal only.",
)
_OFFSET = click.option(
    "--offset", type=click.IntRange(min=0), default=0, show_default=True, help="Leave so many out at the start."
)


class _Commands(click.Group):
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, _ALIASES.get(cmd_name, cmd_name))


def _show_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 - click's call
    if wanted:
        from apify_tasks_async import __version__  # noqa: PLC0415 - --help needs none of it

        click.echo(f"apify-tasks {__version__}")
        context.exit()


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Examples:
  apify-tasks list                             a table of all tasks
  apify-tasks list --desc -L 10                the ten newest
  apify-tasks list -o jsonl | jq -r .name      for other programs
  apify-tasks list --after b --bookmark b      what is new since last time
  apify-tasks demo                             without a token or a network

\b
Completion, in bash (zsh and fish have their own: zsh_source, fish_source):
  eval "$(_APIFY_TASKS_COMPLETE=bash_source apify-tasks)"

\b
Exit codes:
  0 done, 1 API or network, 2 usage, 4 authentication, 130 Ctrl-C, 141 closed pipe,
  143 SIGTERM""",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version."
)
@no_token
def cli() -> None:
    """List your Apify tasks.

    The token comes from the variable APIFY_TOKEN or from --token-file. Apify Console > Settings > API & Integrations
    shows it.
    """


@cli.command(
    "list",
    epilog="""\b
Formats:
  table  fitted to the terminal; the default there; shown when all is there;
         columns without room are left out, ids are never cut
  json   one array of the API's own documents
  jsonl  the same, a document on each line
  csv    RFC 4180; a cell that begins with = + - @ tab or CR gets an apostrophe
         in front, so that no spreadsheet takes it for a formula; the other
         formats hold every name as it is
  tsv    the default elsewhere; tab, newline and backslash are \\t \\n \\\\
  name   a name on each line

\b
With a filter --limit counts the tasks shown, and --offset those of the whole
list.

\b
Rows come as they arrive, except in a table. If the list ends early, rows that
were shown stay, an array is closed, and the exit code is not 0.

\b
Examples:
  apify-tasks ls --actor apify/web-scraper
  apify-tasks ls -L 10 --name 'shop-*'         up to ten with such a name
  apify-tasks ls -o csv --columns id,name,extra.title > tasks.csv""",
)
@formats(*_LIST_FORMATS)
@walking
@_OFFSET
@filters
@exact
@places
@reading
@connection
@_QUIET
def list_command(**options: Any) -> None:
    """Show the tasks; `ls` for short."""
    chosen = Options(**options)
    if chosen.after is not None and chosen.offset:
        raise click.UsageError("--after says itself where to begin: it goes without --offset.")
    if chosen.exact:
        _check_page_size("--exact", chosen)
    from apify_tasks_async.cli._run import list_tasks  # noqa: PLC0415 - --help needs none of it

    list_tasks(chosen)


def _check_page_size(what: str, options: Options) -> None:
    if options.page_size < MINIMUM_EXACT_PAGE_SIZE:
        raise click.UsageError(f"{what} needs a --page-size of {MINIMUM_EXACT_PAGE_SIZE} at least.")


@cli.command(
    "count",
    epilog="""\b
Examples:
  apify-tasks count
  apify-tasks count --token-file ~/.apify-token""",
)
@connection
def count_command(**options: Any) -> None:
    """Show how many tasks there are."""
    from apify_tasks_async.cli._run import count  # noqa: PLC0415 - --help needs none of it

    count(Options(**options))


@cli.command(
    "follow",
    epilog="""\b
Examples:
  apify-tasks follow -o jsonl --interval 60
  apify-tasks follow --after seen --bookmark seen -o name""",
)
@formats(*_FOLLOW_FORMATS, default="tsv")
@filters
@places
@click.option("--interval", type=Seconds(), default=INTERVAL, show_default=True, help="From one look to the next.")
@reading
@connection
def follow_command(**options: Any) -> None:
    """Show every task once, then each new one as it is created.

    It ends with Ctrl-C, or with its reader. Failures are waited out, except at the very first look.
    """
    chosen = Options(**options)
    _check_page_size("follow", chosen)
    from apify_tasks_async.cli._run import follow  # noqa: PLC0415 - --help needs none of it

    follow(chosen)


@cli.command(
    "demo",
    epilog="""\b
Examples:
  apify-tasks demo
  apify-tasks demo --tasks 100000 -o name | wc -l""",
)
@click.option("--tasks", type=click.IntRange(min=0), default=2500, show_default=True, help="How many there are.")
@click.option(
    "--latency",
    type=click.FloatRange(min=0, max=60),
    default=0.05,
    show_default=True,
    metavar="SECONDS",
    help="How long the server thinks.",
)
@formats(*_LIST_FORMATS)
@walking
@filters
@exact
@_QUIET
@verbose
def demo_command(tasks: int, latency: float, **options: Any) -> None:
    """List the tasks of a server that this command starts itself.

    It needs no token and no network.
    """
    from apify_tasks_async.cli._run import demo  # noqa: PLC0415 - --help needs none of it

    demo(Options(**options), tasks=tasks, latency=latency)


def run(arguments: Sequence[str]) -> int:
    """Run the command line, and return its exit code.

    Args:
        arguments: The command and its options.
    """
    try:
        if _COMPLETE in os.environ:
            return shell_complete(cli, {}, _NAME, _COMPLETE, os.environ[_COMPLETE])
        return _run(arguments)
    except BrokenPipeError:
        discard_output(sys.stdout, sys.stderr)
        return _CLOSED_PIPE
    except OSError as error:
        discard_output(sys.stdout)
        show(Failure(f"cannot write: {error.strerror or error}"))
        return 1


def _run(arguments: Sequence[str]) -> int:
    # Not click's own main(): that swallows which signal came, and gives a closed pipe the code 1.
    if sys.stdout is None:
        show(Failure("standard output is closed"))
        return 1
    try:
        with cli.make_context(_NAME, list(arguments)) as context:
            cli.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        show(error)
        return error.exit_code
    except KeyboardInterrupt as error:
        if isinstance(error, Interrupted) and error.exit_code != _CTRL_C:
            return error.exit_code
        if is_terminal(sys.stderr):
            # The terminal showed ^C, and the shell's prompt is not to follow it on that line.
            click.echo(err=True)
        return _CTRL_C
    return 0
