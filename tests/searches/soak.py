"""Run for long while everything goes wrong, measure the cost of outages and rate limits, and print tables.

It fails if a promise was broken. All decisions depend on the seed; the order of requests also depends on the machine.
"""

import argparse
import asyncio
import sys
import tracemalloc
from collections.abc import Iterable

from helpers.chaos import Result, run
from helpers.overload import Load, outage, paced

from apify_tasks_async import TasksClient
from apify_tasks_async.testing import Disconnect, FakeApify, Fault, Status

OUTAGES: dict[str, Fault] = {"503": Status(503), "disconnect": Disconnect()}

PAGES = 200
"""Pages of a walk against a rate limit."""

SERVER_LIMIT = 60
"""Requests per second that the API accepts."""


def figures(result: Result) -> Iterable[tuple[str, object]]:
    """Return the lines of the table of a run."""
    tally, counts = result.tally, result.tally.counts
    yield "seed", result.seed
    yield "requests seen", counts["seen"]
    names = ("requests", "retries", "rate_limited", "failures", "pages", "reseeks", "duplicates", "invalid")
    for name in (*names, "timeouts", "cancelled requests"):
        yield name.replace("_", " "), counts[name]
    yield "peak in flight", result.peak
    yield "tasks delivered", counts["delivered"]
    for name in ("lost, exact", "repeated, exact", "lost, default", "repeated, default"):
        yield name, counts[name]
    for title in ("faults", "outcomes", "errors", "cancellations"):
        for kind, count in sorted(getattr(tally, title).items()):
            yield f"{title}: {kind}", count
    yield "memory, KiB", " ".join(f"{size / 1024:,.0f}" for size in result.memory)
    yield "objects more", dict(result.growth) or "none"
    yield "left over", "; ".join(result.left_over) or "nothing"
    yield "broken promises", "; ".join(tally.broken) or "none"
    yield "seconds", f"{result.seconds:.1f}"


async def outages() -> Iterable[tuple[str, object]]:
    """Measure outages."""
    rows = []
    for name, fault in OUTAGES.items():
        async with FakeApify(tasks=1000, latency=0.1) as api, TasksClient(api.token, base_url=api.url) as client:
            for when, load in zip(("before", "during", "after"), await outage(api, client, fault), strict=True):
                rows.append((f"100 pages {when} an outage, {name}", summary(load)))
    return rows


async def limits() -> Iterable[tuple[str, object]]:
    """Measure walks whose client has the right rate limit, a higher one or none."""
    rows = []
    for rate in (SERVER_LIMIT, 2 * SERVER_LIMIT, None):
        async with (
            FakeApify(tasks=PAGES * 10, latency=0.1, rate_limit=SERVER_LIMIT) as api,
            TasksClient(api.token, base_url=api.url, rate_limit=rate) as client,
        ):
            load = await paced(api, client)
        ratio = load.seconds / (PAGES / SERVER_LIMIT)
        rows.append((f"{PAGES} pages, rate_limit={rate}", f"{summary(load)}; {ratio:.2f} of the ideal"))
    return rows


def summary(load: Load) -> str:
    """Return a load as a text."""
    return (
        f"{len(load.requests)} requests, {load.refused} refused, {len(load.failed)} walks failed, {load.seconds:.2f} s"
    )


def show(rows: Iterable[tuple[str, object]]) -> None:
    """Print a table."""
    print("\n".join(f"{name:40} {value}" for name, value in rows), end="\n\n")  # noqa: T201 - the output of the script


def main() -> None:
    """Run for as long as asked, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=6000, help="at least this many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="the seed of all decisions (default: %(default)s)")
    arguments = parser.parse_args()
    tracemalloc.start()
    result = asyncio.run(run(seed=arguments.seed, requests=arguments.requests))
    tracemalloc.stop()
    show(figures(result))
    show(asyncio.run(outages()))
    show(asyncio.run(limits()))
    sys.exit(not result.kept)


if __name__ == "__main__":
    main()
