"""Walks through the real client over a list that changes: exact, resumed, followed."""

import asyncio
import gc
import itertools
import json
import logging
import random
import re
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import attrs
import pytest
from helpers.support import MakeClient, until

from apify_tasks_async import (
    ApifyTasksError,
    AuthenticationError,
    Bookmark,
    ClientClosedError,
    InvalidTaskError,
    RetryPolicy,
    ServerError,
    Task,
)
from apify_tasks_async.testing import FakeApify, Hang, MalformedItem, Status, make_task

pytestmark = pytest.mark.asyncio

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)


async def take(count: int, tasks: AsyncGenerator[Task, None]) -> list[str]:
    """Return the ids of the next tasks."""
    return [(await anext(tasks)).id for _ in range(count)]


@pytest.mark.parametrize("desc", [False, True])
@pytest.mark.parametrize("seed", range(8))
async def test_an_exact_walk_is_exact_while_the_list_changes(seed: int, desc: bool, make_client: MakeClient) -> None:
    """Tasks are created, deleted and reordered at every request, and none that lives throughout is lost or repeated."""
    rng = random.Random(seed)
    async with FakeApify(tasks=400, seed=seed) as api:
        api.shuffle_ties = True
        lived_throughout = {task.id for task in api.tasks}

        def change(_: object) -> None:
            for _ in range(rng.randint(0, 4)):
                if rng.random() < 0.5:
                    moment = rng.choice(api.tasks).created_at if rng.random() < 0.5 else api.tasks[-1].created_at
                    api.create_task(created_at=moment)
                else:
                    lived_throughout.discard(api.delete_task(rng.choice(api.tasks[:50]).id).id)

        api.on_request = change
        client = make_client(base_url=api.url, concurrency=4)
        delivered = await client.all_tasks(exact=True, desc=desc, page_size=40)
    ids = [task.id for task in delivered]
    assert len(set(ids)) == len(ids)
    assert set() == lived_throughout - set(ids)
    assert sorted((task.created_at for task in delivered), reverse=desc) == [task.created_at for task in delivered]


async def test_a_quiet_exact_walk_asks_for_overlapping_pages(api: FakeApify, make_client: MakeClient) -> None:
    """It delivers the same as the default walk. Its last page comes from the other end of the list."""
    client = make_client()
    assert list(api.tasks) == await client.all_tasks(exact=True)
    assert [(0, False), (992, False), (0, True)] == [(request.offset, request.desc) for request in api.requests]
    assert (3000 - 2500, 0) == (client.stats.duplicates, client.stats.reseeks)


async def test_a_walk_that_looks_for_its_place_says_so(api: FakeApify, make_client: MakeClient) -> None:
    """Re-reads are counted, and the pages that were in flight are given up."""
    client = make_client()
    expected = list(api.tasks)
    changes: Iterator[Callable[[], object]] = iter([lambda: None, lambda: api.delete_task(expected[0].id)])
    api.on_request = lambda _: next(changes, lambda: None)()
    assert expected == await client.all_tasks()
    assert 1 == client.stats.reseeks


@pytest.mark.parametrize("desc", [False, True])
async def test_every_page_has_a_bookmark_to_carry_on_from(api: FakeApify, make_client: MakeClient, desc: bool) -> None:
    """It survives JSON, and tasks that are deleted and created in between."""
    client = make_client()
    pages = client.iter_pages(page_size=100, desc=desc)
    first = await anext(pages)
    await pages.aclose()
    assert first.bookmark is not None
    assert first.bookmark == pages.bookmark
    after = Bookmark.from_json(first.bookmark.to_json())
    expected = list(reversed(api.tasks))[100:] if desc else list(api.tasks)[100:]
    for task in first.items[:30]:
        api.delete_task(task.id)
    created = api.create_task()
    assert (expected if desc else [*expected, created]) == await client.all_tasks(after=after, desc=desc)


