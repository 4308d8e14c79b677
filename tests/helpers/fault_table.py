"""The reference's table of faults: what each costs at most, by a run with the default settings in virtual time."""

import asyncio
from pathlib import Path

import attrs

from apify_tasks_async import ApifyTasksError, TasksClient
from helpers.faults import FAULTS, Fault, Waits, client_of, highest
from helpers.support import until

__all__ = ["FAULT_NAMED", "PAGE", "ROWS", "failure_of", "row", "table_of"]

ROWS = {
    "unknown host, refused or broken connection, failed TLS handshake": [
        "unknown host", "refused", "no TLS", "TLS, closed in the handshake", "TLS, reset in the handshake",
        "closed before a byte", "reset before a byte", "reset within the body",
    ],
    "a certificate that is untrusted, expired or another host's": [
        "certificate untrusted", "certificate expired", "certificate of another host",
    ],
    "a proxy that cannot be reached, or cannot reach the API": [
        "no proxy", "a proxy that answers 502 Bad Gateway", "a proxy that answers 503 Service Unavailable",
        "a proxy that hangs up",
    ],
    "a proxy that refuses: 403, 407": [f"a proxy that answers {status}" for status in (
        "403 Forbidden", "407 Proxy Authentication Required")],
    "a truncated body, bad chunks, bad compression, no HTTP, headers without an end": [
        "closed within the body", "chunks without an end", "a bad chunk size", "no gzip at all", "no brotli at all",
        "another protocol", "headers without an end",
    ],
    "silence, or a body that drips": ["silent", "silent within the body", "dripping body", "silent where TLS is due",
                                      "a proxy that is silent"],
    "a body without an end, a gzip or brotli bomb": ["a body without an end", "gzip bomb", "brotli bomb"],
    "200 with nothing, HTML, other JSON, a `count` that lies; 204": [
        "nothing", "HTML", "NaN", "invalid UTF-8", "an integer of 5,000 digits", "100,000 nested arrays",
        "truncated gzip, well framed", "data missing", "a count that lies", "204",
    ],
    "one item that is no task": ["task, null", "task, name missing", "task, name: expected a string, got null"],
    "400, 401, 403, 404, another 4xx": ["400", "401", "403", "404", "405"],
    "the same, and its body hangs": ["an error that hangs", "an error that drips"],
    "403 or 407 of a server in front of the API": ["a firewall's refusal", "a proxy's refusal"],
    "3xx, wherever to": [
        "301", "302", "307", "a redirect to another host", "a redirect to plain http", "a redirect from https to http",
    ],
    "429": ["429"],
    "429, `Retry-After: 7`": ["Retry-After: 7 seconds, 429"],
    "503, `Retry-After: 7`": ["Retry-After: 7 seconds, 503"],
    "429 or 503, `Retry-After: 3600`": ["Retry-After: an hour, 429", "Retry-After: an hour, 503"],
    "5xx, with or without a body": [
        "500", "502", "503", "a gateway's page", "a cache's page", "an error without a body",
    ],
}  # fmt: skip
"""The rows of the table, and the faults that show them."""

FAULT_NAMED = {fault.name: fault for fault in FAULTS}
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "faults.md"


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
            error = await failure_of(client)
            seconds = asyncio.get_running_loop().time() - start
            await until(lambda: met.server.open == fault.pooled, pause=0.1)
        return cls(type(error), error.attempts, seconds)


async def failure_of(client: TasksClient) -> ApifyTasksError:
    """Return the error of a request that fails."""
    try:
        await client.list_tasks()
    except ApifyTasksError as error:
        return error
    raise AssertionError("the fault had no effect")


async def row(label: str) -> str:
    """Run the faults of a row, which have the same effects, and return the row."""
    costs = [await Cost.of(FAULT_NAMED[name]) for name in ROWS[label]]
    kinds = {cost.error for cost in costs}
    kind = next(base for base in costs[0].error.__mro__ if all(issubclass(each, base) for each in kinds))
    error = f"`{kind.__name__}`" if kinds == {kind} else f"a `{kind.__name__}`"
    (attempts,) = {cost.attempts for cost in costs}
    longest = max(cost.seconds for cost in costs)
    return f"| {label} | {error} | {attempts} | {'at once' if longest < 0.5 else f'{longest:.0f} s'} |"


def table_of(page: str) -> list[str]:
    """Return the lines of the table in the page."""
    start = page.index("| what happens |")
    return page[start : page.index("\n\n", start)].splitlines()
