"""Walks of several processes against one limiter, in simulated time: the pace decides when each request is sent."""

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

import attrs

from apify_tasks_async._pace import Pace
from apify_tasks_async.testing._limiters import LimiterKind, make_limiter

__all__ = ["Outcome", "simulate"]

BASE_DELAY = 0.5
"""Seconds: that of the default retry policy."""


@attrs.frozen
class Outcome:
    """What the walks cost."""

    ends: Sequence[float]
    """When each process was done."""

    ideal: float
    """Seconds that a client which knows the limit needs for all of them."""

    sent: int
    refused: int


@attrs.define(eq=False)
class Walker:
    """A process that walks over a list: it may have so many pages in flight, counted from the first that is missing."""

    pages: int
    in_flight: int
    pace: Pace
    queue: deque[tuple[int, int]] = attrs.field(factory=deque)
    """The pages to request, and how often each was refused."""
    sending: int = 0
    next: int = 0
    missing: set[int] = attrs.field(init=False)
    end: float | None = None

    def __attrs_post_init__(self) -> None:
        self.missing = set(range(self.pages))

    def plan(self) -> None:
        """Queue the pages that may be requested now: one at first, since it brings the total."""
        head = min(self.missing, default=self.pages)
        while self.next < min(self.pages, head + (self.in_flight if head else 1)):
            self.queue.append((self.next, 0))
            self.next += 1


class Simulation:
    """A heap of events."""

    def __init__(self, kind: LimiterKind, limit: float, latency: float, seed: int) -> None:
        self.now = 100.0
        self.sent = self.refused = 0
        self._limiter, self._limit, self._latency = make_limiter(kind), limit, latency
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self.random = random.Random(seed)

    def at(self, moment: float, event: Callable[[], None]) -> None:
        """Plan an event."""
        heapq.heappush(self._events, (moment, next(self._numbers), event))

    def run(self) -> None:
        """Let everything happen."""
        while self._events:
            self.now, _, event = heapq.heappop(self._events)
            event()

    def send(self, walker: Walker) -> None:
        """Send what the pace and the slots allow now, and come back for the rest."""
        while walker.queue and walker.sending < walker.in_flight:
            allowed_at = walker.pace.next_allowed_at()
            if allowed_at > self.now:
                self.at(allowed_at, lambda: self.send(walker))
                return
            page, refusals = walker.queue.popleft()
            walker.pace.record_request()
            walker.sending += 1
            self.sent += 1
            half, sent_at = self._latency / 2, self.now
            # They arrive almost as evenly as they were sent.
            arrival = self.now + half + self.random.uniform(0, 0.002)
            self.at(arrival, lambda p=page, r=refusals, s=sent_at: self._arrive(walker, p, r, s))  # type: ignore[misc]

    def _arrive(self, walker: Walker, page: int, refusals: int, sent_at: float) -> None:
        accepted = self._limiter.accepts(self._limit, self.now)
        self.at(self.now + self._latency / 2, lambda: self._answer(walker, page, refusals, sent_at, accepted=accepted))

    def _answer(self, walker: Walker, page: int, refusals: int, sent_at: float, *, accepted: bool) -> None:
        walker.sending -= 1
        if accepted:
            walker.pace.record_acceptance()
            walker.missing.remove(page)
            walker.end = self.now
            walker.plan()
        else:
            self.refused += 1
            walker.pace.record_refusal(sent_at, 0)
            low = BASE_DELAY * 2 ** max(0, min(refusals, walker.pace.refusals_in_a_row - 1))
            self.at(self.now + self.random.uniform(low, 2 * low), lambda: self._again(walker, page, refusals + 1))
        self.send(walker)

    def _again(self, walker: Walker, page: int, refusals: int) -> None:
        walker.queue.append((page, refusals))
        self.send(walker)


def simulate(
    kind: LimiterKind,
    limit: float,
    *,
    pages: int,
    processes: int = 1,
    in_flight: int = 8,
    latency: float = 0.1,
    rate_limit: float | None = 60,
    apart: float = 0.0,
    seed: int = 1,
) -> Outcome:
    """Let each process walk over so many pages. They start within `apart` seconds."""
    simulation = Simulation(kind, limit, latency, seed)
    walkers = [Walker(pages, in_flight, Pace(rate_limit, lambda: simulation.now)) for _ in range(processes)]
    for walker in walkers:
        walker.plan()
        simulation.at(100.0 + simulation.random.uniform(0, apart), partial(simulation.send, walker))
    simulation.run()
    ends = [walker.end - 100.0 for walker in walkers if walker.end is not None and not walker.missing]
    ideal = max(processes * pages / limit, pages * latency / in_flight)
    return Outcome(ends, ideal, simulation.sent, simulation.refused)
