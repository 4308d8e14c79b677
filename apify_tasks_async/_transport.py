"""One request over aiohttp."""

import asyncio
import contextlib
import sys
import warnings
import weakref
from typing import Any

import aiohttp
from yarl import URL

from apify_tasks_async._failures import DisconnectedError, reason_of, translate
from apify_tasks_async._page import PATH, PageRequest
from apify_tasks_async._response import Response
from apify_tasks_async._secret import Redactor, Secret
from apify_tasks_async._version import __version__
from apify_tasks_async.errors import ApifyTasksError, ResponseTooLargeError

MAX_ERROR_BYTES = 2**16
"""How much of an error's body is read. The API's error document is short; a gateway's HTML page may be long."""

MAX_ERROR_SECONDS = 2.0
"""Seconds to wait for an error's body. By then the status is known, and says most of it."""

USER_AGENT = f"apify-tasks-async/{__version__} (Python {sys.version_info.major}.{sys.version_info.minor})"


async def _send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    # aiohttp resends a GET by itself after a disconnect. One attempt is to be one request, so that the policy sees all.
    try:
        return await handler(request)
    except (aiohttp.ClientConnectorError, aiohttp.ServerTimeoutError):
        raise  # aiohttp never resends after these.
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        reason = reason_of(error)
    raise DisconnectedError(reason)


class Transport:
    """Sends requests over a session: its own, opened with the first request, or a borrowed one."""

    def __init__(
        self,
        url: URL,
        token: str,
        redactor: Redactor,
        *,
        session: aiohttp.ClientSession | None,
        connections: int,
        max_body_bytes: int,
    ) -> None:
        self._origin = str(url)
        self._url = url.joinpath(*PATH.strip("/").split("/"))
        self._authorization = Secret(f"Bearer {token}")
        self._redactor = redactor
        self._session = session
        self._owns_session = session is None
        self._closing = asyncio.Lock()
        self._connections = connections
        self._max_body_bytes = max_body_bytes

    def __repr__(self) -> str:
        return f"Transport({str(self._url)!r})"

    async def get(self, request: PageRequest, timeout: float) -> Response | ApifyTasksError:  # noqa: ASYNC109 - named in the error
        """Send the request; return the complete response, whatever its status, or the error if none arrived.

        Args:
            request: The request.
            timeout: Seconds for all of it. The error of a timeout says how many they were.
        """
        timer = asyncio.timeout(timeout)
        try:
            async with timer:
                return await self._get(request, timer)
        except (aiohttp.ClientError, OSError, RuntimeError, ValueError, DisconnectedError) as error:
            # Returned, not raised here: aiohttp's exceptions contain the request's headers, and so the token. They
            # must be neither the cause nor the context of ours.
            return translate(
                error,
                request,
                self._redactor,
                timeout=timeout if timer.expired() else None,
                session_closed=self._session is None or self._session.closed,
            )

    async def close(self) -> None:
        """Close the session if it is our own. A second call waits for the first."""
        async with self._closing:
            if self._session is not None and self._owns_session:
                await self._session.close()

    async def _get(self, request: PageRequest, timer: asyncio.Timeout) -> Response | ApifyTasksError:
        session = self._opened_session()
        headers = {"Accept": "application/json", "Authorization": self._authorization}
        options: dict[str, Any] = {"middlewares": (_send_once,)} if self._owns_session else {}
        if not session.auto_decompress:
            headers["Accept-Encoding"] = "identity"
        async with session.get(
            self._url,
            params=request.query(),
            headers=headers,
            allow_redirects=False,
            raise_for_status=False,
            **options,
        ) as response:
            if response.status != 200:
                return Response(response.status, response.headers, await self._read_error(response, timer))
            body = await _read(response.content, self._max_body_bytes)
            if body is not None:
                return Response(200, response.headers, body)
        problem = f"the response is larger than {self._max_body_bytes} bytes"
        return ResponseTooLargeError(problem, **request.where())

    def _opened_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections),
                # The API needs no cookies. With trust_env a netrc would replace the token.
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                timeout=aiohttp.ClientTimeout(total=None),
                headers={"User-Agent": USER_AGENT},
            )
            # The finalizer holds the session, so the garbage collector cannot collect the session first.
            weakref.finalize(self, _close_unclosed, self._session, self._origin)
        return self._session

    async def _read_error(self, response: aiohttp.ClientResponse, timer: asyncio.Timeout) -> bytes:
        latest = asyncio.get_running_loop().time() + MAX_ERROR_SECONDS
        due = min(timer.when() or latest, latest)
        timer.reschedule(None)  # The status has arrived, so a missing body is no timeout of the attempt.
        try:
            async with asyncio.timeout_at(due):
                body = await _read(response.content, MAX_ERROR_BYTES)
        except (aiohttp.ClientError, OSError):
            return b""
        return self._redactor.redact((body or b"").decode("latin-1")).encode("latin-1")


def _close_unclosed(session: aiohttp.ClientSession, origin: str) -> None:
    # aiohttp would warn of a session, which the user never saw.
    if session.closed:
        return
    closing = session.close()
    # The first step closes the connections. Nobody is left to wait for the other steps.
    with contextlib.suppress(StopIteration, RuntimeError):
        closing.send(None)
    closing.close()
    warnings.warn(
        f"unclosed TasksClient of {origin}; use `async with`, or await close()", ResourceWarning, stacklevel=2
    )


async def _read(stream: aiohttp.StreamReader, maximum: int) -> bytes | None:
    """Return the body; `None` as soon as it exceeds the maximum."""
    chunks = []
    size = 0
    async for chunk in stream.iter_any():
        size += len(chunk)
        if size > maximum:
            return None
        chunks.append(chunk)
    return b"".join(chunks)
