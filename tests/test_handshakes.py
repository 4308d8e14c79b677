"""Connections that are opened beside the first page, so that the pages after it need not wait for handshakes."""

import asyncio
import re

import aiohttp
import pytest
from helpers.documents import page_bytes
from helpers.faults import tls_of, trusting
from helpers.raw_server import RawServer, Reply, Then, message
from helpers.support import client_of, until

from apify_tasks_async import Bookmark, CertificateError, RequestTimeoutError, RetryPolicy, map_accounts
from apify_tasks_async.testing import make_task

pytestmark = pytest.mark.asyncio

TASKS = [make_task(number) for number in range(50)]


def page(head: str) -> Reply:
    """Return the page of the list that a request asks for."""
    offset, limit = (int(re.search(rf"{name}=(\d+)", head)[1]) for name in ("offset", "limit"))  # type: ignore[index]
    if "desc=1" in head:
        return message(page_bytes(TASKS[::-1], offset=offset, limit=limit, desc=True))
    return message(page_bytes(TASKS, offset=offset, limit=limit))


trusted = pytest.mark.usefixtures("trusted_authority")


@trusted
async def test_a_walk_opens_its_connections_at_once() -> None:
    """With the first request, before it is known that there is a second page."""
    async with RawServer(page, tls=tls_of()) as server, client_of(server, concurrency=4) as client:
        assert 50 == len([task async for task in client.iter_tasks()])
        await until(lambda: server.connections == 4)
    assert 1 == len(server.requests)


@trusted
async def test_the_next_pages_use_them() -> None:
    """There are never more than `concurrency` connections, and none is opened in vain."""
    async with RawServer(page, tls=tls_of()) as server, client_of(server, concurrency=4) as client:
        pages = client.iter_pages(page_size=10)
        await anext(pages)
        await until(lambda: server.connections == 4)
        assert 4 == len([one async for one in pages])
        assert TASKS == await client.all_tasks(page_size=10)
    assert (4, 10, 0) == (server.connections, len(server.requests), client.stats.reconnects)


@trusted
@pytest.mark.parametrize(
    "options",
    [
        {"limit": 10, "page_size": 10},
        {"after": Bookmark(TASKS[40].created_at, frozenset({TASKS[40].id}), 40, desc=False)},
    ],
    ids=["limit", "bookmark"],
)
async def test_a_walk_of_one_page_opens_one(options: dict[str, object]) -> None:
    """A walk that is sure, or likely, to need one page opens one connection; a client that fetched before, too."""
    async with RawServer(page, tls=tls_of()) as server, client_of(server, concurrency=4) as client:
        assert [task async for task in client.iter_tasks(**options)]  # type: ignore[arg-type]
        assert [task async for task in client.iter_tasks()]
    assert 1 == server.connections


@trusted
async def test_accounts_open_one_each() -> None:
    """Most accounts have one page."""

    async def read(client: object, _: str) -> int:
        return len([task async for task in client.iter_tasks()])  # type: ignore[attr-defined]

    async with RawServer(page, tls=tls_of()) as server:
        async for result in map_accounts({"alice": "token-a", "bob": "token-b"}, read, base_url=server.url):
            assert 50 == result.value
    assert server.connections <= 2


async def test_others_are_left_alone() -> None:
    """A borrowed session opens its connections as it likes. Without TLS, a connection costs next to nothing."""
    async with RawServer(page, tls=tls_of()) as server, aiohttp.ClientSession(connector=trusting()) as session:
        async with client_of(server, session=session) as client:
            assert TASKS == await client.all_tasks()
        assert 1 == server.connections
    async with RawServer(page) as server, client_of(server) as client:
        assert TASKS == await client.all_tasks()
        assert 1 == server.connections


@trusted
async def test_connections_that_died_meanwhile_cost_no_attempt() -> None:
    """A connection that was opened ahead is trusted no more than one that was used."""
    async with (
        RawServer(page, tls=tls_of()) as server,
        client_of(server, concurrency=4, retry=RetryPolicy(attempts=1)) as client,
    ):
        pages = client.iter_pages(page_size=10)
        await anext(pages)
        await pages.aclose()
        await until(lambda: server.connections == 4)
        server.forget()
        assert TASKS == await client.all_tasks(page_size=10)
    assert server.resets > 0
    assert 0 == client.stats.failures


async def test_a_certificate_is_refused_once() -> None:
    """The failures of the other connections are not heard of."""
    async with RawServer(page, tls=tls_of()) as server, client_of(server, concurrency=4) as client:
        with pytest.raises(CertificateError):
            await client.all_tasks()
        await until(lambda: server.connections == 4)
    assert 1 == client.stats.failures


async def test_a_client_closes_while_connections_are_being_opened() -> None:
    """The connections are given up with the client."""
    async with RawServer(greeting=b"", then=Then.HANG) as server:
        url = server.url.replace("http:", "https:")
        async with client_of(server, base_url=url, concurrency=4, timeout=0.1, retry=RetryPolicy(attempts=1)) as client:
            with pytest.raises(RequestTimeoutError):
                await client.all_tasks()
            await until(lambda: server.open == 3)
        await until(lambda: server.open == 0)
        names = [task.get_coro() for task in asyncio.all_tasks()]
        assert not [name for name in names if "Connector" in getattr(name, "__qualname__", "")]
