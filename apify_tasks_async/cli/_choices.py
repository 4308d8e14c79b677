"""The options that choose, order and show the rows, and the checks that concern several options."""

from __future__ import annotations

from typing import Any

import attrs
import click
from click.core import ParameterSource

from apify_tasks_async.cli._environment import combine, option
from apify_tasks_async.cli._exit import print_message
from apify_tasks_async.cli._moments import Moment
from apify_tasks_async.cli._options import Options
from apify_tasks_async.cli._sorting import SORT_KEYS

__all__ = [
    "bom_option",
    "errors_option",
    "filter_options",
    "json_option",
    "pager_option",
    "read_options",
    "sort_option",
    "until_option",
]

filter_options = combine(
    option(
        "--actor",
        metavar="NAME",
        help="Show only tasks of this Actor: its name, user/name or id. "
        "The filters are local: the command still reads the whole list, unless its order allows to stop early.",
    ),
    option(
        "--name",
        metavar="GLOB",
        help="Show only tasks whose name matches: * is any text, ? any character.",
    ),
    option("--title", metavar="GLOB", help="Show only tasks that have a title, which matches."),
    option("-i", "--ignore-case", is_flag=True, help="Ignore case in --actor, --name and --title."),
    option(
        "--since",
        type=Moment(),
        help="Show only tasks created since then: 2026-03-01T12:30:00Z, 2026-03-01 (UTC), or an age: 36h, 7d. "
        "With --desc, the command stops at the first older task.",
    ),
    option("--modified-since", type=Moment(), help="Show only tasks changed since then."),
)
"""Which tasks to show."""

until_option = option(
    "--until",
    type=Moment(end_of_day=True),
    help="Show only tasks created until then; a date includes its day. "
    "Unless --desc is given, the command stops at the first newer task.",
)

bom_option = option(
    "--bom", is_flag=True, help="Begin CSV with a byte order mark, by which a spreadsheet knows that it is UTF-8."
)

json_option = option("--json", "as_json", is_flag=True, help="Short for -o json.")

sort_option = option(
    "--sort",
    type=click.Choice(SORT_KEYS),
    help="Sort the rows, descending with --desc. Reads the whole list first, and then applies --limit.",
)

pager_option = option(
    "--no-pager", is_flag=True, help="Do not show a table that is longer than the screen in $PAGER, by default less."
)

errors_option = option(
    "--errors",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="How to write an error to stderr. json: one line with type, message, status, offset, attempts, advice and "
    "bookmark, and no other notes.",
)


def read_options(*, as_json: bool = False, **values: Any) -> Options:
    """Return the options of the current command, after checks that concern several of them."""
    options = Options(**values)
    if options.since is not None and options.until is not None and options.since > options.until:
        raise click.UsageError(f"--since {options.since} is after --until {options.until}.")
    if options.sort is not None and options.offset:
        raise click.UsageError("--offset cannot be combined with --sort, which changes the order.")
    if options.sort is not None and options.bookmark is not None and options.limit is not None:
        raise click.UsageError("--bookmark cannot be combined with --sort and --limit: it would cover rows not shown.")
    if as_json and not _overrides_json(options):
        options = attrs.evolve(options, output="json")
    given = click.get_current_context().get_parameter_source("columns")
    if given is ParameterSource.COMMANDLINE and options.output in ("json", "jsonl", "name"):
        print_message(f"--columns has no effect with -o {options.output}")
    return options


def _overrides_json(options: Options) -> bool:
    """Return whether `-o` wins over `--json`, which the environment then chose."""
    given = click.get_current_context().get_parameter_source
    if options.output in (None, "json") or given("output") is not ParameterSource.COMMANDLINE:
        return False
    if given("as_json") is ParameterSource.COMMANDLINE:
        raise click.UsageError(f"--json cannot be combined with -o {options.output}.")
    return True
