"""aiohttp.web: a client that borrows the application's session.

Run it with `APIFY_TOKEN=... python recipes/aiohttp_app.py`, and look at /newest. `cleanup_ctx` closes the client, which
leaves the session alone, and then the session.
"""

import os
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

from apify_tasks_async import TasksClient

CLIENT = web.AppKey("client", TasksClient)


async def lend_client(app: web.Application) -> AsyncIterator[None]:
    """Open the session and the client in the loop of the application, and close them at the end."""
    async with aiohttp.ClientSession() as session, TasksClient(session=session) as client:
        app[CLIENT] = client
        yield


async def newest(request: web.Request) -> web.Response:
    """Answer with the names of the newest tasks."""
    tasks = await request.app[CLIENT].all_tasks(desc=True, limit=5)
    return web.json_response([task.name for task in tasks])


def make_app() -> web.Application:
    """Return the application."""
    app = web.Application()
    app.cleanup_ctx.append(lend_client)
    app.router.add_get("/newest", newest)
    return app


if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1", port=int(os.environ.get("PORT", "8080")))
