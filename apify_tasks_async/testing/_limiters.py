"""Limiters: whether one more request fits into a rate. Pure."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections import deque
from typing import Final, Literal, Protocol, get_args, runtime_checkable

__all__ = ["LIMITERS", "Limiter", "LimiterKind", "make_limiter"]

LimiterKind = Literal["sliding", "fixed", "bucket", "spaced"]

LIMITERS: Final[tuple[LimiterKind, ...]] = get_args(LimiterKind)


@runtime_checkable
class Limiter(Protocol):
    """Decides which requests are accepted."""

    @abstractmethod
    def accepts(self, rate: float, now: float) -> bool:
        """Return True if another request fits into the rate, and count it if so.

        Args:
            rate: Requests per second. A fraction applies to a longer time: 0.5 is one request in two seconds.
            now: The monotonic time, in seconds.
        """


class _SlidingWindow:
    """No second holds more than the rate, wherever it begins."""

    def __init__(self) -> None:
        self._accepted: deque[float] = deque()

    def accepts(self, rate: float, now: float) -> bool:
        capacity = math.ceil(rate)
        oldest = now - capacity / rate
        while self._accepted and self._accepted[0] <= oldest:
            self._accepted.popleft()
        if len(self._accepted) >= capacity:
            return False
        self._accepted.append(now)
        return True


class _FixedWindow:
    """No second of the clock holds more than the rate. Two of them may meet in a burst of twice as many."""

    def __init__(self) -> None:
        self._window = -1
        self._count = 0

    def accepts(self, rate: float, now: float) -> bool:
        capacity = math.ceil(rate)
        window = math.floor(now * rate / capacity)
        if window != self._window:
            self._window, self._count = window, 0
        self._count += 1
        return self._count <= capacity


class _TokenBucket:
    """A second's worth may be saved up: after a quiet second as many come at once, and the rate on top of them."""

    def __init__(self) -> None:
        self._tokens = math.inf
        self._at = 0.0

    def accepts(self, rate: float, now: float) -> bool:
        self._tokens = min(math.ceil(rate), self._tokens + (now - self._at) * rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class _Spaced:
    """A leaky bucket without a burst: requests must be evenly spaced, as nginx has it with `limit_req`."""

    def __init__(self) -> None:
        self._next = -math.inf

    def accepts(self, rate: float, now: float) -> bool:
        if now < self._next:
            return False
        self._next = now + 1 / rate
        return True


_KINDS: dict[str, type[Limiter]] = {
    "sliding": _SlidingWindow,
    "fixed": _FixedWindow,
    "bucket": _TokenBucket,
    "spaced": _Spaced,
}


def make_limiter(kind: LimiterKind) -> Limiter:
    """Return a limiter of the kind, one of `LIMITERS`."""
    return _KINDS[kind]()
