"""Prometheus: what a client did so far, as counters that are read when they are scraped.

Run it with `APIFY_TOKEN=... python recipes/prometheus_metrics.py`, which prints them. A service starts
`prometheus_client.start_http_server` in place of that. The client is closed by `async with`; its statistics stay.
"""

import asyncio
from collections.abc import Iterator

import attrs
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from apify_tasks_async import ClientStats, TasksClient


@attrs.frozen
class StatsCollector(Collector):
    """Reads `client.stats` at each scrape. It costs nothing in between."""

    client: TasksClient

    def collect(self) -> Iterator[Metric]:
        """Yield a counter for each number."""
        stats = self.client.stats
        for field in attrs.fields(ClientStats):
            name = f"apify_tasks_{field.name}"
            yield CounterMetricFamily(name, f"TasksClient.stats.{field.name}", value=getattr(stats, field.name))


async def main() -> None:
    """List all tasks, then print the counters."""
    registry = CollectorRegistry()
    async with TasksClient() as client:
        registry.register(StatsCollector(client))
        await client.all_tasks()
        print(generate_latest(registry).decode())


if __name__ == "__main__":
    asyncio.run(main())
