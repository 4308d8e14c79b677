"""Walks against the limiters of `FakeApify`, with the defaults, in virtual time: requests that the server counts."""

import asyncio
from typing import Any

import pytest
from helpers import virtual_time
from helpers.overload import PAGE

from apify_tasks_async import TasksClient
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
def test_a_limiter_that_answers_503_is_survived(limit: float, refusal: Status) -> None:
    """A gateway such as nginx refuses with 503 by default. The walk takes longer, but it ends."""
    virtual_time.run(walk(limit, "spaced", refusal=refusal))


@pytest.mark.parametrize("clients", [2, 4, 8])
def test_clients_share_an_account(clients: int) -> None:
    """None fails, and together they take little longer than they must."""
    seconds, ends, refused = virtual_time.run(walk(60, "sliding", clients=clients))
    assert seconds <= 1.6 * clients * PAGES / 60 + 2
    assert clients == len(ends)
    assert refused <= 0.4 * clients * PAGES
