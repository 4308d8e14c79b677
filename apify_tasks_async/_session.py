"""The aiohttp session of a client: its own, or a borrowed one."""

import asyncio
import contextlib
import warnings
import weakref

import aiohttp

from apify_tasks_async._connections import BorrowedExchange, BorrowedPool, Connector, Exchange, OwnExchange
from apify_tasks_async._headers import USER_AGENT
from apify_tasks_async._home import Home
from apify_tasks_async._places import Places, places_of


class BorrowedSession:
    """A session that belongs to the user: it is never closed, and its own settings apply.

    Args:
        session: The session.
        host: The host of the API.
    """

    def __init__(self, session: aiohttp.ClientSession, host: str) -> None:
        self._session = session
        self._host = host
        self._pool = BorrowedPool(host)

    @property
    def closed(self) -> bool:
        """Whether the session is closed."""
        return self._session.closed

    def opened(self) -> aiohttp.ClientSession | None:
        """Return the session; `None` if it belongs to another event loop: there, uvloop would abort the process."""
        # aiohttp deprecates its public property, and has no other one.
        here = getattr(self._session, "_loop", None) is asyncio.get_running_loop()
        return self._session if here else None

    def expect(self, requests: int) -> None:
        """Leave it to the session how it opens connections."""

    def places(self) -> Places | None:
        """Return the places on the session's connections, which all clients that borrow it share."""
        return None if self.opened() is None else places_of(self._session.connector, self._host)

    def begin(self) -> Exchange:
        """Begin to exchange a request for a response."""
        # aiohttp has no public property for them.
        return BorrowedExchange(self._pool, getattr(self._session, "_middlewares", None))

    async def close(self) -> None:
        """Leave the session open."""


class OwnSession:
    """A session that is opened with the first request.

    Args:
        connections: The maximum number of connections.
        origin: The URL that a warning names if nobody closes the session.
    """

    def __init__(self, connections: int, origin: str) -> None:
        self._connections = connections
        self._origin = origin
        self._expected = 1
        self._session: aiohttp.ClientSession | None = None
        self._closing = asyncio.Lock()

    @property
    def closed(self) -> bool:
        """Whether the session is closed, or was never opened."""
        return self._session is None or self._session.closed

    def opened(self) -> aiohttp.ClientSession:
        """Return the session."""
        if self._session is None:
            self._connector = Connector(self._connections, self._expected)
            self._session = aiohttp.ClientSession(
                connector=self._connector,
                # The API needs no cookies. With trust_env a netrc would replace the token.
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                timeout=aiohttp.ClientTimeout(total=None),
                headers={"User-Agent": USER_AGENT},
            )
            # The finalizer holds the session, so the garbage collector cannot collect the session first.
            weakref.finalize(self, _close_unclosed, self._session, self._origin, Home.here())
        return self._session

    def expect(self, requests: int) -> None:
        """Expect that many requests at once: open connections for them beside that of the first one."""
        self._expected = requests

    def places(self) -> Places | None:
        """Return `None`: there are as many connections as requests in flight."""
        return None

    def begin(self) -> Exchange:
        """Begin to exchange a request for a response."""
        return OwnExchange(self._connector)

    async def close(self) -> None:
        """Close the session. A second call waits for the first."""
        async with self._closing:
            if self._session is not None:
                await self._session.close()


class SharedSession(OwnSession):
    """A session of our own that many clients use."""

    def __init__(self, connections: int, origin: str) -> None:
        super().__init__(connections, origin)
        self._places = asyncio.Semaphore(connections)

    def places(self) -> Places:
        """Return the places on the connections, which all clients share."""
        return self._places

    def expect(self, requests: int) -> None:
        """Open connections when they are needed: of many accounts, most have one page."""

    async def close(self) -> None:
        """Leave it open for the other clients."""

    async def close_for_all(self) -> None:
        """Close the session."""
        await super().close()


Session = BorrowedSession | OwnSession


def as_session(session: aiohttp.ClientSession | None, host: str) -> BorrowedSession | None:
    """Return what sends to the host over a session that the client did not open."""
    return None if session is None else BorrowedSession(session, host)


def _close_unclosed(session: aiohttp.ClientSession, origin: str, home: Home) -> None:
    # aiohttp would warn of a session, which the user never saw.
    if session.closed:
        return
    if not home.is_this_process:
        session.detach()
        return
    home.call(_close_connections, session)
    warnings.warn(
        f"unclosed TasksClient of {origin}; use `async with`, or await close()", ResourceWarning, stacklevel=2
    )


def _close_connections(session: aiohttp.ClientSession) -> None:
    closing = session.close()
    # The first step closes the connections. Nobody is left to wait for the other steps.
    with contextlib.suppress(StopIteration, RuntimeError):
        closing.send(None)
    closing.close()
