"""The client: checks arguments, and joins the rooms below."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import ClassVar, NoReturn, Self, TypedDict, Unpack, cast

import aiohttp

from apify_tasks_async import _environment
from apify_tasks_async._arguments import (
    check_boolean,
    check_integer,
    check_label,
    check_number,
    check_plain_function,
    check_token,
    normalise_base_url,
    short_repr,
)
from apify_tasks_async._bookmarks import check_bookmark, page_bookmark
from apify_tasks_async._changes import Changes, Difference, Version
from apify_tasks_async._clock import Clock
from apify_tasks_async._compare import compare
from apify_tasks_async._congestion import Congestion
from apify_tasks_async._defaults import (
    CONCURRENCY,
    INTERVAL,
    LOOKBACK,
    MAX_LIMIT,
    MINIMUM_EXACT_PAGE_SIZE,
    MINIMUM_RATE,
    PAGE_SIZE,
    RATE_LIMIT,
    TIMEOUT,
)
from apify_tasks_async._fetch import Fetcher
from apify_tasks_async._follow import PageFollower
from apify_tasks_async._headers import read_headers
from apify_tasks_async._limiter import Limiter
from apify_tasks_async._lookback import Lookback
from apify_tasks_async._outcome import unwrap
from apify_tasks_async._pace import Pace
from apify_tasks_async._page import InvalidItem, Page, PageRequest
from apify_tasks_async._pages import OnInvalid, PageIterator
from apify_tasks_async._proxy import read_proxy
from apify_tasks_async._recorder import Attempt, ClientStats, Recorder
from apify_tasks_async._retry import RetryLoop, RetryPolicy
from apify_tasks_async._secret import Redactor, Secret, SecretText, as_secret, as_secrets
from apify_tasks_async._session import OwnSession, as_session
from apify_tasks_async._transport import Transport
from apify_tasks_async._walk import Walk
from apify_tasks_async.errors import ConfigurationError, InvalidTaskError
from apify_tasks_async.models import Bookmark, Task, TaskPage

__all__ = ["FollowOptions", "TasksClient", "WalkOptions", "iter_tasks"]


class WalkOptions(TypedDict, total=False):
    """The arguments of a walk; see `TasksClient.iter_pages`."""

    desc: bool
    offset: int
    limit: int | None
    page_size: int
    exact: bool
    after: Bookmark | None
    on_invalid: OnInvalid


class FollowOptions(TypedDict, total=False):
    """The arguments of following; see `TasksClient.follow_pages`."""

    after: Bookmark | None
    interval: float
    page_size: int
    on_invalid: OnInvalid
    lookback: int


def _modified_at(task: Task) -> datetime:
    return task.modified_at


class TasksClient:
    """Lists the tasks of one Apify user. Many asyncio tasks of one event loop may share it.

    You may create it before an event loop runs. It belongs to the loop of its first request.

    Args:
        token: An API token, from the Integrations page of Apify Console, or an object that hides one, such as
            `pydantic.SecretStr`. By default, the environment variable `APIFY_TOKEN`.
        base_url: The URL of the API, without `/v2`. By default, `APIFY_API_BASE_URL`, else https://api.apify.com.
        session: An aiohttp session to borrow. It is never closed, and its own settings apply.
        concurrency: The maximum number of pages in flight, of all walks together. On a thin link, only as
            many are in flight as can arrive within `timeout`. If the first walk may take several pages, it opens as
            many connections with its first request (https only, and not in a borrowed session).
        rate_limit: The maximum number of requests in any second. If the server's `X-RateLimit-Limit` is lower, it
            applies. 0.5: one request in two seconds; 1.875: two in 1.07 seconds. `None`: no limit until the server
            refuses a request. After a refusal, requests are evenly spaced; each further one cuts the rate by three
            tenths, and it rises again while none comes. The API allows 60 per second and resource: https://docs.apify.com/api/v2#rate-limiting
        timeout: Seconds for the first attempt, body included. Each further attempt may take twice as long as the one
            before, within the `deadline` of `retry`.
        retry: How often and when a failed request is tried again.
        max_body_bytes: The maximum size of one response, decompressed, in bytes. A body that is small, but huge once it
            is decoded, is refused too: one of more than `max_body_bytes` / 512 values (131,072 or more); of more than a
            quarter of it (16 MiB or more) with escapes or characters beyond ASCII; of more than a sixteenth (4 MiB or
            more) if most of that is texts with an emoji or the like. A walk holds up to `concurrency` + 2 responses at
            once, 10 by default: those in flight, one that it turns out to need before them, and the one that you have.
        allow_insecure: Whether the token may go over plain http to a host that is not loopback. Inside an Actor
            (`APIFY_IS_AT_HOME`), a private address needs no permission: that is how the platform's API is reached.
        proxy: The URL of a proxy: `http://host:port` or `https://host:port`, with `user:password@` before the host if
            the proxy wants them. `"env"` reads it as curl does from `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and
            `NO_PROXY`. By default there is no proxy but that of a borrowed session.
        headers: Headers to send with every request, such as the key of a gateway. None for authorization, and none that
            the client sets itself. `X-Apify-Workflow-Key` is `APIFY_WORKFLOW_KEY` unless it is given here.
        user_agent_suffix: Text to add to the `User-Agent`, such as `my-service/1.2`.
        label: Whose account it is. Errors, `Attempt`, the log and `repr` name it. A token in it is hidden.
        pause_gc: Whether Python's garbage collector is paused while a walk builds a page: about a millisecond. A page
            makes so many objects that the collector would search the whole process again and again. It is left as it
            is if it was off before. Pass `False` if another thread turns it on and off meanwhile.
        on_attempt: Called with each finished `Attempt`. In an outage, attempts of the requests that stand back are
            reported when it is over, unless they are cancelled before. An error that it raises comes out of the walk.

    Raises:
        ConfigurationError: There is no token, or the token, the base URL or the proxy cannot be used.
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of range.

    Example:
        >>> async def names() -> list[str]:
        ...     async with TasksClient() as client:
        ...         return [task.name async for task in client.iter_tasks(desc=True)]
    """

    _clock: ClassVar[Clock] = Clock()

    def __init__(
        self,
        token: str | SecretText | None = None,
        *,
        base_url: str | None = None,
        session: aiohttp.ClientSession | None = None,
        concurrency: int = CONCURRENCY,
        rate_limit: float | None = RATE_LIMIT,
        timeout: float = TIMEOUT,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - immutable
        max_body_bytes: int = 64 * 2**20,
        allow_insecure: bool = False,
        proxy: str | SecretText | None = None,
        headers: Mapping[str, str | SecretText] | None = None,
        user_agent_suffix: str | None = None,
        label: str | None = None,
        pause_gc: bool = True,
        on_attempt: Callable[[Attempt], object] | None = None,
    ) -> None:
        # A traceback with locals shows the arguments.
        proxy, headers = as_secret(proxy), as_secrets(headers)
        token = as_secret(_environment.token() if token is None else token)
        if label is not None:
            check_label("label", label)
        with _naming(label, token):
            if token is None:
                raise ConfigurationError(
                    "no token; pass token=..., or set APIFY_TOKEN (Apify Console, Settings, API & Integrations)"
                )
            secret = check_token(token)
            check_boolean("allow_insecure", allow_insecure)
            base_url = _environment.base_url() if base_url is None else base_url
            url = normalise_base_url(base_url, allow_insecure=allow_insecure)
            via = read_proxy(proxy, url)
        if session is not None and not isinstance(session, aiohttp.ClientSession):
            raise TypeError(f"session must be an aiohttp.ClientSession, got {short_repr(session)}")
        check_integer("concurrency", concurrency, minimum=1)
        if rate_limit is not None:
            check_number("rate_limit", rate_limit, above=0, minimum=MINIMUM_RATE)
        check_number("timeout", timeout, above=0)
        if not isinstance(retry, RetryPolicy):
            raise TypeError(f"retry must be a RetryPolicy, got {short_repr(retry)}")
        check_integer("max_body_bytes", max_body_bytes, minimum=1)
        check_boolean("pause_gc", pause_gc)
        if on_attempt is not None:
            check_plain_function("on_attempt", on_attempt)
        added = read_headers(headers, user_agent_suffix)
        self._base_url = str(url)
        redactor = Redactor(secret, *(via.secrets if via else ()))
        host = url.host_port_subcomponent or ""
        clock, self._recorder = self._clock, Recorder(on_attempt, host, label and redactor.redact(label))
        used = as_session(session, url.raw_host or "") or self._own_session(concurrency)
        transport = Transport(
            url,
            secret,
            redactor,
            self._recorder,
            used,
            max_body_bytes=max_body_bytes,
            headers=added,
            proxy=via,
        )
        congestion = Congestion(concurrency, timeout, clock.now)
        limiter = Limiter(congestion, Pace(rate_limit, clock.now), clock, used.places)
        retry_loop = RetryLoop(transport, retry, timeout, limiter, self._recorder, redactor, clock)
        self._fetcher = Fetcher(retry_loop, transport, self._recorder, concurrency, pause_gc)

    def _own_session(self, connections: int) -> OwnSession:
        """Return the session of a client that borrows none."""
        return OwnSession(connections, self._base_url)

    def __repr__(self) -> str:
        if not hasattr(self, "_fetcher"):
            return "<TasksClient with invalid arguments>"  # In a traceback with locals.
        state = "closed" if self.closed else "open"
        label = "" if self._recorder.label is None else f" {self._recorder.label}"
        return f"<TasksClient{label} of {self._base_url}, {state}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a TasksClient cannot be copied or pickled: it holds a token and connections; create another")

    async def __aenter__(self) -> Self:
        self._fetcher.check_usable()
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
        """A snapshot of what the client did so far."""
        return self._recorder.stats

    async def close(self) -> None:
        """Cancel every page in flight, and close the session if the client opened it.

        Every walk of the client ends with `ClientClosedError`. So does every later call. You may close it twice.
        """
        await self._fetcher.close()

    async def list_tasks(self, *, offset: int = 0, limit: int = MAX_LIMIT, desc: bool = False) -> TaskPage:
        """Return exactly one page, as the server gave it.

        If all tasks of the page have one `created_at`, its bookmark does not know of tasks before the page that have it
        too. A walk after this bookmark delivers those as well.

        Args:
            offset: How many tasks to skip at the start.
            limit: The maximum number of tasks to return, 1 to 1000.
            desc: Whether the newest come first.

        Raises:
            ApifyTasksError: The page could not be fetched, or an item of it is not a task as documented.
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of range.

        Example:
            >>> async def newest(client: TasksClient) -> Task:
            ...     return (await client.list_tasks(limit=1, desc=True)).items[0]
        """
        check_integer("offset", offset, minimum=0)
        check_integer("limit", limit, minimum=1, maximum=MAX_LIMIT)
        check_boolean("desc", desc)
        return unwrap(self._whole_page(unwrap(await self._fetcher.fetch(PageRequest(offset, limit, desc)))))

    def _whole_page(self, page: Page) -> TaskPage | InvalidTaskError:
        invalid = [entry for entry in page.entries if isinstance(entry, InvalidItem)]
        tasks = [] if invalid else cast("Sequence[Task]", page.entries)
        self._recorder.record_delivery(tasks=len(tasks), invalid=len(invalid))
        if invalid:
            return self._recorder.name(invalid[0].error)
        return page.deliver(tasks, offset=page.offset, desc=page.desc, bookmark=page_bookmark(page))

    async def count(self) -> int:
        """Return how many tasks there are, as the server says. It requests one task.

        Raises:
            ApifyTasksError: The request failed.
        """
        # Not by list_tasks: an invalid task must not fail a count.
        return unwrap(await self._fetcher.fetch(PageRequest(0, 1, desc=False))).total

    def iter_pages(
        self,
        *,
        desc: bool = False,
        offset: int = 0,
        limit: int | None = None,
        page_size: int = PAGE_SIZE,
        exact: bool = False,
        after: Bookmark | None = None,
        on_invalid: OnInvalid = "raise",
    ) -> PageIterator:
        """Iterate over the pages of the list, in order, while the next ones are being fetched.

        On a list that does not change, N tasks cost max(1, ceil(N / page_size)) requests. When a response shows that
        the list changed, the walk searches for its place, and continues with pages that overlap. It cannot see a
        creation and a deletion that cancel out between two pages, a deletion while the server's total lags behind, and
        a total that is always too low and exactly the end of a page. If the server counts tasks that it does not show,
        the walk reads on to the total, logs a warning, and counts itself in `stats.incomplete`.

        With `exact`, every task that exists during the whole walk is delivered exactly once, in order, or `DriftError`
        is raised. The end is proved by the other end of the list, not by a total. This assumes: 1. Each answer is a
        gapless piece of the list as it was at some moment, in the order asked; it may stop early, and one for offset 0
        begins at the beginning. 2. A task counts if it was there, and visible to the token, at each of these moments.
        3. `createdAt` never changes. 4. An answer that stops early does not also give a total that makes it look
        complete. Pages overlap by 8 tasks, or half a page if that is less. While nothing new comes, a page may be
        larger than `page_size`. An `offset` between tasks with equal `createdAt`, and items whose `createdAt` cannot be
        read, are handled as well as possible.

        An ascending walk also delivers what is created after its place while it runs; a descending one does not.

        Args:
            desc: Whether the newest come first.
            offset: How many tasks to skip at the start.
            limit: The maximum number of tasks to deliver, over all pages; `None` for all. It may exceed 1000.
            page_size: The maximum number of tasks in one request, 1 to 1000; at least 4 with `exact`.
            exact: Whether to give the guarantee above.
            after: A bookmark of the same direction, to continue after. `offset` must then be 0. A task that becomes
                visible late, before the bookmark, is left to `follow_pages`: here all tasks come in order.
            on_invalid: What happens to an item that is not a task as documented. "raise": its `InvalidTaskError` is
                raised at its place in the order. "skip": it is logged, counted, and left out. A function: it is called
                with the `InvalidTaskError`, and the walk continues. An item left out counts towards `limit`.

        Returns:
            An asynchronous iterator over `TaskPage`. It is also an asynchronous context manager, which cancels the
            requests in flight when the block ends.

        Raises:
            ApifyTasksError: While iterating, the error of a page, at its place in the order. Its `bookmark` says where
                to continue.
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of range.

        Example:
            >>> async def totals(client: TasksClient) -> list[int]:
            ...     async with client.iter_pages(page_size=100) as pages:
            ...         return [page.total async for page in pages]
        """
        walk = Walk(
            desc=desc,
            offset=offset,
            limit=limit,
            page_size=page_size,
            exact=exact,
            after=after,
            expected=self._fetcher.expected,
        )
        _check_on_invalid(on_invalid)
        return PageIterator(self._fetcher, walk, on_invalid)

    def iter_tasks(self, **options: Unpack[WalkOptions]) -> AsyncGenerator[Task, None]:
        """Iterate over the tasks, in order, while the next pages are being fetched.

        It is a generator: a timeout or a cancellation while it waits ends it. `iter_pages` survives them.

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

    async def changes_since(
        self,
        known: Mapping[str, object],
        *,
        version: Version = _modified_at,
        page_size: int = PAGE_SIZE,
        on_invalid: OnInvalid = "raise",
    ) -> Changes:
        """Return how the list differs from what you stored of it: what was added, changed and removed.

        It reads the whole list as `iter_pages` does with `exact`, or raises: half a list makes no difference. If tasks
        are missing, it reads the list again. A task counts as removed only if two walks did not show it, and each
        showed as many tasks as the server counts. A task that is created meanwhile may or may not be among the added.

        The client stores nothing. To keep a copy, store the ids and versions of `added` and `changed`, and delete those
        of `removed`, in one transaction. Memory grows with the ids, and with the tasks that are added or changed.

        Args:
            known: The version of each task that you stored, by its id. It must not change meanwhile.
            version: Returns the version of a task. If it is not equal to the stored one, the task has changed. By
                default, `modified_at`. If you store times as text, give a function that returns such texts.
            page_size: The maximum number of tasks in one request, 4 to 1000.
            on_invalid: As for `iter_pages`. A known item that is not a task as documented is never removed; if it is
                left out, it is neither added nor changed.

        Raises:
            ApifyTasksError: The list could not be read to its end; there is no bookmark to continue from.
            DriftError: The list changed too fast, or tasks are missing while the server counts more than it shows.
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of range.

        Example:
            >>> async def update(client: TasksClient, names: dict[str, str]) -> None:
            ...     changes = await client.changes_since(names, version=lambda task: task.name)
            ...     names.update({task.id: task.name for task in changes.added + changes.changed})
            ...     for id in changes.removed:
            ...         del names[id]
        """
        check_integer("page_size", page_size, minimum=MINIMUM_EXACT_PAGE_SIZE, maximum=MAX_LIMIT)
        _check_on_invalid(on_invalid)
        return await compare(self._fetcher, Difference(known, version), page_size, on_invalid)

    def follow_pages(
        self,
        *,
        after: Bookmark | None = None,
        interval: float = INTERVAL,
        page_size: int = PAGE_SIZE,
        on_invalid: OnInvalid = "raise",
        lookback: int = LOOKBACK,
    ) -> PageFollower:
        """Iterate over pages that hold every task, oldest first, and then each new one as it is created. It never ends.

        Each task is delivered once, whatever is deleted meanwhile, under the assumptions of `iter_pages` with
        `exact`. An outage that outlasts the retry policy is logged as a warning and counted in `stats.failures`. The
        next look follows after `interval` seconds.

        Many followers spread their looks: at most 50 begin in a second, the first of them at once, the first wait is
        random between half and one and a half intervals, and each further one differs from it by up to a tenth.

        Args:
            after: An ascending bookmark to begin after; by default, the start of the list.
            interval: Seconds between two looks at the end of the list, on average.
            page_size: The maximum number of tasks in one request, 4 to 1000.
            on_invalid: As for `iter_pages`.
            lookback: How many of the tasks delivered last are looked at again. A task may become visible after a
                younger one was delivered; if it is among or after these, it is delivered late, once. Each costs about
                45 bytes of the bookmark. 0 turns it off.

        Returns:
            An asynchronous iterator over `TaskPage`, each with the bookmark to continue from. It is also an
            asynchronous context manager. If a call of `anext` is cancelled, for example by a timeout, the next call
            continues from the same place.

        Raises:
            ApifyTasksError: A failure that does not pass by itself, such as a revoked token.
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of range.

        Example:
            >>> async def remember(client: TasksClient, after: Bookmark | None) -> None:
            ...     async for page in client.follow_pages(after=after):
            ...         print(len(page), page.bookmark and page.bookmark.to_json())
        """
        check_number("interval", interval, above=0)
        check_integer("lookback", lookback, minimum=0)
        _check_on_invalid(on_invalid)
        if after is not None:
            check_bookmark(after, offset=0, desc=False)
        delivered = Lookback.after(lookback, after)

        def look() -> PageIterator:
            walk = Walk(page_size=page_size, exact=True, after=delivered.start)
            return PageIterator(self._fetcher, walk, on_invalid, delivered)

        return PageFollower(look, interval, self._fetcher, look(), self._clock)

    def follow_tasks(self, **options: Unpack[FollowOptions]) -> AsyncGenerator[Task, None]:
        """Iterate over every task, oldest first, and then over each new one as it is created. It never ends.

        It is a generator: a timeout or a cancellation while it waits ends it. `follow_pages` survives them.

        Args:
            **options: `after`, `interval`, `page_size`, `on_invalid` and `lookback`, as for `follow_pages`.

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
    token: str | SecretText | None = None,
    *,
    base_url: str | None = None,
    session: aiohttp.ClientSession | None = None,
    concurrency: int = CONCURRENCY,
    allow_insecure: bool = False,
    proxy: str | SecretText | None = None,
    **options: Unpack[WalkOptions],
) -> AsyncGenerator[Task, None]:
    """Iterate over the tasks with a client of its own, which it opens and closes.

    Args:
        token: As for `TasksClient`.
        base_url: As for `TasksClient`.
        session: As for `TasksClient`.
        concurrency: As for `TasksClient`.
        allow_insecure: As for `TasksClient`.
        proxy: As for `TasksClient`.
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
    token, proxy = as_secret(token), as_secret(proxy)
    client = TasksClient(
        token,
        base_url=base_url,
        session=session,
        concurrency=concurrency,
        allow_insecure=allow_insecure,
        proxy=proxy,
    )
    return _each_task(client.iter_pages(**options), client)


@contextlib.contextmanager
def _naming(label: str | None, token: object) -> Generator[None, None, None]:
    """Let a `ConfigurationError` say whose account it is."""
    try:
        yield
    except ConfigurationError as error:
        error.label = Redactor(token).redact(label) if label and isinstance(token, Secret) else label
        raise


def _check_on_invalid(value: OnInvalid) -> None:
    if callable(value):
        check_plain_function("on_invalid", value)
    elif value not in ("raise", "skip"):
        raise ValueError(f"on_invalid must be 'raise', 'skip' or a function, got {short_repr(value)}")


async def _each_task(pages: PageIterator | PageFollower, *owned: TasksClient) -> AsyncGenerator[Task, None]:
    async with contextlib.AsyncExitStack() as stack:
        for client in owned:
            await stack.enter_async_context(client)
        await stack.enter_async_context(pages)
        async for page in pages:
            for task in page.items:
                yield task
                del task
            del page  # A follower waits long for the next one.
