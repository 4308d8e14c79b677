"""How `FakeApify` contradicts itself: short, late and other answers than asked for."""

from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from apify_tasks_async.testing import (
    FakeApify,
    Fault,
    OtherRequest,
    RepeatedItem,
    ShortPage,
    Status,
    make_task,
)

pytestmark = pytest.mark.asyncio


async def ask(api: FakeApify, **parameters: int) -> dict[str, Any]:
    """Return the page that the server gives."""
    headers = {"Authorization": f"Bearer {api.token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"{api.url}/v2/actor-tasks", params=parameters) as response,
    ):
        page: dict[str, Any] = (await response.json())["data"]
        return page


async def ask_numbers(api: FakeApify, **parameters: int) -> list[int]:
    """Return the numbers of the tasks in a page."""
    return numbers(await ask(api, **parameters))


def numbers(page: dict[str, Any]) -> list[int]:
    """Return the numbers of the tasks in a page."""
    return [int(item["name"].removeprefix("my-task-")) for item in page["items"]]


def head(page: dict[str, Any]) -> dict[str, Any]:
    """Return the page without its items."""
    return {name: value for name, value in page.items() if name != "items"}


class TestShortPage:
    """A page that stops early."""

    @pytest.mark.parametrize(
        ("fault", "tasks", "total", "count"),
        [
            (ShortPage(), [], 10, 0),
            (ShortPage(3), [4, 5, 6], 10, 3),
            (ShortPage(3, total=7), [4, 5, 6], 7, 3),
            (ShortPage(1, count=1000), [4], 10, 1000),
            (ShortPage(100), [4, 5, 6, 7, 8, 9], 10, 6),
        ],
    )
    async def test_once(self, fault: Fault, tasks: list[int], total: int, count: int) -> None:
        """The page has its first items, and says what the fault says; the next one is whole."""
        async with FakeApify(tasks=10) as api:
            api.fail(fault)
            page = await ask(api, offset=4)
            whole = await ask_numbers(api, offset=4)

        assert numbers(page) == tasks
        assert head(page) == {"total": total, "offset": 4, "limit": 1000, "desc": False, "count": count}
        assert whole == [4, 5, 6, 7, 8, 9]


class TestOtherRequest:
    """The answer to another request."""

    @pytest.mark.parametrize(
        ("fault", "tasks", "said"),
        [
            (OtherRequest(), [8, 7], (1, 2, True)),
            (OtherRequest(offset=3), [6, 5], (3, 2, True)),
            (OtherRequest(limit=1), [8], (1, 1, True)),
            (OtherRequest(desc=False), [1, 2], (1, 2, False)),
            (OtherRequest(0, 3, desc=False), [0, 1, 2], (0, 3, False)),
            (OtherRequest(0, 3, desc=False, admits=False), [0, 1, 2], (1, 2, True)),
        ],
    )
    async def test_says_what_it_answers(self, fault: Fault, tasks: list[int], said: tuple[int, int, bool]) -> None:
        """It is what the other request would get, unless it hides that."""
        async with FakeApify(tasks=10) as api:
            api.fail(fault)
            page = await ask(api, offset=1, limit=2, desc=1)
            recorded = api.requests[-1]

        assert numbers(page) == tasks
        assert (page["offset"], page["limit"], page["desc"]) == said
        assert (recorded.offset, recorded.limit, recorded.desc) == (1, 2, True)


class TestRepeatedItem:
    """One task twice in a page."""

    @pytest.mark.parametrize(("index", "tasks"), [(0, [0, 0, 1, 2]), (2, [0, 1, 2, 2]), (3, [0, 1, 2])])
    async def test_once(self, index: int, tasks: list[int]) -> None:
        """The item comes twice in a row, if there is one."""
        async with FakeApify(tasks=3) as api:
            api.fail(RepeatedItem(index))
            page = await ask(api)

        assert numbers(page) == tasks
        assert page["count"] == len(tasks)
        assert page["total"] == 3


@pytest.mark.parametrize("desc", [0, 1])
async def test_unsaid_max_limit(desc: int) -> None:
    """A page has fewer tasks than its limit says, until that is changed."""
    async with FakeApify(tasks=10) as api:
        api.unsaid_max_limit = 2
        short = await ask(api, offset=1, limit=5, desc=desc)
        api.unsaid_max_limit = None
        whole = await ask(api, offset=1, limit=5, desc=desc)

    assert numbers(short) == ([8, 7] if desc else [1, 2])
    assert (short["limit"], short["count"], short["total"]) == (5, 2, 10)
    assert whole["count"] == 5


