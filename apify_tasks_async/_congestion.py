"""How many requests may be in flight: all that the user allows, and fewer on a thin link. Pure.

Pages that arrive at the same time share the link. On a thin one each takes longer the more there are, until all of them
time out together.
"""

import math
from collections.abc import Callable

import attrs

CROWD = 2.5
"""If more pages arrive at once, a timeout says that they are too many; if fewer, it is the page's own."""

AT_MOST = 0.8
"""The part of the timeout in which as many pages as are in flight should arrive."""

AFTER_A_CUT = 0.5
"""The same after a timeout."""

NEWS = 0.25
"""The weight of the last page in the time that a page takes alone."""


@attrs.define(eq=False, repr=False)
class Flight:
    """A request that is in flight, or was."""

    sent_at: float
    arrives_at: float | None = None
    """When its page began to arrive; `None` if it did not."""
    link_time: float = 0.0
    """The time of the link at that moment."""
    alone: float = 0.0
    """The seconds in which its page would have arrived alone, if all that arrived beside it shared the link evenly."""
    crowded: bool = False
    """Whether it timed out since too many others arrived beside it."""


class Congestion:
    """How many requests of a client may be in flight.

    Earlier pages show how many can arrive within the timeout. A server that is slow to answer, and whose answers come
    at once, is no reason for fewer. If many time out together, the number is halved. Then each full round of pages adds
    one.

    Args:
        concurrency: The maximum.
        timeout: Seconds that a request may take.
        now: Returns seconds.
    """

    def __init__(self, concurrency: int, timeout: float, now: Callable[[], float]) -> None:
        self._concurrency = concurrency
        self._timeout = timeout
        self._now = now
        self._window = float(concurrency)
        self._cut_at = -math.inf
        self._alone = 0.0
        self._arriving = 0
        # A clock that is slower by as much as pages are arriving. What it advances meanwhile, a page takes of the link.
        self._link_time = 0.0
        self._read_at = 0.0

    @property
    def allowed(self) -> int:
        """How many requests may be in flight now."""
        # With one at a time, nobody would find out that two arrive as fast as one.
        return int(min(self._window, max(2.0, self._carried_within(AT_MOST))))

    def begin(self) -> Flight:
        """Record that a request is sent."""
        return Flight(self._now())

    def arrive(self, flight: Flight) -> None:
        """Record that the answer to a request begins to arrive."""
        if flight.arrives_at is None:
            flight.arrives_at, flight.link_time = self._now(), self._read_link_time()
            self._arriving += 1

    def end(self, flight: Flight) -> None:
        """Record that a request was answered, or that it failed."""
        if flight.arrives_at is not None:
            flight.alone = self._read_link_time() - flight.link_time
            self._arriving -= 1

    def record_page(self, flight: Flight) -> None:
        """Learn from a page that has arrived."""
        self._alone = self._alone + NEWS * (flight.alone - self._alone) if self._alone else flight.alone
        self._window = min(self._concurrency, self._window + 1 / self._window)

    def record_timeout(self, flight: Flight) -> None:
        """Allow for fewer if there were many."""
        now = self._now()
        if flight.arrives_at is None or not flight.alone or now - flight.arrives_at <= CROWD * flight.alone:
            return
        flight.crowded = True
        # What was sent before the last cut says the same once more.
        if flight.sent_at >= self._cut_at:
            arriving = (now - flight.arrives_at) / flight.alone
            self._window = max(1.0, min(self._window / 2, arriving / 2, self._carried_within(AFTER_A_CUT)))
            self._cut_at = now

    def _carried_within(self, part: float) -> float:
        """Return how many pages the link carries in a part of the timeout."""
        return part * self._timeout / self._alone if self._alone else math.inf

    def _read_link_time(self) -> float:
        now = self._now()
        if self._arriving:
            self._link_time += (now - self._read_at) / self._arriving
        self._read_at = now
        return self._link_time
