"""The life of a client: how tasks share it, how it closes, and what happens if nobody closes it."""

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import Awaitable, Iterator, Sequence
from typing import Any

import aiohttp
import pytest
from helpers.processes import SECONDS, started
from helpers.raw_server import RawServer, Reply, Then, message
from helpers.support import MakeClient, client_of, until, wait_until

from apify_tasks_async import ClientClosedError, TasksClient, iter_tasks
from apify_tasks_async.testing import FakeApify, Hang

VERY_STRICT = (sys.executable, "-X", "dev", "-W", "error")
"""Python with its debug mode, and each warning an error."""


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Return an event that the connections of aiohttp wait for before they close, as TLS waits for its peer."""
    gate = asyncio.Event()
    close = aiohttp.TCPConnector.close

    async def slowly(connector: aiohttp.TCPConnector, **options: Any) -> None:
        await close(connector, **options)
        await gate.wait()

    monkeypatch.setattr(aiohttp.TCPConnector, "close", slowly)
    return gate


@pytest.mark.asyncio
class TestClosing:
    """A client that is closed."""

    async def test_concurrently(self, gate: asyncio.Event) -> None:
        """Each call of `close` returns only when the client is closed, the first call and later ones."""
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
        """If a call of `close` is cancelled, the next call completes the job."""
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

    async def test_cancelled_at_its_first_wait(self) -> None:
        """A call of `close` in a scope that is cancelled already closes the connections all the same."""
        async with RawServer(*[message()] * 6, Reply(then=Then.HANG)) as server:
            kept = [client_of(server)]
            await asyncio.gather(*(kept[0].count() for _ in range(6)))
            hanging = asyncio.create_task(kept[0].count())
            await until(lambda: len(server.requests) == 7)
            closing = asyncio.create_task(cancelled_before(kept[0].close()))
            await asyncio.wait({closing, hanging})
            await until(lambda: not server.open)
            assert (True, ClientClosedError) == (closing.cancelled(), type(hanging.exception()))
            del hanging
            drop(kept)  # without a warning

    async def test_walk_cancelled_twice(self, api: FakeApify) -> None:
        """A walk whose consumer is cancelled again while it cleans up leaves no connection."""
        api.fail(Hang(), times=None, offset=1000)

        async def walk() -> None:
            async with contextlib.aclosing(iter_tasks(api.token, base_url=api.url)) as tasks:
                async for _ in tasks:
                    await cancelled_before(asyncio.sleep(0))

        walking = asyncio.create_task(walk())
        await until(lambda: api.in_flight)
        walking.cancel()
        await asyncio.wait({walking})
        await until(lambda: not api.in_flight)

    async def test_shared(self, api: FakeApify, make_client: MakeClient) -> None:
        """Many tasks share a client, and cancelling some does not disturb the others."""
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


async def cancelled_before(awaitable: Awaitable[object]) -> None:
    """Await something in a task that has been cancelled, as in a scope of anyio that has ended."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await awaitable


def drop(kept: list[Any]) -> None:
    """Drop the objects in the list, reference cycles included."""
    kept.clear()
    gc.collect()


@pytest.mark.asyncio
class TestDropped:
    """A client that nobody closes."""

    async def test_warning(self) -> None:
        """A used client that is dropped warns as a file does, and closes its connections."""
        async with RawServer(message()) as server:
            kept = [client_of(server)]
            await kept[0].count()
            with pytest.warns(ResourceWarning) as warned:
                drop(kept)
            await until(lambda: not server.open)
            expected = f"unclosed TasksClient of {server.url}; use `async with`, or await close()"
        assert [expected] == [str(warning.message) for warning in warned]

    async def test_in_another_thread(self) -> None:
        """A client that the garbage collector finds in another thread is closed in the thread of its loop."""
        asyncio.get_running_loop().set_debug(True)  # it complains of calls from another thread
        async with RawServer(message()) as server:
            kept = [client_of(server)]
            await kept[0].count()
            with pytest.warns(ResourceWarning, match="unclosed TasksClient"):
                await asyncio.to_thread(drop, kept)
            await until(lambda: not server.open)

    async def test_nothing_to_close(self) -> None:
        """A client without a session to close is dropped without a warning (pytest turns any into an error)."""
        async with RawServer(message()) as server, aiohttp.ClientSession() as session:
            drop([client_of(server)])
            kept = [client_of(server, session=session)]
            await kept[0].count()
            drop(kept)
            assert (False, 1) == (session.closed, server.open)

    async def test_walk_of_a_dropped_client(self, api: FakeApify) -> None:
        """A walk keeps its client alive."""
        kept = [TasksClient(api.token, base_url=api.url, rate_limit=None).iter_pages(page_size=1000)]
        gc.collect()
        assert [*api.tasks] == [task async for page in kept[0] for task in page]
        with pytest.warns(ResourceWarning, match="unclosed TasksClient"):
            drop(kept)


