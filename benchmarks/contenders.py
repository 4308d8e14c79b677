"""The contenders: each opens a client, which iterates over all tasks of a server."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import aiohttp
import httpx
import msgspec
from apify_client import ApifyClientAsync
from bodies import PAGE
from decoders import Decoder, decode_dictionaries, decode_plain, decode_structs

from apify_tasks_async import TasksClient

TOKEN = "token-of-no-account"
CONCURRENCY = 8

Walk = Callable[[], AsyncIterator[Any]]
"""Iterates over all tasks, without a layer around it."""

Contender = Callable[[str], AbstractAsyncContextManager[Walk]]
"""Takes the base URL of an API, and opens a client for it."""


def ours(*, exact: bool = False, rate_limit: float | None = 60.0) -> Contender:
    """This library, with or without its guarantee, by default with its rate limit."""

    @asynccontextmanager
    async def contender(url: str) -> AsyncIterator[Walk]:
        async with TasksClient(TOKEN, base_url=url, rate_limit=rate_limit) as client:
            yield partial(client.iter_tasks, exact=exact)

    return contender


@asynccontextmanager
async def official(url: str) -> AsyncIterator[Walk]:
    """The official client, which requests page after page."""
    yield ApifyClientAsync(TOKEN, api_url=url).tasks().iterate


# The others are an afternoon's work of a good engineer: a window of requests, as wide as that of this library.

Fetch = Callable[[int], Awaitable[bytes]]
"""Takes the offset of a page, and returns its body."""


@asynccontextmanager
async def with_aiohttp(url: str) -> AsyncIterator[Fetch]:
    """Request the pages with aiohttp."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONCURRENCY)) as session:

        async def fetch(offset: int) -> bytes:
            parameters = {"offset": offset, "limit": PAGE}
            async with session.get(f"{url}/v2/actor-tasks", params=parameters) as response:
                return await response.read()

        yield fetch


@asynccontextmanager
async def with_httpx(url: str) -> AsyncIterator[Fetch]:
    """Request the pages with httpx."""
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=CONCURRENCY)) as client:

        async def fetch(offset: int) -> bytes:
            response = await client.get(f"{url}/v2/actor-tasks", params={"offset": offset, "limit": PAGE})
            return response.content

        yield fetch


class Total(msgspec.Struct):
    """The part of a page that is needed to request the others."""

    total: int


class TotalOnly(msgspec.Struct):
    """The document around it."""

    data: Total


async def bodies(fetch: Fetch) -> AsyncIterator[bytes]:
    """Yield the bodies of all pages in order."""
    body = await fetch(0)
    offsets = iter(range(PAGE, msgspec.json.decode(body, type=TotalOnly).data.total, PAGE))
    window: deque[asyncio.Task[bytes]] = deque()
    while True:
        while len(window) < CONCURRENCY and (offset := next(offsets, None)) is not None:
            window.append(asyncio.ensure_future(fetch(offset)))
        yield body
        if not window:
            return
        body = await window.popleft()


async def decoded(fetch: Fetch, decode: Decoder) -> AsyncIterator[Any]:
    """Yield the tasks of all pages."""
    async for body in bodies(fetch):
        for task in decode(body):
            yield task


Connect = Callable[[str], AbstractAsyncContextManager[Fetch]]


def hand_made(decode: Decoder, connect: Connect = with_aiohttp) -> Contender:
    """The window with a decoder."""

    @asynccontextmanager
    async def contender(url: str) -> AsyncIterator[Walk]:
        async with connect(url) as fetch:
            yield partial(decoded, fetch, decode)

    return contender


@asynccontextmanager
async def transfer_floor(url: str) -> AsyncIterator[Walk]:
    """The window alone, nothing decoded: the lower bound for any client. It yields bodies, not tasks."""
    async with with_aiohttp(url) as fetch:
        yield partial(bodies, fetch)


FLOOR = "transfer floor"
DICTIONARIES = "aiohttp, dictionaries"
HTTPX = "httpx, dictionaries"
UNTYPED = {FLOOR, DICTIONARIES, HTTPX}
"""What these yield has no attributes."""

CONTENDERS: dict[str, Contender] = {
    "ours": ours(),
    "ours, exact": ours(exact=True),
    "official client": official,
    "stock cattrs": hand_made(decode_plain),
    DICTIONARIES: hand_made(decode_dictionaries),
    HTTPX: hand_made(decode_dictionaries, with_httpx),
    "typed floor": hand_made(decode_structs),
    FLOOR: transfer_floor,
}
RIVALS = {name: CONTENDERS[name] for name in ("ours", "official client")}
WINDOWS = {name: CONTENDERS[name] for name in ("ours", DICTIONARIES, HTTPX)}
"""Those that request several pages at once."""

UNPACED = CONTENDERS | {"ours": ours(rate_limit=None), "ours, exact": ours(exact=True, rate_limit=None)}
"""Without our rate limit, as the others: used to measure CPU time, since a CPU that was idle runs slower."""
