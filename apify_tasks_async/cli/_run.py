"""What the commands do with the library, over its public names only."""

from __future__ import annotations

import contextlib
import logging
import math
import sys
import time
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import AbstractContextManager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import click

from apify_tasks_async import Attempt, ConfigurationError, Task, TasksClient
from apify_tasks_async.cli._advice import failure, in_options
from apify_tasks_async.cli._bookmark import behind, read_bookmark
from apify_tasks_async.cli._exit import is_terminal, say
from apify_tasks_async.cli._loop import run_async
from apify_tasks_async.cli._options import Options
from apify_tasks_async.cli._output import Rows, open_rows
from apify_tasks_async.cli._text import printable

if TYPE_CHECKING:
    from apify_tasks_async.testing import FakeApify

__all__ = ["count", "demo", "follow", "list_tasks"]

_Result = TypeVar("_Result")
_Advance = Callable[[int, int], None]


class _OneLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(f"apify-tasks: {record.levelname.lower()}: {record.getMessage()}")


@contextlib.contextmanager
def _logging(*, verbose: bool) -> Generator[None, None, None]:
    """Show on stderr what the library logs: warnings, or all of it."""
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine())
    logger = logging.getLogger("apify_tasks_async")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if verbose else logging.WARNING)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _run(options: Options, work: Coroutine[Any, Any, _Result]) -> _Result:
    with _logging(verbose=options.verbose):
        return run_async(work)


class _Watch:
    """Is told of every attempt, and tells whoever waits at a terminal why it takes longer.

    Args:
        options: What was asked for.
        endless: Whether a failure is waited out: not the first one, when the API may not even be there.
    """

    def __init__(self, options: Options, *, endless: bool = False) -> None:
        # The log says it, too.
        self._silent = options.verbose or options.quiet or not is_terminal(sys.stderr)
        self._hopeless = endless
        self._told: set[object] = set()

    def __call__(self, attempt: Attempt) -> None:
        """Look at how an attempt ended."""
        error = attempt.error
        if error is None:
            self._hopeless = False
        elif attempt.delay is None:
            if self._hopeless:
                raise failure(error)
        elif not self._silent and (type(error), attempt.status) not in self._told:
            # Once for each kind of failure: all pages in flight may meet it.
            self._told.add((type(error), attempt.status))
            say(f"{error.problem}; trying again in {math.ceil(attempt.delay):,} s")


def _client(options: Options, *, endless: bool = False) -> TasksClient:
    try:
        return TasksClient(
            options.token,
            base_url=options.base_url,
            timeout=options.timeout,
            concurrency=options.concurrency,
            on_attempt=_Watch(options, endless=endless),
        )
    except ConfigurationError as error:
        # The token was looked at before, so it is the base URL.
        raise click.UsageError(in_options(str(error))) from None


@attrs.define
class _Selection:
    """Which tasks to show."""

    actor: str | None
    name: str | None
    limit: int | None
    """How many are still to be shown; `None` if all."""

    def choose(self, tasks: Sequence[Task]) -> tuple[list[Task], int]:
        """Return the tasks to show, and how many had to be looked at to find them."""
        chosen: list[Task] = []
        looked_at = 0
        for task in tasks:
            if len(chosen) == self.limit:
                break
            looked_at += 1
            if self._matches(task):
                chosen.append(task)
        if self.limit is not None:
            self.limit -= len(chosen)
        return chosen, looked_at

    def _matches(self, task: Task) -> bool:
        if self.name is not None and not fnmatchcase(task.name, self.name):
            return False
        names = [task.act_id, task.act_name]
        if task.act_name is not None and task.act_username is not None:
            names += [f"{task.act_username}/{task.act_name}", f"{task.act_username}~{task.act_name}"]
        return self.actor is None or self.actor in names


def _selection(options: Options) -> _Selection:
    return _Selection(options.actor, options.name, options.limit)


