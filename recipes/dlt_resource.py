"""dlt: the tasks into DuckDB, each run only those created since the last one; the bookmark is in the pipeline's state.

Run it with `APIFY_TOKEN=... python recipes/dlt_resource.py`. The client is closed by `async with`, when the resource is
read. A page and the bookmark after it are committed together.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

import dlt

from apify_tasks_async import Bookmark, Task, TasksClient, to_row


async def fetch(after: Bookmark | None) -> tuple[list[Task], Bookmark | None]:
    """Return the tasks after the bookmark, and the bookmark after them."""
    async with TasksClient() as client, client.iter_pages(after=after, exact=True) as pages:
        tasks = [task async for page in pages for task in page]
        return tasks, pages.bookmark


@dlt.resource(name="tasks", primary_key="id", write_disposition="merge")
def new_tasks() -> Iterator[list[dict[str, Any]]]:
    """Yield a row for each new task."""
    state = dlt.current.resource_state()
    text = state.get("bookmark")
    tasks, bookmark = asyncio.run(fetch(Bookmark.from_json(text) if text else None))
    if bookmark:
        state["bookmark"] = bookmark.to_json()
    yield [to_row(task) for task in tasks]


def main() -> None:
    """Load twice, and say how many rows each load had."""
    pipeline = dlt.pipeline("apify_tasks", destination=dlt.destinations.duckdb("tasks.duckdb"), dataset_name="apify")
    for _ in range(2):
        pipeline.run(new_tasks())
        load = pipeline.last_trace and pipeline.last_trace.last_normalize_info
        print(load.row_counts.get("tasks", 0) if load else 0, "new tasks")


if __name__ == "__main__":
    main()
