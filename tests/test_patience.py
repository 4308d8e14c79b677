"""How long attempts may take, and what their timeouts say. In virtual time, with the default settings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from helpers.raw_server import EMPTY_PAGE, RawServer, Reply, Then, message
from helpers.support import client_of
from hypothesis import given
from hypothesis import strategies as st

from apify_tasks_async import Attempt, RequestTimeoutError, RetryPolicy, TasksClient
from apify_tasks_async._patience import full_time

pytestmark = pytest.mark.virtual_time

SILENCE = Reply(then=Then.HANG)
SMALLER = "; raise `timeout`, ask for smaller pages, or try again later"


@asynccontextmanager
async def silent(**options: Any) -> AsyncIterator[tuple[TasksClient, list[Attempt], str]]:
    """Give a client of a silent server, its attempts, and the server's URL."""
    attempts: list[Attempt] = []
    async with RawServer(SILENCE) as server, client_of(server, on_attempt=attempts.append, **options) as client:
        yield client, attempts, server.url


@pytest.mark.asyncio
async def test_attempts_take_longer_and_longer() -> None:
    """Silence takes the whole deadline: 30 s, 60 s, and what is left, since five equal timeouts help nobody."""
    async with silent() as (client, attempts, url):
        with pytest.raises(RequestTimeoutError) as caught:
            await client.all_tasks()
    assert [30, 60] == [pytest.approx(attempt.elapsed, abs=0.1) for attempt in attempts[:2]]
    spent = sum(attempt.elapsed + (attempt.delay or 0) for attempt in attempts)
    assert 120 == pytest.approx(spent, abs=0.1)
    last = caught.value.timeout
    assert last is not None
    assert (
        f"no complete response from {url} within {last:.3g} s, all that the deadline of 120 s left (offset=0, "
        "limit=1000, desc=False, after 3 attempts); raise the `deadline` of the retry policy, or try again later"
    ) == str(caught.value)


@pytest.mark.asyncio
async def test_a_slow_server_is_waited_for() -> None:
    """A server that needs longer than the timeout of the first attempt answers in time for the second one."""
    slow = Reply(message(EMPTY_PAGE).pieces, pause=20)  # of two pieces
    async with RawServer(slow) as server, client_of(server) as client:
        assert 0 == await client.count()
    assert (2, 1) == (len(server.requests), client.stats.retries)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("attempts", "limit", "says"),
    [
        (1, 1000, "30 s ({}, after 1 attempt)" + SMALLER),
        (1, 1, "30 s ({}, after 1 attempt); raise `timeout`, or try again later"),
        (
            2,
            1000,
            "60 s, which is `timeout`, 30 s, doubled with each attempt ({}, after 2 attempts)" + SMALLER,
        ),
    ],
)
async def test_advice_is_possible(attempts: int, limit: int, says: str) -> None:
    """The message says where the seconds come from, and the advice is about what ended the attempt."""
    async with silent(retry=RetryPolicy(attempts=attempts)) as (client, _, url):
        with pytest.raises(RequestTimeoutError) as caught:
            await client.list_tasks(limit=limit)
    where = f"offset=0, limit={limit}, desc=False"
    assert f"no complete response from {url} within {says.format(where)}" == str(caught.value)


@pytest.mark.asyncio
async def test_the_timeout_of_a_session() -> None:
    """If the timeout of a borrowed session ends the attempt, the advice is about that one."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(sock_read=5)) as session,
        silent(session=session, retry=RetryPolicy(attempts=1)) as (client, _, _),
    ):
        with pytest.raises(RequestTimeoutError) as caught:
            await client.count()
    assert caught.value.timeout is None
    assert str(caught.value).endswith("; raise the timeout of the session, or try again later")


@given(st.floats(1e-3, 1e9), st.integers(1, 10**6))
def test_growth(timeout: float, number: int) -> None:
    """An attempt never has less time than the one before, and any number of attempts is finite."""
    assert timeout <= full_time(timeout, number) <= full_time(timeout, number + 1) < float("inf")
