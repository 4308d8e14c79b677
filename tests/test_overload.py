"""What an outage and a rate limit do to the real client: counted on the wire, in virtual time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import virtual_time
from overload import Load, outage

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
