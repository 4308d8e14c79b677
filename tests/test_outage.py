"""An outage: one request probes, the others stand back."""

import asyncio
import itertools
from typing import Any

import pytest
from helpers import virtual_time
from helpers.support import free_port, until

from apify_tasks_async import (
    ApifyTasksError,
    Attempt,
    AuthenticationError,
    CertificateError,
    ConfigurationError,
    InvalidResponseError,
    RateLimitedError,
    RequestTimeoutError,
    RetryPolicy,
    ServerError,
    TasksClient,
    TransportError,
)
from apify_tasks_async._clock import Clock
from apify_tasks_async._outage import Outage, is_answer, is_shared
from apify_tasks_async.testing import Disconnect, FakeApify, Fault, Status

PAGE = 10
"""Tasks in a page: few, since only requests count."""


@pytest.mark.parametrize(
    ("result", "shared", "answer"),
    [
        (TransportError("down"), True, False),
        (RequestTimeoutError("slow"), True, False),
        (ServerError("down", status=502), True, False),
        (CertificateError("untrusted"), False, False),
        (ConfigurationError("wrong"), False, False),
        (RateLimitedError("later", status=429), False, True),
        (AuthenticationError("no", status=401), False, True),
        (InvalidResponseError("nonsense"), False, True),
        (object(), False, True),
    ],
)
def test_what_neighbours_share(result: object, *, shared: bool, answer: bool) -> None:
    """A failure that any request would meet makes an outage; any answer of a server that works ends it."""
    assert (shared, answer) == (is_shared(result), is_answer(result))


def test_the_first_that_fails_probes() -> None:
    """The others stand back until the server answers, whichever request it answers."""
    outage = Outage()
    first, second, third = (outage.enter() for _ in range(3))
    outage.record_failure(first)
    outage.record_failure(second)
    assert [False, True, True] == [outage.holds(ticket) for ticket in (first, second, third)]
    outage.record_answer()
    assert [False] * 3 == [outage.holds(ticket) for ticket in (first, second, third)]


def test_a_probe_that_gives_up() -> None:
    """It gives up for all that were there, but not for those that come later, and only until the server answers."""
    outage = Outage()
    first, second = outage.enter(), outage.enter()
    outage.record_failure(first)
    outage.give_up(second)
    assert (True, False) == (outage.holds(second), second.hopeless)
    outage.give_up(first)
    outage.leave(first)
    later = outage.enter()
    assert (False, True, False) == (outage.holds(second), second.hopeless, later.hopeless)
    outage.record_failure(second)
    assert not outage.holds(later)
    outage.record_answer()
    assert not second.hopeless


def test_a_probe_that_is_cancelled() -> None:
    """The others go on, and the next one that fails probes."""
    outage = Outage()
    first, second, third = (outage.enter() for _ in range(3))
    outage.record_failure(first)
    outage.leave(first)
    outage.record_failure(second)
    outage.leave(third)
    assert (True, False) == (outage.holds(first), outage.holds(second))


@pytest.mark.asyncio
async def test_a_scout() -> None:
    """When the probe fails again, or with a timeout, one of the others goes too. If it fails, it stands back again."""
    outage = Outage()
    tickets = [outage.enter() for _ in range(4)]
    outage.record_failure(tickets[0])
    waits = [asyncio.create_task(outage.wait(ticket)) for ticket in tickets]
    await asyncio.sleep(0)

    def held() -> list[bool]:
        return [outage.holds(ticket) for ticket in tickets]

    assert [False, True, True, True] == held()
    outage.record_failure(tickets[0])
    assert [False, False, True, True] == held()
    outage.record_failure(tickets[1])
    assert [False, True, True, True] == held()
    outage.record_failure(tickets[0])
    assert [False, True, False, True] == held()
    outage.leave(tickets[2])
    outage.record_answer()
    await asyncio.wait(waits)
    assert [False] * 4 == held()

    outage.record_failure(tickets[0], doubtful=True)
    waiting = asyncio.create_task(outage.wait(tickets[3]))
    await asyncio.wait({waiting})
    assert [False, True, True, False] == held()