# The tests below may take over a second, since each starts Python in its debug mode and imports aiohttp there.

PROGRAM = """
import asyncio, logging, os
from apify_tasks_async import TasksClient, iter_tasks

logging.getLogger("asyncio").setLevel(logging.ERROR)  # on a busy machine, asyncio warns of slow callbacks

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
    """Return an API that answers the first page and hangs on every other."""
    with FakeApify(tasks=100) as api:
        for offset in range(10, 100, 10):
            api.fail(Hang(), times=None, offset=offset)
        yield api


@pytest.fixture
def api_in_thread() -> Iterator[FakeApify]:
    """Return an API with 100 tasks, in a thread."""
    with FakeApify(tasks=100) as api:
        yield api


def run(body: str, api: FakeApify, python: Sequence[str] = VERY_STRICT) -> tuple[int, str, str]:
    """Run a function of the program in a new process, and return the exit code and both outputs."""
    with started(api, "-c", PROGRAM.replace("{body}", body), command=python) as process:
        out, err = process.communicate(timeout=SECONDS)
        return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize(
    "body",
    ["closed", "closed_with_a_walk_in_a_variable", "left_in_the_loop", "left_with_a_walk_in_a_variable"],
)
def test_exit_with_a_walk_open(hanging: FakeApify, body: str) -> None:
    """A process exits at once and prints nothing, although a walk has pages in flight."""
    assert (0, "", "") == run(body, hanging)


@pytest.mark.parametrize("body", ["unclosed", "unclosed_walk", "global_unclosed"])
def test_exit_without_close(hanging: FakeApify, body: str) -> None:
    """The warning about an unclosed client names the client, not the parts of aiohttp."""
    code, _, err = run(body, hanging)
    assert 0 == code
    assert f"ResourceWarning: unclosed TasksClient of {hanging.url}; use `async with`, or await close()" in err
    assert [] == [word for word in ("client session", "connector", "never", "destroyed") if word in err]


def test_exit_without_close_is_silent_by_default(hanging: FakeApify) -> None:
    """Python hides the warning by default, as it does for files."""
    assert (0, "", "") == run("unclosed", hanging, [sys.executable])


FORK = """
import asyncio, os, sys
from apify_tasks_async import TasksClient

loop = asyncio.new_event_loop()
client = TasksClient(timeout=5)
loop.run_until_complete(client.count())
if not (child := os.fork()):
    sys.exit()
os.waitpid(child, 0)
print(loop.run_until_complete(client.count()), client.stats.requests)
loop.run_until_complete(client.close())
loop.close()
"""


def test_fork(api_in_thread: FakeApify) -> None:
    """A forked child that ends leaves the parent's connections alone."""
    with started(api_in_thread, "-c", FORK, command=[sys.executable]) as process:
        assert (b"100 2\n", b"") == process.communicate(timeout=SECONDS)


def test_ctrl_c(hanging: FakeApify) -> None:
    """Ctrl-C during a walk ends the process with one traceback and no warnings."""
    with started(hanging, "-c", PROGRAM.replace("{body}", "interrupted"), command=VERY_STRICT) as process:
        wait_until(lambda: hanging.in_flight)
        process.send_signal(signal.SIGINT)
        err = process.communicate(timeout=SECONDS)[1].decode()
    assert -signal.SIGINT == process.returncode
    assert err.startswith("Traceback ")
    assert err.endswith("\nKeyboardInterrupt\n")
    assert [] == [word for word in ("Warning", "nclosed", "never", "destroyed", "ignored") if word in err]
    wait_until(lambda: not hanging.in_flight)
