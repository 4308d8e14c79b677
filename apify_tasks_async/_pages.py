"""The pages of a walk, as an asynchronous iterator."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Literal, Self, cast

import attrs

from apify_tasks_async._collector import Collector
from apify_tasks_async._fetch import Fetcher, wait_for
from apify_tasks_async._lookback import Lookback
from apify_tasks_async._outcome import unwrap
from apify_tasks_async._page import InvalidItem, Page
from apify_tasks_async._walk import News, Walk
from apify_tasks_async._window import Window
from apify_tasks_async.errors import ApifyTasksError, InvalidTaskError, RequestTimeoutError
from apify_tasks_async.models import Bookmark, Task, TaskPage

OnInvalid = Literal["raise", "skip"] | Callable[[InvalidTaskError], object]
"""What happens to an item that is not a task as documented."""


@attrs.define(eq=False, repr=False)
class Pages(ABC):
    """What both iterators over pages share: one consumer at a time, and a context manager that ends them."""

    _running: bool = attrs.field(init=False, default=False)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> TaskPage:
        if self._running:
            raise RuntimeError("another task waits for the next page; give each task an iterator of its own")
        self._running = True
        try:
            return await self._next_page()
        finally:
            self._running = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @abstractmethod
    async def aclose(self) -> None:
        """End the iteration, and wait until its requests have ended."""

    @abstractmethod
    async def _next_page(self) -> TaskPage:
        """Return the next page with a task in it; raise `StopAsyncIteration` at the end."""


@attrs.define(eq=False, repr=False)
class PageIterator(Pages):
    """The pages of one walk: what `TasksClient.iter_pages` returns.

    If a call of `anext` is cancelled, for example by a timeout, nothing is lost: the pages stay in flight, and the next
    call continues from the same place. The same holds after a `RequestTimeoutError`. If the iterator is dropped, its
    pages are cancelled.
    """

    _fetcher: Fetcher
    _walk: Walk
    _on_invalid: OnInvalid
    _lookback: Lookback | None = None
    """Of a list that is followed: what was delivered recently."""
    bookmark: Bookmark | None = attrs.field(init=False)
    """The place after everything that was delivered or reported so far."""
    _window: Window[Page | Exception] = attrs.field(init=False)
    _collector: Collector = attrs.field(init=False)
    _failure: tuple[Exception, Bookmark | None] | None = attrs.field(init=False, default=None)
    """To be raised after the page delivered last."""
    _ended: bool = attrs.field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self.bookmark = self._lookback.bookmark if self._lookback else self._walk.bookmark
        self._window = Window(self._fetcher.start)
        self._collector = Collector(self._fetcher.pause_gc)

    async def aclose(self) -> None:
        """End the walk, and wait until its requests have ended."""
        self._fetcher.check_loop()
        await wait_for(self._end())

    async def _next_page(self) -> TaskPage:
        self._fetcher.check_loop()  # Elsewhere, it does not end the walk.
        try:
            page = await self._walk_on()
        except RequestTimeoutError as error:
            # The consumer may take it for a timeout of its own, and call again. Then the page is requested again.
            self._window.clear()
            error.bookmark = self.bookmark
            raise
        except Exception as error:
            self._end()
            if isinstance(error, ApifyTasksError):
                self._fetcher.recorder.name(error).bookmark = self.bookmark
            raise
        if page is None:
            raise StopAsyncIteration
        return page

    def _end(self) -> list[asyncio.Task[Page | Exception]]:
        self._ended = True
        self._collector.let_go()
        return self._window.clear()

    async def _walk_on(self) -> TaskPage | None:
        """Return the next page with a task in it; `None` at the end."""
        self._fetcher.prepare(self._walk.pages_foreseen)
        while not self._ended:
            unwrap(self._take_failure())
            self._fetcher.check_usable()
            self._fill()
            if not self._window:
                self._end()
                break
            await self._window.wait()
            if not self._window:  # Another task called aclose.
                break
            page = self._deliver(unwrap(self._first_outcome()))
            self._fill()
            if page.items:
                return self._collector.hold(page)
        return None

    def _fill(self) -> None:
        """Start what can be started, so that the next pages are on their way while the consumer works."""
        # If on_invalid closed the client, the page that it was called for must still be delivered.
        if not self._fetcher.closing.is_set():
            self._window.follow(self._walk.requests(self._fetcher.concurrency))

    def _first_outcome(self) -> Page | Exception:
        return self._fetcher.outcome(*self._window.pop())

    def _take_failure(self) -> Exception | None:
        if self._failure is None:
            return None
        (failure, self.bookmark), self._failure = self._failure, None
        return failure

    def _deliver(self, page: Page) -> TaskPage:
        """Return the new tasks of a page."""
        reseeks, desc, warned = self._walk.reseeks, self._walk.desc, self._walk.warning
        with self._collector.paused():
            page.build()
        self._fetcher.expected = page.total if page.is_as_asked else None
        news = self._walk.receive(page)
        if self._walk.warning and not warned:
            self._fetcher.recorder.record_incomplete(self._walk.warning)
        numbers, duplicates = self._choose(page, news)
        tasks, self.bookmark = self._sort_out(page, news, numbers)
        self._fetcher.recorder.record_delivery(
            tasks=len(tasks), duplicates=duplicates, reseeks=self._walk.reseeks - reseeks
        )
        offset = page.position(news.indices[0] if news.indices else 0, desc=desc)
        return page.deliver(tasks, offset=offset, desc=desc, bookmark=self.bookmark)

    def _choose(self, page: Page, news: News) -> tuple[Sequence[int], int]:
        """Return which of the new entries to deliver, and how many entries were delivered before."""
        if self._lookback is None:
            return range(len(news.indices)), len(page.entries) - len(news.indices)
        numbers = [number for number in range(len(news.indices)) if self._lookback.is_new(*news.identify(number))]
        return numbers, len(news.indices) - len(numbers)

    def _sort_out(self, page: Page, news: News, numbers: Sequence[int]) -> tuple[list[Task], Bookmark | None]:
        """Return the tasks to deliver, and the bookmark after them."""
        shown = page.entries
        indices = news.indices if self._lookback is None else [news.indices[number] for number in numbers]
        entries = [shown[index] for index in indices]
        if self._lookback is None and {Task}.issuperset(map(type, entries)):
            return cast("list[Task]", entries), news.bookmark_after(len(entries))
        tasks = []
        bookmark = self._bookmark_after(news, 0)
        for number, entry in zip(numbers, entries, strict=True):
            place = page.position(news.indices[number], desc=self._walk.desc)
            if self._lookback is not None:
                self._lookback.deliver(*news.identify(number), place)
            if isinstance(entry, Task):
                tasks.append(entry)
            else:
                self._handle(entry, place, self._bookmark_after(news, number + 1))
                if self._failure is not None:
                    break
            bookmark = self._bookmark_after(news, number + 1)
        return tasks, bookmark

    def _bookmark_after(self, news: News, count: int) -> Bookmark | None:
        return news.bookmark_after(count) if self._lookback is None else self._lookback.bookmark

    def _handle(self, item: InvalidItem, place: int, bookmark: Bookmark | None) -> None:
        """Do as `on_invalid` says. An error that is to be raised in the place of the item becomes the failure."""
        self._fetcher.recorder.record_delivery(tasks=0, invalid=1)
        if self._on_invalid == "skip":
            self._fetcher.recorder.log(logging.WARNING, f"left out: {item.problem}", offset=place)
            return
        error = self._fetcher.recorder.name(item.error)
        # A page from the other end of the list counts its offsets from there.
        error.offset, error.desc = place, self._walk.desc
        if isinstance(self._on_invalid, str):  # "raise"
            self._failure = error, bookmark
        else:
            try:
                self._on_invalid(error)
            except StopAsyncIteration:  # It would end the walk in silence.
                self._failure = RuntimeError("on_invalid raised StopAsyncIteration"), bookmark
            except Exception as failure:  # noqa: BLE001 - a foreign function may raise anything
                self._failure = failure, bookmark
