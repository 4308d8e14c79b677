"""Each fault of the network and the server, end to end: the error, its cost, and what stays open."""

import asyncio
import tracemalloc
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import attrs
import pytest
from helpers.faults import FAULTS, LIMIT, TRANSIENT, Fault, Met, Waits, client_of, highest
from helpers.raw_server import RawServer, message
from helpers.support import until

from apify_tasks_async import ApifyTasksError, RateLimitedError

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
    waits = Waits()
    async with fault.way(fault.reply) as met, client_of(met, waits) as client:
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
    seen = Seen(type(error), error.attempts, where, requests, tuple(waits.slept), connections, int(fault.pooled))
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
    assert (2, 1, list(fault.waits[:1])) == (len(server.requests), client.stats.retries, waits.slept)


async def test_a_date_to_wait_for() -> None:
    """The client waits for a date in `Retry-After`, if the deadline allows it."""
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    waits = Waits()
    reply = message(b"", f"Retry-After: {date}", status="429 Too Many Requests")
    async with RawServer(reply) as server, client_of(Met(server, server.url), waits) as client:
        with pytest.raises(RateLimitedError):
            await client.count()
    assert [pytest.approx(75, abs=15)] == waits.slept


ROWS = {
    "unknown host, refused or broken connection, no TLS": [
        "unknown host", "refused", "no TLS", "closed before a byte", "reset before a byte", "reset within the body",
    ],
    "a certificate that is untrusted, expired or another host's": [
        "certificate untrusted", "certificate expired", "certificate of another host",
    ],
    "a truncated body, bad chunks, bad compression, no HTTP, headers without an end": [
        "closed within the body", "chunks without an end", "a bad chunk size", "no gzip at all", "no brotli at all",
        "another protocol", "headers without an end",
    ],
    "silence, or a body that drips": ["silent", "silent within the body", "dripping body", "silent where TLS is due"],
    "a body without an end, a gzip or brotli bomb": ["a body without an end", "gzip bomb", "brotli bomb"],
    "200 with nothing, HTML, other JSON, a `count` that lies; 204": [
        "nothing", "HTML", "NaN", "invalid UTF-8", "an integer of 5,000 digits", "100,000 nested arrays",
        "truncated gzip, well framed", "data missing", "a count that lies", "204",
    ],
    "one item that is no task": ["task, null", "task, name missing", "task, name: expected a string, got null"],
    "400, 401, 403, 404, another 4xx": ["400", "401", "403", "404", "405"],
    "the same, and its body hangs": ["an error that hangs", "an error that drips"],
    "3xx, wherever to": [
        "301", "302", "307", "a redirect to another host", "a redirect to plain http", "a redirect from https to http",
    ],
    "429": ["429"],
    "429 or 503, `Retry-After: 7`": ["Retry-After: 7 seconds, 429", "Retry-After: 7 seconds, 503"],
    "429 or 503, `Retry-After: 3600`": ["Retry-After: an hour, 429", "Retry-After: an hour, 503"],
    "5xx, with or without a body": ["500", "502", "503", "a gateway's page", "an error without a body"],
}  # fmt: skip
"""The rows of the README's table, and the faults that show them."""


FAULT_NAMED = {fault.name: fault for fault in FAULTS}
README = Path(__file__).parent.parent / "README.md"


@attrs.frozen
class Cost:
    """What a fault costs at most, by a run with the default settings."""

    error: type[ApifyTasksError]
    attempts: int | None
    seconds: float

    @classmethod
    async def of(cls, fault: Fault) -> "Cost":
        """Run the fault with the longest waits that chance may choose."""
        async with fault.way(fault.reply) as met, client_of(met, Waits(), uniform=highest) as client:
            start = asyncio.get_running_loop().time()
            with pytest.raises(ApifyTasksError) as caught:
                await client.list_tasks()
            seconds = asyncio.get_running_loop().time() - start
            await until(lambda: met.server.open == fault.pooled, pause=0.1)
        return cls(type(caught.value), caught.value.attempts, seconds)


def row(label: str, costs: list[Cost]) -> str:
    """Return the row of the README's table for faults with the same effects."""
    kinds = {cost.error for cost in costs}
    kind = next(base for base in costs[0].error.__mro__ if all(issubclass(each, base) for each in kinds))
    error = f"`{kind.__name__}`" if kinds == {kind} else f"a `{kind.__name__}`"
    (attempts,) = {cost.attempts for cost in costs}
    longest = max(cost.seconds for cost in costs)
    return f"| {label} | {error} | {attempts} | {'at once' if longest < 0.5 else f'{longest:.0f} s'} |"


@pytest.mark.parametrize("label", ROWS)
async def test_readme(label: str) -> None:
    """The README's table has the row that a run with the default settings gives."""
    costs = [await Cost.of(FAULT_NAMED[name]) for name in ROWS[label]]
    assert row(label, costs) in README.read_text().splitlines()


async def test_readme_has_no_other_rows() -> None:
    """The README's table has no other rows."""
    table = README.read_text().partition("| what happens |")[2].partition("\n\n")[0].splitlines()[2:]
    assert list(ROWS) == [line.split(" | ")[0].removeprefix("| ") for line in table]
