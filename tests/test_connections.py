"""Which connection a request goes over: only one on which nothing but its own answer can come."""

import asyncio
import re
import select
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from helpers.documents import page_bytes
from helpers.faults import tls_of
from helpers.raw_server import RawServer, Reply, Then, message
from helpers.support import client_of, until

from apify_tasks_async import (
    BadRequestError,
    InvalidResponseError,
    RetryPolicy,
    TasksClient,
    TransportError,
    _connections,
)
from apify_tasks_async.testing import make_task

pytestmark = pytest.mark.asyncio

TASKS = [make_task(number) for number in range(400)]
IMPATIENT = RetryPolicy(attempts=1)
UNASKED = message(b"", "Connection: close", status="400 Bad Request", then=Then.CLOSE)
REFUSAL = b'{"error": {"type": "invalid-input", "message": "no"}}'


def page(head: str) -> Reply:
    """Return the page of the list that a request asks for."""
    offset, limit = (int(re.search(rf"{name}=(\d+)", head)[1]) for name in ("offset", "limit"))  # type: ignore[index]
    return message(page_bytes(TASKS, offset=offset, limit=limit))


def page_twice(head: str) -> Reply:
    """Return the page, twice."""
    reply = page(head)
    return Reply([*reply.pieces, *reply.pieces])


def slowly(reply: Callable[[str], Reply], seconds: float) -> Callable[[str], Reply]:
    """Return the function with a pause before each piece of its replies."""
    return lambda head: Reply(reply(head).pieces, pause=seconds)


@asynccontextmanager
async def session_of(*, own: bool) -> AsyncIterator[dict[str, Any]]:
    """Return the options of a client with a session of its own, or with a borrowed one."""
    if own:
        yield {}
    else:
        async with aiohttp.ClientSession() as session:
            yield {"session": session}


trusted = pytest.mark.usefixtures("trusted_authority")
own_and_borrowed = pytest.mark.parametrize("own", [True, False], ids=["own session", "borrowed session"])


