"""The rows about servers that refuse requests or go away: what they cost the client in its default settings."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import attrs
from table import Row, Target

from apify_tasks_async import ApifyTasksError, TasksClient
from apify_tasks_async.testing import Disconnect, FakeApify
from apify_tasks_async.testing._limiters import LimiterKind

__all__ = ["limiter_rows"]

PAGE = 10
"""The tasks of a page: few, since only requests count."""

LATENCY = 0.1
"""Seconds before each answer."""


@attrs.frozen(kw_only=True)
class Extent:
    """How much to measure."""

    pages: int
    """Of a walk that is alone with a limiter."""
    processes: int
    shared_pages: int
    """Of each process on one account."""
    away: float
    """Seconds for which the server is away."""


THOROUGH = Extent(pages=40, processes=16, shared_pages=240, away=7)
BRIEF = Extent(pages=20, processes=2, shared_pages=30, away=1)

ALONE: Sequence[tuple[LimiterKind, float]] = (("spaced", 20), ("sliding", 20))
"""Limiters of `FakeApify`, and the requests per second that they accept."""

CONCURRENCIES = 1, 8, 16

ACCOUNT = 60
"""The requests per second that an account accepts."""


def limiter_rows(*, thorough: bool) -> Iterator[Row]:
    """Measure, and return the rows."""
    extent = THOROUGH if thorough else BRIEF
    alone, outages = asyncio.run(_measure(extent))
    for (kind, rate), (seconds, sent) in zip(ALONE, alone, strict=True):
        ideal, refused = extent.pages / rate, sent - extent.pages
        what = f"{extent.pages} pages, {rate:g} a second ({kind}), unknown to the client"
        # A limit that nobody tells must be found first: that may take two seconds.
        target = Target(1.5 + 2 / ideal)
        yield Row(f"{what}: wall / ideal", f"{seconds:.1f} s", f"{ideal:.1f} s", seconds / ideal, target)
        yield Row(f"{what}: refused", f"{refused}", f"{sent} requests", refused, Target(20))
    for concurrency, (seconds, error) in zip(CONCURRENCIES, outages, strict=True):
        what = f"server away for {extent.away:g} s, concurrency {concurrency}: walks that fail"
        yield Row(what, error or f"{seconds:.1f} s", "", int(bool(error)), Target(0))
    yield from _shared_rows(extent)


async def _measure(extent: Extent) -> tuple[list[tuple[float, int]], list[tuple[float, str]]]:
    """Measure what waits most of the time, so all of it at once."""
    alone = [asyncio.create_task(_alone(kind, rate, extent.pages)) for kind, rate in ALONE]
    outages = [asyncio.create_task(_through_an_outage(extent.away, concurrency)) for concurrency in CONCURRENCIES]
    return await asyncio.gather(*alone), await asyncio.gather(*outages)


def _shared_rows(extent: Extent) -> Iterator[Row]:
    ends, sent = asyncio.run(_shared(extent.processes, extent.shared_pages))
    pages = extent.processes * extent.shared_pages
    ideal, refused = pages / ACCOUNT, (sent - pages) / sent * 100
    what = f"{extent.processes} processes on one account, {extent.shared_pages} pages each, {ACCOUNT} a second"
    first, last = min(ends), max(ends)
    yield Row(f"{what}: wall / ideal", f"{last:.1f} s", f"{ideal:.1f} s", last / ideal, Target(1.25))
    yield Row(f"{what}: refused", f"{sent - pages}", f"{sent} requests", refused, Target(10), " %")
    yield Row(f"{what}: the last / the first", f"{last:.1f} s", f"{first:.1f} s", last / first, Target(1.5))


async def _alone(kind: LimiterKind, rate: float, pages: int) -> tuple[float, int]:
    async with FakeApify(tasks=pages * PAGE, latency=LATENCY, rate_limit=rate) as api:
        api.limiter = kind
        began = time.monotonic()
        ended = await _walk(api.url, api.token)
        return ended - began, len(api.requests)


async def _shared(processes: int, pages: int) -> tuple[Sequence[float], int]:
    """Return the seconds after which each process was done, and the requests of all."""
    loop = asyncio.get_running_loop()
    context = multiprocessing.get_context("spawn")
    async with FakeApify(tasks=pages * PAGE, latency=LATENCY, rate_limit=ACCOUNT) as api:
        with ProcessPoolExecutor(processes, context) as pool:
            barrier = [
                loop.run_in_executor(pool, time.sleep, 0.2) for _ in range(processes)
            ]  # so that all have started
            await asyncio.gather(*barrier)
            begins = time.monotonic() + 1
            walks = [loop.run_in_executor(pool, _walk_at, begins, api.url, api.token) for _ in range(processes)]
            ends = await asyncio.gather(*walks)
        return [end - begins for end in ends], len(api.requests)


def _walk_at(begins: float, url: str, token: str) -> float:
    time.sleep(max(0.0, begins - time.monotonic()))
    return asyncio.run(_walk(url, token))


async def _walk(url: str, token: str, **options: Any) -> float:
    """Walk through the list, and return the time of its end."""
    async with TasksClient(token, base_url=url, **options) as client:
        await client.all_tasks(page_size=PAGE)
        return time.monotonic()


async def _through_an_outage(seconds: float, concurrency: int) -> tuple[float, str]:
    """Return the seconds of a walk in whose middle the server is away, and the error with which it ended, if any."""
    loop = asyncio.get_running_loop()
    async with FakeApify(tasks=20 * PAGE, latency=LATENCY) as api:

        def go_away(_: object) -> None:
            if len(api.requests) == 5:
                api.fail(Disconnect(), times=None)
                loop.call_later(seconds, api.clear_faults)

        api.on_request = go_away
        began = time.monotonic()
        try:
            await _walk(api.url, api.token, concurrency=concurrency)
        except ApifyTasksError as error:
            return time.monotonic() - began, type(error).__name__
        return time.monotonic() - began, ""
