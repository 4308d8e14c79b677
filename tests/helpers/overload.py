"""Measure what an outage and a rate limit cost: requests and time."""

import asyncio
from collections.abc import Iterable

import attrs

from apify_tasks_async import ApifyTasksError, TasksClient
from apify_tasks_async.testing import FakeApify, Fault, RecordedRequest

__all__ = ["PAGE", "Load", "busiest_second", "outage", "paced"]

PAGE = 10
"""Tasks in a page: few, since only requests count."""


@attrs.frozen
class Load:
    """The cost of fetching some pages."""

    requests: list[RecordedRequest]
    failed: list[ApifyTasksError]
    """The errors that ended walks."""

    refused: int
    """Requests answered with 429."""

    seconds: float


async def outage(api: FakeApify, client: TasksClient, fault: Fault, *, walks: int = 100) -> tuple[Load, Load, Load]:
    """Return the cost of walks over one page each, before, during and after an outage."""
    before = await _walk(api, client, walks)
    api.fail(fault, times=None)
    during = await _walk(api, client, walks)
    api.clear_faults()
    return before, during, await _walk(api, client, walks)


async def paced(api: FakeApify, client: TasksClient) -> Load:
    """Return the cost of one walk over all pages."""
    return await _walk(api, client, 1, limit=None)


async def _walk(api: FakeApify, client: TasksClient, walks: int, limit: int | None = PAGE) -> Load:
    began, sent, refused = asyncio.get_running_loop().time(), len(api.requests), client.stats.rate_limited
    results = await asyncio.gather(
        *(client.all_tasks(page_size=PAGE, limit=limit) for _ in range(walks)), return_exceptions=True
    )
    return Load(
        api.requests[sent:],
        [result for result in results if isinstance(result, ApifyTasksError)],
        client.stats.rate_limited - refused,
        asyncio.get_running_loop().time() - began,
    )


def busiest_second(requests: Iterable[RecordedRequest]) -> int:
    """Return the most requests within one second."""
    times = sorted(request.at for request in requests)
    return max(sum(start <= moment < start + 1 for moment in times) for start in times)
