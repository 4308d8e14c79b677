"""OpenTelemetry: one span for each attempt, below the one of the walk; aiohttp's instrumentation as it is.

Run it with `APIFY_TOKEN=... python recipes/opentelemetry_spans.py`. The client is closed before the provider, which
writes the spans that it still holds. The token is in none: it travels in a header.
"""

import asyncio
import sys

from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from apify_tasks_async import TasksClient

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))  # elsewhere batches, and an OTLP exporter
tracer = provider.get_tracer(__name__)


async def main() -> None:
    """List the tasks within a span."""
    async with TasksClient() as client:
        with tracer.start_as_current_span("list tasks") as span:
            tasks = await client.all_tasks()
            span.set_attribute("apify.tasks", len(tasks))
            print(len(tasks), "tasks", file=sys.stderr)


if __name__ == "__main__":
    AioHttpClientInstrumentor().instrument(tracer_provider=provider)  # before the client opens its session
    asyncio.run(main())
    provider.shutdown()
