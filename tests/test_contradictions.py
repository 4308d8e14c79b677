"""A server that contradicts itself costs requests or an error, never tasks.

Each test walks through the real client. `page_size` is small where the size does not matter.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from helpers.virtual_time import tell_time

from apify_tasks_async import (
    ConfigurationError,
    DriftError,
    InvalidResponseError,
    InvalidTaskError,
    RetryPolicy,
    Task,
    TasksClient,
)
from apify_tasks_async.testing import (
    FakeApify,
    Fault,
    MalformedItem,
    OtherRequest,
    RecordedRequest,
    RepeatedItem,
    ShortPage,
    make_task,
)

TASKS = [make_task(number) for number in range(4000)]
PATIENCE = 20
"""Seconds after which a walk that does not end fails its test."""

WALKS: list[dict[str, Any]] = [
    {},
    {"desc": True},
    {"exact": True},
    {"exact": True, "desc": True},
]
each_walk = pytest.mark.parametrize("walk", WALKS, ids=["default", "default-desc", "exact", "exact-desc"])


def client_of(api: FakeApify, **options: Any) -> TasksClient:
    """Return a client that retries without waiting."""
    defaults: dict[str, Any] = {"base_url": api.url, "retry": RetryPolicy(base_delay=0), "rate_limit": None}
    return TasksClient(api.token, **defaults | options)


@asynccontextmanager
async def serving(tasks: int, **options: Any) -> AsyncIterator[tuple[FakeApify, TasksClient]]:
    """Yield an API with so many tasks, and a client of it."""
    async with asyncio.timeout(PATIENCE), FakeApify(TASKS[:tasks]) as api, client_of(api, **options) as client:
        yield api, client


def second_offset(walk: dict[str, Any]) -> int:
    """Return the offset of the second page of 1000 tasks."""
    return 992 if "exact" in walk else 1000


def in_order(api: FakeApify, walk: dict[str, Any]) -> list[Task]:
    """Return the tasks that there are, in the order of the walk."""
    return list(reversed(api.tasks)) if "desc" in walk else list(api.tasks)


async def check_faulty_page(walk: dict[str, Any], fault: Fault, offset: int) -> None:
    """Walk a list of 3,000 tasks of which one answer is faulty, and check that nothing is missing."""
    async with serving(3000) as (api, client):
        api.fail(fault, offset=offset)
        tasks = await client.all_tasks(**walk)
        expected, requests = in_order(api, walk), api.requests

    assert offset in {request.offset for request in requests}
    assert [task.id for task in tasks] == [task.id for task in expected]
    assert len(requests) <= 10


class TestShortAnswers:
    """Answers that stop early."""

    @each_walk
    @pytest.mark.asyncio
    async def test_second_page_is_empty_once(self, walk: dict[str, Any]) -> None:
        """An empty page is no end."""
        await check_faulty_page(walk, ShortPage(), second_offset(walk))

    @each_walk
    @pytest.mark.asyncio
    async def test_first_page_is_empty_once(self, walk: dict[str, Any]) -> None:
        """An empty page is no end at the start either."""
        await check_faulty_page(walk, ShortPage(), 0)

    @each_walk
    @pytest.mark.parametrize("items", [1, 2, 3, 7, 8, 9, 500, 999])
    @pytest.mark.asyncio
    async def test_second_page_is_cut_once(self, walk: dict[str, Any], items: int) -> None:
        """A page that is cut is no end, even if it has nothing but the overlap."""
        await check_faulty_page(walk, ShortPage(items), second_offset(walk))

    @each_walk
    @pytest.mark.parametrize("items", [1, 8, 999])
    @pytest.mark.asyncio
    async def test_first_page_is_cut_once(self, walk: dict[str, Any], items: int) -> None:
        """The first page may be cut, too."""
        await check_faulty_page(walk, ShortPage(items), 0)

    @each_walk
    @pytest.mark.parametrize("items", [0, 8, 500])
    @pytest.mark.asyncio
    async def test_count_of_scanned_rows(self, walk: dict[str, Any], items: int) -> None:
        """A count that is greater than the items does not hide that the page is short."""
        await check_faulty_page(walk, ShortPage(items, count=1000), second_offset(walk))

    @each_walk
    @pytest.mark.parametrize("size", [3, 8])
    @pytest.mark.asyncio
    async def test_few_items_in_each_page(self, walk: dict[str, Any], size: int) -> None:
        """A server may put a few items in each page, and say 1000."""
        async with serving(241) as (api, client):
            api.unsaid_max_limit = size
            tasks = await client.all_tasks(**walk)
            expected, requests = in_order(api, walk), len(api.requests)

        assert [task.id for task in tasks] == [task.id for task in expected]
        assert requests <= 2 * (241 // (size - size // 2)) + 20

    @each_walk
    @pytest.mark.asyncio
    async def test_page_size_is_learnt(self, walk: dict[str, Any]) -> None:
        """Pages that have 40% of what they say cost about as many requests as it takes to read them."""
        async with serving(4000) as (api, client):
            api.unsaid_max_limit = 40
            tasks = await client.all_tasks(page_size=100, **walk)
            expected, requests = in_order(api, walk), len(api.requests)

        assert [task.id for task in tasks] == [task.id for task in expected]
        # An exact walk reads 8 of 40 tasks again.
        assert requests <= (145 if "exact" in walk else 115)

    @pytest.mark.asyncio
    async def test_count_needs_the_total_alone(self) -> None:
        """A count is right though the page has no items."""
        async with serving(3000) as (api, client):
            api.fail(ShortPage(count=1))
            count = await client.count()
            requests = len(api.requests)

        assert (count, requests) == (3000, 1)


class TestHiddenRows:
    """Rows that are counted, and never shown."""

    @each_walk
    @pytest.mark.parametrize("hidden", [slice(300, 500), slice(310, 390), slice(290, 700)])
    @pytest.mark.asyncio
    async def test_in_the_middle(self, walk: dict[str, Any], hidden: slice) -> None:
        """All visible tasks come, with a warning if a page is empty; or an error, which `exact` may always raise."""
        async with serving(3000) as (api, client):
            for task in TASKS[hidden]:
                api.hide(task.id)
            invisible = {task.id for task in TASKS[hidden]}
            expected = [task.id for task in in_order(api, walk) if task.id not in invisible]
            try:
                tasks = await client.all_tasks(page_size=100, **walk)
            except DriftError:
                tasks = None
            incomplete, requests = client.stats.incomplete, len(api.requests)

        assert requests <= 120
        if tasks is not None:
            assert [task.id for task in tasks] == expected
            assert "exact" not in walk or not incomplete
            assert incomplete <= 1

    @pytest.mark.asyncio
    async def test_default_walk_crosses_them(self, caplog: pytest.LogCaptureFixture) -> None:
        """More of them than fit into a page: a default walk delivers what is visible, and warns once."""
        async with serving(4000) as (api, client):
            for task in TASKS[500:2000]:
                api.hide(task.id)
            tasks = await client.all_tasks(page_size=100)
            incomplete = client.stats.incomplete

        assert [task.id for task in tasks] == [task.id for task in TASKS[:500] + TASKS[2000:]]
        assert incomplete == 1
        assert len([record for record in caplog.records if "does not show" in record.message]) == 1


class TestAnotherQuestion:
    """Answers to another request."""

    @each_walk
    @pytest.mark.asyncio
    async def test_another_page_once(self, walk: dict[str, Any]) -> None:
        """The request is sent again."""
        await check_faulty_page(walk, OtherRequest(offset=2000), second_offset(walk))

    @each_walk
    @pytest.mark.asyncio
    async def test_the_other_direction_once(self, walk: dict[str, Any]) -> None:
        """The request is sent again."""
        await check_faulty_page(walk, OtherRequest(desc="desc" not in walk), second_offset(walk))

    @each_walk
    @pytest.mark.asyncio
    async def test_another_page_for_ever(self, walk: dict[str, Any]) -> None:
        """The error says what came, after the tasks before it."""
        tasks: list[Task] = []
        offset = second_offset(walk)
        async with serving(4000) as (api, client):
            api.fail(OtherRequest(offset=2000), times=None, offset=offset)
            with pytest.raises(InvalidResponseError, match=f"offset: asked for {offset}, got 2000"):
                await collect(client.iter_tasks(**walk), tasks)
            expected = in_order(api, walk)
            requests = [request for request in api.requests if request.offset == offset]

        assert [task.id for task in tasks] == [task.id for task in expected[:1000]]
        assert len(requests) == RetryPolicy().attempts

    @pytest.mark.asyncio
    async def test_list_tasks(self) -> None:
        """The oldest task is not taken for the newest."""
        async with serving(10) as (api, client):
            api.fail(OtherRequest(desc=False), times=None)
            with pytest.raises(InvalidResponseError, match="desc: asked for True, got False"):
                await client.list_tasks(limit=1, desc=True)
            api.clear_faults()
            api.fail(OtherRequest(desc=False))
            page = await client.list_tasks(limit=1, desc=True)

        assert page.items == (TASKS[9],)

    @pytest.mark.asyncio
    async def test_a_cache_that_ignores_the_query(self) -> None:
        """The first tasks are not taken for those of another offset."""
        async with serving(4000) as (api, client):
            api.fail(OtherRequest(0, 1000, desc=False), times=None)
            with pytest.raises(InvalidResponseError, match="offset: asked for 3000, got 0"):
                await client.all_tasks(offset=3000, limit=2)
            requests = len(api.requests)

        assert requests == RetryPolicy().attempts

    @each_walk
    @pytest.mark.parametrize("admits", [False, True])
    @pytest.mark.asyncio
    async def test_offset_is_ignored(self, walk: dict[str, Any], *, admits: bool) -> None:
        """The error says so, soon."""
        tasks: list[Task] = []
        async with serving(4000) as (api, client):
            api.fail(OtherRequest(offset=0, admits=admits), times=None)
            with pytest.raises(
                (InvalidResponseError, DriftError), match=r"ignores offset|offset: asked for \d+, got 0"
            ):
                await collect(client.iter_tasks(**walk), tasks)
            expected, requests = in_order(api, walk), len(api.requests)

        assert [task.id for task in tasks] == [task.id for task in expected[: len(tasks)]]
        assert requests <= 25


@each_walk
@pytest.mark.parametrize("index", [0, 10, 991, 999])
@pytest.mark.asyncio
async def test_one_task_twice_in_a_page(walk: dict[str, Any], index: int) -> None:
    """It is delivered once."""
    for offset in (0, second_offset(walk)):
        await check_faulty_page(walk, RepeatedItem(index), offset)


class TestTotals:
    """Totals that are not true."""

    @pytest.mark.parametrize("desc", [False, True])
    @pytest.mark.parametrize("total", [0, 1, 999, 1000, 2000, 2999, 3001, 4000, 10**9])
    @pytest.mark.asyncio
    async def test_exact(self, total: int, *, desc: bool) -> None:
        """An exact walk does not depend on them."""
        async with serving(3000) as (api, client):
            api.reported_total = total
            tasks = await client.all_tasks(exact=True, desc=desc)
            requests = len(api.requests)

        expected = TASKS[:3000]
        assert tasks == (expected[::-1] if desc else expected)
        assert requests <= (20 if total > 4000 else 10)

    @pytest.mark.parametrize("desc", [False, True])
    @pytest.mark.asyncio
    async def test_exact_with_a_total_that_lags(self, *, desc: bool) -> None:
        """A deletion that the total does not show yet costs no task."""
        async with serving(3000) as (api, client):
            api.total_lag = 1
            doomed = TASKS[2999 if desc else 0]

            def delete(request: RecordedRequest) -> None:
                if request.offset and doomed in api.tasks:
                    api.delete_task(doomed.id)

            api.on_request = delete
            tasks = await client.all_tasks(exact=True, desc=desc)

        expected = TASKS[:3000]
        assert tasks == (expected[::-1] if desc else expected)

    @each_walk
    @pytest.mark.parametrize("lags", [(0, 3), (3, 0), (1, 3, 0, 2)])
    @pytest.mark.asyncio
    async def test_replicas(self, walk: dict[str, Any], lags: tuple[int, ...]) -> None:
        """What all replicas have is delivered once, in order."""
        async with serving(1000) as (api, client):
            for task in TASKS[:3]:
                api.delete_task(task.id)
            api.replica_lags = lags
            tasks = await client.all_tasks(page_size=100, **walk)
            living = {task.id for task in api.tasks}
            expected, requests = in_order(api, walk), len(api.requests)

        delivered = [task.id for task in tasks]
        assert len(set(delivered)) == len(delivered)
        assert [one for one in delivered if one in living] == [task.id for task in expected]
        assert requests <= 60


class TestLateTasks:
    """Tasks that become visible after younger ones were told."""

    @pytest.mark.virtual_time
    @pytest.mark.parametrize("hidden", [False, True])
    @pytest.mark.parametrize("lookback", [10, 100])
    @pytest.mark.parametrize("age", [timedelta(milliseconds=10), timedelta(hours=2)])
    @pytest.mark.asyncio
    async def test_told_once(self, lookback: int, age: timedelta, *, hidden: bool) -> None:
        """A task that appears late is told late, once."""
        names = await follow_late_task(lookback, age, hidden=hidden)

        assert names == ["my-task-0", "my-task-1", "my-task-2", "younger", "late", "next", "last"]

    @pytest.mark.virtual_time
    @pytest.mark.parametrize("hidden", [False, True])
    @pytest.mark.asyncio
    async def test_without_lookback(self, *, hidden: bool) -> None:
        """It is not told if nothing is looked at again; nothing else is missing."""
        names = await follow_late_task(0, timedelta(hours=2), hidden=hidden)

        assert names == ["my-task-0", "my-task-1", "my-task-2", "younger", "next", "last"]


async def follow_late_task(lookback: int, age: timedelta, *, hidden: bool) -> list[str]:
    """Follow a list in which the task "late" becomes visible after "younger", which was created `age` later.

    Return the names of all tasks that are told.
    """
    names: list[str] = []
    async with FakeApify(tasks=3) as api, client_of(api) as client:
        tell_time(api)
        moment = api.tasks[-1].created_at + timedelta(hours=1)
        late = {"name": "late", "created_at": moment - age}
        concealed: list[Task] = []

        def after(name: str) -> None:
            if name == "my-task-2":
                if hidden:
                    concealed.append(api.create_task(**late))
                    api.hide(concealed[0].id)
                api.create_task(name="younger", created_at=moment)
            elif name == "younger":
                if hidden:
                    api.reveal(concealed[0].id)
                else:
                    api.create_task(**late)
                api.create_task(name="next")
            elif name == "next":
                api.create_task(name="last")

        async with aclosing(client.follow_tasks(interval=1, lookback=lookback)) as tasks:
            async for task in tasks:
                names.append(task.name)
                after(task.name)
                if task.name == "last":
                    break
    return names


class TestCallbacks:
    """Functions of the user that raise `StopAsyncIteration`."""

    @pytest.mark.asyncio
    async def test_on_invalid(self) -> None:
        """It does not end the walk in silence."""

        def stop(_: InvalidTaskError) -> None:
            raise StopAsyncIteration

        tasks: list[Task] = []
        async with serving(1000) as (api, client):
            api.fail(MalformedItem(5), offset=100)
            with pytest.raises(RuntimeError, match="StopAsyncIteration"):
                await collect(client.iter_tasks(page_size=100, on_invalid=stop), tasks)

        assert tasks == TASKS[:105]

    @each_walk
    @pytest.mark.asyncio
    async def test_on_attempt(self, walk: dict[str, Any]) -> None:
        """It does not end the walk in silence."""

        def stop(_: object) -> None:
            raise StopAsyncIteration

        async with serving(1000, on_attempt=stop) as (_, client):
            with pytest.raises(RuntimeError, match="StopAsyncIteration"):
                await client.all_tasks(**walk)
            with pytest.raises(RuntimeError, match="StopAsyncIteration"):
                await client.list_tasks()
            with pytest.raises(RuntimeError, match="StopAsyncIteration"):
                await client.count()


@pytest.mark.asyncio
@pytest.mark.parametrize("method", ["iter_pages", "follow_pages"])
async def test_pages_in_another_event_loop(method: str) -> None:
    """In another event loop the next page and the end are refused at once, and the walk goes on in its own."""

    def elsewhere(*calls: Callable[[], Awaitable[object]]) -> None:
        async def use() -> None:
            for call in calls:
                with pytest.raises(ConfigurationError, match="event loop"):
                    await call()

        asyncio.run(use())

    async with serving(500) as (_, client), getattr(client, method)(page_size=100) as pages:
        assert list((await anext(pages)).items) == TASKS[:100]
        await asyncio.to_thread(elsewhere, lambda: anext(pages), pages.aclose)
        assert (await anext(pages)).items[0] == TASKS[100]


async def collect(walk: AsyncGenerator[Task, None], tasks: list[Task]) -> None:
    """Add every task of a walk to a list."""
    async with aclosing(walk):
        async for task in walk:
            tasks.append(task)
