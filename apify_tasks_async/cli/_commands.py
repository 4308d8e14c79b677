"""The commands and their help. Imports only click at the start, so that `--help` is fast."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import click
from click.shell_completion import shell_complete

from apify_tasks_async._defaults import MINIMUM_EXACT_PAGE_SIZE
from apify_tasks_async.cli._choices import (
    bom_option,
    errors_option,
    filter_options,
    json_option,
    pager_option,
    read_options,
    sort_option,
    until_option,
)
from apify_tasks_async.cli._environment import option
from apify_tasks_async.cli._exit import Failure, discard_output, is_terminal, print_error
from apify_tasks_async.cli._json_errors import print_json_error, wants_json
from apify_tasks_async.cli._options import (
    Options,
    bookmark_options,
    connection_options,
    exact_option,
    format_options,
    interval_option,
    lookback_option,
    offset_option,
    page_options,
    quiet_option,
    token_option,
    verbose_option,
    walk_options,
)
from apify_tasks_async.cli._signals import SIGNAL_EXIT_BASE, Interrupted
from apify_tasks_async.cli._streams import patient_streams

__all__ = ["cli", "run"]

# Windows has no SIGPIPE.
_CLOSED_PIPE = SIGNAL_EXIT_BASE + 13
_CTRL_C = SIGNAL_EXIT_BASE + 2

_PROGRAM = "apify-tasks"
_COMPLETION_VARIABLE = "_APIFY_TASKS_COMPLETE"

_ALIASES = {"ls": "list"}

_LIST_FORMATS = ("table", "json", "jsonl", "csv", "tsv", "name")
_FOLLOW_FORMATS = ("jsonl", "tsv", "name")


class _Commands(click.Group):
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, _ALIASES.get(cmd_name, cmd_name))


def _show_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 - click's call
    if wanted:
        from apify_tasks_async import __version__  # noqa: PLC0415 - --help does not need it

        click.echo(f"apify-tasks {__version__}")
        context.exit()


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Examples:
  apify-tasks list                             all tasks, as a table
  apify-tasks list --desc -L 10                the ten newest tasks
  apify-tasks list -o jsonl | jq -r .name      input for another program
  apify-tasks list --after b --bookmark b      new tasks since the last run
  apify-tasks demo                             no token or network needed

\b
Shell completion for bash (for zsh or fish: zsh_source or fish_source):
  eval "$(_APIFY_TASKS_COMPLETE=bash_source apify-tasks)"

\b
Each option takes its default from a variable, such as APIFY_TASKS_PAGE_SIZE.

\b
Exit codes:
  0 success, 1 API or network error, 2 usage error, 4 authentication error,
  130 Ctrl-C, 141 closed pipe, 143 SIGTERM""",
    help="""\
List your Apify tasks.

Set the variable APIFY_TOKEN to your token, or pass --token-file. Apify Console > Settings > API & Integrations
shows your tokens.""",  # not docstrings, which `python -OO` drops
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version."
)
@token_option
def cli() -> None:
    """Run a command."""


@cli.command(
    "list",
    help="Show the tasks. `ls` is short for `list`.",
    epilog="""\b
Formats:
  table  fits the terminal, and is the default there; printed once all tasks
         are read; columns that do not fit are dropped, ids are not truncated
  json   one array of the API's documents
  jsonl  one document per line
  csv    RFC 4180; a cell that begins with = + - @ tab or CR gets a leading
         apostrophe, so that a spreadsheet does not run it as a formula; the
         other formats keep names unchanged
  tsv    the default for a pipe or a file; tab, newline, backslash and other
         control characters become \\t \\n \\\\ \\x1b
  name   one name per line, with the same escapes

\b
With a filter, --limit counts the tasks shown, but --offset counts the tasks
of the whole list. A filter by time stops early where the order allows it.

\b
Rows appear as they arrive, except in a table. If the list ends early, the rows
shown so far remain, a JSON array is closed, and the exit code is not 0.

\b
Examples:
  apify-tasks ls --actor apify/web-scraper
  apify-tasks ls --desc --since 7d             reads no more than it must
  apify-tasks ls --sort runs --desc -L 10      the ten that ran most often
  apify-tasks ls -L 10 --name 'shop-*'         at most ten matching tasks
  apify-tasks ls -o csv --columns id,name,extra.title > tasks.csv""",
)
@format_options(*_LIST_FORMATS)
@bom_option
@json_option
@walk_options
@offset_option
@sort_option
@filter_options
@until_option
@exact_option
@bookmark_options
@page_options
@connection_options
@pager_option
@errors_option
@quiet_option
def list_command(**options: Any) -> None:
    """Run `list`."""
    chosen = read_options(**options)
    if chosen.after is not None and chosen.offset:
        raise click.UsageError("--offset cannot be combined with --after, which sets the start itself.")
    if chosen.exact:
        _check_page_size("--exact", chosen)
    from apify_tasks_async.cli._run import list_tasks  # noqa: PLC0415 - --help does not need it

    list_tasks(chosen)


