"""This library and Apify's client list the same tasks in each case of a table."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import attrs
import pytest
import pytest_asyncio
from apify_client import ApifyClientAsync

from apify_tasks_async import Task, TasksClient
from apify_tasks_async.testing import FakeApify

pytestmark = pytest.mark.asyncio


@attrs.frozen
class Case:
    """A walk over a list that does not change."""

    tasks: int
    """How many tasks the list has."""

    part: slice
    """The tasks that the walk delivers, in the order of the walk."""

    requests: list[tuple[int, int]]
    """Offset and limit of each request."""

    options: dict[str, Any] = attrs.field(factory=dict)
    """The arguments of the walk."""

    most: int = 1000
    """The most tasks in a page of the server."""

    def expected(self, api: FakeApify) -> list[Task]:
        """Return the tasks that the walk delivers."""
        return list(reversed(api.tasks) if self.options.get("desc") else api.tasks)[self.part]


CASES = {
    "none": Case(0, slice(0), [(0, 1000)]),
    "few": Case(5, slice(5), [(0, 5)], {"limit": 5}),
    "one full page": Case(1000, slice(1000), [(0, 1000)]),
    "all": Case(2500, slice(2500), [(0, 1000), (1000, 1000), (2000, 1000)]),
    "limit": Case(2500, slice(1100), [(0, 1000), (1000, 100)], {"limit": 1100}),
    "limit of exactly two pages": Case(2500, slice(2000), [(0, 1000), (1000, 1000)], {"limit": 2000}),
    "limit beyond the end": Case(2500, slice(2500), [(0, 1000), (1000, 1000), (2000, 1000)], {"limit": 3000}),
    "offset": Case(2500, slice(1000, None), [(1000, 1000), (2000, 1000)], {"offset": 1000}),
    "newest first": Case(
        2500, slice(1000, 2100), [(1000, 1000), (2000, 100)], {"offset": 1000, "limit": 1100, "desc": True}
    ),
    "offset beyond the end": Case(2500, slice(0), [(3000, 1000)], {"offset": 3000}),
    "page size": Case(2500, slice(250), [(0, 100), (100, 100), (200, 50)], {"limit": 250, "page_size": 100}),
    "clamped": Case(2500, slice(2500), [(offset, 1000) for offset in range(0, 2500, 250)], most=250),
}


@pytest.fixture(params=CASES.values(), ids=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    """Return each case of the table."""
    given: Case = request.param
    return given


@pytest.fixture(scope="module", autouse=True)
def _runtime() -> None:
    """Let the official client open the sockets that its runtime never closes."""

    async def use() -> None:
        async with FakeApify() as api:
            await ApifyClientAsync(api.token, api_url=api.url).tasks().list()

    asyncio.run(use())


@pytest_asyncio.fixture
async def api(case: Case) -> AsyncIterator[FakeApify]:
    """Return the API of the case."""
    async with FakeApify(tasks=case.tasks, max_limit=case.most) as api:
        yield api


async def test_ours(api: FakeApify, case: Case, client: TasksClient) -> None:
    """This library delivers the right tasks, and requests each page once."""
    assert case.expected(api) == await client.all_tasks(**case.options)
    assert case.requests == sorted((sent.offset or 0, sent.limit or 0) for sent in api.requests)
    assert {case.options.get("desc", False)} == {sent.desc for sent in api.requests}


async def test_official(api: FakeApify, case: Case) -> None:
    """Apify's client delivers the same tasks, with the same fields."""
    options = dict(case.options)
    page_size = options.pop("page_size", None)
    official = ApifyClientAsync(api.token, api_url=api.url).tasks().iterate(chunk_size=page_size, **options)
    assert list(map(fields_of, case.expected(api))) == [fields_of(task) async for task in official]


async def test_official_page(api: FakeApify, case: Case, client: TasksClient) -> None:
    """Both clients read the same page."""
    options = {name: case.options[name] for name in ("offset", "desc") if name in case.options}
    limit = min(case.options.get("limit", 1000), 1000)
    official = await ApifyClientAsync(api.token, api_url=api.url).tasks().list(limit=limit, **options)
    ours = await client.list_tasks(limit=limit, **options)
    names = ("total", "offset", "limit", "desc", "count")
    assert [getattr(official, name) for name in names] == [getattr(ours, name) for name in names]
    assert list(map(fields_of, official.items)) == list(map(fields_of, ours))


def fields_of(task: Any) -> dict[str, Any]:
    """Return the fields of a task, which have the same names in both clients."""
    names = ("id", "user_id", "act_id", "act_name", "name", "username", "act_username", "created_at", "modified_at")
    return {name: getattr(task, name) for name in names} | {"total_runs": task.stats.total_runs}
