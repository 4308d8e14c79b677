"""Python's garbage collector, while a page is built.

A page creates thousands of objects that form no cycles. After each few hundred new objects Python looks for cycles,
now and then in the whole process: in a large program that blocks the event loop for longer than all of the page. While
the collector is paused, the count of new objects goes up by a page. It goes down again by the page before, if that is
freed before the collector goes on: so the walk by itself makes no collection due.
"""

import gc
from collections.abc import Generator
from contextlib import contextmanager

import attrs

from apify_tasks_async.models import TaskPage


@attrs.define(eq=False, repr=False)
class Collector:
    """Pauses the garbage collector while a page is built, and holds the page before until then."""

    _pauses: bool
    _held: TaskPage | None = attrs.field(init=False, default=None)

    @contextmanager
    def paused(self) -> Generator[None, None, None]:
        """Pause the collector for the block, and free the page that is held at its end."""
        pauses = self._pauses and gc.isenabled()
        if pauses:
            gc.disable()
        try:
            yield
            self.let_go()
        finally:
            if pauses:
                gc.enable()

    def hold(self, page: TaskPage) -> TaskPage:
        """Hold a page that is delivered; return it."""
        self._held = page if self._pauses else None
        return page

    def let_go(self) -> None:
        """Free the page that is held, unless somebody else holds it, too."""
        self._held = None
