"""Litestar: one client for the application, lent to each request; models as response types; all tasks as NDJSON.

Run it with `APIFY_TOKEN=... uvicorn --app-dir recipes litestar_app:app`, and look at /schema. The lifespan closes the
client. Litestar writes attrs classes by itself, with Python's names; the converter writes them with the API's.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, get
from litestar.datastructures import State
from litestar.params import FromQuery
from litestar.response import Stream

from apify_tasks_async import Task, TasksClient, converter


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    """Open the client in the loop of the application, and close it at the end."""
    async with TasksClient() as client:
        app.state.client = client
        yield


@get("/newest")
async def newest(state: State, limit: FromQuery[int] = 10) -> list[Task]:
    """Return the newest tasks: user_id, created_at, and what is unknown in extra."""
    client: TasksClient = state.client
    return await client.all_tasks(desc=True, limit=limit)


@get("/page")
async def page(state: State, offset: FromQuery[int] = 0) -> dict[str, Any]:
    """Return one page of tasks as the API has it: userId, createdAt, and what is unknown beside them."""
    client: TasksClient = state.client
    document: dict[str, Any] = converter.unstructure(await client.list_tasks(offset=offset))
    return document


@get("/tasks.ndjson")
async def every(state: State) -> Stream:
    """Stream all tasks, a page at a time, while the next pages are being fetched."""
    client: TasksClient = state.client

    async def chunks() -> AsyncIterator[str]:
        async with client.iter_pages() as pages:
            async for page in pages:
                yield "".join(json.dumps(converter.unstructure(task)) + "\n" for task in page)

    return Stream(chunks(), media_type="application/x-ndjson")


app = Litestar([newest, page, every], lifespan=[lifespan])
