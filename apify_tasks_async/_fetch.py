"""One page, whatever it takes: its turn, its attempts, its statistics. All pages of a client share these."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import attrs

from apify_tasks_async._pace import Pace
from apify_tasks_async._protocol import CheckedPage, PageRequest, Slice, check_response
from apify_tasks_async._retry import Attempt, Outcome, Retrier
from apify_tasks_async._transport import Answer, Transport
from apify_tasks_async.errors import (
    ApifyTasksError,
    ClientClosedError,
    ConfigurationError,
    RateLimitedError,
    TransportError,
)

__all__ = ["ClientStats", "Fetcher", "cancelled", "logger"]

logger = logging.getLogger("apify_tasks_async")
logger.addHandler(logging.NullHandler())


@attrs.frozen(kw_only=True)
class ClientStats:
    """What a client has done so far.

    Example:
        >>> ClientStats(requests=3, pages=3, tasks=2500).retries
        0
    """

    requests: int = 0
    """Requests sent, those that were sent again included."""

    retries: int = 0
    """Requests that failed and were followed by another attempt."""

    rate_limited: int = 0
    """Requests that were answered with 429."""

    failures: int = 0
    """Requests that failed for good, after all attempts."""

    pages: int = 0
    """Responses that held a page."""

    tasks: int = 0
    """Tasks delivered."""

    bytes_received: int = 0
    """Bytes of all bodies, decoded."""

    duplicates: int = 0
    """Items dropped because they had been delivered before; an exact walk overlaps its pages on purpose."""

    reseeks: int = 0
    """How often a walk found that the list had changed, and looked for its place in it again."""

    invalid: int = 0
    """Items that were no tasks as documented."""


class Fetcher:
    """Fetches pages for all walks of a client. It owns the tasks that do so."""

    def __init__(
        self,
        transport: Transport,
        retrier: Retrier,
        *,
        timeout: float,
        concurrency: int,
        rate_limit: float | None,
        on_attempt: Callable[[Attempt], object] | None,
    ) -> None:
        self._transport = transport
        self.concurrency = concurrency
        self.counts: Counter[str] = Counter()
        self.closing: asyncio.Event = asyncio.Event()
        self._retrier = retrier
        self._timeout = timeout
        self._slots = asyncio.Semaphore(concurrency)
        self._pace = Pace(rate_limit, retrier.clock)
        self._next = asyncio.Lock()
        self._checking = asyncio.Lock()
        self._on_attempt = on_attempt
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[CheckedPage]] = set()

    @property
    def stats(self) -> ClientStats:
        """A snapshot of what was done so far."""
        return ClientStats(**self.counts)

    def check_open(self) -> None:
        """Refuse to go on once `close` was called."""
        if self.closing.is_set():
            raise ClientClosedError("the client is closed")

    async def fetch(self, request: PageRequest) -> Slice:
        """Fetch a page that is no part of a walk."""
        task = self.start(request)
        try:
            await asyncio.wait({task})
            return self.result(task, request)
        finally:
            task.cancel()
            del task  # its exception's traceback leads here: a cycle

    def start(self, request: PageRequest) -> asyncio.Task[CheckedPage]:
        """Start to fetch a page."""
        self.check_open()
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        if self._loop is not loop:
            raise ConfigurationError("this client belongs to another event loop; create a client in each loop")
        task = loop.create_task(self._fetch(request), name=f"apify_tasks_async: offset={request.offset}")
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def result(self, task: asyncio.Task[CheckedPage], request: PageRequest) -> Slice:
        """Read the page that a finished task returned, or raise what it raised."""
        # Even if it succeeded: there is nobody to fetch the next page any more.
        if self.closing.is_set():
            raise ClientClosedError("the client was closed during the request", **request.where())
        # The CancelledError itself would look as if the consumer were cancelled, and end its walk in silence.
        if task.cancelled():
            raise TransportError("the request was cancelled from outside", **request.where())
        try:
            response = task.result().read()
        finally:
            del task  # its exception's traceback leads here: a cycle
        for error in response.invalid:
            self._transport.conceal(error)
        return response

    async def close(self) -> None:
        """Cancel all pages, and close the transport."""
        if self._tasks and self._loop is not asyncio.get_running_loop():
            raise ConfigurationError("this client is in use in another event loop; close it there")
        self.closing.set()
        await cancelled(self._tasks)
        await self._transport.close()

    def _forget(self, task: asyncio.Task[CheckedPage]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved, since a page behind the one that ended its walk is nobody's business

    async def _fetch(self, request: PageRequest) -> CheckedPage:
        attempts = 0
        sent_at = 0.0

        async def attempt(seconds_left: float) -> CheckedPage:
            nonlocal attempts, sent_at
            attempts += 1
            sent_at = self._retrier.clock()
            self.counts["requests"] += 1
            answer = await self._transport.get(request, min(self._timeout, seconds_left))
            self.counts["bytes_received"] += len(answer.body)
            self._pace.told(answer.headers.get("X-RateLimit-Limit"))
            return await self._check(request, answer)

        def report(outcome: Outcome) -> None:
            if isinstance(outcome.error, RateLimitedError):
                # Who asks for more than a request may take makes it fail at once. The others shall not wait for that.
                asked = outcome.error.retry_after or 0.0
                self._pace.refused(sent_at, asked if asked < self._retrier.policy.deadline else 0.0)
            self._report(request, outcome)

        page = await self._retrier.run(attempt, admit=self._turn, report=report)
        return attrs.evolve(page, attempts=attempts)

    async def _check(self, request: PageRequest, answer: Answer) -> CheckedPage:
        # Pages arrive together. One at a time, they keep neither the event loop for long nor the first of them waiting.
        async with self._checking:
            await asyncio.sleep(0)
            try:
                return check_response(request, answer.status, answer.headers, answer.body)
            except ApifyTasksError as error:
                self._transport.conceal(error)
                raise

    @asynccontextmanager
    async def _turn(self) -> AsyncGenerator[None, None]:
        # Both serve whoever came first, so that no walk starves.
        async with self._slots:
            async with self._next:
                await self._pause()
                self._pace.sent()
            yield

    async def _pause(self) -> None:
        next_at = self._pace.next_at()
        while (seconds := next_at - self._retrier.clock()) > 0:
            await self._retrier.sleep(seconds)
            # A refusal may have come meanwhile.
            slept_until, next_at = next_at, self._pace.next_at()
            if next_at <= slept_until:
                return

    def _report(self, request: PageRequest, outcome: Outcome) -> None:
        error, delay = outcome.error, outcome.delay
        self.counts["pages"] += error is None
        self.counts["retries"] += delay is not None
        self.counts["failures"] += error is not None and delay is None
        self.counts["rate_limited"] += isinstance(error, RateLimitedError)
        where = f"offset={request.offset} limit={request.limit} desc={request.desc} attempt={outcome.number}"
        if error is None:
            logger.debug("%s: 200 in %.3f s", where, outcome.elapsed)
        else:
            again = "not tried again" if delay is None else f"tried again in {delay:.3f} s"
            logger.info("%s: %s; %s", where, error.problem, again)
        if self._on_attempt is not None:
            status = 200 if error is None else getattr(error, "status", None)
            fields: dict[str, Any] = attrs.asdict(request) | attrs.asdict(outcome, recurse=False) | {"status": status}
            self._on_attempt(Attempt(**fields))


async def cancelled(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel the tasks, and wait for their end."""
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
