"""How many requests may be in flight: all that the user allows, and fewer after a timeout. Pure.

Requests share the link. On a thin one each takes longer the more there are, until all of them time out together.
"""

import math
from collections.abc import Callable

import attrs

CROWD = 2.5
"""With more requests in flight, a timeout says that they are too many; with fewer, it is the request's own."""

AFTER_A_CUT = 0.5
"""The part of the timeout that requests should take after a cut."""

AT_MOST = 0.8
"""The part of the timeout that requests should take when more are tried."""

NEWS = 0.25
"""The weight of the last success in the time that a request takes alone."""


@attrs.define(eq=False)
class Flight:
    """A request that is in flight, or was."""

    sent_at: float
    began: float
    """The time of the link at that moment."""
    alone: float = 0.0
    """The seconds that it took of the link, if all in flight share it evenly."""


class Congestion:
    """How many requests of a client may be in flight.

    After a timeout they are half as many, and no more than the link carried in half of that time before. Then as many
    successes as there are requests in flight allow for one more, unless that would soon be too many again.

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
        self._alone: float | None = None  # seconds that a request takes of the link
        self._in_flight = 0
        self._link_time = 0.0  # advances by a second for each request in flight in as many seconds as there are
        self._read_at = 0.0

    @property
    def allowed(self) -> int:
        """How many requests may be in flight now."""
        return int(self._window)

    def begin(self) -> Flight:
        """Record that a request is sent."""
        began = self._read_link_time()
        self._in_flight += 1
        return Flight(self._now(), began)

    def end(self, flight: Flight) -> None:
        """Record that a request was answered, or that it failed."""
        flight.alone = self._read_link_time() - flight.began
        self._in_flight -= 1

    def record_success(self, flight: Flight) -> None:
        """Allow for more if the link has carried what was in flight."""
        news = flight.alone
        self._alone = news if self._alone is None else self._alone + NEWS * (news - self._alone)
        if self._window < self._concurrency and self._window + 1 <= self._most(AT_MOST):
            self._window = min(self._concurrency, self._window + 1 / self._window)

    def record_timeout(self, flight: Flight) -> bool:
        """Allow for fewer if there were many. Return whether there were: then another try alone may succeed."""
        seconds = self._now() - flight.sent_at
        if seconds <= CROWD * flight.alone:
            return False
        # What was sent before the last cut says the same once more.
        if flight.sent_at >= self._cut_at:
            in_flight = seconds / flight.alone
            self._window = max(1.0, min(self._window / 2, in_flight / 2, self._most(AFTER_A_CUT)))
            self._cut_at = self._now()
        return True

    def _most(self, part: float) -> float:
        """Return how many requests the link carries in a part of the timeout."""
        return part * self._timeout / self._alone if self._alone else math.inf

    def _read_link_time(self) -> float:
        now = self._now()
        if self._in_flight:
            self._link_time += (now - self._read_at) / self._in_flight
        self._read_at = now
        return self._link_time
