"""For how long an event loop does nothing but one thing."""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable

__all__ = ["Watch"]


class Watch(selectors.DefaultSelector):
    """What an event loop waits with. It notes the longest time that the loop stayed away from it: the longest block.

    A task that looks at the clock at each of its turns would never let the loop wait, and so change which responses
    are there at once; one that sleeps between them would measure its own timer. This does neither.

    Attributes:
        longest: The longest block so far, in the clock's unit. Set it to 0 to begin anew.
    """

    def __init__(self, clock: Callable[[], float] = time.thread_time) -> None:
        # By default the CPU time of the thread, so that what else the machine does is not taken for a block.
        super().__init__()
        self.longest = 0.0
        self._clock = clock
        self._left = clock()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait, as the event loop does between two rounds of callbacks."""
        self.longest = max(self.longest, self._clock() - self._left)
        try:
            return super().select(timeout)
        finally:
            self._left = self._clock()
