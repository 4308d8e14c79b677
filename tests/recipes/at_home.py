"""The Apify platform, as an Actor meets it: its API at a private address, over plain http."""

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from hosting import web_server

from apify_tasks_async.testing import FakeApify

__all__ = ["Platform", "platform"]

ADDRESS = "10.0.32.27"

RUN = {
    "id": "a-run",
    "actId": "an-actor",
    "userId": "a-user",
    "startedAt": "2026-01-01T00:00:00.000Z",
    "status": "RUNNING",
    "meta": {"origin": "WEB"},
    "stats": {"computeUnits": 0, "restartCount": 0, "resurrectCount": 0},
    "options": {"build": "latest", "timeoutSecs": 0, "memoryMbytes": 128, "diskMbytes": 256},
    "buildId": "a-build",
    "defaultKeyValueStoreId": "a-store",
    "defaultDatasetId": "a-dataset",
    "defaultRequestQueueId": "a-queue",
    "generalAccess": "RESTRICTED",
}

DATASET = {
    "id": "a-dataset",
    "userId": "a-user",
    "createdAt": "2026-01-01T00:00:00.000Z",
    "modifiedAt": "2026-01-01T00:00:00.000Z",
    "accessedAt": "2026-01-01T00:00:00.000Z",
    "itemCount": 0,
    "cleanItemCount": 0,
    "consoleUrl": "https://console.apify.com/storage/datasets/a-dataset",
}

NETWORK = f"""
import asyncio, functools, os, impit

port = int(os.environ["PLATFORM_PORT"])
connect = asyncio.SelectorEventLoop.sock_connect

async def sock_connect(self, sock, address):
    await connect(self, sock, ("127.0.0.1", port) if address[0] == "{ADDRESS}" else address)

asyncio.SelectorEventLoop.sock_connect = sock_connect
impit.AsyncClient = functools.partial(impit.AsyncClient, proxy=f"http://127.0.0.1:{{port}}")
"""
"""Leads the platform's private address to loopback, in a process that imports it at its start."""


class Platform:
    """The API of the platform: the list of tasks, one run, and one dataset."""

    def __init__(self, account: FakeApify, folder: Path) -> None:
        self.items: list[dict[str, Any]] = []
        self._account = account
        self._folder = folder

    def environment(self, port: int) -> dict[str, str]:
        """Return the variables that the platform sets."""
        (self._folder / "sitecustomize.py").write_text(NETWORK)
        return {
            "APIFY_IS_AT_HOME": "1",
            "APIFY_API_BASE_URL": f"http://{ADDRESS}:8010",
            "ACTOR_RUN_ID": "a-run",
            "ACTOR_DEFAULT_DATASET_ID": "a-dataset",
            "PLATFORM_PORT": f"{port}",
            "PYTHONPATH": str(self._folder),
        }

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request."""
        if request.path == "/v2/actor-tasks":
            return await self._list(request)
        if request.path.startswith("/v2/actor-runs/"):
            return web.json_response({"data": RUN})
        if request.method == "GET":
            return web.json_response({"data": DATASET})
        body = await request.read()
        items = json.loads(gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body)
        self.items += items if isinstance(items, list) else [items]
        return web.json_response({}, status=201)

    async def _list(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {"Authorization": request.headers["Authorization"]}
        url = f"{self._account.url}{request.path_qs}"
        async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
            return web.Response(body=await response.read(), status=response.status, content_type="application/json")


@asynccontextmanager
async def platform(account: FakeApify, folder: Path) -> AsyncIterator[tuple[Platform, dict[str, str]]]:
    """Run the platform; give it and the variables that it sets."""
    running = Platform(account, folder)
    async with web_server(web.ServerRunner(web.Server(running.answer))) as url:
        yield running, running.environment(int(url.rpartition(":")[2]))
