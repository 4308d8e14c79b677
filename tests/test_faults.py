"""Each fault of the network and the server, end to end: the error, its cost, and what stays open."""

import asyncio
import tracemalloc
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import attrs
import pytest
from helpers.fault_table import PAGE, ROWS, row, table_of
from helpers.faults import FAULTS, LIMIT, TRANSIENT, Fault, Met, Waits, client_of
from helpers.raw_server import RawServer, message
from helpers.support import until

from apify_tasks_async import ApifyTasksError, Attempt, RateLimitedError

pytestmark = [pytest.mark.asyncio, pytest.mark.virtual_time]

BOUND = 150
"""Seconds after which a call hangs."""

MEMORY = 8 * LIMIT
"""Bytes that client and server together may allocate, for a body of any size."""


@attrs.frozen
class Seen:
    """The observed effects of a fault."""

    error: type[ApifyTasksError]
    attempts: int | None
    where: tuple[int | None, int | None, bool | None]
    requests: int
    waits: tuple[float, ...]
    connections: int
    left_open: int

    @classmethod
    def expected_of(cls, fault: Fault) -> "Seen":
        """Return the promised effects of a fault."""
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
    """A fault raises its documented error, after the promised requests and waits, in bounded time and memory."""
    attempts: list[Attempt] = []
    async with fault.way(fault.reply) as met, client_of(met, Waits(), on_attempt=attempts.append) as client:
        server = met.server
        tracemalloc.start()
        try:
            async with asyncio.timeout(BOUND):
                with pytest.raises(ApifyTasksError) as caught:
                    await client.list_tasks()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        await until(lambda: server.open == fault.pooled, pause=0.1)
        error = caught.value
        where = error.offset, error.limit, error.desc
        requests, connections = len(server.requests), server.connections
    waits = tuple(attempt.delay for attempt in attempts if attempt.delay is not None)
    seen = Seen(type(error), error.attempts, where, requests, waits, connections, int(fault.pooled))
    assert Seen.expected_of(fault) == seen
    assert fault.says.replace("ORIGIN", met.url) in error.problem
    assert "<" not in error.problem  # not the repr of an object of aiohttp
    assert (True, True) == (str(error).isprintable(), len(str(error)) < 1000)
    assert peak < MEMORY


@pytest.mark.parametrize("fault", TRANSIENT, ids=lambda fault: fault.name)
async def test_recovery(fault: Fault) -> None:
    """After a transient fault, the next attempt gets the page."""
    waits = Waits()
    async with RawServer(fault.reply, message()) as server, client_of(Met(server, server.url), waits) as client:
        assert 0 == await client.count()
    assert (2, 1, list(fault.waits[:1])) == (len(server.requests), client.stats.retries, waits.slept[:1])


async def test_a_date_to_wait_for() -> None:
    """The client waits for a date in `Retry-After`, if the deadline allows it."""
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    waits = Waits()
    reply = message(b"", f"Retry-After: {date}", status="429 Too Many Requests")
    async with RawServer(reply) as server, client_of(Met(server, server.url), waits) as client:
        with pytest.raises(RateLimitedError):
            await client.count()
    assert [pytest.approx(75, abs=15)] == waits.slept


@pytest.mark.parametrize("label", ROWS)
async def test_reference(label: str) -> None:
    """The reference's table has the row that a run with the default settings gives."""
    assert await row(label) in PAGE.read_text().splitlines()


async def test_reference_has_no_other_rows() -> None:
    """The reference's table has no other rows."""
    assert list(ROWS) == [line.split(" | ")[0].removeprefix("| ") for line in table_of(PAGE.read_text())[2:]]
