"""An event loop with a virtual clock: it serves real sockets, and jumps to the next timer instead of waiting."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from apify_tasks_async.testing import FakeApify

__all__ = ["VirtualTimeLoop", "run", "tell_time"]

T = TypeVar("T")

GRACE = 0.001
"""Seconds of real time in which data arrives at the other end of a local socket."""


TURN = 1e-6
"""Virtual seconds that a turn of the loop takes. Without them, a timer due in 1e-17 seconds would never fire."""


class _Selector(selectors.DefaultSelector):
    """Waits for sockets, but not for timers."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return the sockets that are ready. If there are none, move the clock to the next timer."""
        self.now += TURN
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        ready = super().select(GRACE)
        if not ready:
            self.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock stops while there is work to do."""

    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        """Return the virtual time."""
        return self._clock.now


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run the coroutine in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


def tell_time(api: FakeApify) -> None:
    """Let an API tell the time by the running loop. A client does so by itself."""
    api._clock = asyncio.get_running_loop().time
