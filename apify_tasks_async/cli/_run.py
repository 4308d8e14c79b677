"""What each command does. It uses the library's public names only."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from apify_tasks_async import ConfigurationError, RetryPolicy, TasksClient
from apify_tasks_async.cli._advice import replace_argument_names
from apify_tasks_async.cli._bookmark import bookmark_after, read_bookmark
from apify_tasks_async.cli._exit import is_terminal, print_message
from apify_tasks_async.cli._loop import run_async
from apify_tasks_async.cli._options import Options
from apify_tasks_async.cli._output import Output, open_output
from apify_tasks_async.cli._report import AttemptReporter, log_to_stderr
from apify_tasks_async.cli._selection import Selection
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
    after = read_bookmark(options.after, options.bookmark, desc=options.desc)
    client = _make_client(options)
    with open_output(options, after) as output, _show_progress(options, output) as update:
        _run(options, _list(client, options, output, update))


async def _list(client: TasksClient, options: Options, output: Output, update: _Update) -> None:
    selection = Selection(options.actor, options.name, options.limit)
    # With a filter, the number of tasks to read is unknown.
    limit = None if selection.is_filtered else options.limit
    read, start = 0, None
    pages = client.iter_pages(
        desc=options.desc,
        offset=options.offset,
        limit=limit,
        page_size=options.page_size,
        exact=options.exact,
        after=output.bookmark,
        on_invalid=_on_invalid(options),
    )
    async with client, pages:
        async for page in pages:
            tasks, examined = selection.select(page.items)
            whole = examined == len(page)
            output.write_rows(tasks, page.bookmark if whole else bookmark_after(page, examined, output.bookmark))
            read += examined
            start = page.offset if start is None else start
            total = max(0, page.total - start)
            total = total if limit is None else min(limit, total)
            output.progress = f"{output.count:,} of {total:,} tasks shown"
            if selection.is_filtered:
                output.progress = f"{_pluralize(output.count, 'task')} shown, from {read:,} of {total:,}"
            update(read, total)
            if selection.remaining == 0:
                return
    # This bookmark also covers invalid tasks that were skipped at the end of the list.
    output.write_rows([], pages.bookmark)


def count(options: Options) -> None:
    """Show the number of tasks."""
    click.echo(_run(options, _count(_make_client(options))))


async def _count(client: TasksClient) -> int:
    async with client:
        return await client.count()


def follow(options: Options) -> None:
    """Show the tasks, then each new one."""
    after = read_bookmark(options.after, options.bookmark, desc=False)
    client = _make_client(options, fail_first=True)
    with open_output(options, after) as output:
        _run(options, _follow(client, options, output))


async def _follow(client: TasksClient, options: Options, output: Output) -> None:
    selection = Selection(options.actor, options.name, options.limit)
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
    tasks, requests = _pluralize(output.count, "task"), _pluralize(client.stats.requests, "request")
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


def _pluralize(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
