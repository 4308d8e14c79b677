"""Without an event loop of asyncio, as under trio, each call says so."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from apify_tasks_async import ConfigurationError, TasksClient, iter_tasks, map_accounts
from apify_tasks_async.testing import FakeApify

TOKEN = "a-token-of-nobody"


async def enter(manager: Any) -> None:
    """Enter and leave the manager."""
    async with manager:
        pass


def accounts() -> Any:
    """Return the results of an account."""

    async def job(client: TasksClient, account: str) -> None:
        """Do nothing."""

    return map_accounts({"alice": TOKEN}, job)


CALLS: dict[str, Callable[[TasksClient], Awaitable[object]]] = {
    "count": lambda client: client.count(),
    "list_tasks": lambda client: client.list_tasks(),
    "all_tasks": lambda client: client.all_tasks(),
    "changes_since": lambda client: client.changes_since({}),
    "iter_tasks": lambda client: anext(client.iter_tasks()),
    "iter_pages": lambda client: anext(client.iter_pages()),
    "follow_tasks": lambda client: anext(client.follow_tasks()),
    "follow_pages": lambda client: anext(client.follow_pages()),
    "async with": enter,
    "the function": lambda _: anext(iter_tasks(TOKEN)),
    "map_accounts": lambda _: anext(accounts()),
    "FakeApify": lambda _: enter(FakeApify()),
}


def step(awaitable: Awaitable[object]) -> None:
    """Take the first step, which must be the last."""
    steps: Iterator[object] = awaitable.__await__()
    next(steps)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_no_loop(call: Callable[[TasksClient], Awaitable[object]]) -> None:
    """It is a `ConfigurationError` that says what is missing, and nothing is left behind."""
    with pytest.raises(ConfigurationError, match="no event loop of asyncio is running here") as caught:
        step(call(TasksClient(TOKEN)))
    assert "; call this inside asyncio.run; " in str(caught.value)


def test_label() -> None:
    """The error says whose account it is."""
    with pytest.raises(ConfigurationError, match="account alice"):
        step(TasksClient(TOKEN, label="alice").count())


def test_close() -> None:
    """A client that was not used can be closed anywhere."""
    client = TasksClient(TOKEN)
    with pytest.raises(StopIteration):
        step(client.close())
    assert client.closed
