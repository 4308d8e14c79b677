"""The life of a client: who may share it, and how it ends, also when nobody ends it."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from subprocess import PIPE, Popen
from typing import Any

import aiohttp
import pytest
from helpers.raw_server import RawServer, message
from helpers.support import MakeClient, until

from apify_tasks_async import ClientClosedError, TasksClient
from apify_tasks_async.testing import FakeApify, Hang

TOKEN = "lifecycle-token"
SECONDS = 30
"""How long a process may take that hangs."""


def client_of(server: RawServer) -> TasksClient:
    """Return a client of the server."""
    return TasksClient(TOKEN, base_url=server.url, rate_limit=None)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Return what the connections of aiohttp wait for until they are closed, as TLS waits for the other side."""
    gate = asyncio.Event()
    close = aiohttp.TCPConnector.close

    async def slowly(connector: aiohttp.TCPConnector) -> None:
        await close(connector)
        await gate.wait()

    monkeypatch.setattr(aiohttp.TCPConnector, "close", slowly)
    return gate


@pytest.mark.asyncio
class TestClosing:
    """The end of a client that is ended."""

    async def test_concurrently(self, gate: asyncio.Event) -> None:
        """No call of `close` returns before the client is closed, whoever called it first."""
        async with RawServer(message()) as server:
            client = client_of(server)
            await client.count()
            closings = {asyncio.create_task(client.close()) for _ in range(3)}
            done, _ = await asyncio.wait(closings, timeout=0.01)
            gate.set()
            await asyncio.gather(*closings)
            await until(lambda: not server.open)
        assert set() == done

    async def test_cancelled(self, gate: asyncio.Event) -> None:
        """A call of `close` that is cancelled leaves nothing that another one cannot end."""
        async with RawServer(message()) as server:
            client = client_of(server)
            await client.count()
            closing = asyncio.create_task(client.close())
            await asyncio.wait({closing}, timeout=0)
            closing.cancel()
            await asyncio.wait({closing})
            gate.set()
            assert (True, True) == (closing.cancelled(), client.closed)
            await client.close()
            await until(lambda: not server.open)

    async def test_shared(self, api: FakeApify, make_client: MakeClient) -> None:
        """Of many tasks that share a client, one that is cancelled takes nothing away from the others."""
        client = make_client(concurrency=2)
        walks = [asyncio.create_task(client.all_tasks(page_size=500)) for _ in range(20)]
        await until(lambda: client.stats.pages > 10)
        for walk in walks[::2]:
            walk.cancel()
        results = await asyncio.gather(*walks, return_exceptions=True)
        assert [[*api.tasks]] * 10 == results[1::2]

    async def test_close_in_a_walk(self, api: FakeApify, make_client: MakeClient) -> None:
        """A walk whose own consumer closes the client ends with `ClientClosedError`."""
        client = make_client()
        with pytest.raises(ClientClosedError):
            async for _ in client.iter_pages(page_size=100):
                await client.close()
        assert 1 <= len(api.requests) <= 10


def drop(kept: list[Any]) -> None:
    """Forget what is in the list, and what leads in circles to it."""
    kept.clear()
    gc.collect()


@pytest.mark.asyncio
class TestDropped:
    """A client that nobody ends."""

    async def test_warning(self) -> None:
        """A client that was used and is dropped unclosed says so as a file does, and closes its connections."""
        async with RawServer(message()) as server:
            kept = [client_of(server)]
            await kept[0].count()
            with pytest.warns(ResourceWarning) as warned:
                drop(kept)
            await until(lambda: not server.open)
            expected = f"unclosed TasksClient of {server.url}; use `async with`, or await close()"
        assert [expected] == [str(warning.message) for warning in warned]

    async def test_nothing_to_close(self) -> None:
        """A client that was never used, or that borrowed its session, may be dropped: any warning fails this."""
        async with RawServer(message()) as server, aiohttp.ClientSession() as session:
            drop([client_of(server)])
            kept = [TasksClient(TOKEN, base_url=server.url, session=session)]
            await kept[0].count()
            drop(kept)
            assert (False, 1) == (session.closed, server.open)

    async def test_walk_of_a_dropped_client(self, api: FakeApify) -> None:
        """A walk outlives the variable of its client."""
        kept = [TasksClient(api.token, base_url=api.url, rate_limit=None).iter_pages(page_size=1000)]
        gc.collect()
        assert [*api.tasks] == [task async for page in kept[0] for task in page]
        with pytest.warns(ResourceWarning, match="unclosed TasksClient"):
            drop(kept)


