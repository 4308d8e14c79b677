"""Walks against the limiters of `FakeApify`, with the defaults, in virtual time: requests that the server counts."""

import asyncio
import logging
from typing import Any

import pytest
from helpers import virtual_time
from helpers.overload import PAGE

from apify_tasks_async import RateLimitedError, RetryPolicy, TasksClient
from apify_tasks_async.testing import FakeApify, Status
from apify_tasks_async.testing._limiters import LIMITERS, LimiterKind

PAGES = 40


async def walk(
    limit: float, kind: LimiterKind, *, refusal: Status | None = None, clients: int = 1, **options: Any
) -> tuple[float, list[float], int]:
    """Walk with each client; return the seconds, when each was done, and how many requests were refused."""
    loop = asyncio.get_running_loop()
    async with FakeApify(tasks=PAGES * PAGE, latency=0.05, rate_limit=limit) as api:
        virtual_time.tell_time(api)
        api.limiter, api.refusal = kind, refusal or api.refusal
        began = loop.time()

        async def one() -> float:
            async with TasksClient(api.token, base_url=api.url, **options) as client:
                tasks = [task.id async for task in client.iter_tasks(page_size=PAGE)]
            assert [task.id for task in api.tasks] == tasks
            return loop.time() - began

        ends = await asyncio.gather(*(one() for _ in range(clients)))
        return max(ends), ends, len(api.requests) - clients * PAGES


@pytest.mark.parametrize("kind", LIMITERS)
@pytest.mark.parametrize("limit", [5, 10, 20])
def test_a_walk_finds_its_pace(limit: float, kind: LimiterKind) -> None:
    """It takes at most 1.5 times as long as it must, and two seconds; few requests are refused."""
    seconds, _, refused = virtual_time.run(walk(limit, kind))
    assert seconds <= 1.5 * PAGES / limit + 2
    assert refused <= 20


@pytest.mark.parametrize("limit", [5, 10, 20])
def test_the_limit_of_a_server_that_spaces(limit: float) -> None:
    """The server's own limit as `rate_limit` may come in bursts. The refusals teach the rest."""
    seconds, _, refused = virtual_time.run(walk(limit, "spaced", rate_limit=limit))
    assert seconds <= 1.5 * PAGES / limit + 2
    assert refused <= 20


@pytest.mark.parametrize("refusal", [Status(503), Status(503, retry_after=1)], ids=["plain", "Retry-After"])
@pytest.mark.parametrize("limit", [5, 10, 20])
def test_a_limiter_that_answers_503(limit: float, refusal: Status) -> None:
    """A gateway such as nginx refuses with 503 by default. Pages between the 503s tell that this is no outage."""
    seconds, _, refused = virtual_time.run(walk(limit, "spaced", refusal=refusal))
    assert seconds <= 1.5 * PAGES / limit + 2
    assert refused <= 20


@pytest.mark.parametrize("clients", [2, 4, 8])
def test_clients_share_an_account(clients: int) -> None:
    """None fails, and together they take little longer than they must."""
    seconds, ends, refused = virtual_time.run(walk(60, "sliding", clients=clients))
    assert seconds <= 1.5 * clients * PAGES / 60 + 2
    assert clients == len(ends)
    assert refused <= 0.35 * clients * PAGES


@pytest.mark.parametrize("kind", LIMITERS)
def test_walks_of_one_client_share_its_pace(kind: LimiterKind) -> None:
    """Requests are sent in the order in which they were asked for, so walks that begin together end together."""

    async def walks() -> list[float]:
        loop = asyncio.get_running_loop()
        async with FakeApify(tasks=PAGES * PAGE, latency=0.05, rate_limit=20) as api:
            virtual_time.tell_time(api)
            api.limiter = kind
            began = loop.time()
            async with TasksClient(api.token, base_url=api.url) as client:

                async def one() -> float:
                    assert PAGES * PAGE == len(await client.all_tasks(page_size=PAGE))
                    return loop.time() - began

                return await asyncio.gather(*(one() for _ in range(4)))

    ends = virtual_time.run(walks())
    assert max(ends) <= 1.4 * min(ends)
    assert max(ends) <= 1.5 * 4 * PAGES / 20 + 2


@pytest.mark.parametrize("concurrency", [1, 16])
def test_a_deadline_that_ends_among_refusals(concurrency: int) -> None:
    """The error is the refusal, after as many attempts as were sent: none is sent that would have no time left."""
    retry = RetryPolicy(base_delay=0, deadline=3)

    async def refused() -> None:
        async with (
            FakeApify(tasks=100 * PAGE, latency=0.05) as api,
            TasksClient(api.token, base_url=api.url, concurrency=concurrency, retry=retry) as client,
        ):
            pages = client.iter_pages(page_size=PAGE)
            await anext(pages)
            api.fail(Status(429), times=None)
            with pytest.raises(RateLimitedError) as caught:
                async for _ in pages:
                    pass
            error = caught.value
            assert error.attempts == sum(request.offset == error.offset for request in api.requests)
            assert client.stats.requests == len(api.requests)

    virtual_time.run(refused())


def test_what_is_said_of_the_pace(caplog: pytest.LogCaptureFixture) -> None:
    """That a client slows down, and that it is as fast as it may be again, is told once, not for each request."""

    async def walk_twice() -> tuple[int, int, int]:
        async with (
            FakeApify(tasks=PAGES * PAGE, latency=0.05, rate_limit=10) as api,
            TasksClient(api.token, base_url=api.url, label="ours") as client,
        ):
            virtual_time.tell_time(api)
            api.limiter = "spaced"
            await client.all_tasks(page_size=PAGE)
            refused, slowdowns = client.stats.rate_limited, client.stats.slowdowns
            await asyncio.sleep(100)
            await client.count()
            return refused, slowdowns, client.stats.slowdowns

    with caplog.at_level(logging.INFO):
        refused, *slowdowns = virtual_time.run(walk_twice())
    assert refused > 3
    assert [1, 1] == slowdowns
    assert [
        "ours: the server refuses requests; sending more slowly, to find out how many it accepts",
        "ours: the server refuses no more requests; sending as fast as the limit allows again",
    ] == [record.getMessage() for record in caplog.records if "refuses" in record.getMessage()]
