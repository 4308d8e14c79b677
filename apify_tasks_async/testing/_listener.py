"""Where the fake server listens: it starts and stops, in the loop of the caller or in a thread."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import ExitStack

from aiohttp import web

from apify_tasks_async.testing._thread import LoopThread

__all__ = ["Listener"]

# For a connection that is accepted while the others are aborted.
_SHUTDOWN_TIMEOUT = 0.1

_TURNS = 3
"""The turns of the event loop after which a connection that was accepted is known: asyncio makes it step by step."""


class Listener:
    """A web server that can be started again after it was stopped.

    Args:
        handle: Answers a request.
        host: The address to listen on.
        port: The port to listen on; 0: a free one.
    """

    def __init__(
        self, handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], host: str, port: int
    ) -> None:
        self._handle = handle
        self._host = host
        self._port = port
        self._thread = ExitStack()
        self._server: asyncio.Server | None = None
        """`None` while it is stopped."""
        self._web_server: web.Server
        self.released = defaultdict[str, asyncio.Event](asyncio.Event)
        """For each token, what is set when its requests that hang now are to be answered."""
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def url(self) -> str:
        """The base URL. Raises if the server is not running."""
        if self._server is None:
            raise RuntimeError("FakeApify is not running: enter it with `async with` or `with`, or await start()")
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._server.sockets[0].getsockname()[1]}"

    @property
    def connections(self) -> list[web.RequestHandler]:
        """The open connections."""
        return self._web_server.connections

    async def start(self) -> None:
        """Start to listen in the running event loop."""
        if self._server is not None:
            raise RuntimeError(f"FakeApify is running already, at {self.url}")
        loop = asyncio.get_running_loop()
        # When a client disconnects, its handler is cancelled, and in_flight falls.
        self._web_server = web.Server(self._handle, handler_cancellation=True, access_log=None)
        self._server = await loop.create_server(self._web_server, self._host, self._port)
        self._loop = loop
        # An event belongs to the loop of its first wait.
        self.released.clear()

    async def stop(self) -> None:
        """Close every connection and stop listening, at once."""
        server, self._server, self._loop = self._server, None, None
        if server is None:
            return
        try:
            await _accept_no_more(server)
        finally:  # Also if this call is cancelled.
            server.close()
            for connection in self.connections:
                # Closing would wait for a client that does not read. A disconnected client has no transport.
                if connection.transport is not None:
                    connection.transport.abort()
        await self._web_server.shutdown(_SHUTDOWN_TIMEOUT)

    def release(self, token: str) -> None:
        """Answer the requests of a token that hang, from any thread."""
        released = self.released.pop(token, None)
        if released is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(released.set)

    def start_in_thread(self) -> None:
        """Start to listen in the event loop of a new thread."""
        with ExitStack() as stack:
            thread = LoopThread()
            stack.callback(thread.close)
            thread.run(self.start())
            stack.callback(lambda: thread.run(self.stop()))
            self._thread = stack.pop_all()

    def stop_thread(self) -> None:
        """Stop listening, and end the thread."""
        self._thread.close()


async def _accept_no_more(server: asyncio.Server) -> None:
    """Accept no more connections, and wait until those that were accepted are known."""
    loop = asyncio.get_running_loop()
    # If asyncio's own server is closed before it has made the transport of a connection, it never closes that one.
    for listening in server.sockets if isinstance(loop, asyncio.SelectorEventLoop) else ():
        loop.remove_reader(listening)
    for _ in range(_TURNS):
        await asyncio.sleep(0)
