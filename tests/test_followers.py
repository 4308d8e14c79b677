"""Many followers at once: each looks at its own time."""

import asyncio
import itertools
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Any

import aiohttp
import pytest
from helpers import virtual_time

from apify_tasks_async import TasksClient
from apify_tasks_async.testing import FakeApify

pytestmark = [pytest.mark.asyncio, pytest.mark.virtual_time]

FOLLOWERS, INTERVAL = 100, 30


def busiest(times: Sequence[float], seconds: float) -> int:
    """Return the most looks within so many seconds."""
    return max(sum(start <= at < start + seconds for at in times) for start in times)


async def follow_many(**options: Any) -> list[float]:
    """Follow a hundred accounts for three intervals, and return when each request came."""
    accounts = {f"token-{number}": 3 for number in range(FOLLOWERS)}
    async with FakeApify(accounts=accounts) as api, AsyncExitStack() as stack:
        for token in accounts:
            virtual_time.tell_time(api.account(token))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        began = asyncio.get_running_loop().time()

        async def follow(token: str) -> None:
            client = await stack.enter_async_context(TasksClient(token, base_url=api.url, session=session))
            async with aclosing(client.follow_tasks(interval=INTERVAL, **options)) as tasks:
                async for _ in tasks:
                    pass

        following = [asyncio.create_task(follow(token)) for token in accounts]
        await asyncio.sleep(FOLLOWERS / 50 + 3 * INTERVAL)
        for task in following:
            task.cancel()
        await asyncio.wait(following)
        return sorted(request.at - began for request in api.requests)


async def test_followers_spread_their_looks() -> None:
    """A hundred that begin together are never more than a few at once: 50 begin in a second, later 3 look in a second.

    Takes some seconds, since it sends hundreds of requests.
    """
    times = await follow_many()
    looks = [at for at in times if at > FOLLOWERS / 50 + INTERVAL / 2]
    assert 3 * FOLLOWERS <= len(times)
    assert times[0] < 0.1
    assert busiest(times, 1) <= 2 * 60  # A first look may take two requests.
    assert busiest(looks, 0.25) <= 10


async def test_a_follower_begins_at_once() -> None:
    """One that begins alone waits for nothing, whatever ended before; two that begin together do so one by one."""
    loop = asyncio.get_running_loop()
    async with FakeApify(tasks=3) as api, TasksClient(api.token, base_url=api.url) as client:
        for _ in range(2):
            began = loop.time()
            async with client.follow_pages() as pages:
                assert 3 == len(await anext(pages))
            assert loop.time() - began < 0.01
            await asyncio.sleep(1)
        began = loop.time()
        async with client.follow_pages() as one, client.follow_pages() as other:
            assert [3, 3] == [len(page) for page in await asyncio.gather(anext(one), anext(other))]
        assert 0.02 == pytest.approx(loop.time() - began, abs=0.01)


async def test_each_wait_is_another() -> None:
    """The first wait is between half and one and a half intervals, and the others differ by a tenth at most."""
    async with FakeApify(tasks=3) as api, TasksClient(api.token, base_url=api.url) as client:
        virtual_time.tell_time(api)
        async with client.follow_pages(interval=100) as pages:
            await anext(pages)
            waiting = asyncio.ensure_future(anext(pages))
            await asyncio.sleep(1000)
            waiting.cancel()
            await asyncio.wait({waiting})
        times = sorted({round(request.at) for request in api.requests})
    first, *others = (later - earlier for earlier, later in itertools.pairwise(times))
    assert 49 <= first <= 151
    assert len(others) > 5
    assert all(89 <= wait <= 111 for wait in others)
    assert len(set(others)) > 1
