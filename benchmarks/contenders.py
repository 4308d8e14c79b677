"""Who is measured: each opens a client of its own, and iterates over all tasks of a server."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aiohttp
import msgspec
from apify_client import ApifyClientAsync
from bodies import PAGE
from decoders import Decoder, decode_plain, decode_structs

from apify_tasks_async import TasksClient

TOKEN = "token-of-no-account"
CONCURRENCY = 8

Contender = Callable[[str], AbstractAsyncContextManager[AsyncIterator[Any]]]
"""Takes the base URL of an API, and opens an iterator over its tasks. No layer of the benchmark's is around it."""


def ours(*, exact: bool = False, rate_limit: float | None = 60.0) -> Contender:
    """This library, with or without its guarantee, and by default with its own rate limit."""

    @asynccontextmanager
    async def contender(url: str) -> AsyncIterator[AsyncIterator[Any]]:
        async with TasksClient(TOKEN, base_url=url, rate_limit=rate_limit) as client:
            yield client.iter_tasks(exact=exact)

    return contender


@asynccontextmanager
async def official(url: str) -> AsyncIterator[AsyncIterator[Any]]:
    """The official client: its own iteration, page after page."""
    yield ApifyClientAsync(TOKEN, api_url=url).tasks().iterate()


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

        body = await fetch(0)
        offsets = iter(range(PAGE, msgspec.json.decode(body, type=TotalOnly).data.total, PAGE))
        window: deque[asyncio.Task[bytes]] = deque()
        while True:
            while len(window) < CONCURRENCY and (offset := next(offsets, None)) is not None:
                window.append(asyncio.create_task(fetch(offset)))
            yield body
            if not window:
                return
            body = await window.popleft()


async def decoded(url: str, decode: Decoder) -> AsyncIterator[Any]:
    """Yield the tasks of those bodies."""
    async for body in bodies(url):
        for task in decode(body):
            yield task


@asynccontextmanager
async def stock_cattrs(url: str) -> AsyncIterator[AsyncIterator[Any]]:
    """What a good engineer writes in an afternoon: the same window, orjson, and a stock cattrs converter."""
    yield decoded(url, decode_plain)


@asynccontextmanager
async def typed_floor(url: str) -> AsyncIterator[AsyncIterator[Any]]:
    """The same window, decoded into msgspec structs: the least that typed tasks cost."""
    yield decoded(url, decode_structs)


@asynccontextmanager
async def transfer_floor(url: str) -> AsyncIterator[AsyncIterator[Any]]:
    """The same window, not decoded: the least that anything costs. It yields bodies, not tasks."""
    yield bodies(url)


FLOOR = "transfer floor"
CONTENDERS: dict[str, Contender] = {
    "ours": ours(),
    "ours, exact": ours(exact=True),
    "official client": official,
    "stock cattrs": stock_cattrs,
    "typed floor": typed_floor,
    FLOOR: transfer_floor,
}
RIVALS = {name: CONTENDERS[name] for name in ("ours", "official client")}
UNPACED = CONTENDERS | {"ours": ours(rate_limit=None), "ours, exact": ours(exact=True, rate_limit=None)}
"""The same without a rate limit, which the others do not have: for the CPU, since one that was idle runs slower."""
