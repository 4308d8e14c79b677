"""How soon the next request may be sent: the rate limit of a client, and how refusals lower it. Pure.

In any one second at most as many requests start as the limit says, whether the server's second slides or follows the
clock. For a limit with a fraction it is the time of a whole number: 2 in 1.07 seconds are 1.875 a second. A leaky
bucket does not promise that: its burst comes on top of what drips in the same second.
"""

import math
import re
from collections import deque
from collections.abc import Callable

WINDOW = 1.04
"""Seconds that the requests of one second are spread over. More than 1, since some reach the server faster."""

RECOVERY = 5.0
"""Seconds in which the rate doubles again after a refusal halved it."""

MEMORY = 30.0
"""Seconds for which requests are remembered: a refusal may come that late."""

_NUMBER = re.compile(r"\s*(\d{1,9})", re.ASCII)


class Pace:
    """When the next request may be sent.

    Args:
        rate: Requests per second; `None`: unlimited until one is refused.
        now: Returns seconds.
    """

    def __init__(self, rate: float | None, now: Callable[[], float]) -> None:
        self._limit = math.inf if rate is None else rate
        self._server_limit: float = math.inf
        self._honours_server = rate is not None
        self._now = now
        self._sent: deque[float] = deque()
        self._slowed_at = -math.inf
        self._slowed_from = math.inf
        self._paused_until = -math.inf

    def next_allowed_at(self) -> float:
        """Return the time from which the next request may be sent."""
        rate = self._current_rate()
        # As many as a second holds, rounded up, in the time that they take at this rate.
        maximum = math.ceil(rate) if rate < math.inf else len(self._sent) + 1
        if len(self._sent) < maximum:
            return self._paused_until
        return max(self._paused_until, self._sent[-maximum] + maximum / rate * WINDOW)

    def record_request(self) -> None:
        """Record a request that is sent now."""
        now = self._now()
        self._sent.append(now)
        while self._sent[0] < now - MEMORY and len(self._sent) > 1:
            self._sent.popleft()

    def set_server_limit(self, header: str | None) -> None:
        """Record the server's limit in requests per second; the lower one applies.

        For a client without a limit it applies once the server refused a request.
        """
        number = _NUMBER.match(header or "")
        if number and int(number[1]) > 0:
            self._server_limit = int(number[1])

    def record_refusal(self, sent_at: float, pause: float) -> None:
        """Record a 429: halve the rate, and pause for the seconds that the server asked for."""
        now = self._now()
        self._paused_until = max(self._paused_until, now + pause)
        self._honours_server = True
        # Requests that were sent together halve the rate once.
        if sent_at > self._slowed_at:
            self._slowed_from = min(self._limit_in_force(), self._rate_used(sent_at))
            self._slowed_at = now

    def _rate_used(self, until: float) -> float:
        """Return the requests per second that were sent up to that moment, at least 1."""
        recent = [sent for sent in self._sent if until - 1 < sent <= until]
        return max(1, len(recent) / max(0.1, until - recent[0])) if recent else 1

    def _current_rate(self) -> float:
        doublings = (self._now() - self._slowed_at) / RECOVERY - 1
        return min(self._limit_in_force(), self._slowed_from * 2 ** min(doublings, 64))

    def _limit_in_force(self) -> float:
        return min(self._limit, self._server_limit) if self._honours_server else self._limit
