"""The types that a type checker sees. mypy checks each `assert_type`; the tests check that the calls work."""

import inspect
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, assert_type

import pytest

from apify_tasks_async import (
    AccountResult,
    Attempt,
    Bookmark,
    Changes,
    ClientOptions,
    ClientStats,
    FollowOptions,
    InvalidTaskError,
    OnInvalid,
    PageFollower,
    PageIterator,
    RetryPolicy,
    ServerError,
    Task,
    TaskPage,
    TasksClient,
    TaskStats,
    WalkOptions,
    converter,
    iter_tasks,
    map_accounts,
)
from apify_tasks_async.errors import ResponseError
from apify_tasks_async.testing import OPENAPI, PAGE_SCHEMA, FakeApify, Fault, RecordedRequest, Status, make_task

MOMENT = datetime(2018, 10, 26, 7, 23, 14, 855000, tzinfo=UTC)


def report(_: InvalidTaskError) -> None:
    """Take an invalid item."""


@pytest.mark.asyncio
async def test_types_of_the_client(api: FakeApify) -> None:
    """Every method returns the declared type."""
    async with TasksClient(api.token, base_url=api.url) as client:
        assert_type(client, TasksClient)
        assert_type(await client.count(), int)
        assert_type(await client.all_tasks(limit=1, on_invalid=report), list[Task])
        assert_type(client.stats, ClientStats)
        assert_type(client.stats.requests, int)
        assert_type(client.closed, bool)

        page = await client.list_tasks(limit=1)
        assert_type(page, TaskPage)
        assert_type(page.items, tuple[Task, ...])
        assert_type(page.bookmark, Bookmark | None)
        assert_type(len(page), int)
        assert_type(iter(page), Iterator[Task])

        assert [Task, TaskPage, Bookmark] == [type(page.items[0]), type(page), type(page.bookmark)]


@pytest.mark.asyncio
async def test_types_of_the_walks(api: FakeApify) -> None:
    """A walk is an asynchronous generator of tasks, or an asynchronous iterator and context manager of pages."""
    async with TasksClient(api.token, base_url=api.url) as client:
        tasks = client.iter_tasks(desc=True, limit=1, exact=True)
        assert_type(tasks, AsyncGenerator[Task, None])
        async for task in tasks:
            assert_type(task, Task)

        new_tasks = client.follow_tasks(interval=60)
        assert_type(new_tasks, AsyncGenerator[Task, None])
        assert_type(await anext(new_tasks), Task)
        await new_tasks.aclose()

        pages = client.iter_pages(page_size=10, limit=10, on_invalid="skip")
        assert_type(pages, PageIterator)
        async with pages as entered:
            assert_type(entered, PageIterator)
            async for page in entered:
                assert_type(page, TaskPage)
                for each in page:
                    assert_type(each, Task)
        assert_type(pages.bookmark, Bookmark | None)

        assert [True, True, False] == [inspect.isasyncgen(walk) for walk in (tasks, new_tasks, pages)]


@pytest.mark.asyncio
async def test_types_of_following(api: FakeApify) -> None:
    """Following is an iterator of pages that never ends; its options may be kept in a dictionary."""
    on_invalid: OnInvalid = report
    options: FollowOptions = {"after": None, "interval": 60.0, "page_size": 10, "on_invalid": on_invalid}
    async with TasksClient(api.token, base_url=api.url, retry=RetryPolicy(attempts=1)) as client:
        pages = client.follow_pages(**options)
        assert_type(pages, PageFollower)
        page = await anext(pages)
        assert_type(page, TaskPage)
        assert_type(pages.bookmark, Bookmark | None)

    assert page.bookmark == pages.bookmark


@pytest.mark.asyncio
async def test_types_of_changes(api: FakeApify) -> None:
    """Versions may be any objects, and the mapping may have any type of them."""
    known: dict[str, str] = {"gone": ""}
    async with TasksClient(api.token, base_url=api.url, label="alice") as client:
        changes = await client.changes_since(known, version=lambda task: task.name)
    assert_type(changes, Changes)
    assert_type(changes.added, tuple[Task, ...])
    assert_type(changes.changed, tuple[Task, ...])
    assert_type(changes.removed, frozenset[str])

    assert changes.removed == {"gone"}


