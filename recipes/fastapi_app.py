"""FastAPI: one client for the application, lent to each request; models as response types; all tasks as NDJSON.

Run it with `APIFY_TOKEN=... uvicorn --app-dir recipes fastapi_app:app`, and look at /docs. The lifespan closes the
client. A reader who hangs up ends the walk of its request, and with it the pages that are in flight for it.
"""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, Query, Request
from fastapi.responses import StreamingResponse

from apify_tasks_async import Task, TaskPage, TasksClient, converter


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, TasksClient]]:
    """Open the client in the loop of the application, and close it at the end."""
    async with TasksClient() as client:
        yield {"client": client}


def lend(request: Request) -> TasksClient:
    """Return the application's client."""
    client: TasksClient = request.state.client
    return client


app = FastAPI(lifespan=lifespan)
Client = Annotated[TasksClient, Depends(lend)]


@app.get("/newest")
async def newest(client: Client, limit: Annotated[int, Query(ge=1, le=1000)] = 10) -> list[Task]:
    """Return the newest tasks."""
    return await client.all_tasks(desc=True, limit=limit)


@app.get("/page")
async def page(client: Client, offset: Annotated[int, Query(ge=0)] = 0) -> TaskPage:
    """Return one page of tasks, oldest first."""
    return await client.list_tasks(offset=offset)


@app.get("/tasks.ndjson")
async def every(client: Client) -> StreamingResponse:
    """Stream all tasks, one on a line, while the next pages are being fetched."""

    async def lines() -> AsyncIterator[str]:
        async with aclosing(client.iter_tasks()) as tasks:
            async for task in tasks:
                yield json.dumps(converter.unstructure(task)) + "\n"

    return StreamingResponse(lines(), media_type="application/x-ndjson")
