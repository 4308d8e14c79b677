"""The pages of a list that is followed, as an asynchronous iterator."""

import asyncio
import logging
from collections.abc import Callable
from weakref import WeakKeyDictionary

import attrs

from apify_tasks_async._clock import Clock
from apify_tasks_async._fetch import Fetcher
from apify_tasks_async._pages import PageIterator, Pages
from apify_tasks_async._retry import is_transient
from apify_tasks_async.models import Bookmark, TaskPage

FIRST_LOOKS = 50.0
"""How many followers of an event loop begin in a second. The first one begins at once."""

JITTER = 0.1
"""By which part of the interval a wait may be shorter or longer, so that followers do not fall into step."""

PHASE = 0.5
"""The same for the first wait: followers that began together spread over the whole interval."""

_next_first_look: WeakKeyDictionary[asyncio.AbstractEventLoop, float] = WeakKeyDictionary()


@attrs.define(eq=False, repr=False)
class PageFollower(Pages):
    """The pages of a list that is followed: what `TasksClient.follow_pages` returns. They never end.

    If a call of `anext` is cancelled, the next one continues from the same place.
    """

    _look: Callable[[], PageIterator]
    _interval: float
    _fetcher: Fetcher
    _pages: PageIterator
    _clock: Clock
    _jitter: float | None = attrs.field(init=False, default=None)
    """By which part of the interval the next wait may differ; `None` before the first look."""
    _due: float | None = attrs.field(init=False, default=None)
    """When to look again. It outlives a timeout of the consumer."""
    _ended: asyncio.Event = attrs.field(init=False, factory=asyncio.Event)

    @property
    def bookmark(self) -> Bookmark | None:
        """The place after everything that was delivered or reported so far."""
        return self._pages.bookmark

    async def _next_page(self) -> TaskPage:
        self._fetcher.check_loop()  # Elsewhere, it does not end the following.
        if self._jitter is None:
            self._jitter = PHASE
            self._due = self._first_look_at()
        while not self._ended.is_set():
            if self._due is not None:
                await self._wait_until(self._due)
                if self._ended.is_set():
                    break
                self._due = None
                self._pages = self._look()
            try:
                return await anext(self._pages)
            except StopAsyncIteration:
                self._plan_next_look()
            except Exception as error:
                if not is_transient(error):
                    self._ended.set()
                    raise
                seconds = self._plan_next_look()
                # The text, not the error: a handler that keeps records would keep the error, and with it the client.
                text = f"{error}; looking again in {seconds:.3g} s"
                self._fetcher.recorder.log(logging.WARNING, text, wait=seconds)
        raise StopAsyncIteration

    def _first_look_at(self) -> float | None:
        """Return when to look first; `None`: at once."""
        loop, now = asyncio.get_running_loop(), self._clock.now()
        due = max(now, _next_first_look.get(loop, now))
        _next_first_look[loop] = due + 1 / FIRST_LOOKS
        return due if due > now else None

    def _plan_next_look(self) -> float:
        """Choose when to look again, and return in how many seconds that is."""
        jitter = self._jitter or JITTER
        seconds = self._interval * self._clock.uniform(1 - jitter, 1 + jitter)
        self._jitter = JITTER
        self._due = self._clock.now() + seconds
        return seconds

    async def aclose(self) -> None:
        """Stop following, and wait until no request is in flight."""
        self._fetcher.check_loop()
        self._ended.set()
        await self._pages.aclose()

    async def _wait_until(self, due: float) -> None:
        # Closing the client or this iterator ends the wait.
        ends = [asyncio.ensure_future(event.wait()) for event in (self._fetcher.closing, self._ended)]
        try:
            seconds = max(0.0, due - self._clock.now())
            await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
