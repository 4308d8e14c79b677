"""What a listing says on stderr at its end: how much of the list it showed, and what it did not have to read."""

from __future__ import annotations

import attrs

from apify_tasks_async.cli._exit import print_message
from apify_tasks_async.cli._options import Options

__all__ = ["Tally", "pluralize", "print_notes"]


@attrs.define
class Tally:
    """What a walk did."""

    shown: int = 0
    """Tasks that matched."""

    total: int = 0
    """Tasks in the whole list, as the server says."""

    spared: int | None = None
    """Requests that an early end saved; `None` if the walk came to its end."""


def print_notes(tally: Tally, options: Options, *, table: bool) -> None:
    """Print what there is to say about a listing that succeeded."""
    if options.verbose and tally.spared:
        print_message(f"stopped early, since no later task can match; this saved {pluralize(tally.spared, 'request')}")
    if options.quiet or options.errors == "json":
        return
    if not tally.shown:
        print_message(_describe_nothing(tally, options))
    elif table and options.after is None and tally.shown < tally.total:
        print_message(f"{tally.shown:,} of {pluralize(tally.total, 'task')}")


def _describe_nothing(tally: Tally, options: Options) -> str:
    if options.after is not None:
        return "no new tasks"
    return f"no match among {pluralize(tally.total, 'task')}" if tally.total else "no tasks"


def pluralize(number: int, noun: str) -> str:
    """Return the number and its noun."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
