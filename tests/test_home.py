"""Where an object is finalized: in its own process and event loop."""

import asyncio
import gc
import os

import pytest
from helpers.raw_server import RawServer, message
from helpers.support import client_of, until

from apify_tasks_async._home import Home


@pytest.mark.asyncio
async def test_another_process() -> None:
    """Nothing is called in another process."""
    called: list[int] = []
    Home(os.getpid() + 1, asyncio.get_running_loop()).call(called.append, 1)
    Home.here().call(called.append, 2)
    await until(lambda: called)
    assert [2] == called


def test_loop_that_does_not_run() -> None:
    """While the loop does not run, the function is called at once; what a closed loop refuses is passed over."""
    called: list[int] = []
    loop = asyncio.new_event_loop()
    home = Home(os.getpid(), loop)
    home.call(called.append, 1)
    loop.close()
    home.call(loop.call_soon, called.append, 2)
    assert [1] == called


@pytest.mark.asyncio
async def test_client_dropped_in_a_forked_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """A forked child that drops a client leaves its connections open, and warns of nothing."""
    async with RawServer(message()) as server:
        kept = [client_of(server)]
        await kept[0].count()
        [connector] = [thing for thing in gc.get_objects() if type(thing).__name__ == "Connector"]
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: -1)
            kept.clear()
            gc.collect()
            connector.__del__()
        assert (1, False) == (server.open, connector.closed)
        await connector.close()
