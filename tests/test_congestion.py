"""How many requests are in flight: all that the user allows, and fewer where the link is thin."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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

    def begin(self, count: int, *, wait: float = 0) -> list[Flight]:
        """Send requests. Their pages begin to arrive after a wait."""
        flights = [self.congestion.begin() for _ in range(count)]
        self.time.now += wait
        for flight in flights:
            self.congestion.arrive(flight)
        return flights

    def end(self, flights: list[Flight], seconds: float = 0) -> None:
        """Let the requests end after some seconds."""
        self.time.now += seconds
        for flight in flights:
            self.congestion.end(flight)

    def succeed(self, count: int, seconds: float, *, wait: float = 0) -> None:
        """Let so many pages arrive together, within so many seconds."""
        flights = self.begin(count, wait=wait)
        self.end(flights, seconds)
        for flight in flights:
            self.congestion.record_page(flight)

    def time_out(self, flights: list[Flight], seconds: float = TIMEOUT) -> set[bool]:
        """Let the requests time out together, and return what their timeouts are taken for."""
        self.end(flights, seconds)
        for flight in flights:
            self.congestion.record_timeout(flight)
        return {flight.crowded for flight in flights}


def test_the_share_of_each() -> None:
    """A page takes as much of the link as it would alone."""
    link = Link(8)
    first, second, third = link.begin(3, wait=5)
    link.end([first], 6)
    link.end([second], 4)
    link.congestion.arrive(third)  # The same request, sent again.
    link.end([third], 1)
    link.time.now += 100
    (fourth,) = link.begin(1)
    link.end([fourth], 5)
    assert [2, 4, 5, 5] == [flight.alone for flight in (first, second, third, fourth)]


def test_a_quick_link_is_no_limit() -> None:
    """However long the server takes to answer, and however many answers come at once."""
    link = Link(64)
    link.succeed(1, 0, wait=29)
    assert 64 == link.congestion.allowed
    link.succeed(64, 20)
    assert 64 == link.congestion.allowed


@pytest.mark.parametrize(("alone", "allowed"), [(0.3, 64), (1, 24), (3, 8), (11, 2), (29, 2)])
def test_the_first_page_tells_of_the_link(alone: float, allowed: int) -> None:
    """No more pages are in flight than it carries in time, if they share it; two at least, to find that out."""
    link = Link(64)
    link.succeed(1, alone)
    assert allowed == link.congestion.allowed


def test_a_server_whose_pages_come_slowly() -> None:
    """If two arrive as fast as one, the link is not what is slow, and soon all are in flight."""
    link = Link(8)
    rounds = 0
    while link.congestion.allowed < 8:
        link.succeed(link.congestion.allowed if rounds else 1, 10)
        rounds += 1
        assert rounds < 5


def test_a_timeout_of_its_own() -> None:
    """A timeout is the page's own if only one arrived beside it, if nothing arrived, or if it had no time at all."""
    link = Link(8)
    assert {False} == link.time_out(link.begin(1))
    assert {False} == link.time_out(link.begin(2))
    assert {False} == link.time_out(link.begin(3), seconds=0)
    at_once = link.begin(3)
    link.end(at_once)
    link.time.now += TIMEOUT
    for flight in at_once:
        link.congestion.record_timeout(flight)
    assert {False} == {flight.crowded for flight in at_once}
    silent = [link.congestion.begin() for _ in range(8)]
    assert {False} == link.time_out(silent)
    assert 8 == link.congestion.allowed


@pytest.mark.parametrize(("concurrency", "in_flight", "allowed"), [(16, 16, 8), (64, 16, 8), (5, 5, 2), (3, 3, 1)])
def test_a_crowd_is_halved(concurrency: int, in_flight: int, allowed: int) -> None:
    """After timeouts, half as many are in flight as were, once for all that time out together."""
    link = Link(concurrency)
    assert {True} == link.time_out(link.begin(in_flight))
    assert allowed == link.congestion.allowed
    for _ in range(5):
        link.time_out(link.begin(8))
    assert 1 == link.congestion.allowed


