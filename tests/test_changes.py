"""`changes_since`: what it returns is true, or it raises. A living task is never called removed."""

import asyncio
import gc
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
from helpers.task_list import TaskList
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apify_tasks_async import (
    Changes,
    DriftError,
    InvalidResponseError,
    InvalidTaskError,
    RetryPolicy,
    ServerError,
    Task,
    TasksClient,
)
from apify_tasks_async._changes import Difference
from apify_tasks_async._walk import Walk
from apify_tasks_async.testing import (
    ABSENT,
    FakeApify,
    Fault,
    MalformedItem,
    OtherRequest,
    RecordedRequest,
    RepeatedItem,
    ShortPage,
    Status,
    make_task,
)

TASKS = [make_task(number) for number in range(3000)]
PATIENCE = 30
"""Seconds after which a call that does not end fails its test."""


@asynccontextmanager
async def serving(tasks: int, **options: Any) -> AsyncIterator[tuple[FakeApify, TasksClient]]:
    """Yield an API with so many tasks, and a client of it that retries without waiting."""
    defaults: dict[str, Any] = {"retry": RetryPolicy(base_delay=0), "rate_limit": None}
    async with (
        asyncio.timeout(PATIENCE),
        FakeApify(TASKS[:tasks]) as api,
        TasksClient(api.token, base_url=api.url, **defaults | options) as client,
    ):
        yield api, client


def versions(tasks: Iterable[Task]) -> dict[str, object]:
    """Return what a user stores of the tasks."""
    return {task.id: task.modified_at for task in tasks}


def count_tasks() -> int:
    """Return how many tasks are alive in this process."""
    return sum(type(thing) is Task for thing in gc.get_objects())


def check_truth(changes: Changes, known: dict[str, object], before: Iterable[Task], after: Iterable[Task]) -> None:
    """Check a difference against what there was before and after the call."""
    old, new = ({task.id: task for task in tasks} for tasks in (before, after))
    assert changes.removed <= known.keys() - (old.keys() & new.keys())
    assert changes.removed >= known.keys() - old.keys()
    assert {task.id for task in changes.added} >= (old.keys() & new.keys()) - known.keys()
    assert {task.id for task in changes.added}.isdisjoint(known)
    assert {task.id for task in changes.changed} <= known.keys()


