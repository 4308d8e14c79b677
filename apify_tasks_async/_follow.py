"""The pages of a list that is followed, as an asynchronous iterator."""

import asyncio
import logging
from collections.abc import Callable

import attrs

from apify_tasks_async._pages import PageIterator, Pages
from apify_tasks_async._recorder import Recorder
from apify_tasks_async._retry import is_transient
from apify_tasks_async.models import Bookmark, TaskPage


@attrs.define(eq=False, repr=False)
class PageFollower(Pages):
    """The pages of a list that is followed: what `TasksClient.follow_pages` returns. They never end.

    If a call of `anext` is cancelled, the next one continues from the same place.
    """

    _look: Callable[[], PageIterator]
    _interval: float
    _closing: asyncio.Event
    _pages: PageIterator
    _recorder: Recorder
    _due: float | None = attrs.field(init=False, default=None)
    """When to look again. It outlives a timeout of the consumer."""
    _ended: asyncio.Event = attrs.field(init=False, factory=asyncio.Event)

    @property
    def bookmark(self) -> Bookmark | None:
        """The place after everything that was delivered or reported so far."""
        return self._pages.bookmark

    async def _next_page(self) -> TaskPage:
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
                pass
            except Exception as error:
                if not is_transient(error):
                    self._ended.set()
                    raise
                # The text, not the error: a handler that keeps records would keep the error, and with it the client.
                text = f"{error}; looking again in {self._interval:g} s"
                self._recorder.log(logging.WARNING, text, wait=self._interval)
            self._due = asyncio.get_running_loop().time() + self._interval
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Stop following, and wait until no request is in flight."""
        self._ended.set()
        await self._pages.aclose()

    async def _wait_until(self, due: float) -> None:
        # Closing the client or this iterator ends the wait.
        ends = [asyncio.ensure_future(event.wait()) for event in (self._closing, self._ended)]
        try:
            seconds = max(0.0, due - asyncio.get_running_loop().time())
            await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
