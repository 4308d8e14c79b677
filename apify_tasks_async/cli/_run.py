"""What each command does. It uses the library's public names only."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import attrs
import click

from apify_tasks_async import Bookmark, ConfigurationError, RetryPolicy, Task, TasksClient
from apify_tasks_async.cli._advice import replace_argument_names
from apify_tasks_async.cli._bookmark import bookmark_after, read_bookmark
from apify_tasks_async.cli._exit import is_terminal, print_message
from apify_tasks_async.cli._loop import run_async
from apify_tasks_async.cli._notes import Tally, pluralize, print_notes
from apify_tasks_async.cli._options import Options
from apify_tasks_async.cli._output import Output, open_output
from apify_tasks_async.cli._report import AttemptReporter, log_to_stderr
from apify_tasks_async.cli._selection import Filters, Selection
from apify_tasks_async.cli._sorting import sort_tasks
from apify_tasks_async.cli._token import read_token

if TYPE_CHECKING:
    from apify_tasks_async.testing import FakeApify

__all__ = ["count", "demo", "follow", "list_tasks"]

DEMO_ROWS = 20
"""How many rows of its table `demo` shows."""

_Result = TypeVar("_Result")
_Update = Callable[[int, int], None]
"""Updates the progress bar: the tasks read so far, and their total."""


def list_tasks(options: Options) -> None:
    """Show the tasks."""
    after = read_bookmark(options.after, options.bookmark, desc=_reads_desc(options))
    client = _make_client(options)
    if options.sort is not None and not options.quiet and is_terminal(sys.stderr):
        print_message("reading the whole list, to sort it")
    with open_output(options, after) as output, _show_progress(options, output) as update:
        tally = _run(options, _list(client, options, output, update))
    print_notes(tally, options, table=output.is_table)


def _reads_desc(options: Options) -> bool:
    """Return the direction of the walk: with --sort, --desc is about the rows."""
    return options.desc and options.sort is None


async def _list(client: TasksClient, options: Options, output: Output, update: _Update) -> Tally:
    """Show the tasks that match as they come, or all at the end if they have to be sorted."""
    if options.sort is None:
        selection = Selection(Filters.of(options), options.limit, options.desc)
        tell = _tell_progress(output, selection, update)
        return await _walk(client, options, selection, output.write_rows, update=tell, bookmark=output.bookmark)
    tasks: list[Task] = []
    bookmark: Bookmark | None = None

    def keep(more: Sequence[Task], after: Bookmark | None) -> None:
        nonlocal bookmark
        tasks.extend(more)
        bookmark = after

    everything = Selection(Filters.of(options), None)
    tally = await _walk(client, options, everything, keep, update=update, bookmark=output.bookmark)
    rows = sort_tasks(tasks, options.sort, desc=options.desc)[: options.limit]
    output.write_rows(rows, bookmark)
    return attrs.evolve(tally, shown=len(rows))


def _tell_progress(output: Output, selection: Selection, update: _Update) -> _Update:
    """Return what updates the progress bar, and what to say if the list ends early."""

    def tell(read: int, total: int) -> None:
        update(read, total)
        output.progress = f"{output.count:,} of {total:,} tasks shown"
        if selection.filters.are_set:
            output.progress = f"{pluralize(output.count, 'task')} shown, from {read:,} of {total:,}"

    return tell


async def _walk(
    client: TasksClient,
    options: Options,
    selection: Selection,
    deliver: Callable[[Sequence[Task], Bookmark | None], None],
    *,
    update: _Update,
    bookmark: Bookmark | None = None,
) -> Tally:
    """Pass on the tasks that match, page by page, each time with the bookmark after them."""
    # With a filter, the number of tasks to read is unknown.
    limit = None if selection.filters.are_set else selection.remaining
    tally, read, start = Tally(), 0, None
    pages = client.iter_pages(
        desc=selection.desc,
        offset=options.offset,
        limit=limit,
        page_size=options.page_size,
        exact=options.exact,
        after=bookmark,
        on_invalid=_on_invalid(options),
    )
    async with client, pages:
        async for page in pages:
            tasks, examined = selection.select(page.items)
            bookmark = page.bookmark if examined == len(page) else bookmark_after(page, examined, bookmark)
            deliver(tasks, bookmark)
            tally.shown += len(tasks)
            tally.total = page.total
            read += examined
            start = page.offset if start is None else start
            total = max(0, page.total - start)
            update(read, total if limit is None else min(limit, total))
            if selection.is_complete:
                if selection.stopped_early:
                    tally.spared = max(0, math.ceil(total / options.page_size) - client.stats.requests)
                return tally
    # This bookmark also covers invalid tasks that were skipped at the end of the list.
    deliver([], pages.bookmark)
    return tally


def count(options: Options) -> None:
    """Show the number of tasks, or of those that match."""
    click.echo(_run(options, _count(_make_client(options), options)))


async def _count(client: TasksClient, options: Options) -> int:
    filters = Filters.of(options)
    if not filters.are_set:
        async with client:
            return await client.count()
    # An invalid task must not fail a count. From the newest task on, --since stops early.
    selection = Selection(filters, None, desc=filters.since is not None)
    skipping = attrs.evolve(options, skip_invalid=True)
    tally = await _walk(client, skipping, selection, lambda _tasks, _bookmark: None, update=_ignore_progress)
    if options.verbose and tally.spared:
        print_notes(tally, attrs.evolve(options, quiet=True), table=False)
    return tally.shown


def follow(options: Options) -> None:
    """Show the tasks, then each new one."""
    after = read_bookmark(options.after, options.bookmark, desc=False)
    client = _make_client(options, fail_first=True)
    with open_output(options, after) as output:
        _run(options, _follow(client, options, output))


async def _follow(client: TasksClient, options: Options, output: Output) -> None:
    selection = Selection(Filters.of(options), options.limit)
    pages = client.follow_pages(
        after=output.bookmark,
        interval=options.interval,
        lookback=options.lookback,
        page_size=options.page_size,
        on_invalid=_on_invalid(options),
    )
    async with client, pages:
        async for page in pages:
            tasks, _ = selection.select(page.items)
            output.write_rows(tasks, page.bookmark)


def demo(options: Options, *, tasks: int, latency: float) -> None:
    """Start a fake server, and show its tasks."""
    from apify_tasks_async.testing import FakeApify  # noqa: PLC0415 - only the demo needs it

    # Created outside the event loop, where Ctrl-C would have to wait until all tasks exist.
    api = FakeApify(tasks=tasks, latency=latency)
    with open_output(options, None) as output, _show_progress(options, output) as update:
        if not output.streams and options.limit is None:
            output.most = DEMO_ROWS
        summary = _run(options, _demo(api, options, output, update))
    if output.most is not None and output.count > output.most:
        print_message(f"{output.count - output.most:,} more; next: apify-tasks demo -o jsonl, or apify-tasks list")
    print_message(summary)


async def _demo(api: FakeApify, options: Options, output: Output, update: _Update) -> str:
    async with api:
        client = TasksClient(api.token, base_url=api.url, concurrency=options.concurrency)
        started = time.perf_counter()
        await _list(client, options, output, update)
        elapsed = time.perf_counter() - started
    tasks, requests = pluralize(output.count, "task"), pluralize(client.stats.requests, "request")
    return f"{tasks} in {requests}, {elapsed:.2f} seconds"


def _make_client(options: Options, *, fail_first: bool = False) -> TasksClient:
    try:
        return TasksClient(
            read_token(options.token_file),
            base_url=options.base_url,
            allow_insecure=options.allow_insecure,
            proxy=options.proxy or None,
            rate_limit=options.rate_limit,
            timeout=options.timeout,
            retry=RetryPolicy(deadline=max(RetryPolicy().deadline, 4 * options.timeout)),
            concurrency=options.concurrency,
            on_attempt=AttemptReporter(options, fail_first=fail_first),
        )
    except ConfigurationError as error:
        # The token is checked already, so the base URL or the proxy is wrong.
        raise click.UsageError(replace_argument_names(str(error))) from None


def _run(options: Options, work: Coroutine[Any, Any, _Result]) -> _Result:
    with log_to_stderr(verbose=options.verbose):
        return run_async(work)


def _on_invalid(options: Options) -> Literal["raise", "skip"]:
    return "skip" if options.skip_invalid else "raise"


def _show_progress(options: Options, output: Output) -> AbstractContextManager[_Update]:
    """Show a progress bar if stderr is a terminal and nothing else writes to it meanwhile."""
    # Rows in a pipe usually end up on the same terminal.
    disturbed = options.quiet or options.verbose or (output.streams and not output.is_file)
    if disturbed or not is_terminal(sys.stderr):
        return contextlib.nullcontext(_ignore_progress)
    from apify_tasks_async.cli._progress import progress_bar  # noqa: PLC0415 - rich is slow to import

    return progress_bar()


def _ignore_progress(_read: int, _total: int) -> None:
    """Update no bar."""
