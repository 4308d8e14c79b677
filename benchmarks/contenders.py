"""Who is measured: each lists all tasks of a server, and returns their ids."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import aiohttp
import msgspec
from apify_client import ApifyClientAsync

from apify_tasks_async import TasksClient

TOKEN = "token-of-no-account"
CONCURRENCY = 8
PAGE = 1000

Contender = Callable[[str], Coroutine[Any, Any, list[str]]]


async def ours(url: str) -> list[str]:
    """This library, as it comes, but for the rate limit."""
    async with TasksClient(TOKEN, base_url=url, rate_limit=None) as client:
        return [task.id async for task in client.iter_tasks()]


async def ours_exact(url: str) -> list[str]:
    """This library with the guarantee."""
    async with TasksClient(TOKEN, base_url=url, rate_limit=None) as client:
        return [task.id async for task in client.iter_tasks(exact=True)]


async def official(url: str) -> list[str]:
    """The official client: its own iteration, page after page."""
    client = ApifyClientAsync(TOKEN, api_url=url)
    return [task.id async for task in client.tasks().iterate()]


class Struct(msgspec.Struct, rename="camel"):
    """A task for the typed floor: no unknown fields, no attrs."""

    id: str
    user_id: str
    act_id: str
    name: str
    created_at: str
    modified_at: str
    act_name: str | None = None
    username: str | None = None
    act_username: str | None = None


class Data(msgspec.Struct):
    """A page for the typed floor."""

    total: int
    items: list[Struct]


class Envelope(msgspec.Struct):
    """What is around it."""

    data: Data


class Total(msgspec.Struct):
    """As much of a page as must be known to ask for the others."""

    total: int


class TotalOnly(msgspec.Struct):
    """What is around it."""

    data: Total


async def bodies(url: str) -> AsyncIterator[bytes]:
    """Yield the bodies of all pages, in order, with the same window as ours."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONCURRENCY)) as session:

        async def fetch(offset: int) -> bytes:
            parameters = {"offset": offset, "limit": PAGE}
            async with session.get(f"{url}/v2/actor-tasks", params=parameters) as response:
                return await response.read()

        first = await fetch(0)
        offsets = iter(range(PAGE, msgspec.json.decode(first, type=TotalOnly).data.total, PAGE))
        window: deque[asyncio.Task[bytes]] = deque()
        body = first
        while True:
            while len(window) < CONCURRENCY and (offset := next(offsets, None)) is not None:
                window.append(asyncio.create_task(fetch(offset)))
            yield body
            if not window:
                return
            body = await window.popleft()


async def typed_floor(url: str) -> list[str]:
    """The same window, decoded into msgspec structs: the least that typed tasks cost."""
    decoder = msgspec.json.Decoder(Envelope)
    return [task.id async for body in bodies(url) for task in decoder.decode(body).data.items]


async def transfer_floor(url: str) -> list[str]:
    """The same window, not decoded: the least that anything costs."""
    async for _ in bodies(url):
        pass
    return []


CONTENDERS: dict[str, Contender] = {
    "ours": ours,
    "ours, exact": ours_exact,
    "official client": official,
    "typed floor": typed_floor,
    "transfer floor": transfer_floor,
}