class TestDifference:
    """Against a list that stays as it is during the call."""

    @pytest.mark.asyncio
    @pytest.mark.parametrize("number", [0, 1, 999, 1000, 1001, 3000])
    async def test_everything_is_new(self, number: int) -> None:
        """Without anything known, all tasks are added, in the order of the list, at the price of an exact walk."""
        async with serving(number) as (api, client):
            changes = await client.changes_since({})
            requests, exact = len(api.requests), len(await client.all_tasks(exact=True))
            price = len(api.requests) - requests

        assert changes == Changes(tuple(TASKS[:number]))
        assert (exact, requests) == (number, price)

    @pytest.mark.asyncio
    async def test_nothing_changed(self) -> None:
        """A copy that is up to date costs one walk, and changes nothing."""
        async with serving(3000) as (api, client):
            changes = await client.changes_since(versions(api.tasks))
            requests = len(api.requests)

        assert (changes, requests) == (Changes(), (3000 - 1000) // 992 + 2)

    @pytest.mark.asyncio
    @pytest.mark.parametrize("number", [3, 20, 1000, 2500])
    async def test_all_kinds_at_once(self, number: int) -> None:
        """What was added, changed and removed is named, each by its kind."""
        async with serving(number) as (api, client):
            known = versions(api.tasks)
            removed = api.delete_task(TASKS[0].id)
            renamed = api.update_task(TASKS[number - 1].id, name="renamed")
            old = api.update_task(TASKS[1].id, name="also-renamed")
            added = [api.create_task(), api.create_task()]
            changes = await client.changes_since(known)

        assert changes == Changes(tuple(added), (old, renamed), frozenset({removed.id}))

    @pytest.mark.asyncio
    async def test_the_list_became_empty(self) -> None:
        """All tasks are removed if there is none left, and two walks agree."""
        async with serving(20) as (api, client):
            known = versions(api.tasks)
            for task in api.tasks:
                api.delete_task(task.id)
            changes = await client.changes_since(known)

        assert changes == Changes(removed=frozenset(known))

    @pytest.mark.asyncio
    async def test_a_version_of_your_own(self) -> None:
        """The version is what the function returns, such as a text; the mapping may be any, and stays as it was."""
        async with serving(5) as (api, client):
            known = {task.id: task.name for task in api.tasks}
            api.update_task(TASKS[1].id, act_name="another")
            renamed = api.update_task(TASKS[2].id, name="renamed")
            before = dict(known)
            changes = await client.changes_since(known, version=lambda task: task.name)

        assert changes == Changes(changed=(renamed,))
        assert known == before

    @pytest.mark.asyncio
    async def test_a_small_page_size(self) -> None:
        """The pages may be small."""
        async with serving(30) as (_, client):
            changes = await client.changes_since(versions(TASKS[:31]), page_size=10)

        assert changes == Changes(removed=frozenset({TASKS[30].id}))

    @pytest.mark.asyncio
    @pytest.mark.parametrize(
        ("arguments", "kind", "message"),
        [
            ({"known": ["a"]}, TypeError, r"known must be a mapping of ids to versions, got \['a'\]"),
            ({"known": {1: None}}, TypeError, "known must have strings as keys, got 1"),
            ({"version": None}, TypeError, "version must be a plain function, got None"),
            ({"version": asyncio.sleep}, TypeError, "version must be a plain function"),
            ({"page_size": 3}, ValueError, "page_size must be from 4 to 1000, got 3"),
            ({"on_invalid": "ignore"}, ValueError, "on_invalid must be 'raise', 'skip' or a function"),
        ],
    )
    async def test_arguments(self, arguments: dict[str, Any], kind: type[Exception], message: str) -> None:
        """Bad arguments are refused before any request."""
        async with serving(5) as (api, client):
            with pytest.raises(kind, match=message):
                await client.changes_since(**{"known": {}} | arguments)

        assert api.requests == []

    @pytest.mark.asyncio
    async def test_memory(self) -> None:
        """Tasks that did not change are not kept: no more of them are alive than fit into a few pages."""
        alive: list[int] = []
        async with serving(3000, concurrency=1) as (api, client):
            known = versions(api.tasks)
            before = count_tasks()

            def version(task: Task) -> object:
                if task.id in {TASKS[1500].id, TASKS[2999].id}:
                    alive.append(count_tasks() - before)
                return task.modified_at

            await client.changes_since(known, version=version, page_size=100)

        assert len(alive) == 2
        assert max(alive) <= 500

    @pytest.mark.asyncio
    async def test_errors_of_the_version(self) -> None:
        """What the function raises comes out, and nothing is left in flight."""
        async with serving(3000) as (api, client):
            with pytest.raises(ZeroDivisionError):
                await client.changes_since(versions(TASKS), version=lambda task: 1 / 0)

            assert api.in_flight == 0


class TestHalfALists:
    """A list that cannot be read to its end makes no difference."""

    @pytest.mark.asyncio
    async def test_a_page_fails(self) -> None:
        """The error comes, without a bookmark: there is no place to continue from."""
        async with serving(3000) as (api, client):
            api.fail(Status(503), times=None, offset=992)
            with pytest.raises(ServerError, match="offset=992") as caught:
                await client.changes_since(versions(TASKS))

        assert caught.value.bookmark is None

    @pytest.mark.asyncio
    async def test_an_empty_first_answer(self) -> None:
        """Empty answers that say that the list is empty remove nothing, if the list is there when it is read again."""
        for times in (1, 2):
            async with serving(20) as (api, client):
                api.fail(ShortPage(total=0), times=times)
                assert await client.changes_since(versions(api.tasks)) == Changes()

    @pytest.mark.asyncio
    @pytest.mark.parametrize("items", [0, 1])
    async def test_short_answers_for_ever(self, items: int) -> None:
        """Short answers with the true total are an error."""
        async with serving(20) as (api, client):
            api.fail(ShortPage(items), times=None)
            with pytest.raises(DriftError):
                await client.changes_since(versions(api.tasks))

    @pytest.mark.asyncio
    async def test_hidden_tasks(self) -> None:
        """A task that the server counts and does not show is not called removed: the error says how many there are."""
        async with serving(20) as (api, client):
            known = versions(api.tasks)
            api.delete_task(TASKS[3].id)
            api.hide(TASKS[7].id)
            with pytest.raises(DriftError) as caught:
                await client.changes_since(known)
            api.reveal(TASKS[7].id)
            changes = await client.changes_since(known)

        assert str(caught.value) == (
            "known tasks that were not shown: 2; which of them were removed is uncertain, since the server counts 19 "
            "tasks and shows 18, in 3 walks; try again when the list changes less"
        )
        assert changes == Changes(removed=frozenset({TASKS[3].id}))

    @pytest.mark.asyncio
    async def test_hidden_tasks_that_were_never_known(self) -> None:
        """Hidden tasks do no harm as long as all known ones are shown."""
        async with serving(20) as (api, client):
            api.hide(TASKS[7].id)
            changes = await client.changes_since(versions(task for task in TASKS[1:20] if task is not TASKS[7]))

        assert changes == Changes(added=(TASKS[0],))

    @pytest.mark.asyncio
    async def test_a_task_that_is_hidden_for_a_moment(self) -> None:
        """A task that appears in a later walk is not removed."""
        async with serving(20) as (api, client):
            api.hide(TASKS[7].id)

            def reveal(_: RecordedRequest) -> None:
                if len(api.requests) == 4:
                    api.reveal(TASKS[7].id)

            api.on_request = reveal
            assert await client.changes_since(versions(api.tasks)) == Changes()

    @pytest.mark.asyncio
    async def test_it_changes_between_the_walks(self) -> None:
        """The last walk says which version a task has, and whether it differs."""
        async with serving(20) as (api, client):
            known = versions(api.tasks)
            api.delete_task(TASKS[0].id)
            first = api.update_task(TASKS[1].id, name="renamed")
            api.update_task(TASKS[2].id, name="renamed")

            def change(_: RecordedRequest) -> None:
                if len(api.requests) == 3:  # the first of the second walk
                    api.update_task(TASKS[2].id, name=TASKS[2].name, modified_at=TASKS[2].modified_at)
                    api.update_task(TASKS[1].id, name="renamed-again")

            api.on_request = change
            changes = await client.changes_since(known)
            last = api.tasks[0]

        assert (first.id, first.name, last.name) == (last.id, "renamed", "renamed-again")
        assert changes == Changes(changed=(last,), removed=frozenset({TASKS[0].id}))


class TestInvalidTasks:
    """Items that are not tasks as documented."""

    @pytest.mark.asyncio
    async def test_raise(self) -> None:
        """By default the error of the item comes."""
        async with serving(20) as (api, client):
            api.fail(MalformedItem(5), times=None)
            with pytest.raises(InvalidTaskError, match=TASKS[5].id) as caught:
                await client.changes_since(versions(TASKS[:21]))

        assert caught.value.bookmark is None

    @pytest.mark.asyncio
    async def test_skip(self, caplog: pytest.LogCaptureFixture) -> None:
        """A known one is neither removed nor changed, an unknown one is not added; each is logged once."""
        async with serving(20) as (api, client):
            known = versions(TASKS[1:21])  # 0 is unknown, 20 is gone
            api.fail(MalformedItem(0), times=None, probability=0.5)
            api.fail(MalformedItem(5), times=None)
            changes = await client.changes_since(known, on_invalid="skip")

        assert changes.removed == {TASKS[20].id}
        assert changes.changed == ()
        logged = [record.getMessage() for record in caplog.records if "left out" in record.message]
        assert len(logged) == len(set(logged)) >= 1

    @pytest.mark.asyncio
    async def test_function(self) -> None:
        """A function is called once with the error of each, however often the list is read."""
        errors: list[InvalidTaskError] = []
        async with serving(20) as (api, client):
            api.fail(MalformedItem(5), times=None)
            changes = await client.changes_since(versions(TASKS[:21]), on_invalid=errors.append)

        assert [error.task_id for error in errors] == [TASKS[5].id]
        assert changes == Changes(removed=frozenset({TASKS[20].id}))

    @pytest.mark.asyncio
    @pytest.mark.parametrize("value", [ABSENT, None, 7])
    async def test_without_an_id(self, value: Any) -> None:
        """An item without a readable id may be any of the tasks that are missing, so none is called removed."""
        async with serving(20) as (api, client):
            known = versions(api.tasks)
            api.fail(MalformedItem(5, "id", value), times=None)
            with pytest.raises(DriftError, match="shows 19, 1 more without a readable id"):
                await client.changes_since(known, on_invalid="skip")
            del known[TASKS[5].id]
            changes = await client.changes_since(known, on_invalid="skip")

        assert changes == Changes()


FAULTS: list[Fault] = [
    ShortPage(),
    ShortPage(8),
    ShortPage(999),
    ShortPage(500, count=1000),
    ShortPage(3, total=3),
    ShortPage(total=0),
    OtherRequest(offset=2000),
    OtherRequest(desc=True),
    OtherRequest(offset=0, admits=True),
    RepeatedItem(10),
    Status(503),
]


def disturb(api: FakeApify, fault: Fault, seed: int) -> None:
    """Let one answer in five be contradictory."""
    chance = random.Random(seed)

    def disturb_one(_: RecordedRequest) -> None:
        if chance.random() < 0.2:
            api.fail(fault)

    api.on_request = disturb_one


@pytest.mark.long
class TestContradictions:
    """Answers that contradict themselves."""

    @pytest.mark.asyncio
    @pytest.mark.parametrize("fault", FAULTS, ids=repr)
    @pytest.mark.parametrize("offset", [0, 992, None])
    @pytest.mark.parametrize("number", [20, 3000])
    async def test_one_answer(self, fault: Fault, offset: int | None, number: int) -> None:
        """One contradictory answer costs requests, and changes nothing."""
        async with serving(number) as (api, client):
            known = versions(api.tasks)
            removed = api.delete_task(TASKS[3].id)
            api.fail(fault, offset=offset)
            changes = await client.changes_since(known)

        assert changes == Changes(removed=frozenset({removed.id}))

    @pytest.mark.asyncio
    @pytest.mark.parametrize("fault", FAULTS, ids=repr)
    async def test_many_answers(self, fault: Fault) -> None:
        """However many there are, no living task is called removed."""
        known = versions(TASKS)
        for seed in range(3):
            async with serving(3000) as (api, client):
                removed = api.delete_task(TASKS[3].id)
                disturb(api, fault, seed)
                try:
                    changes = await client.changes_since(known)
                except (DriftError, InvalidResponseError, ServerError):
                    continue
            assert changes == Changes(removed=frozenset({removed.id}))

    @pytest.mark.asyncio
    @pytest.mark.parametrize("total", [0, 1, 2998, 3000, 10**9])
    async def test_totals(self, total: int) -> None:
        """A total that is too high makes a removal uncertain. One that is too low changes nothing."""
        async with serving(3000) as (api, client):
            known = versions(api.tasks)
            assert await client.changes_since(known) == Changes()
            removed = api.delete_task(TASKS[3].id)
            api.reported_total = total
            assert await client.changes_since(versions(api.tasks)) == Changes()
            if total > 2999:
                with pytest.raises(DriftError, match=f"counts {total} tasks and shows 2999"):
                    await client.changes_since(known)
            else:
                assert await client.changes_since(known) == Changes(removed=frozenset({removed.id}))

    @pytest.mark.asyncio
    @pytest.mark.parametrize("lags", [(0, 3), (3, 0), (1, 3, 0, 2), (3, 3, 0)])
    @pytest.mark.parametrize("number", [20, 1000, 3000])
    async def test_replicas(self, lags: tuple[int, ...], number: int) -> None:
        """A task that some replicas do not know yet is not called removed."""
        async with serving(number) as (api, client):
            for _ in range(3):
                api.create_task()
            known = versions(api.tasks)
            api.replica_lags = lags
            try:
                changes = await client.changes_since(known)
            except DriftError:
                return
        assert changes == Changes()

    @pytest.mark.asyncio
    async def test_small_pages_and_ties(self) -> None:
        """Neither small pages nor ties whose order changes do any harm."""
        moment = TASKS[0].created_at
        tasks = [make_task(number, created_at=moment) for number in range(30)] + TASKS[30:200]
        async with serving(0) as (_, __), FakeApify(tasks) as api, TasksClient(api.token, base_url=api.url) as client:
            known = versions(api.tasks)
            removed = api.delete_task(tasks[3].id)
            api.unsaid_max_limit = 40
            api.shuffle_ties = True
            changes = await client.changes_since(known)

        assert changes == Changes(removed=frozenset({removed.id}))


@pytest.mark.long
class TestHostileChanges:
    """A list that changes around each request."""

    @pytest.mark.asyncio
    @pytest.mark.parametrize("seed", range(6))
    @pytest.mark.parametrize("number", [20, 300])
    async def test_truth_or_error(self, number: int, seed: int) -> None:
        """What is returned is true of the tasks that lived, or did not, during the whole call."""
        chance = random.Random(seed)
        returned = 0
        async with serving(number) as (api, client):

            def change(_: RecordedRequest) -> None:
                for _turn in range(chance.randint(0, 2)):
                    api.create_task()
                if chance.random() < 0.3:
                    api.delete_task(chance.choice(api.tasks).id)

            api.on_request = change
            known: dict[str, object] = {}
            for _ in range(10):
                before = api.tasks
                try:
                    changes = await client.changes_since(known, page_size=50)
                except DriftError:
                    continue
                returned += 1
                check_truth(changes, known, before, api.tasks)
                known |= versions(changes.added + changes.changed)
                for removed in changes.removed:
                    del known[removed]

            api.on_request = None
            changes = await client.changes_since(known)
            known |= versions(changes.added + changes.changed)
            assert {*known} - changes.removed == {task.id for task in api.tasks}
        assert returned


class TestSearch:
    """The difference without a network: any list, any answers, any order."""

    @given(st.data())
    @settings(suppress_health_check=[HealthCheck.too_slow])
    def test_no_living_task_is_removed(self, data: st.DataObject) -> None:
        """Whatever a server with a true total shows, a task that lives all the time is never removed."""
        tasks = TaskList()
        tasks.create(data.draw(st.integers(0, 12)))
        known = {task.id: 0 for task in tasks.tasks} | {"gone": 0}
        difference = Difference(known, lambda task: 0)
        try:
            for _ in range(10):
                shown = data.draw(st.lists(st.sampled_from(tasks.tasks), unique=True) if tasks.tasks else st.just([]))
                difference.begin_walk()
                difference.see(shown)
                if difference.end_walk(len(tasks.tasks)):
                    break
        except DriftError:
            return
        assert difference.result() == Changes(removed=frozenset({"gone"}))

    @given(
        st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 2)),
        st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 2)),
    )
    def test_applying_it_makes_the_copy_true(self, known: dict[str, int], now: dict[str, int]) -> None:
        """A copy to which the difference is applied equals the list."""
        tasks = [
            attrs.evolve(make_task(number), id=key, name=str(version))
            for number, (key, version) in enumerate(now.items())
        ]
        difference = Difference(known, lambda task: int(task.name))
        for _ in range(2):
            difference.begin_walk()
            difference.see(tasks)
            certain = difference.end_walk(len(tasks))
        changes = difference.result()
        known = {key: version for key, version in known.items() if key not in changes.removed}
        known |= {task.id: int(task.name) for task in changes.added + changes.changed}

        assert certain
        assert known == now


def test_a_walk_knows_the_largest_total() -> None:
    """It is that of the answers so far."""
    tasks = TaskList()
    tasks.create(3)
    walk = Walk(exact=True)
    assert walk.total == 0
    [request] = walk.requests(1)
    walk.receive(tasks.answer(request))
    assert walk.total == 3
