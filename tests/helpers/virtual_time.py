"""An event loop in which no second is waited for: it serves real sockets, and its clock jumps to the next timer."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from apify_tasks_async import TasksClient
from apify_tasks_async.testing import FakeApify

__all__ = ["VirtualTimeLoop", "run", "tell_time"]

T = TypeVar("T")

GRACE = 0.001
"""Seconds of real time in which what was written to a socket of this machine arrives at its other end."""


TURN = 1e-6
"""Seconds that a turn of the loop takes: in a time that stands still a timer due in 1e-17 seconds would never be."""


class _Selector(selectors.DefaultSelector):
    """Waits for sockets, but not for timers."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; if nothing is until the next timer is due, move the clock there."""
        self.now += TURN
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        ready = super().select(GRACE)
        if not ready:
            self.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose time stands still while there is anything to do."""

    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        """Return the seconds that have been skipped so far."""
        return self._clock.now


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run the coroutine in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


def tell_time(one: TasksClient | FakeApify) -> None:
    """Let a client or an API tell the time by the running loop."""
    clock = asyncio.get_running_loop().time
    if isinstance(one, FakeApify):
        one._clock = clock
    else:
        one._fetcher._retrier.clock = one._fetcher._pace._clock = clock
