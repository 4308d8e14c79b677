"""Which connection a request goes over, and what is known of it.

aiohttp takes a pooled connection as it is. Whatever came on it while it was idle would be taken for the answer to the
next request: a 400 or 408 that a load balancer sends before it closes, or a page that a proxy sends twice. And once one
pooled connection turns out to be dead, since the machine slept or the server was reloaded, the others usually are, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

from apify_tasks_async._failures import DisconnectedError, reason_of
from apify_tasks_async._home import Home
from apify_tasks_async._proxy_failures import is_before_the_tunnel

OPENING_SECONDS = 10
"""How long a connection that no request waits for may take to open."""

TURNS = 2
"""The turns of the event loop in which it reads what has arrived: one to notice it, one to read it."""


class Exchange(ABC):
    """One request and its answer on a connection."""

    def __init__(self, *, reused: bool) -> None:
        self.reused = reused
        """Whether the connection may have carried other requests before."""
        self.answered = False

    @property
    def is_inconclusive(self) -> bool:
        """Whether its failure says nothing about the server: an old connection may have been dead already."""
        return self.reused and not self.answered

    def options(self) -> dict[str, Any]:
        """Return the arguments of `ClientSession.get` that decide about the connection."""
        return {}

    @abstractmethod
    def middlewares(self) -> tuple[aiohttp.ClientMiddlewareType, ...] | None:
        """Return the middlewares of the request, the outermost first; `None` if those of its session are not known."""

    def answer(self) -> None:
        """Record that a response has begun."""
        self.answered = True

    @abstractmethod
    def fail(self) -> None:
        """Record that an old connection was dead, or brought what nobody asked for."""

    @abstractmethod
    def discard(self) -> None:
        """Use the connection for no other request."""


class BorrowedPool:
    """What is known of the connections of a borrowed session.

    Args:
        host: The host of the API.
    """

    def __init__(self, host: str) -> None:
        self.idle: Counter[str | None] = Counter()
        """How many may be idle after our requests, by `server_hostname`."""

        self.server_hostname: str | None = None
        """What aiohttp is given as `server_hostname`: the host, or `None`, which means the same to TLS.

        It keeps connections for each, also without TLS.
        """

        self._host = host

    def leave(self, server_hostname: str | None) -> None:
        """Use no connection of that name for now, since one was dead: with the other name, aiohttp opens new ones."""
        if server_hostname == self.server_hostname:
            self.server_hostname = self._host if server_hostname is None else None


class BorrowedExchange(Exchange):
    """One request over a connection that a borrowed session chooses.

    Args:
        pool: The connections of the session.
        middlewares: Those of the session; `None` if nobody knows.
    """

    def __init__(self, pool: BorrowedPool, middlewares: Sequence[aiohttp.ClientMiddlewareType] | None) -> None:
        self._pool = pool
        self._middlewares = middlewares
        self._server_hostname = pool.server_hostname
        super().__init__(reused=pool.idle[self._server_hostname] > 0)
        pool.idle[self._server_hostname] -= self.reused

    def options(self) -> dict[str, Any]:
        return {} if self._server_hostname is None else {"server_hostname": self._server_hostname}

    def middlewares(self) -> tuple[aiohttp.ClientMiddlewareType, ...] | None:
        # Those of a request replace those of the session. Ours is the first: the user's own see what aiohttp raises.
        if self._middlewares is None:
            return None
        return (_send_once, *self._middlewares) if self.reused else tuple(self._middlewares)

    def answer(self) -> None:
        super().answer()
        self._pool.idle[self._server_hostname] += 1  # soon: aiohttp does not tell when

    def fail(self) -> None:
        self._pool.leave(self._server_hostname)

    def discard(self) -> None:
        self.fail()  # The session keeps it, and nothing public tells which connection it was.


class OwnExchange(Exchange):
    """One request over a connection of our own session."""

    def __init__(self, connector: Connector) -> None:
        super().__init__(reused=False)
        self._connector = connector
        self._protocol: ResponseHandler | None = None  # It stays so if a mock answers.

    def middlewares(self) -> tuple[aiohttp.ClientMiddlewareType, ...]:
        # A function, not a method: what mocks aiohttp in tests makes deep copies of the arguments of a request.
        async def send_once(
            request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            self._connector.exchanges[request] = self
            return await _send_once(request, handler)

        return (send_once,)

    def carry(self, protocol: ResponseHandler, *, reused: bool) -> None:
        """Record the connection that was chosen."""
        self._protocol = protocol
        self.reused = reused

    def fail(self) -> None:
        self.discard()
        self._connector.distrust_used()

    def discard(self) -> None:
        # It may be idle again, or carry another request by now. That one then takes a new connection.
        if self._protocol is not None:
            self._protocol.close()


async def _send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    # aiohttp resends a GET by itself after a disconnect. We decide that, so that every request is counted.
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise  # aiohttp never resends after it
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        failure = DisconnectedError(reason_of(error))
        failure.is_before_the_tunnel = is_before_the_tunnel(error)
    raise failure


class Connector(aiohttp.TCPConnector):
    """The connections of our own session.

    Args:
        limit: The maximum number of connections.
        expected: How many requests there will be at once, soon after the first answer. Over TLS, their connections are
            opened beside the first one: that takes two or three round trips.
    """

    def __init__(self, limit: int, expected: int = 1) -> None:
        super().__init__(limit=limit)
        self._home = Home.here()
        self.exchanges: WeakKeyDictionary[aiohttp.ClientRequest, OwnExchange] = WeakKeyDictionary()
        """The exchange of each request."""
        self._used: WeakSet[ResponseHandler] = WeakSet()
        self._distrusted: WeakSet[ResponseHandler] = WeakSet()
        self._ahead = expected - 1
        self._opening: list[asyncio.Task[None]] = []

    def __del__(self, *arguments: Any) -> None:
        if self._home.is_this_process:
            super().__del__(*arguments)

    def distrust_used(self) -> None:
        """Use none of today's connections again: one of them was dead."""
        self._distrusted.update(self._used)

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Any],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's name
    ) -> Connection:
        """Return a new connection, or a pooled one on which nothing came while it was idle."""
        if self._ahead and req.url.scheme == "https" and not req.proxy:
            ahead, self._ahead = self._ahead, 0
            self._opening = [self._loop.create_task(self._open(req, timeout)) for _ in range(ahead)]
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            assert protocol is not None  # noqa: S101 - it was opened right now
            reused = protocol in self._used
            if not reused or await self._is_sound(connection, protocol):
                self._used.add(protocol)
                self.exchanges[req].carry(protocol, reused=reused)
                return connection
            connection.close()

    async def close(self, *, abort_ssl: bool = False) -> None:
        """Close all connections, and give up those that are being opened."""
        for task in self._opening:
            task.cancel()
        await super().close(abort_ssl=abort_ssl)
        await asyncio.gather(*self._opening, return_exceptions=True)

    async def _open(self, req: aiohttp.ClientRequest, timeout: aiohttp.ClientTimeout) -> None:  # noqa: ASYNC109 - as above
        """Open a connection, and leave it in the pool."""
        # Ignore failures: the requests meet them, too, and report them.
        with contextlib.suppress(aiohttp.ClientError, OSError):
            async with asyncio.timeout(OPENING_SECONDS):
                connection = await super().connect(req, [], timeout)
            assert connection.protocol is not None  # noqa: S101 - it was opened right now
            self._used.add(connection.protocol)  # It is as old as any when a request takes it.
            connection.release()

    async def _is_sound(self, connection: Connection, protocol: ResponseHandler) -> bool:
        if not _is_silent(protocol.transport):
            try:
                for _ in range(TURNS):
                    await asyncio.sleep(0)
            except BaseException:
                connection.close()
                raise
        return protocol.is_connected() and not protocol.should_close and protocol not in self._distrusted


def _is_silent(transport: asyncio.Transport | None) -> bool:
    """Return True if nothing waits to be read from the socket; False if something does, or if nobody can tell."""
    socket = None if transport is None else transport.get_extra_info("socket")
    if socket is None or socket.fileno() < 0 or not hasattr(select, "poll"):  # Windows has none.
        return False
    arrived = select.poll()
    arrived.register(socket, select.POLLIN)
    return not arrived.poll(0)