@pytest.mark.asyncio
async def test_a_scout_that_is_cancelled() -> None:
    """Another one goes in its place."""
    outage = Outage()
    probe, scout, other = (outage.enter() for _ in range(3))
    outage.record_failure(probe, doubtful=True)
    waits = [asyncio.create_task(outage.wait(ticket)) for ticket in (scout, other)]
    await asyncio.sleep(0)
    assert [False, True] == [outage.holds(ticket) for ticket in (scout, other)]
    outage.leave(scout)
    await asyncio.wait(waits)
    assert not outage.holds(other)


async def walk_through(fault: Fault, seconds: float, **options: Any) -> tuple[int, int, int]:
    """Walk over 60 pages while the server is away for some seconds; return the tasks, the requests and the retries."""
    loop = asyncio.get_running_loop()
    async with (
        FakeApify(tasks=60 * PAGE, latency=0.1) as api,
        TasksClient(api.token, base_url=api.url, **options) as client,
    ):

        def go_away(_: object) -> None:
            if len(api.requests) == 20:
                api.fail(fault, times=None)
                loop.call_later(seconds, api.clear_faults)

        api.on_request = go_away
        tasks = await client.all_tasks(page_size=PAGE)
        return len(tasks), len(api.requests), client.stats.retries


@pytest.mark.parametrize("concurrency", [1, 2, 8, 16, 64])
@pytest.mark.parametrize("fault", [Disconnect(), Status(503), Status(500)], ids=["disconnect", "503", "500"])
def test_an_outage_is_survived_at_every_concurrency(fault: Fault, concurrency: int) -> None:
    """With the defaults, a server that is away for seven seconds costs time, and few requests."""
    tasks, requests, _ = virtual_time.run(walk_through(fault, 7, concurrency=concurrency))
    in_flight = min(concurrency, 41)
    # Each in flight fails once, and once more if its connection was an old one; then there are probes and scouts.
    assert 60 * PAGE == tasks
    assert requests <= 60 + (2 if isinstance(fault, Disconnect) else 1) * in_flight + 8


async def walk_through_a_restart(seconds: float, **options: Any) -> tuple[int, int, int]:
    """Walk over 60 pages while nobody listens for some seconds; return the tasks, the requests and the refusals."""
    refused: list[Attempt] = []
    restarting: list[asyncio.Task[None]] = []
    async with (
        FakeApify(tasks=60 * PAGE, latency=0.1, port=free_port()) as api,
        TasksClient(api.token, base_url=api.url, on_attempt=refused.append, **options) as client,
    ):

        async def restart() -> None:
            await api.stop()
            await asyncio.sleep(seconds)
            await api.start()

        def go_away(_: object) -> None:
            if len(api.requests) == 20:
                restarting.append(asyncio.create_task(restart()))

        api.on_request = go_away
        tasks = await client.all_tasks(page_size=PAGE)
        await asyncio.wait(restarting)
        refusals = [attempt for attempt in refused if "cannot connect" in str(attempt.error)]
        return len(tasks), len(api.requests), len(refusals)


@pytest.mark.parametrize("concurrency", [1, 8, 16])
def test_a_restart_is_survived_at_every_concurrency(concurrency: int) -> None:
    """With the defaults, a server that refuses connections for seven seconds costs time, and few requests."""
    tasks, requests, refusals = virtual_time.run(walk_through_a_restart(7, concurrency=concurrency))
    assert 60 * PAGE == tasks
    assert requests <= 60 + concurrency
    assert 3 <= refusals <= 2 * concurrency + 8


def test_standing_back_spends_nothing() -> None:
    """A budget for the probe alone is enough, however many pages are in flight."""
    policy = RetryPolicy(budget=4)
    tasks, _, retries = virtual_time.run(walk_through(Status(503), 7, concurrency=16, retry=policy))
    assert 60 * PAGE == tasks
    assert retries > 16