async def test_a_bookmark_resumes_in_another_process(api: FakeApify, make_client: MakeClient) -> None:
    """Behind a failure, the error's bookmark is all that is needed."""
    client = make_client(retry=RetryPolicy(attempts=1))
    api.fail(Status(503), offset=2000)
    delivered = []
    with pytest.raises(ServerError) as caught:
        async for task in client.iter_tasks():
            delivered.append(task.id)
    assert 2000 == len(delivered)
    assert caught.value.bookmark is not None
    program = (
        "import asyncio, json, sys\n"
        "from apify_tasks_async import Bookmark, TasksClient\n"
        "async def main():\n"
        "    async with TasksClient(sys.argv[2], base_url=sys.argv[1]) as client:\n"
        "        tasks = await client.all_tasks(after=Bookmark.from_json(sys.argv[3]))\n"
        "        print(json.dumps([task.id for task in tasks]))\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        api.url,
        api.token,
        caught.value.bookmark.to_json(),
        stdout=subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert [task.id for task in api.tasks] == delivered + json.loads(output)


async def test_an_error_before_anything_was_delivered_has_the_bookmark_that_was_given(
    api: FakeApify, make_client: MakeClient
) -> None:
    """To begin with there is none; later, the walk's place is where it was."""
    client = make_client(retry=RetryPolicy(attempts=1))
    after = (await client.list_tasks(limit=10)).bookmark
    for given in (None, after):
        api.fail(Status(503))
        with pytest.raises(ServerError) as caught:
            await client.all_tasks(after=given)
        assert given == caught.value.bookmark


async def test_an_invalid_task_is_reported_once_when_its_bookmark_is_resumed(
    api: FakeApify, make_client: MakeClient
) -> None:
    """The bookmark of the error is behind the item, that of the page before it in front of it."""
    client = make_client()
    api.fail(MalformedItem(index=3, field="name"), times=None)
    pages = client.iter_pages(limit=10)
    page = await anext(pages)
    with pytest.raises(InvalidTaskError) as caught:
        await anext(pages)
    api.clear_faults()
    expected = list(api.tasks)
    assert expected[:3] == list(page)
    assert expected[3:] == await client.all_tasks(after=page.bookmark)
    assert expected[4:] == await client.all_tasks(after=caught.value.bookmark)


async def test_following_delivers_all_and_then_each_new_task_once(make_client: MakeClient) -> None:
    """Deletions in between make it neither skip nor repeat."""
    async with FakeApify(tasks=50) as api:
        client = make_client(base_url=api.url)
        tasks = client.follow_tasks(interval=0.001, page_size=20)
        assert [task.id for task in api.tasks] == await take(50, tasks)
        for _ in range(5):
            for task in api.tasks[:7]:
                api.delete_task(task.id)
            created = [api.create_task().id for _ in range(5)]
            assert created == await take(5, tasks)
        await tasks.aclose()


async def test_following_an_empty_list_waits_for_the_first_task(make_client: MakeClient) -> None:
    """There is nothing to be behind of yet."""
    async with FakeApify() as api:
        client = make_client(base_url=api.url)
        tasks = client.follow_tasks(interval=0.001)
        first = asyncio.ensure_future(anext(tasks))
        await until(lambda: len(api.requests) > 2)
        created = api.create_task()
        assert created == await first
        await tasks.aclose()


async def test_following_costs_one_request_a_look(api: FakeApify, make_client: MakeClient) -> None:
    """Each look reads a few tasks from the other end of the list, once the walk has caught up."""
    client = make_client()
    after = (await client.list_tasks(offset=1500)).bookmark
    tasks = client.follow_tasks(interval=0.001, after=after)
    following = asyncio.ensure_future(anext(tasks))
    await until(lambda: len(api.requests) > 4)
    created = api.create_task()
    assert created == await following
    await tasks.aclose()
    assert {(0, 200, True)} == {(request.offset, request.limit, request.desc) for request in api.requests[1:]}


async def test_following_outlives_an_outage(
    api: FakeApify, make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """It goes on when the API is there again; meanwhile the statistics and the log tell."""
    caplog.set_level(logging.WARNING, logger="apify_tasks_async")
    client = make_client(retry=RetryPolicy(attempts=2, base_delay=0))
    tasks = client.follow_tasks(interval=0.001)
    await take(2500, tasks)
    api.fail(Status(503), times=None)
    following = asyncio.ensure_future(anext(tasks))
    await until(lambda: client.stats.failures > 3)
    created = api.create_task()
    api.clear_faults()
    assert created == await following
    await tasks.aclose()
    assert caplog.messages
    assert all("503" in message for message in caplog.messages)
    assert any(re.search(r"; looking again in 0\.00\d+ s$", message) for message in caplog.messages)


async def test_what_the_log_keeps_does_not_keep_the_client(
    api: FakeApify, make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """A record of an outage that is kept holds text, and no error whose traceback leads to the client."""
    client = make_client(retry=RetryPolicy(attempts=1))
    api.fail(Status(503))
    async with client.follow_pages(interval=0.001) as pages:
        await anext(pages)
    [record] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert isinstance(record.args, tuple)
    assert [str] == list(map(type, record.args))


async def test_following_ends_with_an_error_that_waiting_does_not_cure(api: FakeApify, make_client: MakeClient) -> None:
    """A token that was revoked stays revoked."""
    client = make_client()
    tasks = client.follow_tasks(interval=0.001)
    delivered = await take(2500, tasks)
    api.fail(Status(401), times=None)
    with pytest.raises(AuthenticationError) as caught:
        await anext(tasks)
    assert caught.value.bookmark is not None
    assert delivered[-1] in caught.value.bookmark.ids


@pytest.mark.parametrize("state", ["waiting", "fetching"])
async def test_cancelling_a_follower_is_immediate(api: FakeApify, make_client: MakeClient, state: str) -> None:
    """Whether it waits for the next look or for an answer."""
    client = make_client()
    after = (await client.list_tasks(offset=2000)).bookmark
    tasks = client.follow_tasks(after=after, interval=3600)
    if state == "fetching":
        api.fail(Hang())
    following = asyncio.ensure_future(anext(tasks))
    await until(lambda: client.stats.pages == 2 if state == "waiting" else api.in_flight)
    following.cancel()
    await asyncio.wait({following}, timeout=5)
    assert following.cancelled()
    await until(lambda: not api.in_flight)


async def test_a_timeout_does_not_end_the_pages_that_are_followed(make_client: MakeClient) -> None:
    """Whether it strikes while a look is waited for or while an answer is, the next call carries on."""
    async with FakeApify(tasks=50) as api:
        client = make_client(base_url=api.url)
        delivered: list[Task] = []
        async with client.follow_pages(interval=0.02, page_size=20) as pages:
            created = False
            while len(delivered) < 51:
                try:
                    async with asyncio.timeout(0.001):
                        delivered += await anext(pages)
                except TimeoutError:
                    if len(delivered) == 50 and not created:
                        created = True
                        api.create_task()
        assert list(api.tasks) == delivered
        assert [task async for page in pages for task in page] == []


async def test_pages_that_are_followed_have_bookmarks(api: FakeApify, make_client: MakeClient) -> None:
    """Another process carries on behind them."""
    client = make_client()
    async with client.follow_pages() as pages:
        first = await anext(pages)
        assert first.bookmark is not None
        assert first.bookmark == pages.bookmark
    async with client.follow_pages(after=first.bookmark) as pages:
        assert api.tasks[1000] == (await anext(pages)).items[0]


async def test_closing_the_client_ends_a_follower_that_waits(api: FakeApify, make_client: MakeClient) -> None:
    """It does not sleep through it."""
    client = make_client()
    after = (await client.list_tasks(offset=2000)).bookmark
    following = asyncio.ensure_future(anext(client.follow_tasks(after=after, interval=3600)))
    await until(lambda: client.stats.pages == 2)
    await client.close()
    with pytest.raises(ClientClosedError):
        await following


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"interval": 0}, "interval must be greater than 0, got 0"),
        ({"page_size": 3}, "page_size must be from 4 to 1000, got 3"),
        ({"after": Bookmark(MOMENT, {"a"}, 0, desc=True)}, "desc must be True, the direction of after, got False"),
    ],
)
async def test_what_cannot_be_followed_is_refused_at_once(
    options: dict[str, object], message: str, make_client: MakeClient
) -> None:
    """Before anything is awaited."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        make_client().follow_tasks(**options)  # type: ignore[arg-type]  # that is the test
    assert message == str(caught.value)


@pytest.mark.virtual_time  # the 503s slow the client down
async def test_a_consumer_can_resume_after_every_error(make_client: MakeClient) -> None:
    """A loop that carries on from the bookmark of each error sees every task once."""
    async with FakeApify(tasks=300, seed=3) as api:
        api.fail(Status(503), times=None, probability=0.4)
        client = make_client(base_url=api.url, retry=RetryPolicy(attempts=1))
        delivered: list[str] = []
        after: Bookmark | None = None
        for _ in itertools.count():
            try:
                async for task in client.iter_tasks(page_size=20, after=after):
                    delivered.append(task.id)
            except ApifyTasksError as error:
                after = error.bookmark
            else:
                break
        assert [task.id for task in api.tasks] == delivered


async def test_a_walk_that_has_its_limit_does_not_fail_any_more(make_client: MakeClient) -> None:
    """A page that turned out not to be needed may fail as it likes."""
    async with FakeApify(tasks=500) as api:
        changes: Iterator[Callable[[], object]] = iter(
            [lambda: None, lambda: [api.delete_task(task.id) for task in api.tasks[:6]]]
        )
        api.on_request = lambda _: next(changes, lambda: None)()
        api.fail(Status(503), offset=276, times=None)
        expected = api.tasks[:286]
        client = make_client(base_url=api.url, retry=RetryPolicy(attempts=1))
        assert expected == tuple(await client.all_tasks(exact=True, page_size=100, limit=286))


async def test_closing_a_follower_ends_the_wait_for_the_next_look(make_client: MakeClient) -> None:
    """A consumer that waits for the next look is told that there is no other page, and nothing more is sent."""
    async with FakeApify(tasks=3) as api:
        client = make_client(base_url=api.url)
        pages = client.follow_pages(interval=3600)
        assert 3 == len(await anext(pages))
        waiting = asyncio.ensure_future(anext(pages))
        await until(lambda: pages._due is not None)  # the look has ended, at the other end of the list
        await pages.aclose()
        with pytest.raises(StopAsyncIteration):
            await waiting
        assert 2 == len(api.requests)


async def test_one_consumer_at_a_time(make_client: MakeClient) -> None:
    """Two that wait for the same follower would be given the same tasks."""
    async with FakeApify(tasks=3) as api, make_client(base_url=api.url).follow_pages(interval=3600) as pages:
        await anext(pages)
        waiting = asyncio.ensure_future(anext(pages))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="another task waits"):
            await anext(pages)
        await pages.aclose()
        with pytest.raises(StopAsyncIteration):
            await waiting


async def test_what_a_function_raises_ends_the_follower(make_client: MakeClient) -> None:
    """An error of the user's own is the end, as one of the library's is that waiting does not cure."""

    def refuse(error: InvalidTaskError) -> None:
        raise LookupError(error.task_id)

    async with FakeApify(tasks=3) as api:
        api.fail(MalformedItem(index=1))
        pages = make_client(base_url=api.url).follow_pages(on_invalid=refuse)
        assert 1 == len(await anext(pages))
        with pytest.raises(LookupError):
            await anext(pages)
        with pytest.raises(StopAsyncIteration):
            await anext(pages)


async def test_a_task_that_becomes_visible_late_is_delivered_once(api: FakeApify, make_client: MakeClient) -> None:
    """It was created before a task that was delivered, and appears after it."""
    client = make_client()
    tasks = client.follow_tasks(interval=0.001)
    await take(2500, tasks)
    late = api.create_task(created_at=api.tasks[-3].created_at + timedelta(milliseconds=1))
    assert [late.id] == await take(1, tasks)
    younger = api.create_task()
    assert [younger.id] == await take(1, tasks)
    assert 2502 == client.stats.tasks
    await tasks.aclose()


@pytest.mark.parametrize("stored", [0, 1, 5])
async def test_a_late_task_is_delivered_after_a_restart(api: FakeApify, make_client: MakeClient, stored: int) -> None:
    """The bookmark knows which of the last tasks were delivered, also in another process."""
    client = make_client()
    for _ in range(stored):
        api.create_task()
    bookmark = None
    async with client.follow_pages(interval=0.001) as pages:
        delivered = 0
        while delivered < 2500 + stored:
            page = await anext(pages)
            delivered, bookmark = delivered + len(page), page.bookmark
    assert bookmark is not None
    late = api.create_task(created_at=api.tasks[-2].created_at - timedelta(milliseconds=1))
    async with client.follow_pages(after=Bookmark.from_json(bookmark.to_json()), interval=0.001) as pages:
        assert [late] == list(await anext(pages))


async def test_without_lookback_a_late_task_is_left_out(api: FakeApify, make_client: MakeClient) -> None:
    """`lookback=0` asks for what is younger only."""
    tasks = make_client().follow_tasks(interval=0.001, lookback=0)
    await take(2500, tasks)
    api.create_task(created_at=api.tasks[-3].created_at + timedelta(milliseconds=1))
    younger = api.create_task()
    assert [younger.id] == await take(1, tasks)
    await tasks.aclose()


@pytest.mark.parametrize("lookback", [0, 1, 1000])
async def test_tasks_at_the_first_instant(make_client: MakeClient, lookback: int) -> None:
    """Some programs write the year 1 for a time that they do not have. No time is before it."""
    async with FakeApify() as api:
        moment = datetime.min.replace(tzinfo=UTC)
        ids = [*(api.create_task(created_at=moment).id for _ in range(6)), api.create_task().id]
        client = make_client(base_url=api.url)
        tasks = client.follow_tasks(interval=0.001, lookback=lookback)
        assert ids == await take(7, tasks)
        await tasks.aclose()
        first = await client.list_tasks(limit=2)
        tasks = client.follow_tasks(after=first.bookmark, interval=0.001, lookback=lookback)
        assert ids[2:] == await take(5, tasks)
        await tasks.aclose()


async def test_a_follower_continues_after_the_bookmark_of_a_walk(api: FakeApify, make_client: MakeClient) -> None:
    """Of tasks with one `created_at`, those that the walk did not deliver are still to come."""
    moment = api.tasks[-1].created_at + timedelta(seconds=1)
    ties = [api.create_task(created_at=moment, id=f"tie-{number}") for number in range(4)]
    client = make_client()
    pages = [page async for page in client.iter_pages(limit=2502)]
    assert ties[1] == pages[-1].items[-1]
    tasks = client.follow_tasks(after=pages[-1].bookmark, interval=0.001)
    assert [tie.id for tie in ties[2:]] == await take(2, tasks)
    await tasks.aclose()


@pytest.mark.parametrize("on_invalid", ["skip", "raise", "function"])
async def test_an_invalid_task_is_reported_by_one_look(make_client: MakeClient, on_invalid: str) -> None:
    """Later looks read it again, but do not report it again."""
    errors: list[InvalidTaskError] = []
    listed = [make_task(number) for number in range(20)]
    listed[10] = attrs.evolve(listed[10], name=cast("str", None))
    async with FakeApify(tasks=listed) as api:
        client = make_client(base_url=api.url)
        handling: Any = errors.append if on_invalid == "function" else on_invalid
        pages = client.follow_pages(interval=0.001, on_invalid=handling)
        delivered: list[str] = []
        while len(delivered) < 19:
            try:
                delivered += [task.id for task in await anext(pages)]
            except InvalidTaskError as error:
                errors.append(error)
                pages = client.follow_pages(interval=0.001, on_invalid=handling, after=error.bookmark)
        following = asyncio.ensure_future(anext(pages))
        await until(lambda: len(api.requests) > 6)
        created = api.create_task()
        assert [created] == list(await following)
        await pages.aclose()
    assert [task.id for task in listed if task is not listed[10]] == delivered
    assert ([] if on_invalid == "skip" else [10]) == [error.offset for error in errors]
    assert 1 == client.stats.invalid


@pytest.mark.parametrize("count", [0, 1, 20, 150])
async def test_following_a_short_list_costs_one_request_a_look(make_client: MakeClient, count: int) -> None:
    """The other end shows the whole list at once."""
    async with FakeApify(tasks=count) as api:
        tasks = make_client(base_url=api.url).follow_tasks(interval=0.001)
        await take(count, tasks)
        following = asyncio.ensure_future(anext(tasks))
        await until(lambda: len(api.requests) > 6)
        created = api.create_task()
        assert created == await following
        await tasks.aclose()
        looks = [(request.offset, request.limit, request.desc) for request in api.requests[2:]]
    assert {(0, 200, True)} == set(looks) or count == 0


@pytest.mark.asyncio
@pytest.mark.parametrize("method", ["follow_tasks", "follow_pages"])
async def test_keeps_nothing_while_it_waits(api: FakeApify, make_client: MakeClient, method: str) -> None:
    """While a follower waits for the next look, it keeps nothing that it has delivered."""
    client = make_client()
    before = tasks_alive()
    follower = getattr(client, method)(interval=1000)
    seen = 0
    while seen < len(api.tasks):
        delivered = await anext(follower)
        seen += 1 if isinstance(delivered, Task) else len(delivered)
        del delivered
    waiting = asyncio.create_task(anext(follower))
    await until(lambda: before == tasks_alive(), pause=0.05)
    assert not waiting.done()
    waiting.cancel()
    await asyncio.wait({waiting})
    await follower.aclose()


def tasks_alive() -> int:
    """Return how many tasks there are in memory."""
    gc.collect()
    return sum(isinstance(thing, Task) for thing in gc.get_objects())
