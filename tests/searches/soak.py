"""A long run in which everything goes wrong, and what outages and rate limits cost, as tables.

It fails if a promise was broken. All decisions depend on the seed; the order in which requests arrive depends on the
machine, too.
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
"""How many pages are walked against a rate limit."""

SERVER_LIMIT = 60
"""Requests per second that the API takes."""


def figures(result: Result) -> Iterable[tuple[str, object]]:
    """Return what is to be told of a run."""
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
    """Return what outages cost."""
    rows = []
    for name, fault in OUTAGES.items():
        async with FakeApify(tasks=1000, latency=0.1) as api, TasksClient(api.token, base_url=api.url) as client:
            for when, load in zip(("before", "during", "behind"), await outage(api, client, fault), strict=True):
                rows.append((f"100 pages {when} an outage, {name}", told(load)))
    return rows


async def limits() -> Iterable[tuple[str, object]]:
    """Return what walks cost whose client knows the limit, or believes in another one."""
    rows = []
    for rate in (SERVER_LIMIT, 2 * SERVER_LIMIT, None):
        async with (
            FakeApify(tasks=PAGES * 10, latency=0.1, rate_limit=SERVER_LIMIT) as api,
            TasksClient(api.token, base_url=api.url, rate_limit=rate) as client,
        ):
            load = await paced(api, client)
        ratio = load.seconds / (PAGES / SERVER_LIMIT)
        rows.append((f"{PAGES} pages, rate_limit={rate}", f"{told(load)}; {ratio:.2f} of the ideal"))
    return rows


def told(load: Load) -> str:
    """Return a load as a text."""
    return (
        f"{len(load.requests)} requests, {load.refused} refused, {len(load.failed)} walks failed, {load.seconds:.2f} s"
    )


def show(rows: Iterable[tuple[str, object]]) -> None:
    """Print a table."""
    print("\n".join(f"{name:40} {value}" for name, value in rows), end="\n\n")  # noqa: T201  what it is run for


def main() -> None:
    """Run for as long as asked, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=6000, help="how many at least (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="what all decisions depend on (default: %(default)s)")
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
