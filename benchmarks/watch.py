"""Measure how long an event loop is blocked."""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable

__all__ = ["Watch"]


class Watch(selectors.DefaultSelector):
    """A selector that records the longest time between two waits of its event loop: the longest block.

    A task that read the clock in each turn would keep the loop from waiting, and so change which responses arrive
    together. A task that sleeps would measure its own timer.

    Attributes:
        longest: The longest block so far, in the clock's unit. Set it to 0 to start again.
    """

    def __init__(self, clock: Callable[[], float] = time.thread_time) -> None:
        # By default the CPU time of the thread, so that other processes do not count as blocks.
        super().__init__()
        self.longest = 0.0
        self._clock = clock
        self._left = clock()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for sockets, between two rounds of callbacks."""
        self.longest = max(self.longest, self._clock() - self._left)
        try:
            return super().select(timeout)
        finally:
            self._left = self._clock()
