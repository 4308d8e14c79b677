"""The public face: joins the endpoint, the transport, the retries and the walk."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncGenerator, Callable
from types import TracebackType
from typing import NoReturn, Self, TypedDict, Unpack, cast

import aiohttp

from apify_tasks_async._arguments import (
    check_boolean,
    check_integer,
    check_number,
    check_plain_function,
    check_token,
    normalise_base_url,
    short_repr,
)
from apify_tasks_async._fetch import ClientStats, Fetcher
from apify_tasks_async._pages import OnInvalid, PageFollower, PageIterator
from apify_tasks_async._protocol import MAX_LIMIT, PageRequest
from apify_tasks_async._retry import Attempt, Retrier, RetryPolicy
from apify_tasks_async._secret import as_secret
from apify_tasks_async._transport import Transport
from apify_tasks_async._walk import Walk, bookmark_behind
from apify_tasks_async.errors import ConfigurationError
from apify_tasks_async.models import Bookmark, Task, TaskPage

__all__ = ["FollowOptions", "TasksClient", "WalkOptions", "iter_tasks"]

DEFAULT_BASE_URL = "https://api.apify.com"

LEAST_RATE = 1e-6
"""Requests per second: one in eleven days. A rate far below that has an interval that no clock can count."""


class WalkOptions(TypedDict, total=False):
    """The arguments of a walk: see `TasksClient.iter_pages`."""

    desc: bool
    offset: int
    limit: int | None
    page_size: int
    exact: bool
    after: Bookmark | None
    on_invalid: OnInvalid


class FollowOptions(TypedDict, total=False):
    """The arguments of following: see `TasksClient.follow_pages`."""

    after: Bookmark | None
    interval: float
    page_size: int
    on_invalid: OnInvalid


class TasksClient:
    """Lists the tasks of one Apify user. It may be shared by many tasks of one event loop.

    It may be created before an event loop runs, and belongs to the loop of its first request.

    Args:
        token: An API token, from the Integrations page of Apify Console; by default, that of the environment
            variable `APIFY_TOKEN`.
        base_url: Where the API is, without `/v2`; by default, `APIFY_API_BASE_URL`, else https://api.apify.com.
        session: An aiohttp session to borrow. It is never closed, and its own settings are respected.
        concurrency: The most pages in flight at once, of all walks together.
        rate_limit: The most requests within any second, or fewer if the server's `X-RateLimit-Limit` says so; below 1,
            one request in `1 / rate_limit` seconds; `None`: no limit, until the server refuses a request. A refusal
            halves the rate of the whole client, which then doubles every five seconds until it is what it was. The API
            allows 60 per second and resource: https://docs.apify.com/api/v2#rate-limiting
        timeout: Seconds for one attempt, its body included.
        retry: How often and when a failed request is tried again.
        max_body_bytes: The most bytes of one response, decoded.
        allow_insecure: Whether the token may go over plain http to a host that is not loopback.
        on_attempt: Is called with an `Attempt` whenever one has ended. What it raises comes out of the walk.

    Raises:
        ConfigurationError: There is no token, or the token or the base URL cannot be used.
        TypeError: An argument is not of its type.
        ValueError: An argument is out of its range.

    Example:
        >>> async def names() -> list[str]:
        ...     async with TasksClient() as client:
        ...         return [task.name async for task in client.iter_tasks(desc=True)]
    """

    def __init__(
        self,
        token: str | None = None,
        *,
        base_url: str | None = None,
        session: aiohttp.ClientSession | None = None,
        concurrency: int = 8,
        rate_limit: float | None = 60.0,
        timeout: float = 30.0,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008  immutable
        max_body_bytes: int = 64 * 2**20,
        allow_insecure: bool = False,
        on_attempt: Callable[[Attempt], object] | None = None,
    ) -> None:
        token = as_secret(os.environ.get("APIFY_TOKEN") if token is None else token)
        if token is None:
            raise ConfigurationError(
                "no token; pass token=..., or set APIFY_TOKEN (Apify Console, Settings, API & Integrations)"
            )
        check_token(token)
        check_boolean("allow_insecure", allow_insecure)
        if base_url is None:
            base_url = os.environ.get("APIFY_API_BASE_URL") or DEFAULT_BASE_URL
        url = normalise_base_url(base_url, allow_insecure=allow_insecure)
        if session is not None and not isinstance(session, aiohttp.ClientSession):
            raise TypeError(f"session must be an aiohttp.ClientSession, got {short_repr(session)}")
        check_integer("concurrency", concurrency, minimum=1)
        if rate_limit is not None:
            check_number("rate_limit", rate_limit, above=0, minimum=LEAST_RATE)
        check_number("timeout", timeout, above=0)
        if not isinstance(retry, RetryPolicy):
            raise TypeError(f"retry must be a RetryPolicy, got {short_repr(retry)}")
        check_integer("max_body_bytes", max_body_bytes, minimum=1)
        if on_attempt is not None:
            check_plain_function("on_attempt", on_attempt)
        self._base_url = str(url)
        self._fetcher = Fetcher(
            Transport(url, token, session=session, connections=concurrency, max_body_bytes=max_body_bytes),
            Retrier(retry),
            timeout=timeout,
            concurrency=concurrency,
            rate_limit=rate_limit,
            on_attempt=on_attempt,
        )

    def __repr__(self) -> str:
        if not hasattr(self, "_fetcher"):
            return "<TasksClient that was refused>"  # in a traceback with locals
        state = "closed" if self.closed else "open"
        return f"<TasksClient of {self._base_url}, {state}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a TasksClient cannot be copied or pickled: it holds a token and connections; create another")

    async def __aenter__(self) -> Self:
        self._fetcher.check_open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._fetcher.closing.is_set()

    @property
    def stats(self) -> ClientStats:
        """What the client has done so far: a snapshot."""
        return self._fetcher.stats

    async def close(self) -> None:
        """Cancel every page in flight, and close the session if the client opened it.

        Every walk of the client ends with `ClientClosedError`, and so does every later call. Closing twice is fine.
        """
        await self._fetcher.close()

    async def list_tasks(self, *, offset: int = 0, limit: int = MAX_LIMIT, desc: bool = False) -> TaskPage:
        """Return exactly one page, as the server gave it.

        Args:
            offset: How many tasks to skip at the start.
            limit: The most tasks to return, 1 to 1000.
            desc: Whether the newest come first.

        Raises:
            ApifyTasksError: The page could not be fetched, or an item of it is no task as documented.
            TypeError: An argument is not of its type.
            ValueError: An argument is out of its range.

        Example:
            >>> async def newest(client: TasksClient) -> Task:
            ...     return (await client.list_tasks(limit=1, desc=True)).items[0]
        """
        check_integer("offset", offset, minimum=0)
        check_integer("limit", limit, minimum=1, maximum=MAX_LIMIT)
        check_boolean("desc", desc)
        request = PageRequest(offset, limit, desc)
        response = await self._fetcher.fetch(request)
        counts = self._fetcher.counts
        counts["invalid"] += len(response.invalid)
        if response.invalid:
            error = response.invalid[0]
            try:
                raise error
            finally:
                del error, response  # its traceback leads here: a cycle
        items = cast("tuple[Task, ...]", response.items)
        counts["tasks"] += len(items)
        bookmark = bookmark_behind(request, response)
        return TaskPage(response.total, response.offset, response.limit, response.desc, len(items), items, bookmark)

    async def count(self) -> int:
        """Return how many tasks there are, as the server says, by a request for one of them.

        Raises:
            ApifyTasksError: The request failed.
        """
        # Not by list_tasks: that one may be no task as documented is not of interest here.
        return (await self._fetcher.fetch(PageRequest(0, 1, desc=False))).total

    def iter_pages(
        self,
        *,
        desc: bool = False,
        offset: int = 0,
        limit: int | None = None,
        page_size: int = MAX_LIMIT,
        exact: bool = False,
        after: Bookmark | None = None,
        on_invalid: OnInvalid = "raise",
    ) -> PageIterator:
        """Iterate over the pages of the list, in order, while the next ones are being fetched.

        On a list that stays as it is, N tasks cost ceil(N / page_size) requests. When a response shows that the list
        has changed, the walk looks for its place again, and goes on with pages that overlap. What it cannot see
        is a creation and a deletion that cancel out between two pages: `exact` can.

        With `exact`, every task that exists during the whole walk is delivered exactly once, in order, or
        `DriftError` is raised. This rests on three assumptions: `createdAt` never changes and is what the list is
        sorted by; each response is one contiguous, sorted part of the list; and every task is visible to whichever
        server answers. Pages overlap by 8 tasks, or half a page if that is less; while nothing new comes, a page
        may be larger than `page_size`. Of an `offset` that points into tasks of one moment, and of an item whose
        `createdAt` cannot be read, it does its best.

        A descending walk does not chase what is created while it runs; an ascending one does.

        Args:
            desc: Whether the newest come first.
            offset: How many tasks to skip at the start.
            limit: The most tasks to deliver, over all pages; `None` for all. It may exceed 1000.
            page_size: The most tasks to ask for at once, 1 to 1000; at least 4 with `exact`.
            exact: Whether to give the guarantee above.
            after: A bookmark of the same direction, behind which to carry on; `offset` must be 0 then.
            on_invalid: What becomes of an item that is no task as documented. "raise": its `InvalidTaskError` is
                raised at its place in the order. "skip": it is logged, counted, and left out. A function: it is
                called with the `InvalidTaskError`, and the walk goes on. An item left out counts towards `limit`.

        Returns:
            An asynchronous iterator over `TaskPage`. It is an asynchronous context manager as well, which cancels
            what is in flight when the block is left.

        Raises:
            ApifyTasksError: While iterating, whatever made a page fail, at its place in the order; its
                `bookmark` says where to carry on.
            TypeError: An argument is not of its type.
            ValueError: An argument is out of its range.

        Example:
            >>> async def totals(client: TasksClient) -> list[int]:
            ...     async with client.iter_pages(page_size=100) as pages:
            ...         return [page.total async for page in pages]
        """
        walk = Walk(desc=desc, offset=offset, limit=limit, page_size=page_size, exact=exact, after=after)
        if on_invalid not in ("raise", "skip"):
            if not callable(on_invalid):
                raise ValueError(f"on_invalid must be 'raise', 'skip' or a function, got {short_repr(on_invalid)}")
            check_plain_function("on_invalid", on_invalid)
        return PageIterator(self._fetcher, walk, on_invalid)

    def iter_tasks(self, **options: Unpack[WalkOptions]) -> AsyncGenerator[Task, None]:
        """Iterate over the tasks, in order, while the next pages are being fetched.

        It is a generator: a timeout or a cancellation while it waits ends it for good. `iter_pages` bears them.

        Args:
            **options: `desc`, `offset`, `limit`, `page_size`, `exact`, `after` and `on_invalid`, as for `iter_pages`.

        Yields:
            Each `Task`.

        Raises:
            ApifyTasksError: As for `iter_pages`.
            TypeError: As for `iter_pages`.
            ValueError: As for `iter_pages`.

        Example:
            >>> async def newest_names(client: TasksClient) -> list[str]:
            ...     return [task.name async for task in client.iter_tasks(desc=True, limit=10)]
        """
        return _each_task(self.iter_pages(**options))

    async def all_tasks(self, **options: Unpack[WalkOptions]) -> list[Task]:
        """Return the tasks as a list.

        Args:
            **options: `desc`, `offset`, `limit`, `page_size`, `exact`, `after` and `on_invalid`, as for `iter_pages`.

        Raises:
            ApifyTasksError: As for `iter_pages`.
            TypeError: As for `iter_pages`.
            ValueError: As for `iter_pages`.

        Example:
            >>> async def runs(client: TasksClient) -> int:
            ...     return sum(task.stats.total_runs or 0 for task in await client.all_tasks() if task.stats)
        """
        async with self.iter_pages(**options) as pages:
            return [task async for page in pages for task in page.items]

    def follow_pages(
        self,
        *,
        after: Bookmark | None = None,
        interval: float = 30.0,
        page_size: int = MAX_LIMIT,
        on_invalid: OnInvalid = "raise",
    ) -> PageFollower:
        """Iterate over pages that hold every task, oldest first, and then each new one as it is created. It never ends.

        Each task is delivered once, whatever is deleted meanwhile, under the assumptions of `iter_pages` with
        `exact`. An outage that outlasts the retry policy is logged as a warning and counted in `stats.failures`;
        the next look is `interval` seconds later.

        Args:
            after: An ascending bookmark, behind which to begin; by default, at the start of the list.
            interval: Seconds between two looks at the end of the list.
            page_size: The most tasks to ask for at once, 4 to 1000.
            on_invalid: As for `iter_pages`.

        Returns:
            An asynchronous iterator over `TaskPage`, each with the bookmark to carry on from. It is an asynchronous
            context manager as well. When a call of `anext` is cancelled, by a timeout for example, the next call
            carries on from the same place.

        Raises:
            ApifyTasksError: A failure that waiting does not cure, such as a token that was revoked.
            TypeError: An argument is not of its type.
            ValueError: An argument is out of its range.

        Example:
            >>> async def remember(client: TasksClient, after: Bookmark | None) -> None:
            ...     async for page in client.follow_pages(after=after):
            ...         print(len(page), page.bookmark and page.bookmark.to_json())
        """
        check_number("interval", interval, above=0)

        def look(after: Bookmark | None) -> PageIterator:
            return self.iter_pages(exact=True, after=after, page_size=page_size, on_invalid=on_invalid)

        return PageFollower(look, after, interval, self._fetcher.closing)

    def follow_tasks(self, **options: Unpack[FollowOptions]) -> AsyncGenerator[Task, None]:
        """Iterate over every task, oldest first, and then over each new one as it is created. It never ends.

        It is a generator: a timeout or a cancellation while it waits ends it for good. `follow_pages` bears them.

        Args:
            **options: `after`, `interval`, `page_size` and `on_invalid`, as for `follow_pages`.

        Yields:
            Each `Task`.

        Raises:
            ApifyTasksError: As for `follow_pages`.
            TypeError: As for `follow_pages`.
            ValueError: As for `follow_pages`.

        Example:
            >>> async def greet(client: TasksClient) -> None:
            ...     async for task in client.follow_tasks(interval=60):
            ...         print("hello", task.name)
        """
        return _each_task(self.follow_pages(**options))


def iter_tasks(
    token: str | None = None,
    *,
    base_url: str | None = None,
    session: aiohttp.ClientSession | None = None,
    concurrency: int = 8,
    **options: Unpack[WalkOptions],
) -> AsyncGenerator[Task, None]:
    """Iterate over the tasks with a client that is opened and closed for it.

    Args:
        token: As for `TasksClient`.
        base_url: As for `TasksClient`.
        session: As for `TasksClient`.
        concurrency: As for `TasksClient`.
        **options: `desc`, `offset`, `limit`, `page_size`, `exact`, `after` and `on_invalid`, as for
            `TasksClient.iter_pages`.

    Yields:
        Each `Task`.

    Raises:
        ApifyTasksError: As for `TasksClient` and `TasksClient.iter_pages`.
        TypeError: As for `TasksClient` and `TasksClient.iter_pages`.
        ValueError: As for `TasksClient` and `TasksClient.iter_pages`.

    Example:
        >>> async def names() -> list[str]:
        ...     return [task.name async for task in iter_tasks(desc=True)]
    """
    token = as_secret(token)
    client = TasksClient(token, base_url=base_url, session=session, concurrency=concurrency)
    return _each_task(client.iter_pages(**options), client)


async def _each_task(pages: PageIterator | PageFollower, *owned: TasksClient) -> AsyncGenerator[Task, None]:
    async with contextlib.AsyncExitStack() as stack:
        for client in owned:
            await stack.enter_async_context(client)
        await stack.enter_async_context(pages)
        async for page in pages:
            for task in page.items:
                yield task
