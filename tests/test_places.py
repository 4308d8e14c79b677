"""Many clients on one session: waiting for its connections is no attempt, and no timeout."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from apify_tasks_async import ClientClosedError, RequestTimeoutError, RetryPolicy, TasksClient, map_accounts
from apify_tasks_async.testing import FakeApify, Hang, Status

pytestmark = [pytest.mark.asyncio, pytest.mark.virtual_time]

CALLS = 600


@asynccontextmanager
async def session_of(**options: Any) -> AsyncIterator[aiohttp.ClientSession]:
    """Return a session with such a connector, and a short timeout of its own."""
    timeout = aiohttp.ClientTimeout(total=5)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(**options), timeout=timeout) as session:
        yield session


def clients_of(api: FakeApify, session: aiohttp.ClientSession, count: int) -> list[TasksClient]:
    """Return clients that are as fast as the session lets them be, and not patient."""
    options: dict[str, Any] = {"timeout": 0.8, "concurrency": CALLS, "rate_limit": None}
    return [TasksClient(api.token, base_url=api.url, session=session, **options) for _ in range(count)]


@pytest.mark.parametrize(
    ("options", "calls", "takes"),
    [({"limit": 10}, CALLS, 6), ({"limit": 100, "limit_per_host": 10}, CALLS, 6), ({"limit": 0}, 50, 0.1)],
    ids=["limit", "limit per host", "no limit"],
)
@pytest.mark.parametrize("clients", [CALLS, 1])
async def test_waiting_for_a_connection_is_no_attempt(
    clients: int, options: dict[str, int], calls: int, takes: float
) -> None:
    """600 requests over 10 connections take six seconds, and are sent once each, with a timeout of 0.8 s."""
    async with FakeApify(tasks=5, latency=0.1) as api, session_of(**options) as session:
        users = clients_of(api, session, clients)
        began = asyncio.get_running_loop().time()
        counts = await asyncio.gather(*(users[number % clients].count() for number in range(calls)))
        assert takes == pytest.approx(asyncio.get_running_loop().time() - began, rel=0.1)
        assert [5] * calls == counts
        assert calls == len(api.requests)
        assert (calls, 0) == (sum(user.stats.requests for user in users), sum(user.stats.retries for user in users))
        for user in users:
            await user.close()


async def test_accounts_wait_for_the_connections_of_their_session() -> None:
    """More accounts at work than `map_accounts` has connections are sent one request each, too."""
    accounts = {f"token-{number}": 3 for number in range(CALLS)}

    async def count(client: TasksClient, _: str) -> int:
        return await client.count()

    async with FakeApify(accounts=accounts, latency=0.5) as api:
        tokens = {name: name for name in accounts}
        results = map_accounts(tokens, count, at_once=CALLS, base_url=api.url, timeout=0.8)
        assert [3] * CALLS == [result.value async for result in results]
        assert CALLS == len(api.requests)


async def test_the_deadline_bounds_the_wait() -> None:
    """A request that finds no connection for so long is not sent, is no attempt, and its error says what to do."""
    retry = RetryPolicy(attempts=1, deadline=20)
    async with FakeApify(tasks=5) as api, aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        api.fail(Hang())
        options: dict[str, Any] = {"base_url": api.url, "session": session}
        async with (
            TasksClient(api.token, timeout=60, **options) as slow,
            TasksClient(api.token, retry=retry, label="alice", **options) as client,
        ):
            hanging = asyncio.create_task(slow.count())
            await asyncio.sleep(1)
            with pytest.raises(RequestTimeoutError) as caught:
                await client.count()
            assert (0, 1) == (client.stats.requests, client.stats.failures)
            assert (
                "no connection of the session became free within the deadline of 20 s (account alice, offset=0, "
                "limit=1, desc=False, after 0 attempts); let the session have more connections, or raise the "
                "`deadline` of the retry policy"
            ) == str(caught.value)
            assert 5 == await hanging
            assert 5 == await client.count()


async def test_a_line_that_does_not_move() -> None:
    """Its requests wait for the same connection, so each fails after its own deadline, not that of all before it."""
    retry = RetryPolicy(deadline=20)
    async with FakeApify(tasks=5) as api, aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        api.fail(Hang(), times=2)
        options: dict[str, Any] = {"base_url": api.url, "session": session}
        async with (
            TasksClient(api.token, timeout=1000, **options) as slow,
            TasksClient(api.token, retry=retry, **options) as client,
        ):
            hanging = asyncio.create_task(slow.count())
            await asyncio.sleep(1)
            loop = asyncio.get_running_loop()
            for _ in range(2):
                began = loop.time()
                ended = await asyncio.gather(*(client.count() for _ in range(20)), return_exceptions=True)
                assert {RequestTimeoutError} == {type(error) for error in ended}
                assert 20 == pytest.approx(loop.time() - began, rel=0.01)
                await asyncio.sleep(5)
            api.clear_faults()
            assert 5 == await hanging
            assert 5 == await client.count()


@pytest.mark.parametrize("fault", [Status(503), Status(429, retry_after=9)], ids=["outage", "pause"])
async def test_a_place_that_is_not_used_is_left_to_others(fault: Status) -> None:
    """A request that waits for a connection when an outage begins, or a pause, lets other clients use it."""
    ended: list[str] = []
    async with FakeApify(tasks=5, latency=1) as api, session_of(limit=1) as session:
        options: dict[str, Any] = {"base_url": api.url, "session": session}
        async with TasksClient(api.token, **options) as client, TasksClient(api.token, **options) as other:

            async def count(user: TasksClient, name: str) -> None:
                await user.count()
                ended.append(name)

            api.fail(fault)
            async with asyncio.TaskGroup() as group:
                for user, name in ((client, "first"), (client, "second"), (other, "other")):
                    group.create_task(count(user, name))
    assert "other" == ended[0]
    assert 4 == len(api.requests)


async def test_a_request_that_is_cancelled_while_it_waits() -> None:
    """It leaves the request alone that uses the connection, and the next one has its turn."""
    async with FakeApify(tasks=5, latency=0.5) as api, session_of(limit=1) as session:
        calls = [asyncio.create_task(user.count()) for user in clients_of(api, session, 3)]
        await asyncio.sleep(0.2)
        calls[1].cancel()
        await asyncio.wait(calls)
        assert [False, True, False] == [call.cancelled() for call in calls]
        assert 2 == len(api.requests)


async def test_a_closed_session_has_no_places() -> None:
    """Its error is the one that says so."""
    session = aiohttp.ClientSession()
    await session.close()
    async with TasksClient("token", session=session) as client:
        with pytest.raises(ClientClosedError, match="the session was closed"):
            await client.count()
