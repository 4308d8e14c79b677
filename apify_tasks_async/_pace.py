"""How soon the next request may be sent: the rate limit of a client, and what refusals make of it. Pure.

Within any one second no more requests start than the limit says, whether the server's second slides or begins with the
clock's. A leaky bucket does not promise that: what it lets through at once comes on top of what drips in that second.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable

__all__ = ["RECOVERY", "WINDOW", "Pace"]

WINDOW = 1.05
"""Seconds that the requests of a second are spread over: more than one, as not all take equally long to the server."""

RECOVERY = 5.0
"""Seconds in which the rate doubles after a refusal, which has halved it."""

MEMORY = 30.0
"""Seconds for which requests are remembered, since a refusal may come that late."""

_NUMBER = re.compile(r"\s*(\d{1,9})", re.ASCII)


class Pace:
    """When the next request may be sent.

    Args:
        rate: Requests per second; `None`: unlimited, until one is refused.
        clock: Returns seconds.
    """

    def __init__(self, rate: float | None, clock: Callable[[], float]) -> None:
        self._limit = math.inf if rate is None else rate
        self._stated: float = math.inf  # by the server
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
        return max(self._paused_until, self._sent[-most] + max(1, 1 / rate) * WINDOW)

    def sent(self) -> None:
        """Take note of a request."""
        now = self._clock()
        self._sent.append(now)
        while self._sent[0] < now - MEMORY and len(self._sent) > 1:
            self._sent.popleft()

    def told(self, limit: str | None) -> None:
        """Take note of the requests per second that the server says it allows.

        They count if they are fewer than ours; for a client without a limit, once the server has refused a request.
        """
        stated = _NUMBER.match(limit or "")
        if stated and int(stated[1]) > 0:
            self._stated = int(stated[1])

    def refused(self, sent_at: float, pause: float) -> None:
        """Take note that a request was one too many, and that the server asked for a pause of so many seconds."""
        now = self._clock()
        self._paused_until = max(self._paused_until, now + pause)
        self._obeys = True
        # The rate is halved once for all that were on their way together.
        if sent_at > self._slowed_at:
            self._slowed_from = min(self._most(), self._used(sent_at))
            self._slowed_at = now

    def _used(self, until: float) -> float:
        """Return how many requests a second were sent up to that moment, at least one."""
        recent = [moment for moment in self._sent if until - 1 < moment <= until]
        return max(1, len(recent) / max(0.1, until - recent[0])) if recent else 1

    def _allowed(self) -> float:
        doublings = (self._clock() - self._slowed_at) / RECOVERY - 1
        return min(self._most(), self._slowed_from * 2 ** min(doublings, 64))

    def _most(self) -> float:
        return min(self._limit, self._stated) if self._obeys else self._limit
