"""Fixtures and settings of all tests."""

import asyncio
import gc
import importlib
import inspect
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp.connector
import pytest
import pytest_asyncio
from helpers.faults import authority
from helpers.support import MakeClient
from helpers.virtual_time import VirtualTimeLoop
from hypothesis import settings

from apify_tasks_async import RetryPolicy, TasksClient
from apify_tasks_async.testing import FakeApify, make_task

pytest_plugins = ["pytester"]

# These tests need the frameworks; `nox -s recipes` installs them and names the folder.
collect_ignore = ["recipes"]

# No deadlines: how long an example takes depends on the load of the machine. Few examples by default, since most
# mistakes show in the first ones; `nox -s thorough` and `nox -s drift` try many more.
settings.register_profile("brief", deadline=None, max_examples=20)
settings.register_profile("thorough", deadline=None, max_examples=500)
settings.register_profile("drift", deadline=None, max_examples=4_000)
settings.load_profile("brief")


LONG = {
    *("test_chaos", "test_drift", "test_exhaustive", "test_followers", "test_input", "test_limiters", "test_overload"),
    "test_tutorial",
}
"""Models, searches and hostile servers: they take long, and reach no branch that the other tests do not reach."""

ONCE = {
    *("test_cli_bookmark", "test_cli_hostile", "test_cli_listing", "test_cli_streams", "test_messages", "test_readme"),
    *("test_bombs", "test_changes", "test_congestion", "test_contradictions", "test_outage", "test_pace"),
    *("test_places", "test_secrets", "test_walk"),
}
"""What is pure, and many runs of the command line: they say the same on every Python."""

TASKS = [make_task(number) for number in range(2500)]
"""The tasks of the API, made once since that takes a while."""


PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")
HIDDEN = [
    *("APIFY_TOKEN", "APIFY_API_BASE_URL", "APIFY_IS_AT_HOME", "APIFY_WORKFLOW_KEY"),
    *(variant for name in PROXIES for variant in (name, name.lower())),
]
"""Variables of the environment that would change what a client does."""


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Choose the event loop of an asynchronous test."""
    if item.get_closest_marker("virtual_time"):
        return {"virtual": VirtualTimeLoop}
    if os.environ.get("TEST_EVENT_LOOP") == "uvloop":
        return {"uvloop": importlib.import_module("uvloop").new_event_loop}
    return {"real": asyncio.new_event_loop}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need not run everywhere."""
    for item in items:
        for mark, files in (("long", LONG), ("once", ONCE)):
            if item.path.stem in files:
                item.add_marker(mark)


def pytest_collection_finish() -> None:
    """Exclude what is imported by now from the garbage collection after each test, which makes it fast."""
    gc.collect()
    gc.freeze()


def _open_sockets() -> set[str]:
    """Return the open network sockets of this process; empty where the system does not list them."""
    folder = Path("/proc/self/fd")
    names = set()
    for entry in folder.iterdir() if folder.exists() else ():
        try:
            name = os.readlink(entry)  # noqa: PTH115  Path.readlink would make a path of socket:[123]
            if name.startswith("socket:") and _is_network(int(entry.name)):
                names.add(name)
        except OSError:
            continue  # It was closed meanwhile.
    return names


def _is_network(number: int) -> bool:
    """Return True unless a socket is local: uvloop opens a pair of local ones each time that it runs."""
    with socket.socket(fileno=os.dup(number)) as copy:
        return copy.family != socket.AF_UNIX


@pytest_asyncio.fixture
async def _clean_loop() -> AsyncIterator[None]:
    """Fail an asynchronous test that leaves a task, an exception that nobody retrieved, or a socket."""
    loop = asyncio.get_running_loop()
    sockets = _open_sockets()
    complaints: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    yield
    gc.collect()
    gc.freeze()  # what is left lives on, so later collections need not look at it again
    async with asyncio.timeout(5):
        while (left := asyncio.all_tasks() - {asyncio.current_task()}) or _open_sockets() - sockets:
            if left and not any(task.cancelling() for task in left):
                break  # these tasks will not end
            await asyncio.sleep(0)
    assert set() == left
    assert [] == complaints


@pytest.fixture(autouse=True)
def _nothing_left_behind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the environment's token and proxies from the tests, and check that asynchronous tests clean up."""
    for name in HIDDEN:
        monkeypatch.delenv(name, raising=False)
    if inspect.iscoroutinefunction(getattr(request, "function", None)):
        request.getfixturevalue("_clean_loop")


@pytest_asyncio.fixture
async def api() -> AsyncIterator[FakeApify]:
    """Return a running API with 2,500 tasks."""
    async with FakeApify(TASKS) as api:
        yield api


@pytest_asyncio.fixture
async def make_client(api: FakeApify) -> AsyncIterator[MakeClient]:
    """Return a factory of clients of that API that retry without waiting; they are closed after the test."""
    clients: list[TasksClient] = []

    defaults: dict[str, Any] = {"base_url": api.url, "retry": RetryPolicy(base_delay=0), "rate_limit": None}

    def make(**options: Any) -> TasksClient:
        clients.append(TasksClient(api.token, **defaults | options))
        return clients[-1]

    yield make
    for client in clients:
        await client.close()


@pytest.fixture
def client(make_client: MakeClient) -> TasksClient:
    """Return a client of that API."""
    return make_client()


@pytest.fixture
def trusted_authority(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let aiohttp trust the authority of the tests, as if the system did."""
    context = ssl.create_default_context()
    authority().configure_trust(context)
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", context)