def test_what_was_sent_before_a_cut_cuts_no_more() -> None:
    """A later timeout of an older request says the same once more; that of a newer one says more."""
    link = Link(16)
    older = link.begin(8)
    link.time.now += 10
    assert {True} == link.time_out(link.begin(8))
    assert 8 == link.congestion.allowed
    assert {True} == link.time_out(older, seconds=0)
    assert 8 == link.congestion.allowed
    link.time_out(link.begin(6))
    assert 3 == link.congestion.allowed


def test_what_the_link_carried_bounds_a_cut() -> None:
    """After a timeout, no more are in flight than the link carried in half of that time."""
    link = Link(64)
    link.succeed(1, 3)
    link.time_out(link.begin(64))
    assert 5 == link.congestion.allowed
    for _ in range(20):
        link.succeed(link.congestion.allowed, 3 * link.congestion.allowed)
    assert 8 == link.congestion.allowed


def test_it_rises_again() -> None:
    """When the link is as fast as ever, one more is in flight for as many successes as there are."""
    link = Link(16)
    link.time_out(link.begin(16))
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


@asynccontextmanager
async def thin_link(**options: Any) -> AsyncIterator[tuple[FakeApify, TasksClient]]:
    """Give an API and its client, with a link between them over which a page takes some three and a half seconds."""
    async with (
        FakeApify(TASKS) as api,
        ThinLink(api.url, 9_000) as link,
        TasksClient(api.token, base_url=link.url, **options) as client,
    ):
        yield api, client


@pytest.mark.virtual_time
@pytest.mark.asyncio
async def test_a_walk_over_a_thin_link() -> None:
    """It takes as long at any concurrency, and each page is asked for once.

    Takes some seconds, since the link passes on thousands of pieces.
    """
    loop = asyncio.get_running_loop()
    seconds: dict[int, float] = {}
    for concurrency in (1, 16, 64):
        async with thin_link(concurrency=concurrency) as (api, client):
            began = loop.time()
            assert TASKS == await client.all_tasks(page_size=PAGE)
            seconds[concurrency] = loop.time() - began
        assert PAGES == len(api.requests)
    assert 3.3 * PAGES < seconds[1] < 3.9 * PAGES
    assert [seconds[1]] * 2 == [pytest.approx(seconds[concurrency], rel=0.02) for concurrency in (16, 64)]


@pytest.mark.virtual_time
@pytest.mark.asyncio
async def test_pages_that_time_out_together() -> None:
    """If nothing was known of the link, they time out once, and spend neither attempts nor the budget.

    Takes over a second, since the link passes on thousands of pieces.
    """
    retry = RetryPolicy(attempts=2, budget=0)
    async with thin_link(concurrency=16, retry=retry) as (api, client):
        pages = await asyncio.gather(*(client.list_tasks(offset=n * PAGE, limit=PAGE) for n in range(16)))
        assert TASKS[: 16 * PAGE] == [task for page in pages for task in page]
        assert (0, 16) == (client.stats.failures, client.stats.retries)
        assert TASKS == await client.all_tasks(page_size=PAGE)
        assert 16 + 16 + PAGES == len(api.requests)


@pytest.mark.virtual_time
@pytest.mark.asyncio
@pytest.mark.parametrize("limits", [{"attempts": 1}, {"deadline": 30}])
async def test_no_second_try(limits: dict[str, Any]) -> None:
    """The attempts and the deadline of the policy hold on a thin link, too."""
    async with thin_link(concurrency=16, retry=RetryPolicy(**limits)) as (_, client):
        asked = (client.list_tasks(offset=n * PAGE, limit=PAGE) for n in range(16))
        errors = await asyncio.gather(*asked, return_exceptions=True)
    assert {RequestTimeoutError} == {type(error) for error in errors}
    assert (16, 0) == (client.stats.failures, client.stats.retries)