def _still(_read: int, _total: int) -> None:
    """Stand in for a bar where there is none."""


def _bar(options: Options, rows: Rows) -> AbstractContextManager[_Advance]:
    """Return the progress bar, if there is a terminal to show it on, and nothing else writes there meanwhile."""
    # What is piped is shown on the same terminal as a rule, as soon as it comes.
    crowded = options.quiet or options.verbose or (rows.streams and not rows.to_file)
    if crowded or not is_terminal(sys.stderr):
        return contextlib.nullcontext(_still)
    from apify_tasks_async.cli._progress import progress_bar  # noqa: PLC0415 - rich is slow to import

    return progress_bar()


def list_tasks(options: Options) -> None:
    """Show the tasks."""
    after = read_bookmark(options.after, options.bookmark, desc=options.desc)
    client = _client(options)
    with open_rows(options, after) as rows, _bar(options, rows) as advance:
        _run(options, _walk(client, options, rows, advance))


async def _walk(client: TasksClient, options: Options, rows: Rows, advance: _Advance) -> None:
    selection = _selection(options)
    filtered = options.actor is not None or options.name is not None
    # With a filter nobody knows yet how much of the list it takes.
    limit = None if filtered else options.limit
    read, start = 0, None
    pages = client.iter_pages(
        desc=options.desc,
        offset=options.offset,
        limit=limit,
        page_size=options.page_size,
        exact=options.exact,
        after=rows.bookmark,
        on_invalid="skip" if options.skip_invalid else "raise",
    )
    async with client, pages:
        async for page in pages:
            chosen, looked_at = selection.choose(page.items)
            rows.show(chosen, page.bookmark if looked_at == len(page) else behind(page, looked_at, rows.bookmark))
            read += looked_at
            start = page.offset if start is None else start
            expected = max(0, page.total - start)
            advance(read, expected if limit is None else min(limit, expected))
            if selection.limit == 0:
                return
    # What was left out at the end of the list is behind it as well.
    rows.show([], pages.bookmark)


def count(options: Options) -> None:
    """Show how many tasks there are."""
    click.echo(_run(options, _count(_client(options))))


async def _count(client: TasksClient) -> int:
    async with client:
        return await client.count()


def follow(options: Options) -> None:
    """Show the tasks, then each new one."""
    after = read_bookmark(options.after, options.bookmark, desc=False)
    client = _client(options, endless=True)
    with open_rows(options, after) as rows:
        _run(options, _follow(client, options, rows))


async def _follow(client: TasksClient, options: Options, rows: Rows) -> None:
    selection = _selection(options)
    pages = client.follow_pages(
        after=rows.bookmark,
        interval=options.interval,
        page_size=options.page_size,
        on_invalid="skip" if options.skip_invalid else "raise",
    )
    async with client, pages:
        async for page in pages:
            chosen, _ = selection.choose(page.items)
            rows.show(chosen, page.bookmark)


def demo(options: Options, *, tasks: int, latency: float) -> None:
    """Show the tasks of a server of our own."""
    from apify_tasks_async.testing import FakeApify  # noqa: PLC0415 - nobody else needs it

    # Outside of the event loop, in which Ctrl-C would have to wait until they are all made.
    api = FakeApify(tasks=tasks, latency=latency)
    with open_rows(options, None) as rows, _bar(options, rows) as advance:
        summary = _run(options, _demo(api, options, rows, advance))
    say(summary)


async def _demo(api: FakeApify, options: Options, rows: Rows, advance: _Advance) -> str:
    async with api:
        client = TasksClient(api.token, base_url=api.url, concurrency=options.concurrency)
        started = time.perf_counter()
        await _walk(client, options, rows, advance)
        elapsed = time.perf_counter() - started
        requests = client.stats.requests
    return f"{_counted(rows.shown, 'task')} in {_counted(requests, 'request')}, {elapsed:.2f} seconds"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
