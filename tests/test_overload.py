"""What an outage and a rate limit do to a whole client: requests that the server counts, in virtual time.

test_fetch checks the same rules without a network.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from helpers import virtual_time
from helpers.overload import PAGE, Load, busiest_second, outage, paced

from apify_tasks_async import (
    ApifyTasksError,
    InvalidResponseError,
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
    """Run an API and a client of it; both use the clock of the event loop."""
    api = FakeApify(tasks=tasks, latency=LATENCY, rate_limit=server_limit)
    virtual_time.tell_time(api)
    async with api, TasksClient(api.token, base_url=api.url, **options) as client:
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
    """100 pages cost at most 107 requests during an outage; after it, 100 requests and the same time as before.

    One request probes, three times another one scouts, and all others fail once. An answer that makes no sense is not
    an outage: there, the budget bounds the requests. Each of the 8 connections that were open costs one more request if
    it breaks.

    Takes over a second, since it sends 325 requests.
    """

    async def walk() -> tuple[Load, Load, Load]:
        async with server_and_client(rate_limit=None) as (api, client):
            return await outage(api, client, fault)

    before, during, after = virtual_time.run(walk())
    broken = 8 if isinstance(fault, Disconnect) else 0
    fewest, most = (125, 125) if isinstance(fault, MalformedJson) else (100, 107)
    assert [100, 100] == [len(load.requests) for load in (before, after)]
    assert fewest + broken <= len(during.requests) <= most + broken
    assert [0, 100, 0] == [len(load.failed) for load in (before, during, after)]
    assert {error} == {type(failure) for failure in during.failed}
    assert before.seconds == pytest.approx(after.seconds, rel=0.01)


async def walk_all(pages: int, **settings: Any) -> Load:
    """Return the load of one walk over that many pages."""
    async with server_and_client(tasks=pages * PAGE, **settings) as (api, client):
        return await paced(api, client)


@pytest.mark.parametrize(
    ("server_limit", "rate_limit", "concurrency"),
    [(60, 60, 8), (60, 120, 32), (10, 60, 32)],
    ids=["its own", "the server's", "the server's, far lower"],
)
def test_the_lower_limit_applies(server_limit: int, rate_limit: int, concurrency: int) -> None:
    """The client uses up the lower limit, its own or the server's, and the server refuses nothing."""
    load = virtual_time.run(walk_all(200, server_limit=server_limit, rate_limit=rate_limit, concurrency=concurrency))
    assert ([], 0, 200) == (load.failed, load.refused, len(load.requests))
    assert server_limit >= busiest_second(load.requests)
    assert load.seconds <= 1.15 * 200 / server_limit


def test_a_client_without_a_limit_finds_the_servers() -> None:
    """A client without a limit slows down after each refusal, and completes its walk."""
    load = virtual_time.run(walk_all(200, server_limit=60, rate_limit=None))
    assert [] == load.failed
    assert 0 < load.refused < 0.05 * len(load.requests)
    assert load.seconds <= 1.6 * 200 / 60


def test_a_second_outage_costs_the_same() -> None:
    """A second outage costs no more than the first, since the server answered in between.

    Takes over a second, since it sends 650 requests.
    """

    async def walk() -> list[int]:
        async with server_and_client(rate_limit=None) as (api, client):
            loads = [*await outage(api, client, Status(503)), *await outage(api, client, Status(503))]
        return [len(load.requests) for load in loads]

    counts = virtual_time.run(walk())
    assert [100] * 4 == [counts[at] for at in (0, 2, 3, 5)]
    assert max(counts[1], counts[4]) <= 107
