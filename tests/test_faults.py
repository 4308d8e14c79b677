"""Everything that can go wrong, end to end: what comes of it, at what cost, and what is left behind."""

import asyncio
import tracemalloc
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import attrs
import pytest
from faults import FAULTS, LIMIT, TRANSIENT, Fault, Met, client_of
from raw_server import RawServer, Then, message
from support import FakeTime, until

from apify_tasks_async import ApifyTasksError, AuthenticationError, RateLimitedError

pytestmark = pytest.mark.asyncio

BOUND = 30
"""Seconds that nothing takes unless it hangs."""

MEMORY = 8 * LIMIT
"""Bytes that client and server together may take, however large a body claims or turns out to be."""


@attrs.frozen
class Seen:
    """What was seen of a fault."""

    error: type[ApifyTasksError]
    attempts: int | None
    where: tuple[int | None, int | None, bool | None]
    requests: int
    waits: tuple[float, ...]
    connections: int
    left_open: int

    @classmethod
    def expected_of(cls, fault: Fault) -> "Seen":
        """Return what should be seen of a fault."""
        return cls(
            error=fault.error,
            attempts=fault.attempts,
            where=(0, 1000, False),
            requests=fault.attempts if fault.arrives and fault.connects else 0,
            waits=fault.waits,
            connections=0 if not fault.connects else 1 if fault.pooled else fault.attempts,
            left_open=int(fault.pooled),
        )


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_fault(fault: Fault) -> None:
    """A fault ends as one documented error, after the promised requests and waits, in bounded time and memory."""
    time = FakeTime()
    async with fault.way(fault.reply) as met, client_of(met, time, timeout=fault.timeout) as client:
        server = met.server
        tracemalloc.start()
        try:
            async with asyncio.timeout(BOUND):
                with pytest.raises(ApifyTasksError) as caught:
                    await client.list_tasks()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        await until(lambda: server.open == fault.pooled)
        error = caught.value
        where = error.offset, error.limit, error.desc
        requests, connections = len(server.requests), server.connections
    seen = Seen(type(error), error.attempts, where, requests, tuple(time.slept), connections, int(fault.pooled))
    assert Seen.expected_of(fault) == seen
    assert fault.says in error.problem
    assert "<" not in error.problem  # no representation of an object of aiohttp's
    assert (True, True) == (str(error).isprintable(), len(str(error)) < 1000)
    assert peak < MEMORY


@pytest.mark.parametrize("fault", TRANSIENT, ids=lambda fault: fault.name)
async def test_recovery(fault: Fault) -> None:
    """After a fault that may pass the next attempt gets the page."""
    time = FakeTime()
    async with (
        RawServer(fault.reply, message()) as server,
        client_of(Met(server, server.url), time, timeout=fault.timeout) as client,
    ):
        assert 0 == await client.count()
    assert (2, 1, list(fault.waits[:1])) == (len(server.requests), client.stats.retries, time.slept)


async def test_a_date_to_wait_for() -> None:
    """A date in `Retry-After` is waited for, as long as the deadline allows."""
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    time = FakeTime()
    reply = message(b"", f"Retry-After: {date}", status="429 Too Many Requests")
    async with RawServer(reply) as server, client_of(Met(server, server.url), time) as client:
        with pytest.raises(RateLimitedError):
            await client.count()
    assert [pytest.approx(75, abs=15)] == time.slept


async def test_the_body_of_an_error_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """The status of an error comes out long before the timeout if its body does not come."""
    monkeypatch.setattr("apify_tasks_async._transport.MAX_ERROR_SECONDS", 0.05)
    reply = message(b"{", status="401 Unauthorized", length=1000, then=Then.HANG)
    async with (
        RawServer(reply) as server,
        client_of(Met(server, server.url), FakeTime(), timeout=10 * BOUND) as client,
        asyncio.timeout(BOUND),
    ):
        with pytest.raises(AuthenticationError):
            await client.count()