class TestHide:
    """Tasks that are counted, and not shown."""

    async def test_in_the_middle(self) -> None:
        """A window of the list can be empty, and the offsets after it stay."""
        async with FakeApify(tasks=6) as api:
            for task in api.tasks[2:4]:
                api.hide(task.id)
            pages = [await ask(api, offset=offset, limit=2) for offset in (0, 2, 4)]

        assert [numbers(page) for page in pages] == [[0, 1], [], [4, 5]]
        assert [(page["count"], page["total"]) for page in pages] == [(2, 6), (0, 6), (2, 6)]

    async def test_reveal(self) -> None:
        """A task can become visible late, again and again."""
        async with FakeApify(tasks=2) as api:
            late = api.create_task()
            api.hide(late.id)
            before = await ask_numbers(api)
            api.reveal(late.id)
            api.reveal(late.id)
            after = await ask_numbers(api)

        assert (before, after) == ([0, 1], [0, 1, 2])

    async def test_needs_a_task(self) -> None:
        """An id that no task has is refused; a deleted task is not hidden any more."""
        api = FakeApify(tasks=1)
        (task,) = api.tasks
        api.hide(task.id)
        api.delete_task(task.id)

        for change in (api.hide, api.reveal):
            with pytest.raises(KeyError):
                change(task.id)
        api.create_task(id=task.id, name="my-task-7")
        async with api:
            assert await ask_numbers(api) == [7]


class TestReplicas:
    """Replicas that lag."""

    async def test_answer_in_turn(self) -> None:
        """Each sees the list as it was so many changes ago; what is no page takes no turn."""
        async with FakeApify(tasks=3) as api:
            api.delete_task(api.tasks[1].id)
            api.create_task()
            api.replica_lags = (0, 1, 2, 100)
            pages = [await ask(api)]
            api.fail(Status(500))
            await ask_failing(api)
            pages += [await ask(api) for _ in range(4)]

        assert [numbers(page) for page in pages] == [[0, 2, 3], [0, 2], [0, 1, 2], [0, 1, 2], [0, 2, 3]]
        assert [page["total"] for page in pages] == [3, 2, 3, 3, 3]

    async def test_with_updates(self) -> None:
        """A replica shows a task in the version that it had."""
        async with FakeApify(tasks=2) as api:
            api.update_task(api.tasks[0].id, name="my-task-7")
            api.update_task(api.tasks[0].id, name="my-task-8")
            api.replica_lags = (0, 1, 2)
            pages = [await ask_numbers(api) for _ in range(3)]

        assert pages == [[8, 1], [7, 1], [0, 1]]

    async def test_with_ties_and_descending(self) -> None:
        """A replica shuffles ties, and reads from the end, of the list as it sees it."""
        moment = make_task().created_at
        async with FakeApify(tasks=[make_task(number, created_at=moment) for number in range(4)]) as api:
            api.shuffle_ties = True
            api.delete_task(api.tasks[0].id)
            api.replica_lags = (1,)
            tasks = await ask_numbers(api, desc=1)

        assert sorted(tasks) == [0, 1, 2, 3]

    async def test_a_total_that_lags(self) -> None:
        """The total can be of another moment than the items."""
        async with FakeApify(tasks=2) as api:
            api.create_task()
            api.create_task()
            api.total_lag = 1
            stale = await ask(api)
            api.replica_lags = (2,)
            api.total_lag = 0
            early = await ask(api)
            api.reported_total = 9
            fixed = await ask(api)

        assert [(page["count"], page["total"]) for page in (stale, early, fixed)] == [(4, 3), (2, 4), (2, 9)]


async def ask_failing(api: FakeApify) -> None:
    """Send a request whose answer has no page."""
    with pytest.raises(KeyError, match="data"):
        await ask(api)


def _set(name: str, value: object) -> Callable[[], object]:
    return lambda: setattr(FakeApify(), name, value)


ShortAnything: Any = ShortPage
OtherAnything: Any = OtherRequest
RepeatedAnything: Any = RepeatedItem


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: ShortAnything("1"), TypeError, "items must be an integer, got '1'"),
        (lambda: ShortPage(-1), ValueError, "items must be at least 0, got -1"),
        (lambda: ShortAnything(total=True), TypeError, "total must be an integer, got True"),
        (lambda: ShortPage(count=-1), ValueError, "count must be at least 0, got -1"),
        (lambda: OtherRequest(offset=-1), ValueError, "offset must be at least 0, got -1"),
        (lambda: OtherAnything(limit=1.0), TypeError, "limit must be an integer, got 1.0"),
        (lambda: OtherAnything(desc=1), TypeError, "desc must be True or False, got 1"),
        (lambda: OtherAnything(admits=None), TypeError, "admits must be True or False, got None"),
        (lambda: RepeatedItem(-1), ValueError, "index must be at least 0, got -1"),
        (_set("unsaid_max_limit", -1), ValueError, "unsaid_max_limit must be at least 1, got -1"),
        (_set("total_lag", "1"), TypeError, "total_lag must be an integer, got '1'"),
        (_set("replica_lags", [0]), TypeError, "replica_lags must be a tuple of integers"),
        (_set("replica_lags", ()), ValueError, "replica_lags must not be empty"),
        (_set("replica_lags", (0, -1)), ValueError, "replica_lags must be at least 0, got -1"),
    ],
)
async def test_refuses(make: Callable[[], object], kind: type[Exception], message: str) -> None:
    """What does not fit is refused, by its name."""
    with pytest.raises(kind, match="^" + message):
        make()