PROGRAM = """
import asyncio, os, signal, sys
from apify_tasks_async import TasksClient, iter_tasks

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started this may have told it to ignore Ctrl-C
client = TasksClient(os.environ["APIFY_TOKEN"]) if "{body}".startswith("global") else None

async def walk(client):
    pages = client.iter_pages(page_size=10)
    await anext(pages)
    return pages

async def closed():
    async with TasksClient() as client:
        await walk(client)

async def closed_with_a_walk_in_a_variable():
    global pages
    async with TasksClient() as client:
        pages = await walk(client)

async def left_in_the_loop():
    async for _ in iter_tasks(page_size=10):
        break

async def left_with_a_walk_in_a_variable():
    global tasks
    tasks = iter_tasks(page_size=10)
    await anext(tasks)

async def interrupted():
    async for _ in iter_tasks(page_size=10):
        pass

async def unclosed():
    await TasksClient().count()

async def unclosed_walk():
    await walk(TasksClient())

async def global_unclosed():
    await walk(client)

asyncio.run({body}())
"""


@pytest.fixture
def hanging() -> Iterator[FakeApify]:
    """Return an API whose first page comes, and no other."""
    with FakeApify(tasks=100) as api:
        for offset in range(10, 100, 10):
            api.fail(Hang(), times=None, offset=offset)
        yield api


def started(body: str, api: FakeApify) -> Popen[str]:
    """Start a process that runs one of the functions of the program, with every warning an error."""
    environment = os.environ | {"APIFY_TOKEN": api.token, "APIFY_API_BASE_URL": api.url}
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", PROGRAM.replace("{body}", body)]
    return Popen(command, env=environment, stdout=PIPE, stderr=PIPE, text=True)


@pytest.mark.parametrize(
    "body",
    ["closed", "closed_with_a_walk_in_a_variable", "left_in_the_loop", "left_with_a_walk_in_a_variable"],
)
def test_exit_with_a_walk_open(hanging: FakeApify, body: str) -> None:
    """A process ends at once, and without a word, while a walk has pages in flight."""
    process = started(body, hanging)
    out, err = process.communicate(timeout=SECONDS)
    assert (0, "", "") == (process.returncode, out, err)


@pytest.mark.parametrize("body", ["unclosed", "unclosed_walk", "global_unclosed"])
def test_exit_without_close(hanging: FakeApify, body: str) -> None:
    """A process that never closed its client is told so by the name of the client, not by what aiohttp calls it."""
    process = started(body, hanging)
    _, err = process.communicate(timeout=SECONDS)
    assert 0 == process.returncode
    assert f"ResourceWarning: unclosed TasksClient of {hanging.url}; use `async with`, or await close()" in err
    assert [] == [word for word in ("client session", "connector", "never", "destroyed") if word in err]


def test_exit_without_close_is_silent_by_default(hanging: FakeApify) -> None:
    """As with files, nobody is told who did not ask for such warnings."""
    environment = os.environ | {"APIFY_TOKEN": hanging.token, "APIFY_API_BASE_URL": hanging.url}
    command = [sys.executable, "-c", PROGRAM.replace("{body}", "unclosed")]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (0, "", "") == (result.returncode, result.stdout, result.stderr)


def test_ctrl_c(hanging: FakeApify) -> None:
    """Ctrl-C during a walk ends the process with nothing but its own traceback."""
    process = started("interrupted", hanging)
    wait_until(lambda: hanging.in_flight)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=SECONDS)
    assert -signal.SIGINT == process.returncode
    assert err.startswith("Traceback ")
    assert err.endswith("\nKeyboardInterrupt\n")
    assert [] == [word for word in ("Warning", "nclosed", "never", "destroyed", "ignored") if word in err]
    wait_until(lambda: not hanging.in_flight)


def wait_until(condition: Callable[[], object]) -> None:
    """Wait for another process or thread."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)
