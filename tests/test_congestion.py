"""How many requests are in flight: all that the user allows, and fewer where the link is thin."""

import asyncio
from typing import Any

import pytest
from helpers.support import FakeTime
from helpers.thin_link import ThinLink

from apify_tasks_async import RequestTimeoutError, RetryPolicy, TasksClient
from apify_tasks_async._congestion import Congestion, Flight
from apify_tasks_async._limiter import Slots
from apify_tasks_async.testing import FakeApify, make_task

TIMEOUT = 30.0


class Link:
    """Requests over a link, in pretended time."""

    def __init__(self, concurrency: int) -> None:
        self.time = FakeTime()
        self.congestion = Congestion(concurrency, TIMEOUT, self.time)

    def begin(self, count: int) -> list[Flight]:
        """Send requests."""
        return [self.congestion.begin() for _ in range(count)]

    def end(self, flights: list[Flight], seconds: float = 0) -> None:
        """Let the requests end after some seconds."""
        self.time.now += seconds
        for flight in flights:
            self.congestion.end(flight)

    def succeed(self, count: int, seconds: float) -> None:
        """Let so many requests succeed together."""
        flights = self.begin(count)
        self.end(flights, seconds)
        for flight in flights:
            self.congestion.record_success(flight)

    def time_out(self, count: int) -> set[bool]:
        """Let so many requests time out together, and return what their timeouts are taken for."""
        flights = self.begin(count)
        self.end(flights, TIMEOUT)
        return {self.congestion.record_timeout(flight) for flight in flights}


def test_the_share_of_each() -> None:
    """A request takes as much of the link as it would alone."""
    link = Link(8)
    first, second, third = link.begin(3)
    link.end([first], 6)
    link.end([second], 4)
    link.end([third], 1)
    link.time.now += 100
    (fourth,) = link.begin(1)
    link.end([fourth], 5)
    assert [2, 4, 5, 5] == [flight.alone for flight in (first, second, third, fourth)]


def test_a_quiet_link() -> None:
    """Successes change nothing, however long they take."""
    link = Link(8)
    link.succeed(8, 29)
    assert 8 == link.congestion.allowed


@pytest.mark.parametrize("count", [1, 2])
def test_a_timeout_of_its_own(count: int) -> None:
    """With one other request beside it, a timeout is the request's own, and so it is if it had no time at all."""
    link = Link(8)
    assert {False} == link.time_out(count)
    (flight,) = link.begin(1)
    link.end([flight])
    assert not link.congestion.record_timeout(flight)
    assert 8 == link.congestion.allowed


@pytest.mark.parametrize(("concurrency", "in_flight", "allowed"), [(16, 16, 8), (64, 16, 8), (5, 5, 2), (3, 3, 1)])
def test_a_crowd_is_halved(concurrency: int, in_flight: int, allowed: int) -> None:
    """After timeouts, half as many are in flight as were, once for all that time out together."""
    link = Link(concurrency)
    assert {True} == link.time_out(in_flight)
    assert allowed == link.congestion.allowed
    assert 1 <= link.congestion.allowed


def test_what_was_sent_before_a_cut_cuts_no_more() -> None:
    """A later timeout of an older request says the same once more; that of a newer one says more."""
    link = Link(16)
    older = link.begin(8)
    link.time.now += 10
    assert {True} == link.time_out(8)
    assert 8 == link.congestion.allowed
    link.end(older)
    assert {True} == {link.congestion.record_timeout(flight) for flight in older}
    assert 8 == link.congestion.allowed
    link.time_out(6)
    assert 3 == link.congestion.allowed


def test_as_many_as_the_link_carries() -> None:
    """What it carried before bounds how many there are after a cut, and how many there will be."""
    link = Link(64)
    link.succeed(1, 3)
    link.time_out(64)
    assert 5 == link.congestion.allowed
    for _ in range(100):
        link.succeed(link.congestion.allowed, 3 * link.congestion.allowed)
    assert 7 == link.congestion.allowed


def test_it_rises_again() -> None:
    """When the link is as fast as ever, as many are in flight as ever: one more for as many successes as there are."""
    link = Link(16)
    link.time_out(16)
    rising = []
    while link.congestion.allowed < 16:
        rising.append(link.congestion.allowed)
        link.succeed(link.congestion.allowed, 0.2)
    assert [8, 9, 10, 11, 12, 13, 14, 15] == sorted(set(rising))
    assert len(rising) <= 10


@pytest.mark.asyncio
async def test_slots_of_those_that_are_cancelled() -> None:
    """A request that is cancelled while it waits, or right after, leaves its slot to the next one."""
    slots = Slots(lambda: 1)
    ended: list[int] = []

    async def use(number: int) -> None:
        async with slots:
            ended.append(number)

    async with slots:
        calls = [asyncio.create_task(use(number)) for number in range(4)]
        await asyncio.sleep(0)
        calls[1].cancel()
    calls[0].cancel()
    await asyncio.wait(calls)
    assert [2, 3] == ended


PAGES, PAGE = 40, 100
TASKS = [make_task(number) for number in range(PAGES * PAGE)]


async def walk(bits_per_second: float, **options: Any) -> tuple[TasksClient, float, int]:
    """Walk over 40 pages on such a link; return the client, the seconds, and the requests."""
    began = asyncio.get_running_loop().time()
    async with (
        FakeApify(TASKS) as api,
        ThinLink(api.url, bits_per_second) as link,
        TasksClient(api.token, base_url=link.url, **options) as client,
    ):
        assert TASKS == await client.all_tasks(page_size=PAGE)
        return client, asyncio.get_running_loop().time() - began, len(api.requests)


@pytest.mark.virtual_time
@pytest.mark.asyncio
async def test_a_thin_link() -> None:
    """At any concurrency, pages that cannot all come in time cost one timeout, and then nothing."""
    _, ideal, _ = await walk(9_000, concurrency=1)
    assert 3.3 * PAGES < ideal < 3.9 * PAGES  # the default timeout would be over with 8 in flight, or with 9
    for concurrency in (8, 16, 64):
        client, seconds, requests = await walk(9_000, concurrency=concurrency)
        in_flight = min(concurrency, PAGES - 1)
        wasted = in_flight if in_flight > TIMEOUT / (ideal / PAGES) else 0
        assert PAGES + wasted == requests
        assert seconds < ideal + (TIMEOUT + 1 if wasted else 1)
        assert (0, wasted) == (client.stats.failures, client.stats.retries)


@pytest.mark.virtual_time
@pytest.mark.asyncio
async def test_a_thin_link_spends_nothing() -> None:
    """Timeouts among many spend neither attempts nor the budget."""
    client, _, _ = await walk(9_000, concurrency=16, retry=RetryPolicy(attempts=2, budget=0))
    assert 16 == client.stats.retries


@pytest.mark.virtual_time
@pytest.mark.asyncio
@pytest.mark.parametrize("limits", [{"attempts": 1}, {"deadline": 30}])
async def test_a_thin_link_and_no_second_try(limits: dict[str, Any]) -> None:
    """The attempts and the deadline of the policy hold on a thin link, too."""
    with pytest.raises(RequestTimeoutError, match="after 1 attempt"):
        await walk(9_000, concurrency=16, retry=RetryPolicy(**limits))
