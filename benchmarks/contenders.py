"""The contenders: each opens a client, and iterates over all tasks of a server."""

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
from decoders import Decoder, decode_dictionaries, decode_plain, decode_structs

from apify_tasks_async import TasksClient

TOKEN = "token-of-no-account"
CONCURRENCY = 8

Contender = Callable[[str], AbstractAsyncContextManager[AsyncIterator[Any]]]
"""Takes the base URL of an API, and opens an iterator over its tasks, without a layer around it."""


def ours(*, exact: bool = False, rate_limit: float | None = 60.0) -> Contender:
    """This library, with or without its guarantee, by default with its rate limit."""

    @asynccontextmanager
    async def contender(url: str) -> AsyncIterator[AsyncIterator[Any]]:
        async with TasksClient(TOKEN, base_url=url, rate_limit=rate_limit) as client:
            yield client.iter_tasks(exact=exact)

    return contender


@asynccontextmanager
async def official(url: str) -> AsyncIterator[AsyncIterator[Any]]:
    """The official client, which requests page after page."""
    yield ApifyClientAsync(TOKEN, api_url=url).tasks().iterate()


class Total(msgspec.Struct):
    """The part of a page that is needed to request the others."""

    total: int


class TotalOnly(msgspec.Struct):
    """The document around it."""

    data: Total


async def bodies(url: str) -> AsyncIterator[bytes]:
    """Yield the bodies of all pages in order, with the same concurrency as this library."""
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
    """Yield the tasks of all pages."""
    async for body in bodies(url):
        for task in decode(body):
            yield task


@asynccontextmanager
async def stock_cattrs(url: str) -> AsyncIterator[AsyncIterator[Any]]:
    """An afternoon's work of a good engineer: the same concurrency, orjson, and a stock cattrs converter."""
    yield decoded(url, decode_plain)


@asynccontextmanager
async def dictionaries(url: str) -> AsyncIterator[AsyncIterator[Any]]:
    """The same concurrency, and orjson's dictionaries as they are, with nothing checked."""
    yield decoded(url, decode_dictionaries)


@asynccontextmanager
async def typed_floor(url: str) -> AsyncIterator[AsyncIterator[Any]]:
    """The same concurrency, decoded into msgspec structs: the lower bound for typed tasks."""
    yield decoded(url, decode_structs)


@asynccontextmanager
async def transfer_floor(url: str) -> AsyncIterator[AsyncIterator[Any]]:
    """The same concurrency, not decoded: the lower bound for any client. It yields bodies, not tasks."""
    yield bodies(url)


FLOOR = "transfer floor"
UNTYPED = {FLOOR, "dictionaries"}
"""What these yield has no attributes."""

CONTENDERS: dict[str, Contender] = {
    "ours": ours(),
    "ours, exact": ours(exact=True),
    "official client": official,
    "stock cattrs": stock_cattrs,
    "dictionaries": dictionaries,
    "typed floor": typed_floor,
    FLOOR: transfer_floor,
}
RIVALS = {name: CONTENDERS[name] for name in ("ours", "official client")}
UNPACED = CONTENDERS | {"ours": ours(rate_limit=None), "ours, exact": ours(exact=True, rate_limit=None)}
"""Without our rate limit, as the others: used to measure CPU time, since a CPU that was idle runs slower."""
