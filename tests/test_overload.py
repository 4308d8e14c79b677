"""What an outage and a rate limit do to the real client: counted on the wire, in virtual time."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from helpers import virtual_time
from helpers.overload import PAGE, Load, busiest_second, outage, paced

from apify_tasks_async import (
    ApifyTasksError,
    InvalidResponseError,
    RateLimitedError,
    RequestTimeoutError,
    ServerError,
    TasksClient,
    TransportError,
)
from apify_tasks_async.testing import Disconnect, FakeApify, Fault, Hang, MalformedJson, Status, TruncatedBody

LATENCY = 0.1
"""Seconds before every answer."""


@asynccontextmanager
async def server_and_client(
    *, tasks: int = 1000, server_limit: float | None = None, **options: Any
) -> AsyncIterator[tuple[FakeApify, TasksClient]]:
    """Run an API whose clock is that of the loop, and a client of it."""
    api = FakeApify(tasks=tasks, latency=LATENCY, rate_limit=server_limit)
    virtual_time.tell_time(api)
    async with api, TasksClient(api.token, base_url=api.url, **options) as client:
        virtual_time.tell_time(client)
        yield api, client


OUTAGES: dict[str, tuple[Fault, type[ApifyTasksError]]] = {
    "503": (Status(503), ServerError),
    "disconnect": (Disconnect(), TransportError),
    "truncated": (TruncatedBody(), TransportError),
    "malformed": (MalformedJson(), InvalidResponseError),
    "hang": (Hang(), RequestTimeoutError),
}


@pytest.mark.parametrize(("fault", "error"), OUTAGES.values(), ids=OUTAGES)
def test_an_outage_does_not_multiply_the_load(fault: Fault, error: type[ApifyTasksError]) -> None:
    """100 pages make 125 requests while nothing succeeds, and 100 as soon as the API is back, as fast as before."""

    async def walk() -> tuple[Load, Load, Load]:
        async with server_and_client(rate_limit=None) as (api, client):
            return await outage(api, client, fault)

    before, during, after = virtual_time.run(walk())
    assert [100, 125, 100] == [len(load.requests) for load in (before, during, after)]
    assert [0, 100, 0] == [len(load.failed) for load in (before, during, after)]
    assert {error} == {type(failure) for failure in during.failed}
    assert before.seconds == pytest.approx(after.seconds, rel=0.01)


async def walk_all(pages: int, **settings: Any) -> Load:
    """Return what one walk over so many pages takes."""
    async with server_and_client(tasks=pages * PAGE, **settings) as (api, client):
        return await paced(api, client)


@pytest.mark.parametrize("concurrency", [8, 32])
@pytest.mark.parametrize(
    ("server_limit", "rate_limit"), [(60, 60), (60, 120), (10, 60)], ids=["known", "told", "told of few"]
)
def test_a_server_that_says_its_limit_refuses_nothing(server_limit: int, rate_limit: int, concurrency: int) -> None:
    """The client keeps to the lower one of its own limit and the server's, and makes use of it."""
    load = virtual_time.run(walk_all(200, server_limit=server_limit, rate_limit=rate_limit, concurrency=concurrency))
    assert ([], 0, 200) == (load.failed, load.refused, len(load.requests))
    assert server_limit >= busiest_second(load.requests)
    assert load.seconds <= 1.15 * 200 / server_limit


def test_no_second_holds_more_requests_than_the_rate_limit() -> None:
    """Even if the server would take them."""
    load = virtual_time.run(walk_all(200, rate_limit=30))
    assert 30 == busiest_second(load.requests)


def test_a_client_without_a_limit_finds_the_servers() -> None:
    """It is refused now and then, slows down, and comes to the end of its walk."""
    load = virtual_time.run(walk_all(200, server_limit=60, rate_limit=None))
    assert [] == load.failed
    assert 0 < load.refused < 0.05 * len(load.requests)
    assert load.seconds <= 1.6 * 200 / 60


async def walk_and_refuse(refusal: Status) -> tuple[Load, list[float]]:
    """Walk over 800 pages, of which one is refused once; return also when the later requests came after the refusal."""
    async with server_and_client(tasks=800 * PAGE) as (api, client):
        api.fail(refusal, offset=200 * PAGE)
        load = await paced(api, client)
    answered = next(request.at for request in load.requests if request.offset == 200 * PAGE) + LATENCY
    return load, [request.at - answered for request in load.requests if request.at > answered]


def test_a_refusal_slows_all_pages_down() -> None:
    """The rate of the client is about half of what it was, and comes back within some seconds."""
    load, after = virtual_time.run(walk_and_refuse(Status(429)))
    per_second = Counter(map(int, after))
    assert ([], 1) == (load.failed, load.refused)
    assert 60 / 3 <= per_second[1] <= 60 * 2 / 3
    assert per_second[1] < per_second[3] < per_second[5] + per_second[6]
    assert 60 / 2 * 1.8 < (per_second[6] + per_second[7]) / 2 <= 60


def test_retry_after_pauses_all_pages() -> None:
    """Nothing at all is sent until the server wants to be asked again."""
    load, after = virtual_time.run(walk_and_refuse(Status(429, retry_after=3)))
    # What was on its way when the answer came does not count.
    assert [] == [seconds for seconds in after if 0.01 < seconds < 3]
    assert ([], 801) == (load.failed, len(load.requests))


def test_a_pause_that_nobody_waits_for_holds_up_nothing_else() -> None:
    """A `Retry-After` beyond the deadline ends the page that it was meant for; the client works on."""

    async def refuse() -> tuple[int, float]:
        async with server_and_client(tasks=7) as (api, client):
            api.fail(Status(429, retry_after=3600))
            with pytest.raises(RateLimitedError):
                await client.count()
            return await client.count(), asyncio.get_running_loop().time()

    count, seconds = virtual_time.run(refuse())
    assert 7 == count
    assert seconds < 5


def test_each_success_allows_for_a_retry_more() -> None:
    """A second outage is met like the first one."""

    async def walk() -> list[int]:
        async with server_and_client(rate_limit=None) as (api, client):
            loads = [*await outage(api, client, Status(503)), *await outage(api, client, Status(503))]
        return [len(load.requests) for load in loads]

    assert [100, 125, 100] * 2 == virtual_time.run(walk())
