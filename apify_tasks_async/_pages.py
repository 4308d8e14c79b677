"""The pages of a walk, and of a list that is followed, as asynchronous iterators."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Literal, Self, cast

from apify_tasks_async._fetch import Fetcher, cancelled, logger
from apify_tasks_async._prefetch import Prefetch
from apify_tasks_async._protocol import CheckedPage, Slice
from apify_tasks_async._retry import is_transient
from apify_tasks_async._walk import Step, Walk
from apify_tasks_async.errors import ApifyTasksError, InvalidTaskError, RequestTimeoutError
from apify_tasks_async.models import Bookmark, Task, TaskPage

__all__ = ["OnInvalid", "PageFollower", "PageIterator"]

OnInvalid = Literal["raise", "skip"] | Callable[[InvalidTaskError], object]
"""What becomes of an item that is no task as documented."""


class PageIterator:
    """The pages of one walk: what `TasksClient.iter_pages` returns.

    When a call of `anext` is cancelled, by a timeout for example, nothing is lost: the pages stay in flight, and the
    next call carries on from the same place; so it does behind a `RequestTimeoutError`. When the iterator is dropped,
    they are cancelled.

    Attributes:
        bookmark: The place behind everything that was delivered or reported so far.
    """

    def __init__(self, fetcher: Fetcher, walk: Walk, on_invalid: OnInvalid) -> None:
        self.bookmark: Bookmark | None = walk.bookmark
        self._fetcher = fetcher
        self._walk = walk
        self._on_invalid = on_invalid
        self._prefetch: Prefetch[CheckedPage] = Prefetch()
        self._failure: tuple[Exception, Bookmark | None] | None = None  # to be raised behind the page delivered last
        self._running = False
        self._resumable = False  # behind a failure
        self._ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> TaskPage:
        if self._running:
            raise RuntimeError("another task waits for the next page of this walk; start a walk for each of them")
        self._running = True
        self._resumable = False
        try:
            page = await self._next_page()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            if not self._resumable:
                self._end()
            if isinstance(error, ApifyTasksError):
                error.bookmark = self.bookmark
            raise
        finally:
            self._running = False
        if page is None:
            raise StopAsyncIteration
        return page

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the walk, and wait until nothing of it is in flight any more."""
        await cancelled(self._end())

    def _end(self) -> list[asyncio.Task[CheckedPage]]:
        self._ended = True
        return self._prefetch.clear()

    async def _next_page(self) -> TaskPage | None:
        """Return the next page that holds a task; `None` at the end."""
        while not self._ended:
            self._raise_failure()
            self._fetcher.check_open()
            self._fill()
            if not self._prefetch:
                self._ended = True
                break
            task = await self._prefetch.first()
            if task is None:  # another task called aclose
                break
            try:
                page = self._deliver(self._walk.receive(self._result(task)))
            finally:
                del task  # its exception's traceback leads here: a cycle
            if page.items:
                self._fill()
                return page
        return None

    def _result(self, task: asyncio.Task[CheckedPage]) -> Slice:
        try:
            return self._fetcher.result(task, self._walk.awaited)
        except RequestTimeoutError:
            # A consumer may take it for a timeout of its own, and go on: then the page is asked for again.
            self._prefetch.clear()
            self._walk.plan_again()
            self._resumable = True
            raise
        finally:
            del task  # its exception's traceback leads here: a cycle

    def _fill(self) -> None:
        """Start what can be started, so that the next pages are on their way while the consumer works."""
        # What closes the client while a page is sorted out must not take that page away.
        while (
            not self._fetcher.closing.is_set()
            and len(self._prefetch) < self._fetcher.concurrency
            and (request := self._walk.next_request())
        ):
            self._prefetch.add(self._fetcher.start(request))

    def _deliver(self, step: Step) -> TaskPage:
        if step.restarted or self._walk.finished:
            self._prefetch.clear()
        tasks, count = self._sort_out(step)
        response = step.response
        counts = self._fetcher.counts
        counts["tasks"] += len(tasks)
        counts["reseeks"] += step.restarted
        counts["duplicates"] += len(response.items) - len(step.fresh)
        self.bookmark = step.bookmark_behind(count)
        return TaskPage(
            response.total, step.offset, response.limit, response.desc, len(tasks), tuple(tasks), self.bookmark
        )

    def _sort_out(self, step: Step) -> tuple[Sequence[Task], int]:
        """Return the tasks to deliver, and how many of the new items have been dealt with by that."""
        items = step.items
        if not step.response.invalid:
            return cast("tuple[Task, ...]", items), len(items)
        tasks = []
        for index, item in enumerate(items):
            if isinstance(item, Task):
                tasks.append(item)
                continue
            self._fetcher.counts["invalid"] += 1
            self._handle(item, step, index)
            if self._failure is not None:
                return tasks, index
        return tasks, len(items)

    def _handle(self, error: InvalidTaskError, step: Step, index: int) -> None:
        """Do as `on_invalid` says; what is raised by that, whatever it is, is raised at the place of the item."""
        if self._on_invalid == "raise":
            self._failure = error, step.bookmark_behind(index + 1)
        elif isinstance(self._on_invalid, str):  # "skip"
            logger.warning("left out: %s", error.problem)
        else:
            try:
                self._on_invalid(error)
            except Exception as failure:  # noqa: BLE001  what a foreign function raises is not ours to choose
                self._failure = failure, step.bookmark_behind(index + 1)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            failure, self.bookmark = self._failure
            self._failure = None
            try:
                raise failure
            finally:
                del failure  # its traceback leads here: a cycle


class PageFollower:
    """The pages of a list that is followed: what `TasksClient.follow_pages` returns. They never end.

    When a call of `anext` is cancelled, the next one carries on from the same place.
    """

    def __init__(
        self,
        look: Callable[[Bookmark | None], PageIterator],
        after: Bookmark | None,
        interval: float,
        closing: asyncio.Event,
    ) -> None:
        self._look = look
        self._pages = look(after)
        self._interval = interval
        self._closing = closing
        self._due: float | None = None  # when to look again; it outlives a timeout of the consumer
        self._running = False
        self._ended = asyncio.Event()

    @property
    def bookmark(self) -> Bookmark | None:
        """The place behind everything that was delivered or reported so far."""
        return self._pages.bookmark

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> TaskPage:
        if self._running:
            raise RuntimeError("another task waits for the next page of this list; follow it in each of them")
        self._running = True
        try:
            return await self._next_page()
        finally:
            self._running = False

    async def _next_page(self) -> TaskPage:
        while not self._ended.is_set():
            if self._due is not None:
                await self._wait_until(self._due)
                if self._ended.is_set():
                    break
                self._due = None
                self._pages = self._look(self._pages.bookmark)
            try:
                return await anext(self._pages)
            except StopAsyncIteration:
                pass
            except Exception as error:
                if not is_transient(error):
                    self._ended.set()
                    raise
                # As a text: whoever keeps the record would keep the error, its traceback, and with it the client.
                logger.warning("following goes on in %g s: %s", self._interval, str(error))
            self._due = asyncio.get_running_loop().time() + self._interval
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop to follow, and wait until nothing is in flight any more."""
        self._ended.set()
        await self._pages.aclose()

    async def _wait_until(self, due: float) -> None:
        # Whoever closes the client or this ends the wait.
        ends = [asyncio.ensure_future(event.wait()) for event in (self._closing, self._ended)]
        try:
            seconds = max(0.0, due - asyncio.get_running_loop().time())
            await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
