"""How soon the next request may be sent: the rate limit of a client, and what refusals make of it. Pure.

Within any one second no more requests start than the limit says, whether the server's second slides or begins with the
clock's. A leaky bucket does not promise that: what it lets through at once comes on top of what drips in that second.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable

__all__ = ["MARGIN", "RECOVERY", "Pace"]

MARGIN = 0.05
"""How much more than a second the requests of a second are spread over, as not all take equally long to the server."""

RECOVERY = 5.0
"""Seconds in which the rate doubles after a refusal, which has halved it."""

_NUMBER = re.compile(r"\s*(\d{1,9}(\.\d{1,9})?)", re.ASCII)


class Pace:
    """When the next request may be sent.

    Args:
        rate: Requests per second; `None`: unlimited, until one is refused.
        clock: Returns seconds.
    """

    def __init__(self, rate: float | None, clock: Callable[[], float]) -> None:
        self._limit = math.inf if rate is None else rate
        self._stated = math.inf  # by the server
        self._obeys = rate is not None
        self._clock = clock
        self._sent: deque[float] = deque()
        self._slowed_at = -math.inf
        self._slowed_from = math.inf
        self._paused_until = -math.inf

    def next_at(self) -> float:
        """Return the clock's time from which on the next request may be sent."""
        rate = self._allowed()
        # As many requests as a second may hold; if that is less than one, then one in as long as it takes.
        most = math.floor(max(1, rate)) if rate < math.inf else len(self._sent) + 1
        if len(self._sent) < most:
            return self._paused_until
        return max(self._paused_until, self._sent[-most] + max(1, 1 / rate) * (1 + MARGIN))

    def sent(self) -> None:
        """Take note of a request."""
        now = self._clock()
        self._sent.append(now)
        while self._sent[0] < now - (1 + MARGIN) and len(self._sent) > 1:
            self._sent.popleft()

    def told(self, limit: str | None) -> None:
        """Take note of the requests per second that the server says it allows.

        They count if they are fewer than ours; for a client without a limit, once the server has refused a request.
        """
        stated = _NUMBER.match(limit or "")
        if stated and float(stated[1]) > 0:
            self._stated = float(stated[1])

    def refused(self, sent_at: float, pause: float) -> None:
        """Take note that a request was one too many, and that the server asked for a pause of so many seconds."""
        now = self._clock()
        self._paused_until = max(self._paused_until, now + pause)
        self._obeys = True
        # The rate is halved once for all that were on their way together.
        if sent_at > self._slowed_at:
            self._slowed_from = min(self._most(), self._used(now))
            self._slowed_at = now

    def _used(self, now: float) -> float:
        """Return how many requests a second were sent of late, at least one."""
        recent = [moment for moment in self._sent if moment > now - 1]
        return max(1, len(recent) / max(0.1, now - recent[0])) if recent else 1

    def _allowed(self) -> float:
        doublings = (self._clock() - self._slowed_at) / RECOVERY - 1
        return min(self._most(), self._slowed_from * 2 ** min(doublings, 64))

    def _most(self) -> float:
        return min(self._limit, self._stated) if self._obeys else self._limit
