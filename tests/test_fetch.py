"""Pages as they are fetched: how the requests of a client share their pace. The time is the test's own."""

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from typing import Any, cast

import attrs
import pytest

from apify_tasks_async import ApifyTasksError, RateLimitedError, RetryPolicy
from apify_tasks_async._clock import Clock
from apify_tasks_async._congestion import Congestion
from apify_tasks_async._limiter import Limiter
from apify_tasks_async._pace import Pace
from apify_tasks_async._page import Page, PageRequest
from apify_tasks_async._recorder import Recorder
from apify_tasks_async._refusal import Response
from apify_tasks_async._retry import RetryLoop
from apify_tasks_async._secret import Redactor
from apify_tasks_async._transport import Transport

pytestmark = pytest.mark.asyncio

PAGE = Response(200, {}, b'{"data":{"total":0,"offset":0,"limit":1,"desc":false,"count":0,"items":[]}}')
REFUSAL = Response(429, {}, b"")


@attrs.define
class Time:
    """A clock that goes on, to where the next sleeper wants to be woken, whenever there is nothing else to do."""

    now: float = 0.0
    sleepers: list[tuple[float, asyncio.Event]] = attrs.field(factory=list)

    async def sleep(self, seconds: float) -> None:
        """Sleep, as `asyncio.sleep` does."""
        woken = asyncio.Event()
        self.sleepers.append((self.now + seconds, woken))
        await woken.wait()

    async def run(self, *work: Coroutine[Any, Any, Any]) -> list[Any]:
        """Return what the coroutines return, or raise."""
        everything = asyncio.gather(*work, return_exceptions=True)
        while not everything.done():
            for _ in range(50):
                await asyncio.sleep(0)
            if self.sleepers:
                self.sleepers.sort(key=lambda sleeper: sleeper[0])
                self.now, woken = self.sleepers.pop(0)
                woken.set()
        return await everything


class Server:
    """Answers each request after a tenth of a second, and notes when it came."""

    def __init__(self, time: Time, answer: Callable[[int], Response]) -> None:
        self._time = time
        self._answer = answer
        self.requests: list[tuple[float, int]] = []

    async def get(self, request: PageRequest, *_: object) -> Response:
        """Return the answer to a request that has the number of the page for its offset."""
        self.requests.append((self._time.now, request.offset))
        await self._time.sleep(0.1)
        return self._answer(request.offset)

    def count(self, start: float, end: float) -> int:
        """Return how many requests came from the start on, and before the end."""
        return sum(start <= at < end for at, _ in self.requests)


async def fetch(
    server: Server,
    time: Time,
    pages: int,
    *,
    policy: RetryPolicy = RetryPolicy(),  # noqa: B008 - immutable
    concurrency: int = 8,
    rate_limit: float | None = 60,
) -> list[Page | ApifyTasksError]:
    """Fetch so many pages at once."""
    clock = Clock(now=lambda: time.now, sleep=time.sleep, uniform=lambda low, _: low)
    loop = RetryLoop(
        cast("Transport", server),
        policy,
        timeout=30,
        limiter=Limiter(Congestion(concurrency, 30, clock.now), Pace(rate_limit, clock.now), clock),
        recorder=Recorder(None),
        redactor=Redactor("token"),
        clock=clock,
    )
    return await time.run(*(loop.fetch(PageRequest(offset, 1, desc=False)) for offset in range(pages)))


async def test_all_pages_of_a_client_share_its_rate() -> None:
    """However many pages want to be fetched, no second sees more of them than the limit allows, nor many fewer."""
    time = Time()
    server = Server(time, lambda _: PAGE)
    await fetch(server, time, 200)

    assert 200 == len(server.requests)
    assert 60 >= max(server.count(at, at + 1) for at, _ in server.requests)
    assert 200 / 60 * 1.1 >= time.now


async def test_the_limit_that_the_server_states_counts() -> None:
    """From the first answer on, the client sends as few requests a second as the server says that it takes."""
    time = Time()
    server = Server(time, lambda _: attrs.evolve(PAGE, headers={"X-RateLimit-Limit": "10"}))
    await fetch(server, time, 50, concurrency=4)

    assert 10 >= max(server.count(at, at + 1) for at, _ in server.requests)