@pytest.fixture(params=[True, False], ids=["poll", "no poll"])
def poll(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test with `select.poll`, and without it, as on Windows."""
    if not request.param:
        monkeypatch.delattr(select, "poll")


@pytest.mark.usefixtures("poll")
class TestUnasked:
    """What comes on a connection that nobody asked for."""

    async def test_page_sent_twice(self) -> None:
        """A page that comes again while its connection is idle is not taken for the answer to the next request."""
        async with RawServer(page_twice, page) as server, client_of(server, retry=IMPATIENT) as client:
            assert TASKS[300:310] == [*await client.list_tasks(offset=300, limit=10)]
            await until(lambda: server.requests)
            assert TASKS[:10] == [*await client.list_tasks(limit=10)]
        assert (2, 2) == (len(server.requests), server.connections)

    async def test_error_before_the_connection_closes(self) -> None:
        """The unasked 400 of a load balancer that closes an idle connection is not taken for an answer."""
        last_words = Reply([*message(page_bytes(TASKS)).pieces, *UNASKED.pieces], Then.CLOSE)
        async with RawServer(last_words, page) as server, client_of(server, retry=IMPATIENT) as client:
            assert len(TASKS) == await client.count()
            assert len(TASKS) == await client.count()
        assert (2, 0) == (server.connections, client.stats.failures)

    async def test_error_that_crosses_the_request(self) -> None:
        """A 4xx without the API's error document, on a connection in use before, is tried again on a new one."""
        async with RawServer(page, UNASKED, page) as server, client_of(server, retry=IMPATIENT) as client:
            assert len(TASKS) == await client.count()
            assert len(TASKS) == await client.count()
        assert (3, 2) == (len(server.requests), server.connections)
        assert (2, 1, 3) == (client.stats.pages, client.stats.reconnects, client.stats.requests)

    async def test_error_on_a_new_connection(self) -> None:
        """On a new connection it is the answer."""
        async with RawServer(UNASKED) as server, client_of(server) as client:
            with pytest.raises(BadRequestError):
                await client.count()
        assert 1 == len(server.requests)

    async def test_error_of_the_api(self) -> None:
        """A 4xx with the API's error document is the answer, on whatever connection."""
        refusal = message(REFUSAL, status="400 Bad Request")
        async with RawServer(page, refusal) as server, client_of(server) as client:
            await client.count()
            with pytest.raises(BadRequestError):
                await client.count()
        assert (2, 1) == (len(server.requests), server.connections)

    @own_and_borrowed
    async def test_answer_to_another_request(self, *, own: bool) -> None:
        """A connection on which the answer to another request came is not used for the next one."""
        wrong = message(page_bytes(TASKS, offset=100, limit=10))
        async with (
            RawServer(wrong, page) as server,
            session_of(own=own) as options,
            client_of(server, retry=IMPATIENT, **options) as client,
        ):
            with pytest.raises(InvalidResponseError, match="offset: asked for 0, got 100"):
                await client.list_tasks(limit=10)
            await client.list_tasks(limit=10)
        assert 2 == server.connections

    async def test_a_walk_after_a_page_that_came_twice(self) -> None:
        """A borrowed session with a single connection is not one answer behind from then on."""
        one = aiohttp.TCPConnector(limit=1)
        async with (
            RawServer(page_twice, page) as server,
            aiohttp.ClientSession(connector=one) as session,
            client_of(server, session=session, retry=RetryPolicy(base_delay=0)) as client,
        ):
            assert TASKS == await client.all_tasks(page_size=10)
            assert client.stats.retries <= 1

    async def test_walks_beside_late_errors(self) -> None:
        """Walks are whole, although each tenth answer is followed by an unasked 400 a little later."""
        served = 0

        def answer(head: str) -> Reply:
            nonlocal served
            served += 1
            reply = page(head)
            if served % 10:
                return reply
            return Reply([b"".join(reply.pieces), b"".join(UNASKED.pieces)], Then.CLOSE, pause=0.001)

        async with RawServer(answer) as server, client_of(server, retry=IMPATIENT) as client:
            for _ in range(5):
                assert TASKS == await client.all_tasks(page_size=10)


class TestDeadPool:
    """Idle connections that are dead, and say so only when a request is sent."""

    @own_and_borrowed
    @pytest.mark.parametrize("concurrency", [1, 8, 16])
    async def test_forgotten(self, concurrency: int, *, own: bool) -> None:
        """A client whose pooled connections all died goes on at once, without a second attempt."""
        async with (
            RawServer(slowly(page, 0.01)) as server,
            session_of(own=own) as options,
            client_of(server, retry=IMPATIENT, concurrency=concurrency, **options) as client,
        ):
            assert TASKS == await client.all_tasks(page_size=20)
            server.forget()
            assert len(TASKS) == await client.count()
            assert TASKS == await client.all_tasks(page_size=20)
        assert 0 == client.stats.retries
        assert client.stats.reconnects >= 1

    @own_and_borrowed
    async def test_forgotten_costs_a_round_trip(self, *, own: bool) -> None:
        """However many connections are dead, the next request meets one of them, also in a borrowed session."""
        async with (
            RawServer(slowly(page, 0.01)) as server,
            session_of(own=own) as options,
            client_of(server, concurrency=16, **options) as client,
        ):
            await client.all_tasks(page_size=20)
            assert server.open > 8
            server.forget()
            await client.count()
        assert (1, 0, 1) == (server.resets, client.stats.retries, client.stats.reconnects)

    async def test_forgotten_beside_middlewares(self) -> None:
        """The middlewares of a borrowed session see each request, and what aiohttp raised."""
        seen: list[str] = []

        async def middleware(
            request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            try:
                response = await handler(request)
            except aiohttp.ClientConnectionError:
                seen.append("broken")
                raise
            seen.append("answered")
            return response

        async with (
            RawServer(page) as server,
            aiohttp.ClientSession(middlewares=[middleware]) as session,
            client_of(server, session=session) as client,
        ):
            await client.count()
            server.forget()
            await client.count()
        assert ["answered", "broken", "answered"] == seen
        assert (1, 3) == (server.resets, client.stats.requests)

    async def test_forgotten_beside_unknown_middlewares(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """If it is not known which they are, they are left alone, and aiohttp resends once by itself."""
        async with (
            RawServer(slowly(page, 0.01)) as server,
            aiohttp.ClientSession() as session,
            client_of(server, session=session) as client,
        ):
            await client.all_tasks(page_size=20)
            request = session._request

            async def without(*arguments: Any, **options: Any) -> aiohttp.ClientResponse:
                assert "middlewares" not in options
                return await request(*arguments, middlewares=(), **options)

            monkeypatch.setattr(session, "_request", without)
            monkeypatch.delattr(session, "_middlewares")
            server.forget()
            await client.count()
        assert (2, 0) == (server.resets, client.stats.retries)

    @trusted
    async def test_forgotten_over_tls(self) -> None:
        """The new connections of a borrowed session are made for the same host, also if it is called by its name."""
        async with (
            RawServer(slowly(page, 0.01), tls=tls_of("localhost")) as server,
            aiohttp.ClientSession() as session,
            client_of(server, base_url=server.url.replace("127.0.0.1", "localhost"), session=session) as client,
        ):
            await client.all_tasks(page_size=20)
            server.forget()
            assert TASKS == await client.all_tasks(page_size=20)
        assert server.resets >= 1
        assert 0 == client.stats.retries

    @own_and_borrowed
    @pytest.mark.parametrize("concurrency", [1, 8, 16])
    async def test_each_second_use(self, concurrency: int, *, own: bool) -> None:
        """A server that resets each second use of a connection costs connections, and no attempt."""

        def answer(head: str) -> Reply:
            server.forget_current()
            return page(head)

        async with (
            RawServer(answer) as server,
            session_of(own=own) as options,
            client_of(server, retry=IMPATIENT, concurrency=concurrency, **options) as client,
        ):
            for _ in range(3):
                assert TASKS == await client.all_tasks(page_size=10)

    @own_and_borrowed
    @pytest.mark.parametrize("then", [Then.CLOSE, Then.RESET])
    async def test_server_is_down(self, then: Then, *, own: bool) -> None:
        """A server that breaks new connections as well costs its attempts, and no more than one request besides."""
        retry = RetryPolicy(attempts=3, base_delay=0)
        async with (
            RawServer(page, Reply(then=then)) as server,
            session_of(own=own) as options,
            client_of(server, retry=retry, **options) as client,
        ):
            await client.count()
            with pytest.raises(TransportError, match="after 3 attempts"):
                await client.count()
        assert (1, 1 + 3 + 1) == (client.stats.reconnects, client.stats.requests)

    async def test_within_the_timeout(self) -> None:
        """The timeout of an attempt covers the connections that it went through."""
        hang = Reply(then=Then.HANG)
        async with RawServer(page, hang) as server, client_of(server, retry=IMPATIENT, timeout=0.05) as client:
            await client.count()
            server.forget()
            with pytest.raises(TransportError, match="no complete response from"):
                await client.count()
        assert (1, 2) == (server.resets, len(server.requests))


async def test_silent_connection_is_used_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request waits for no turn of the loop if nothing has arrived on its connection."""
    monkeypatch.setattr(_connections, "TURNS", sys.maxsize)
    async with RawServer(page) as server, client_of(server) as client:
        await client.count()
        assert TASKS == await asyncio.wait_for(client.all_tasks(page_size=50), timeout=10)


@pytest.mark.usefixtures("poll")
async def test_connection_closed_while_it_is_checked() -> None:
    """A request that is cancelled while its connection is checked leaves nothing open."""
    async with RawServer(page) as server, client_of(server) as client:
        await client.count()
        for turns in range(6):
            asking = asyncio.create_task(client.count())
            for _ in range(turns):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.wait({asking})
        assert len(TASKS) == await client.count()


async def test_session_of_another_loop_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A borrowed session of another event loop is refused before anything of it is used."""
    session = await asyncio.to_thread(asyncio.run, _opened())
    monkeypatch.setattr(session, "_request", None)  # uvloop would abort the process here
    async with TasksClient("test-token", base_url="http://127.0.0.1:1", session=session) as client:
        with pytest.raises(ValueError, match="the session belongs to another event loop"):
            await client.count()


async def _opened() -> aiohttp.ClientSession:
    session = aiohttp.ClientSession()
    await session.close()
    return session