def _check_page_size(feature: str, options: Options) -> None:
    if options.page_size < MINIMUM_EXACT_PAGE_SIZE:
        raise click.UsageError(f"{feature} needs a --page-size of at least {MINIMUM_EXACT_PAGE_SIZE}.")


@cli.command(
    "count",
    help="Show the number of tasks, or of those that match the filters.",
    epilog="""\b
Examples:
  apify-tasks count
  apify-tasks count --since 24h --name 'shop-*'
  apify-tasks count --token-file ~/.apify-token""",
)
@filter_options
@until_option
@connection_options
@quiet_option
@errors_option
def count_command(**options: Any) -> None:
    """Run `count`."""
    from apify_tasks_async.cli._run import count  # noqa: PLC0415 - --help does not need it

    count(read_options(**options))


@cli.command(
    "follow",
    help="""\
Show every task once, then each new one as it is created.

Runs until you press Ctrl-C or the reader closes the pipe. Waits out temporary failures, but exits if the first
request fails.""",
    epilog="""\b
Examples:
  apify-tasks follow -o jsonl --interval 60
  apify-tasks follow --after seen --bookmark seen -o name""",
)
@format_options(*_FOLLOW_FORMATS, default="tsv")
@filter_options
@bookmark_options
@interval_option
@lookback_option
@page_options
@connection_options
@quiet_option
@errors_option
def follow_command(**options: Any) -> None:
    """Run `follow`."""
    chosen = read_options(**options)
    _check_page_size("follow", chosen)
    from apify_tasks_async.cli._run import follow  # noqa: PLC0415 - --help does not need it

    follow(chosen)


@cli.command(
    "demo",
    help="""\
Start a local server with example tasks, and list them.

Needs no token and no network.""",
    epilog="""\b
Examples:
  apify-tasks demo
  apify-tasks demo --tasks 100000 -o name | wc -l""",
)
@option("--tasks", type=click.IntRange(min=0), default=2500, show_default=True, help="Tasks on the server.")
@option(
    "--latency",
    type=click.FloatRange(min=0, max=60),
    default=0.05,
    show_default=True,
    metavar="SECONDS",
    help="Time until the server responds.",
)
@format_options(*_LIST_FORMATS)
@bom_option
@json_option
@walk_options
@sort_option
@filter_options
@until_option
@exact_option
@pager_option
@errors_option
@quiet_option
@verbose_option
def demo_command(tasks: int, latency: float, **options: Any) -> None:
    """Run `demo`."""
    from apify_tasks_async.cli._run import demo  # noqa: PLC0415 - --help does not need it

    demo(read_options(**options), tasks=tasks, latency=latency)


def run(arguments: Sequence[str]) -> int:
    """Run the command line, and return its exit code.

    Args:
        arguments: The command and its options.
    """
    with patient_streams():
        return _run_completely(arguments)


def _run_completely(arguments: Sequence[str]) -> int:
    try:
        if _COMPLETION_VARIABLE in os.environ:
            return shell_complete(cli, {}, _PROGRAM, _COMPLETION_VARIABLE, os.environ[_COMPLETION_VARIABLE])
        return _run(arguments)
    except BrokenPipeError:
        discard_output(sys.stdout, sys.stderr)
        return _CLOSED_PIPE
    except OSError as error:
        discard_output(sys.stdout)
        _report(arguments, Failure(f"cannot write: {error.strerror or error}"))
        return 1


def _run(arguments: Sequence[str]) -> int:
    # click's own main() hides which signal came, and exits with 1 after a closed pipe.
    if sys.stdout is None:
        _report(arguments, Failure("standard output is closed"))
        return 1
    try:
        with cli.make_context(_PROGRAM, list(arguments)) as context:
            cli.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        _report(arguments, error)
        return error.exit_code
    except KeyboardInterrupt as error:
        return _end_interrupted(error)
    return 0


def _report(arguments: Sequence[str], error: click.ClickException) -> None:
    if isinstance(error, click.NoSuchOption) and error.ctx is not None:
        visible = _visible(error.ctx.command, error.possibilities or ())
        error = click.NoSuchOption(error.option_name, possibilities=visible, ctx=error.ctx)
    if wants_json(arguments) and not isinstance(error, click.exceptions.NoArgsIsHelpError):
        print_json_error(error)
    else:
        print_error(error)


def _visible(command: click.Command, names: Sequence[str]) -> list[str]:
    """Return the options that `--help` shows, which are those to suggest."""
    hidden = {name for option in command.params if getattr(option, "hidden", False) for name in option.opts}
    return [name for name in names if name not in hidden]


def _end_interrupted(error: KeyboardInterrupt) -> int:
    if isinstance(error, Interrupted) and error.exit_code != _CTRL_C:
        return error.exit_code
    if is_terminal(sys.stderr):
        # The terminal shows ^C. Start a new line for the shell's prompt.
        click.echo(err=True)
    return _CTRL_C