@pytest.mark.asyncio
async def test_types_of_accounts(api: FakeApify) -> None:
    """A result has the type that the job returns; the options may be kept in a dictionary."""

    async def count(client: TasksClient, account: str) -> int:
        return await client.count()

    options: ClientOptions = {"base_url": api.url, "rate_limit": None}
    results = map_accounts({"alice": api.token}, count, at_once=2, deadline=30, **options)
    assert_type(results, AsyncGenerator[AccountResult[int], None])
    async for result in results:
        assert_type(result.account, str)
        assert_type(result.value, int | None)
        assert_type(result.error, Exception | None)

        assert result.value == 2500


@pytest.mark.asyncio
async def test_types_of_the_function(api: FakeApify) -> None:
    """The function takes the options of a walk by name, or as a typed dictionary."""
    options: WalkOptions = {"desc": True, "limit": 1, "on_invalid": "skip", "after": None}
    tasks = iter_tasks(api.token, base_url=api.url, **options)
    assert_type(tasks, AsyncGenerator[Task, None])
    names = [task.name async for task in tasks]
    assert_type(names, list[str])

    assert [str] == [type(name) for name in names]


def test_types_of_the_models() -> None:
    """Every field has its type; Any only where the API does not define one."""
    task = Task("a-task", "a-user", "an-actor", "my-task", MOMENT, MOMENT, stats=TaskStats(15))
    assert_type(task.id, str)
    assert_type(task.created_at, datetime)
    assert_type(task.act_name, str | None)
    assert_type(task.stats, TaskStats | None)
    assert_type(task.extra, Mapping[str, Any])
    if task.stats is not None:
        assert_type(task.stats.total_runs, int | None)

    bookmark = Bookmark(MOMENT, frozenset({"a-task"}), 0, desc=False)
    assert_type(Bookmark.from_json(bookmark.to_json()), Bookmark)
    assert_type(bookmark.to_json(), str)

    read = converter.structure(converter.unstructure(task), Task)
    assert_type(read, Task)

    assert task == read


def test_types_of_the_server() -> None:
    """The names for tests are typed, in `with` and `async with` blocks."""
    task = make_task(7, name="mine")
    assert_type(task, Task)
    fault: Fault = Status(429, retry_after=2)
    api = FakeApify([task], seed=1, port=0)
    api.fail(fault)
    with api as entered:
        assert_type(entered, FakeApify)
        assert_type(entered.url, str)
        assert_type(entered.requests, list[RecordedRequest])
    assert_type(api.tasks, tuple[Task, ...])
    assert_type(api.create_task(), Task)
    assert_type(OPENAPI, dict[str, Any])
    assert_type(PAGE_SCHEMA, dict[str, Any])

    assert [] == entered.requests


def test_types_of_the_errors() -> None:
    """The attributes of errors and attempts are typed, and so are callbacks."""

    def on_attempt(attempt: Attempt) -> float:
        assert_type(attempt.status, int | None)
        assert_type(attempt.delay, float | None)
        return attempt.elapsed

    error = ServerError("it failed", status=503)
    assert_type(error.status, int)
    assert_type(error.retry_after, float | None)
    assert_type(error.offset, int | None)
    callback: Callable[[Attempt], object] = on_attempt

    assert 0.25 == callback(Attempt(0, 1000, False, 1, 503, error, 0.25, None))
    assert isinstance(error, ResponseError)


def test_wrong_calls_are_refused() -> None:
    """Calls that the type checker refuses also fail at run time. mypy reports an unneeded ignore."""
    client = TasksClient("a-token")

    with pytest.raises(TypeError):
        client.iter_tasks(limits=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        client.iter_tasks(limit="1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="on_invalid"):
        client.iter_tasks(on_invalid="ignore")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        client.iter_pages(True)  # type: ignore[call-arg]