async def test_all_pages_are_spaced_after_a_refusal() -> None:
    """After one request was refused, all of the client's are evenly spaced, at the limit."""
    time = Time()
    refused: list[int] = []

    def answer(number: int) -> Response:
        if time.now < 2 or refused:
            return PAGE
        refused.append(number)
        return REFUSAL

    server = Server(time, answer)
    await fetch(server, time, 600)

    def longest_gap(start: float, end: float) -> float:
        moments = [at for at, _ in server.requests if start <= at < end]
        return max(later - earlier for earlier, later in itertools.pairwise(moments))

    assert (60, True) == (server.count(1, 2), longest_gap(1, 2) > 0.1)
    assert 0.08 > longest_gap(5, 9)
    assert 6 * 54 <= server.count(3, 9)


async def test_refusals_spend_neither_attempts_nor_the_budget() -> None:
    """A 429 means later: a page that is refused more often than it has attempts arrives, and the deadline bounds it."""
    time = Time()
    refusals = iter([REFUSAL] * 7)
    server = Server(time, lambda _: next(refusals, PAGE))
    results = await fetch(server, time, 1, policy=RetryPolicy(attempts=2, budget=0))
    assert [Page] == [type(result) for result in results]

    time = Time()
    server = Server(time, lambda _: REFUSAL)
    (error,) = await fetch(server, time, 1, policy=RetryPolicy(deadline=20, base_delay=0))
    assert isinstance(error, RateLimitedError)
    assert 15 < time.now <= 22


async def test_one_attempt_means_no_second_try() -> None:
    """Even a 429 is not tried again with `attempts=1`."""
    time = Time()
    server = Server(time, lambda _: REFUSAL)
    await fetch(server, time, 1, policy=RetryPolicy(attempts=1))
    assert 1 == len(server.requests)


async def test_a_gateway_that_refuses_with_503_slows_all_pages() -> None:
    """After a 503 with a `Retry-After` only its request waits for as long; the others go on, at a pace."""
    time = Time()
    unavailable = Response(503, {"Retry-After": "3"}, b"")
    answers = iter([PAGE] * 20 + [unavailable] * 2)
    server = Server(time, lambda _: next(answers, PAGE))
    results = await fetch(server, time, 100, rate_limit=None)

    assert {Page} == {type(result) for result in results}
    first, last = [at for at, number in server.requests if number == 20]
    assert last - first > 3
    others = [at for at, _ in server.requests if first + 0.11 < at < first + 3]
    assert 42 == len(others)
    assert 0 < min(later - earlier for earlier, later in itertools.pairwise(others))


async def test_all_pages_wait_when_the_server_asks_one_to() -> None:
    """A refusal with a `Retry-After` stops all requests of the client for as long, but for those on their way."""
    time = Time()
    answers = iter([PAGE] * 20 + [attrs.evolve(REFUSAL, headers={"Retry-After": "3"})])
    server = Server(time, lambda _: next(answers, PAGE))
    await fetch(server, time, 100, rate_limit=None)

    first, last = [at for at, number in server.requests if number == 20]
    assert (0, True) == (server.count(first + 0.11, first + 3.05), last - first > 3.05)


async def test_nobody_waits_for_what_is_not_tried_again() -> None:
    """A `Retry-After` beyond the deadline fails its own request, and leaves the others alone."""
    time = Time()
    answers = iter([PAGE, attrs.evolve(REFUSAL, headers={"Retry-After": "1000"})])
    server = Server(time, lambda _: next(answers, PAGE))
    results = await fetch(server, time, 50)

    assert [RateLimitedError] == [type(result) for result in results if isinstance(result, Exception)]
    assert (50, True) == (len(server.requests), time.now < 4)


@pytest.mark.parametrize("policy", [RetryPolicy(attempts=1), RetryPolicy(budget=0)], ids=["attempts", "budget"])
async def test_all_wait_for_what_was_asked_of_one_that_gave_up(policy: RetryPolicy) -> None:
    """The last attempt at a page may be the one from which the others learn how long to wait."""
    time = Time()
    answers = iter([attrs.evolve(REFUSAL, headers={"Retry-After": "3"})])
    server = Server(time, lambda _: next(answers, PAGE))
    await fetch(server, time, 20, policy=policy)

    assert (8, 0) == (server.count(0, 0.05), server.count(0.15, 3.05))


async def test_a_refusal_holds_back_what_waits_for_its_turn() -> None:
    """A request that is about to be sent waits on if another one is refused meanwhile."""
    time = Time()
    answers = iter([attrs.evolve(REFUSAL, headers={"Retry-After": "20"})])
    server = Server(time, lambda _: next(answers, PAGE))
    await fetch(server, time, 2, rate_limit=0.1)

    (at, number), (later, other) = server.requests[:2]
    assert (0, 0, 1) == (at, number, other)
    assert pytest.approx(20.1) == later