def test_an_outage_without_end_is_told_once() -> None:
    """The walk ends with one error, at its place, after the time of one request's attempts."""

    async def walk() -> tuple[int, ApifyTasksError, float]:
        delivered = 0
        async with (
            FakeApify(tasks=60 * PAGE, latency=0.1) as api,
            TasksClient(api.token, base_url=api.url) as client,
        ):
            with pytest.raises(ServerError) as caught:
                async for page in client.iter_pages(page_size=PAGE):
                    delivered += len(page)
                    if delivered == 20 * PAGE:
                        began = asyncio.get_running_loop().time()
                        api.fail(Status(503), times=None)
            return delivered, caught.value, asyncio.get_running_loop().time() - began

    delivered, error, seconds = virtual_time.run(walk())
    assert (delivered, True) == (error.offset, 7 < seconds < 17)


def test_a_page_that_always_fails_holds_nobody_back() -> None:
    """While the server answers others, the failure of one request is its own."""

    async def fetch() -> tuple[list[float], float]:
        loop = asyncio.get_running_loop()
        done: list[float] = []
        async with (
            FakeApify(tasks=100, latency=0.1) as api,
            TasksClient(api.token, base_url=api.url, rate_limit=None) as client,
        ):
            api.fail(Status(500), times=None, offset=0)
            began = loop.time()
            failing = asyncio.create_task(client.list_tasks())
            for offset in range(1, 51):
                await client.list_tasks(offset=offset)
                done.append(loop.time() - began)
            with pytest.raises(ServerError):
                await failing
            return done, loop.time() - began

    done, failed_after = virtual_time.run(fetch())
    assert failed_after > 7
    # Nobody else was in flight when it failed, so it held the others back until it failed again.
    assert 14 > done[-1]
    assert 8.5 > max(later - earlier for earlier, later in itertools.pairwise([0, *done]))


@pytest.mark.asyncio
@pytest.mark.virtual_time
async def test_no_request_is_sent_after_its_deadline() -> None:
    """One that stood back, and has no time left, ends with its own error, and leaves the others their attempts."""

    class Client(TasksClient):
        _clock = Clock(uniform=lambda _, high: high)

    attempts: list[Attempt] = []
    retry = RetryPolicy(deadline=1, base_delay=0.4)
    async with (
        FakeApify(tasks=50, latency=0.7) as api,
        Client(api.token, base_url=api.url, retry=retry, on_attempt=attempts.append) as client,
    ):
        virtual_time.tell_time(api)
        for offset in (10, 20, 30):
            api.fail(Status(500), offset=offset)
        late = asyncio.create_task(client.list_tasks(offset=10))
        await asyncio.sleep(0.1)
        api.latency = 0.01
        probing = asyncio.create_task(client.list_tasks(offset=20))
        with pytest.raises(ServerError):
            await late
        assert 30 == len(await probing)
        assert 20 == len(await client.list_tasks(offset=30))
        assert [10, 20, 20, 30, 30] == sorted(attempt.offset for attempt in attempts)


@pytest.mark.asyncio
async def test_a_cancelled_probe_leaves_the_others() -> None:
    """When the request that probes is cancelled, another one that stood back goes on, and succeeds."""
    async with (
        FakeApify(tasks=5) as api,
        TasksClient(api.token, base_url=api.url, retry=RetryPolicy(base_delay=40, max_delay=60)) as client,
    ):
        api.fail(Status(503), times=2)
        probing = asyncio.create_task(client.count())
        await until(lambda: client.stats.retries)
        standing_back = asyncio.create_task(client.count())
        await asyncio.sleep(0)
        probing.cancel()
        await asyncio.wait({probing})
        await until(lambda: client.stats.retries == 2)
        api.clear_faults()
        standing_back.cancel()
        await asyncio.wait({standing_back})
        assert 2 == len(api.requests)
        assert 5 == await client.count()
