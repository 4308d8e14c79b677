"""The iterator over a walk's pages: what holds of it whatever its consumer, the server or the client does meanwhile."""

import asyncio
import contextlib
import gc
import logging
import math
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, cast

import aiohttp
import attrs
import pytest
import pytest_asyncio
from helpers.support import MakeClient, until
from hypothesis import given, settings
from hypothesis import strategies as st

from apify_tasks_async import (
    ApifyTasksError,
    Attempt,
    BadRequestError,
    ClientClosedError,
    InvalidResponseError,
    InvalidTaskError,
    NotFoundError,
    OnInvalid,
    PermissionDeniedError,
    RequestTimeoutError,
    RetryPolicy,
    Task,
    TaskPage,
    TasksClient,
    TransportError,
)
from apify_tasks_async._page import PageRequest
from apify_tasks_async._window import Window
from apify_tasks_async.testing import FakeApify, Hang, MalformedItem, RecordedRequest, Status, make_task

pytestmark = pytest.mark.asyncio

FACTORIES = {"lazy": None, "eager": getattr(asyncio, "eager_task_factory", None)}
"""The task factories that this Python has."""

REFUSALS: dict[int, tuple[type[ApifyTasksError], Status]] = {
    20: (PermissionDeniedError, Status(403)),
    30: (NotFoundError, Status(404)),
    40: (BadRequestError, Status(400)),
}
"""By offset: pages that fail, each in a way of its own."""

Walk = Callable[[TasksClient], AsyncIterator[Any]]

WALKS: dict[str, Walk] = {
    "iter_tasks": lambda client: client.iter_tasks(page_size=10),
    "iter_pages": lambda client: client.iter_pages(page_size=10),
}
each_walk = pytest.mark.parametrize("walk", WALKS.values(), ids=WALKS)


@pytest_asyncio.fixture(
    autouse=True,
    params=[factory for name, factory in FACTORIES.items() if name == "lazy" or factory],
    ids=[name for name, factory in FACTORIES.items() if name == "lazy" or factory],
)
async def _task_factory(request: pytest.FixtureRequest) -> None:
    """Run every test with each of the task factories."""
    asyncio.get_running_loop().set_task_factory(request.param)


@pytest_asyncio.fixture
async def api() -> AsyncIterator[FakeApify]:
    """Return a running API with 100 tasks: ten pages of ten."""
    async with FakeApify(tasks=100) as api:
        yield api


@pytest.fixture
def client(make_client: MakeClient) -> TasksClient:
    """Return a client of that API with up to three pages in flight."""
    return make_client(concurrency=3)


