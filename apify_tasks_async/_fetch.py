"""The page tasks of a client: started, awaited, cancelled."""

import asyncio
from collections.abc import Iterable
from typing import Any

import attrs

from apify_tasks_async._home import running_loop
from apify_tasks_async._page import Page, PageRequest
from apify_tasks_async._recorder import Recorder
from apify_tasks_async._retry import RetryLoop
from apify_tasks_async._transport import Transport
from apify_tasks_async.errors import ClientClosedError, ConfigurationError, TransportError


@attrs.define(eq=False, repr=False)
class Fetcher:
    """Fetches pages for all walks of a client. It owns the tasks that do so, and belongs to the loop of the first."""

    _retry_loop: RetryLoop
    _transport: Transport
    recorder: Recorder
    """Records what walks deliver."""
    concurrency: int
    """How many pages a walk may have in flight."""
    pause_gc: bool
    """Whether walks pause the garbage collector while they build a page."""
    expected: int | None = attrs.field(init=False, default=None)
    """How many tasks the list had last; `None` if nobody knows, or the server did not answer as it was asked."""
    closing: asyncio.Event = attrs.field(init=False, factory=asyncio.Event)
    """Set when the client is closed."""
    _loop: asyncio.AbstractEventLoop | None = attrs.field(init=False, default=None)
    _tasks: set[asyncio.Task[Page | Exception]] = attrs.field(init=False, factory=set)

    def check_usable(self) -> None:
        """Raise if the client is closed, or belongs to another event loop."""
        if self.closing.is_set():
            raise self.recorder.name(ClientClosedError("the client is closed"))
        self.check_loop()

    def check_loop(self) -> None:
        """Raise if the client belongs to another event loop than the running one."""
        if self._loop not in {None, self._running_loop()}:
            problem = (
                "this client belongs to another event loop; create a client in each: asyncio.run starts a new loop, so "
                "create the client inside the coroutine that it runs"
            )
            raise self.recorder.name(ConfigurationError(problem))

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        try:
            return running_loop()
        except ConfigurationError as error:
            self.recorder.name(error)
            raise

    def prepare(self, pages: int) -> None:
        """Expect that many pages, if nothing was fetched yet, so that there are connections for them in time."""
        if self._loop is None:
            self._transport.expect(min(pages, self.concurrency))

    async def fetch(self, request: PageRequest) -> Page | Exception:
        """Fetch a page; return the error if that failed."""
        task = self.start(request)
        try:
            await asyncio.wait({task})
            return self.outcome(request, task)
        finally:
            task.cancel()

    def start(self, request: PageRequest) -> asyncio.Task[Page | Exception]:
        """Start to fetch a page."""
        self.check_usable()
        self._loop = asyncio.get_running_loop()
        coroutine = self._retry_loop.fetch(request)
        task: asyncio.Task[Page | Exception] = self._loop.create_task(
            coroutine, name=f"apify_tasks_async: offset={request.offset}"
        )
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def outcome(self, request: PageRequest, task: asyncio.Task[Page | Exception]) -> Page | Exception:
        """Return the page of a finished task, or the error that stands for it."""
        # Even if the task succeeded: nobody can fetch the next page.
        if self.closing.is_set():
            closed = ClientClosedError("the client was closed during the request", **request.where())
            return self.recorder.name(closed)
        # To the consumer, a CancelledError would look like its own cancellation, and end the walk in silence.
        if task.cancelled():
            return self.recorder.name(TransportError("the request was cancelled from outside", **request.where()))
        error = task.exception()
        if isinstance(error, StopAsyncIteration):
            # Raised as it is, it would end the walk in silence.
            return RuntimeError("on_attempt raised StopAsyncIteration")
        return error if isinstance(error, Exception) else task.result()

    async def close(self) -> None:
        """Cancel all pages, and close the transport."""
        loop = self._loop
        in_use = self._tasks or (loop is not None and loop.is_running() and not self.closing.is_set())
        if in_use and loop is not self._running_loop():
            problem = "this client is in use in another event loop; close it there"
            raise self.recorder.name(ConfigurationError(problem))
        self.closing.set()
        tasks = cancel(self._tasks)
        # This closes the connections before it waits. If this call is cancelled, that happens at its first wait.
        try:
            await self._transport.close()
        finally:
            await wait_for(tasks)

    def _forget(self, task: asyncio.Task[Page | Exception]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # Retrieve it: nobody waits for the pages after the one that ended a walk.


def cancel(tasks: Iterable[asyncio.Task[Any]]) -> list[asyncio.Task[Any]]:
    """Cancel the tasks, and return them."""
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    return tasks


async def wait_for(tasks: list[asyncio.Task[Any]]) -> None:
    """Wait for the end of the tasks."""
    if tasks:
        await asyncio.wait(tasks)