@pytest_asyncio.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """Return a session that allows any number of connections."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield session


@pytest.fixture
def _no_collector() -> Iterator[None]:
    """Leave it to the counting of references to free what is dropped."""
    gc.disable()
    yield
    gc.enable()


def page_tasks() -> list[asyncio.Task[Any]]:
    """Return the tasks that fetch pages."""
    return [task for task in asyncio.all_tasks() if task.get_name().startswith("apify_tasks_async")]


def offsets(api: FakeApify) -> list[int]:
    """Return what was asked for so far."""
    return [request.offset for request in api.requests if request.offset is not None]


async def round_trips() -> None:
    """Wait for as long as several requests take, so that whatever is about to be sent has arrived."""
    async with FakeApify() as bystander, TasksClient(bystander.token, base_url=bystander.url) as client:
        for _ in range(5):
            await client.count()


async def nothing_in_flight(api: FakeApify) -> None:
    """Wait until no page is being fetched, by the client and by the server."""
    await until(lambda: not page_tasks() and not api.in_flight)


async def drain(items: AsyncIterator[Any]) -> list[Any]:
    """Return all that there is."""
    return [item async for item in items]


def tasks_of(items: list[Any]) -> list[Task]:
    """Return the tasks among what a walk of either kind delivered."""
    return [task for item in items for task in (item if isinstance(item, TaskPage) else [item])]


async def drain_into(items: list[Any], walk: AsyncIterator[Any]) -> None:
    """Append what is delivered, for as long as it is."""
    async for item in walk:
        items.append(item)


class TestOrderOfWork:
    """The first page goes alone, the others together."""

    async def test_two_round_trips(self, make_client: MakeClient) -> None:
        """A walk of 2,500 tasks takes two round trips: the pages behind the first are asked for together."""
        async with FakeApify(tasks=2500) as api:
            api.fail(Hang(), times=None)
            walk = asyncio.ensure_future(make_client(base_url=api.url).all_tasks())
            await until(lambda: api.in_flight)
            await round_trips()
            assert [0] == offsets(api)

            api.clear_faults()
            api.fail(Hang(), times=None)
            await until(lambda: api.in_flight == 2)
            assert [0, 1000, 2000] == offsets(api)

            api.clear_faults()
            assert list(api.tasks) == await walk

    async def test_window_is_filled_before_a_page_is_handed_over(self, api: FakeApify, client: TasksClient) -> None:
        """The next pages are on their way while the consumer works on the one that it has."""
        pages = client.iter_pages(page_size=10)
        await anext(pages)
        await until(lambda: len(api.requests) == 4)
        assert [0, 10, 20, 30] == sorted(offsets(api))

    async def test_order_of_arrival_does_not_matter(self, api: FakeApify, client: TasksClient) -> None:
        """Pages come in the order of the list, whichever response arrives first."""
        api.fail(Hang(), offset=10)
        walk = asyncio.ensure_future(client.all_tasks(page_size=10))
        await until(lambda: client.stats.pages == 3)  # 0, 20 and 30
        api.clear_faults()
        assert list(api.tasks) == await walk

    @settings(max_examples=60, deadline=None)
    @given(
        count=st.integers(0, 40),
        options=st.fixed_dictionaries(
            {
                "offset": st.integers(0, 45),
                "limit": st.none() | st.integers(1, 45),
                "page_size": st.integers(1, 12),
                "desc": st.booleans(),
            }
        ),
        most=st.integers(1, 12),
        ahead=st.integers(1, 5),
    )
    async def test_right_slice_at_least_cost(self, count: int, options: dict[str, Any], most: int, ahead: int) -> None:
        """A quiet list costs as many requests as its part has pages, and no place is asked for twice."""
        async with FakeApify(tasks=count, max_limit=most) as api:
            async with TasksClient(api.token, base_url=api.url, concurrency=ahead, rate_limit=None) as client:
                tasks = await client.all_tasks(**options)
            offset, ordered = options["offset"], reversed(api.tasks) if options["desc"] else api.tasks
            wanted = list(ordered)[offset:][: options["limit"]]
            assert wanted == tasks

            size = min(options["page_size"], most)
            pages = max(1, math.ceil(len(wanted) / size))
            assert [offset + size * page for page in range(pages)] == sorted(offsets(api))


class TestLeavingEarly:
    """Property 1: whoever leaves early leaves nothing behind."""

    @each_walk
    @pytest.mark.parametrize("way", ["break", "return", "exception"])
    async def test_leaving_the_loop(self, api: FakeApify, client: TasksClient, walk: Walk, way: str) -> None:
        """Leaving `async for` leaves neither a task nor a request, without `aclose`."""
        hang(api, 10, 20, 30)

        async def consume() -> None:
            async for _ in walk(client):
                await until(lambda: api.in_flight == 3)
                if way == "exception":
                    raise LookupError
                if way == "return":
                    return
                break

        if way == "exception":
            with pytest.raises(LookupError):
                await consume()
        else:
            await consume()
        await nothing_in_flight(api)
        assert 100 == await client.count()

    @each_walk
    @pytest.mark.parametrize("consumed", [0, 1])
    @pytest.mark.usefixtures("_no_collector")
    async def test_dropped(self, api: FakeApify, client: TasksClient, walk: Walk, consumed: int) -> None:
        """An iterator that is dropped half consumed cancels what it has in flight, without the garbage collector."""
        hang(api, 10, 20, 30)
        items = walk(client)
        for _ in range(consumed):
            await anext(items)
            await until(lambda: api.in_flight == 3)
        del items
        await nothing_in_flight(api)

    async def test_dropped_in_another_thread(self, api: FakeApify, client: TasksClient) -> None:
        """The garbage collector may run in any thread."""
        asyncio.get_running_loop().set_debug(True)  # refuses what is not meant for other threads
        hang(api, 10, 20, 30)
        kept = [client.iter_pages(page_size=10)]
        await anext(kept[0])
        await until(lambda: api.in_flight == 3)
        await asyncio.to_thread(kept.clear)
        await nothing_in_flight(api)

    async def test_block(self, api: FakeApify, client: TasksClient) -> None:
        """Behind an `async with` block nothing is in flight any more, and the walk is at its end."""
        hang(api, 10, 20, 30)
        async with client.iter_pages(page_size=10) as pages:
            await anext(pages)
            await until(lambda: api.in_flight == 3)
        assert [] == page_tasks()
        assert [] == await drain(pages)

    @each_walk
    async def test_aclose(self, api: FakeApify, client: TasksClient, walk: Walk) -> None:
        """Behind `aclose`, which may be repeated, nothing is in flight any more, and the walk is at its end."""
        api.fail(Hang(), times=None, offset=20)
        items: Any = walk(client)
        await anext(items)
        for _ in range(2):
            await items.aclose()
            assert [] == page_tasks()
        assert [] == await drain(items)

    async def test_aclose_before_the_start(self, api: FakeApify, client: TasksClient) -> None:
        """A walk that is closed before it began sends nothing."""
        pages = client.iter_pages()
        await pages.aclose()
        assert [] == await drain(pages)
        assert [] == api.requests

    async def test_aclose_during_anext(self, api: FakeApify, client: TasksClient) -> None:
        """A page that another task waits for when the walk is closed is the end of the walk."""
        api.fail(Hang())
        pages = client.iter_pages()
        waiting = asyncio.ensure_future(drain(pages))
        await until(lambda: api.in_flight)
        await pages.aclose()
        assert [] == await waiting


class TestFailures:
    """Property 2: a page that fails does so at its place in the order."""

    @each_walk
    async def test_several_pages_fail(self, api: FakeApify, make_client: MakeClient, walk: Walk) -> None:
        """The first failure in the order of the list is raised as it is, behind all that comes before it."""
        failed: list[int] = []

        def on_attempt(attempt: Attempt) -> None:
            if attempt.error:
                failed.append(attempt.offset)

        for offset, (_, status) in REFUSALS.items():
            api.fail(status, times=None, offset=offset)
        items = walk(make_client(concurrency=4, on_attempt=on_attempt))
        delivered = [await anext(items)]
        await until(lambda: len(failed) == 3)
        with pytest.raises(ApifyTasksError) as caught:
            await drain_into(delivered, items)
        assert list(api.tasks[:20]) == tasks_of(delivered)
        assert PermissionDeniedError is caught.type
        assert (20, 10, False, 1) == attrs.astuple(Where.of(caught.value))

    @each_walk
    @pytest.mark.parametrize("page", [0, 1, 5, 9])
    async def test_resumable(self, api: FakeApify, client: TasksClient, walk: Walk, page: int) -> None:
        """Every earlier task is delivered before the failure, and its `bookmark` carries on exactly there."""
        api.fail(Status(403), offset=10 * page)
        delivered: list[Any] = []
        items = walk(client)
        with pytest.raises(PermissionDeniedError) as caught:
            await drain_into(delivered, items)
        before = tasks_of(delivered)
        assert list(api.tasks[: 10 * page]) == before
        assert list(api.tasks) == before + await client.all_tasks(after=caught.value.bookmark)

    @each_walk
    async def test_end_behind_a_failure(self, api: FakeApify, client: TasksClient, walk: Walk) -> None:
        """A walk that failed is at its end, and asks for nothing more."""
        api.fail(Status(403))
        items = walk(client)
        with pytest.raises(PermissionDeniedError):
            await anext(items)
        for _ in range(2):
            with pytest.raises(StopAsyncIteration):
                await anext(items)
        assert [0] == offsets(api)

    @pytest.mark.parametrize("exact", [False, True])
    @pytest.mark.parametrize("offset", [0, 10, 90])
    async def test_going_on_behind_a_timeout(
        self, api: FakeApify, make_client: MakeClient, offset: int, *, exact: bool
    ) -> None:
        """Who takes the failure for a timeout of his own, and asks for the next page, misses nothing."""
        api.fail(Hang(), offset=offset, times=2)
        client = make_client(timeout=0.1, retry=RetryPolicy(attempts=1))
        delivered: list[Any] = []
        timeouts: list[TimeoutError] = []
        async with client.iter_pages(page_size=10, exact=exact) as pages:
            while True:
                try:
                    async with asyncio.timeout(5):
                        delivered.append(await anext(pages))
                except TimeoutError as error:
                    timeouts.append(error)
                except StopAsyncIteration:
                    break
        assert list(api.tasks) == tasks_of(delivered)
        assert {RequestTimeoutError} == set(map(type, timeouts))

    async def test_a_timeout_of_the_function_is_not_the_walk_s(self, api: FakeApify, client: TasksClient) -> None:
        """What `on_invalid` raises ends the walk, even if it looks like a request that took too long."""

        def refuse(error: InvalidTaskError) -> None:
            raise RequestTimeoutError(error.problem)

        api.fail(MalformedItem(index=9), offset=90)
        pages = client.iter_pages(page_size=10, on_invalid=refuse)
        delivered: list[Any] = []
        with pytest.raises(RequestTimeoutError):
            await drain_into(delivered, pages)
        assert list(api.tasks[:99]) == tasks_of(delivered)
        assert [] == await drain(pages)

    async def test_end(self, api: FakeApify, client: TasksClient) -> None:
        """A walk that is at its end stays there, and asks for nothing more."""
        pages = client.iter_pages()
        assert 1 == len(await drain(pages))
        for _ in range(2):
            with pytest.raises(StopAsyncIteration):
                await anext(pages)
        assert [0] == offsets(api)

    @each_walk
    async def test_failure_cancels_the_others(self, api: FakeApify, client: TasksClient, walk: Walk) -> None:
        """A failure cancels the pages behind it, even while the iterator is kept."""
        api.fail(Status(403), offset=10)
        hang(api, 20, 30)
        items = walk(client)
        with pytest.raises(PermissionDeniedError):
            await drain(items)
        await nothing_in_flight(api)

    async def test_page_cancelled_from_outside(self, api: FakeApify, client: TasksClient) -> None:
        """Cancelling the task of a page does not look like the cancellation of the consumer."""
        api.fail(Hang(), times=None)
        walk = asyncio.ensure_future(client.all_tasks())
        single = asyncio.ensure_future(client.list_tasks(offset=5))
        await until(lambda: api.in_flight == 2)
        for task in page_tasks():
            task.cancel()
        for consumer, offset in ((walk, 0), (single, 5)):
            with pytest.raises(TransportError, match="cancelled from outside") as caught:
                await consumer
            assert offset == caught.value.offset

    async def test_page_out_of_order(self) -> None:
        """A page that is not sorted as asked is an error that says where, and how often it was asked for."""
        async with FakeApify(tasks=[make_task(1), make_task(2)]) as api:
            api.fail(MalformedItem(index=0, field="createdAt", value="2050-01-01T00:00:00.000Z"), times=None)
            async with TasksClient(api.token, base_url=api.url) as client:
                with pytest.raises(InvalidResponseError, match="not sorted") as caught:
                    await client.all_tasks()
        assert (0, 1000, False, 1) == attrs.astuple(Where.of(caught.value))

    async def test_two_consumers(self, api: FakeApify, client: TasksClient) -> None:
        """A second task that asks for the next page at the same time is told so; the first gets its page."""
        api.fail(Hang())
        pages = client.iter_pages(page_size=10)
        first = asyncio.ensure_future(pages.__anext__())
        await until(lambda: api.in_flight)
        with pytest.raises(RuntimeError, match="another task waits for the next page"):
            await anext(pages)
        api.clear_faults()
        assert api.tasks[:10] == (await first).items
        assert list(api.tasks[10:]) == tasks_of(await drain(pages))

    async def test_two_consumers_of_tasks(self, api: FakeApify, client: TasksClient) -> None:
        """A second task that asks for the next task at the same time is told so; the first gets its task."""
        api.fail(Hang())
        tasks = client.iter_tasks()
        first = asyncio.ensure_future(tasks.__anext__())
        await until(lambda: api.in_flight)
        with pytest.raises(RuntimeError, match="already running"):
            await anext(tasks)
        api.clear_faults()
        assert [*api.tasks] == [await first, *await drain(tasks)]


@attrs.frozen
class Where:
    """What every error that a request caused says of it."""

    offset: int | None
    limit: int | None
    desc: bool | None
    attempts: int | None

    @classmethod
    def of(cls, error: ApifyTasksError) -> "Where":
        """Return what an error says."""
        return cls(error.offset, error.limit, error.desc, error.attempts)


@attrs.frozen
class Wait:
    """Something that a request can wait for."""

    options: dict[str, Any]
    """The client's."""

    prepare: Callable[[FakeApify], object]
    """Makes requests wait."""

    reached: Callable[[FakeApify, TasksClient], object]
    """Whether one does."""


def hang(api: FakeApify, *offsets: int) -> None:
    """Let the pages at those places hang."""
    for offset in offsets:
        api.fail(Hang(), times=None, offset=offset)


WAITS = {
    "first page": Wait({}, lambda api: api.fail(Hang(), times=None), lambda api, _: api.in_flight),
    "window": Wait(
        {},
        lambda api: hang(api, 10, 20, 30),
        lambda api, _: api.in_flight == 3,
    ),
    "backoff": Wait(
        {}, lambda api: api.fail(Status(503, retry_after=60), times=None), lambda _, client: client.stats.retries
    ),
    "rate limit": Wait({"rate_limit": 0.01}, lambda _: None, lambda _, client: client.stats.pages),
}
each_wait = pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)

CALLS: dict[str, Callable[[TasksClient], Awaitable[Any]]] = {
    "iter_tasks": lambda client: drain(client.iter_tasks(page_size=10)),
    "iter_pages": lambda client: drain(client.iter_pages(page_size=10)),
    "all_tasks": lambda client: client.all_tasks(page_size=10),
}
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


class TestCancellation:
    """Property 3: the consumer's cancellation ends what it waits for, and loses nothing if it comes back."""

    @each_wait
    @each_call
    async def test_cancelled_consumer(
        self, api: FakeApify, make_client: MakeClient, wait: Wait, call: Callable[[TasksClient], Awaitable[Any]]
    ) -> None:
        """Cancelling the consumer cancels the pages in flight, whatever they wait for."""
        client = make_client(concurrency=3, **wait.options)
        wait.prepare(api)
        consumer = asyncio.ensure_future(call(client))
        await until(lambda: wait.reached(api, client))
        consumer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await consumer
        await nothing_in_flight(api)

    async def test_cancelled_list_tasks(self, api: FakeApify, client: TasksClient) -> None:
        """Cancelling `list_tasks` cancels its request."""
        api.fail(Hang())
        consumer = asyncio.ensure_future(client.list_tasks())
        await until(lambda: api.in_flight)
        consumer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await consumer
        await nothing_in_flight(api)

    @pytest.mark.parametrize("place", [0, 10, 50, 90])
    async def test_timeouts_lose_nothing(self, api: FakeApify, client: TasksClient, place: int) -> None:
        """After a timeout around `anext` the next one carries on from the same place, and nothing is sent again."""
        api.fail(Hang(), offset=place)
        pages = client.iter_pages(page_size=10)
        tasks = [task for _ in range(place // 10) for task in await anext(pages)]
        await until(lambda: api.in_flight or not api.requests)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await anext(pages)
        api.clear_faults()
        tasks += tasks_of(await drain(pages))
        assert list(api.tasks) == tasks
        assert list(range(0, 100, 10)) == sorted(offsets(api))

    @pytest.mark.parametrize("turns", range(8))
    async def test_timeout_as_the_page_arrives(self, api: FakeApify, make_client: MakeClient, turns: int) -> None:
        """A timeout in whichever turn of the event loop around a page's arrival loses nothing."""
        loop = asyncio.get_running_loop()

        def cancel_in(turns: int) -> None:
            if turns:
                loop.call_soon(cancel_in, turns - 1)
            else:
                consumer.cancel()

        def on_attempt(attempt: Attempt) -> None:
            if attempt.offset == 10:
                cancel_in(turns)

        client = make_client(concurrency=1, on_attempt=on_attempt)
        pages = client.iter_pages(page_size=10)
        delivered: list[TaskPage] = []
        consumer = asyncio.ensure_future(drain_into(delivered, pages))
        await asyncio.wait({consumer})
        assert list(api.tasks) == tasks_of(delivered + await drain(pages))
        assert list(range(0, 100, 10)) == offsets(api)


class TestBackpressure:
    """Property 4: what is fetched ahead is bounded."""

    @each_walk
    @pytest.mark.parametrize("concurrency", [1, 3])
    async def test_sleeping_consumer(
        self, api: FakeApify, make_client: MakeClient, walk: Walk, concurrency: int
    ) -> None:
        """While the consumer sleeps, at most `concurrency` pages are fetched besides the one that it has."""
        items = walk(make_client(concurrency=concurrency))
        delivered = [await anext(items)]
        while len(tasks_of(delivered)) < 41:
            delivered.append(await anext(items))
        await round_trips()
        assert list(range(0, 50 + 10 * concurrency, 10)) == sorted(offsets(api))

    async def test_bound(self, api: FakeApify, client: TasksClient) -> None:
        """At no moment more pages were asked for than were delivered and `concurrency` more."""
        delivered = 0
        ahead: list[int] = []
        api.on_request = lambda _: ahead.append(len(api.requests) - delivered)
        async for _ in client.iter_pages(page_size=10):
            delivered += 1
        assert max(ahead) <= 4  # the page that is about to be handed over, and three more


class TestClose:
    """Property 5: closing the client ends every walk of it."""

    @each_wait
    @each_call
    async def test_pending(
        self, api: FakeApify, make_client: MakeClient, wait: Wait, call: Callable[[TasksClient], Awaitable[Any]]
    ) -> None:
        """What waits when the client is closed raises `ClientClosedError`, whatever it waits for."""
        client = make_client(concurrency=3, **wait.options)
        wait.prepare(api)
        consumer = asyncio.ensure_future(call(client))
        await until(lambda: wait.reached(api, client))
        await client.close()
        assert [] == page_tasks()
        with pytest.raises(ClientClosedError):
            await consumer

    @each_walk
    async def test_between_pages(self, api: FakeApify, client: TasksClient, walk: Walk) -> None:
        """A walk whose consumer does something else raises `ClientClosedError` when the next page is due."""
        items = walk(client)
        delivered = [await anext(items)]
        await until(lambda: client.stats.pages == 4)
        await client.close()
        with pytest.raises(ClientClosedError) as caught:
            await drain_into(delivered, items)
        assert list(api.tasks[:10]) == tasks_of(delivered)
        with pytest.raises(StopAsyncIteration):
            await anext(items)
        async with TasksClient(api.token, base_url=api.url) as other:
            assert list(api.tasks[10:]) == await other.all_tasks(after=caught.value.bookmark)

    @pytest.mark.parametrize("turns", range(8))
    async def test_as_a_page_arrives(self, api: FakeApify, make_client: MakeClient, turns: int) -> None:
        """Closing in whichever turn of the event loop around a page's arrival loses no page before the bookmark.

        Nor does any page come afterwards.
        """
        loop = asyncio.get_running_loop()
        closings: list[asyncio.Future[None]] = []
        before: list[TaskPage] = []

        async def close() -> None:
            before.extend(delivered)
            await closing.close()

        def close_in(turns: int) -> None:
            if turns:
                loop.call_soon(close_in, turns - 1)
            else:
                closings.append(asyncio.ensure_future(close()))

        def on_attempt(attempt: Attempt) -> None:
            if attempt.offset == 10:
                close_in(turns)

        closing = make_client(concurrency=1, on_attempt=on_attempt)
        delivered: list[TaskPage] = []
        with pytest.raises(ClientClosedError) as caught:
            await drain_into(delivered, closing.iter_pages(page_size=10))
        await asyncio.gather(*closings)
        assert before == delivered
        async with TasksClient(api.token, base_url=api.url) as other:
            tasks = tasks_of(delivered) + await other.all_tasks(after=caught.value.bookmark)
        assert list(api.tasks) == tasks

    async def test_in_on_invalid(self, api: FakeApify, client: TasksClient) -> None:
        """Closing from `on_invalid` loses no page before the bookmark either."""
        closings: list[asyncio.Future[None]] = []
        api.fail(MalformedItem(index=3), offset=0)
        pages = client.iter_pages(
            page_size=10, on_invalid=lambda _: closings.append(asyncio.ensure_future(client.close()))
        )
        delivered: list[TaskPage] = []
        with pytest.raises(ClientClosedError) as caught:
            await drain_into(delivered, pages)
        await asyncio.gather(*closings)
        async with TasksClient(api.token, base_url=api.url) as other:
            tasks = tasks_of(delivered) + await other.all_tasks(after=caught.value.bookmark)
        assert [*api.tasks[:3], *api.tasks[4:]] == tasks


class TestSharing:
    """Property 6: the walks of a client share what it has."""

    async def test_concurrency(self, api: FakeApify, make_client: MakeClient, session: aiohttp.ClientSession) -> None:
        """All walks of a client together have no more than `concurrency` requests in flight."""
        client = make_client(concurrency=3, session=session)
        in_flight: list[int] = []
        api.on_request = lambda _: in_flight.append(api.in_flight)
        api.fail(Hang(), times=None)
        walks = [asyncio.ensure_future(client.all_tasks(page_size=10)) for _ in range(4)]
        await until(lambda: api.in_flight == 3)
        await round_trips()
        api.clear_faults()
        assert [list(api.tasks)] * 4 == await asyncio.gather(*walks)
        assert 3 == max(in_flight)

    async def test_none_starves(self, client: TasksClient) -> None:
        """A short walk is done before a long one that began earlier."""
        done: list[str] = []

        async def walk(name: str, page_size: int) -> None:
            await client.all_tasks(page_size=page_size)
            done.append(name)

        await asyncio.gather(walk("50 pages", 2), walk("4 pages", 25))
        assert ["4 pages", "50 pages"] == done

    @each_walk
    async def test_sleeper(self, api: FakeApify, make_client: MakeClient, walk: Walk) -> None:
        """A walk whose consumer sleeps, or whose page waits to be tried again, takes nothing from the others.

        Takes two seconds, since the client sends more slowly after a 503 that says when to try again.
        """
        client = make_client(concurrency=1)
        sleeping = walk(client)
        await anext(sleeping)
        api.fail(Status(503, retry_after=60), offset=55)
        waiting = asyncio.ensure_future(client.list_tasks(offset=55))
        await until(lambda: client.stats.retries)
        assert list(api.tasks) == await client.all_tasks(page_size=10)
        assert not waiting.done()
        waiting.cancel()

    async def test_retry_budget(self, api: FakeApify, make_client: MakeClient) -> None:
        """The walks of a client have one retry budget together."""
        client = make_client(retry=RetryPolicy(base_delay=0, budget=2))
        api.fail(Status(503), times=None)
        results = await asyncio.gather(*(client.all_tasks() for _ in range(4)), return_exceptions=True)
        assert 4 == sum(isinstance(result, ApifyTasksError) for result in results)
        # The last one may be a scout, which stood back before: see _outage.
        assert len(api.requests) in (4 + 2, 4 + 2 + 1)


def api_with_invalid(places: set[int], count: int = 30) -> FakeApify:
    """Return an API whose tasks have no name at those places."""
    tasks = list(map(make_task, range(count)))
    for place in places:
        tasks[place] = attrs.evolve(tasks[place], name=cast("str", None))
    return FakeApify(tasks=tasks)


PLACES = [{0}, {9}, {10}, {3, 4, 5}, {0, 29}, set(range(10)), set(range(10, 20)), set(range(30))]


@pytest.mark.parametrize("places", PLACES, ids=str)
class TestInvalidTasks:
    """What `on_invalid` says becomes of an item that is no task."""

    async def test_raise(self, places: set[int]) -> None:
        """Its error is raised at its place in the order, says where, and carries on behind it."""
        async with api_with_invalid(places) as api, TasksClient(api.token, base_url=api.url) as client:
            delivered: list[Task] = []
            failed: list[Where] = []
            bookmark = None
            for _ in range(len(places)):
                with pytest.raises(InvalidTaskError) as caught:
                    await drain_into(delivered, client.iter_tasks(page_size=10, after=bookmark))
                assert ("name: expected a string, got null",) == caught.value.problems
                assert api.tasks[len(delivered) + len(failed)].id == caught.value.task_id
                failed.append(Where.of(caught.value))
                bookmark = caught.value.bookmark
            await drain_into(delivered, client.iter_tasks(page_size=10, after=bookmark))
            assert [task for index, task in enumerate(api.tasks) if index not in places] == delivered
        assert sorted(places) == [where.offset for where in failed]
        assert {(False, 1)} == {(where.desc, where.attempts) for where in failed}

    async def test_skip(self, places: set[int], caplog: pytest.LogCaptureFixture) -> None:
        """It is logged, counted and left out."""
        async with api_with_invalid(places) as api, TasksClient(api.token, base_url=api.url) as client:
            with caplog.at_level(logging.WARNING):
                tasks = await client.all_tasks(page_size=10, on_invalid="skip")
            assert [task for index, task in enumerate(api.tasks) if index not in places] == tasks
            assert (len(tasks), len(places)) == (client.stats.tasks, client.stats.invalid)
            told = zip(sorted(places), caplog.messages, strict=True)
            assert all(
                f"task '{api.tasks[place].id}' from {api.url} is not as documented" in message
                for place, message in told
            )

    async def test_function(self, places: set[int]) -> None:
        """A function is called with each error, in order, and the walk goes on."""
        errors: list[InvalidTaskError] = []
        async with api_with_invalid(places) as api, TasksClient(api.token, base_url=api.url) as client:
            pages = await drain(client.iter_pages(page_size=10, on_invalid=errors.append))
            assert [task for index, task in enumerate(api.tasks) if index not in places] == tasks_of(pages)
            assert [api.tasks[place].id for place in sorted(places)] == [error.task_id for error in errors]
        assert sorted(places) == [error.offset for error in errors]
        assert 0 not in map(len, pages)

    async def test_function_that_raises(self, places: set[int]) -> None:
        """What the function raises comes out of the walk, at the place of the item."""
        delivered: list[Task] = []
        async with api_with_invalid(places) as api, TasksClient(api.token, base_url=api.url) as client:
            tasks = client.iter_tasks(page_size=10, on_invalid=refuse)
            with pytest.raises(LookupError, match=api.tasks[min(places)].id):
                await drain_into(delivered, tasks)
            assert list(api.tasks[: min(places)]) == delivered
            assert [] == await drain(tasks)


async def test_on_invalid_may_close_the_client(api: FakeApify, client: TasksClient) -> None:
    """The page for which it was called is still delivered. An eager task can close the client at once."""
    api.fail(MalformedItem(index=3))
    pages = client.iter_pages(page_size=10, on_invalid=lambda _: client._fetcher.closing.set())
    assert 9 == len(await anext(pages))
    with pytest.raises(ClientClosedError):
        await anext(pages)


def close_at_the_third_page(api: FakeApify, client: TasksClient) -> None:
    """Let the client be closed when the third page is asked for."""
    closings: list[asyncio.Future[None]] = []

    def close(request: RecordedRequest) -> None:
        if request.offset == 20:
            closings.append(asyncio.ensure_future(client.close()))

    api.on_request = close


ENDS: dict[str, Callable[[FakeApify, TasksClient], object]] = {
    "end": lambda *_: None,
    "refusal": lambda api, _: api.fail(Status(403), offset=20),
    "retries": lambda api, _: api.fail(Status(503), times=None, offset=20),
    "invalid task": lambda api, _: api.fail(MalformedItem(index=3), offset=20),
    "invalid first task": lambda api, _: api.fail(MalformedItem(index=0), offset=20),
    "disorder": lambda api, _: api.fail(
        MalformedItem(index=3, field="createdAt", value="2001-01-01T00:00:00.000Z"), offset=20
    ),
    "close": close_at_the_third_page,
}


def refuse(error: InvalidTaskError) -> None:
    """Raise an error of its own: an `on_invalid`."""
    raise LookupError(error.task_id)


class TestMemory:
    """What is over is freed without the garbage collector."""

    @pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
    @pytest.mark.parametrize("on_invalid", ["raise", "skip", refuse])
    @pytest.mark.usefixtures("_no_collector")
    async def test_walk(
        self, client: TasksClient, api: FakeApify, end: Callable[..., object], on_invalid: OnInvalid
    ) -> None:
        """The iterator of a walk that ended, in whichever way, is freed by the counting of references."""
        end(api, client)
        pages = client.iter_pages(page_size=10, on_invalid=on_invalid)
        iterator = weakref.ref(pages)
        with contextlib.suppress(ApifyTasksError, LookupError):
            await drain(pages)
        del pages
        await nothing_in_flight(api)
        assert iterator() is None

    @pytest.mark.usefixtures("_no_collector")
    @pytest.mark.parametrize("attempts", [1, 2])
    @pytest.mark.parametrize("fault", [None, Status(403), Status(503), MalformedItem()], ids=str)
    async def test_list_tasks(self, api: FakeApify, fault: Status | MalformedItem | None, attempts: int) -> None:
        """A client whose request ended, in whichever way, is freed by the counting of references, with all it holds."""
        client = TasksClient(api.token, base_url=api.url, retry=RetryPolicy(attempts=attempts, base_delay=0))
        alive: list[weakref.ref[Any]] = [weakref.ref(client), weakref.ref(client._fetcher)]
        if fault is not None:
            api.fail(fault)
        with contextlib.suppress(ApifyTasksError):
            await client.list_tasks()
        await client.close()
        del client
        await nothing_in_flight(api)
        assert [None, None] == [reference() for reference in alive]


class TestWindow:
    """The window on its own."""

    async def test_pages_are_taken_in_the_order_of_the_plan(self) -> None:
        """The first task is that of the first request, whichever ends first."""
        slow = asyncio.Event()

        async def page(request: PageRequest) -> int:
            if request.offset == 0:
                await slow.wait()
            return request.offset

        window = Window(lambda request: asyncio.ensure_future(page(request)))
        window.follow([PageRequest(offset, 1, desc=False) for offset in range(3)])
        await asyncio.sleep(0)
        slow.set()
        offsets = []
        while window:
            await window.wait()
            offsets.append(window.pop()[1].result())
        assert [0, 1, 2] == offsets

    async def test_the_window_follows_the_plan(self) -> None:
        """What is new in a plan is started, what is no longer in it is cancelled, and the rest goes on."""
        started: list[int] = []

        async def hang(request: PageRequest) -> None:
            started.append(request.offset)
            await asyncio.Event().wait()

        window = Window(lambda request: asyncio.ensure_future(hang(request)))
        first, again, second, third = (PageRequest(offset, 1, desc=False) for offset in (0, 0, 1, 2))
        window.follow([first, again, second])
        await asyncio.sleep(0)
        left_out = window.pop()[1]
        left_out.cancel()
        window.follow([third, again])
        await asyncio.sleep(0)
        running = [task for _, task in window._running]
        dropped = [task for task in asyncio.all_tasks() if task not in {*running, asyncio.current_task()}]
        await asyncio.wait([*dropped, left_out])
        assert [0, 0, 1, 2] == started
        assert [(third, False), (again, False)] == [(request, task.done()) for request, task in window._running]
        await asyncio.wait(window.clear())
