"""Sending one request with aiohttp, and translating its failures."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
import warnings
import weakref
from collections.abc import Mapping
from typing import Any

import aiohttp
import attrs
from aiohttp.http import HttpProcessingError
from yarl import URL

from apify_tasks_async._protocol import PATH, PageRequest
from apify_tasks_async._secret import Secret
from apify_tasks_async._version import __version__
from apify_tasks_async.errors import (
    ApifyTasksError,
    CertificateError,
    ClientClosedError,
    ConfigurationError,
    InvalidTaskError,
    RequestTimeoutError,
    ResponseTooLargeError,
    TransportError,
)

__all__ = ["Answer", "Transport"]

MAX_ERROR_BYTES = 2**16
"""How much of the body of an error is read: its document is short, a gateway's HTML page need not be."""

MAX_ERROR_SECONDS = 2.0
"""How long the body of an error is waited for: the status, which is known by then, says most of it."""

LEAST_SECRET = 8
"""How long a token must be to be hidden where the server repeats it: a shorter one may be a word of the API's own."""

USER_AGENT = f"apify-tasks-async/{__version__} (Python {sys.version_info.major}.{sys.version_info.minor})"


@attrs.frozen
class Answer:
    """What the server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _DisconnectedError(Exception):
    """The connection broke. To aiohttp this is none of the failures after which it sends a GET again by itself."""


async def _send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    # An attempt is one request on the wire, so that the retry policy knows of each.
    try:
        return await handler(request)
    except (aiohttp.ClientConnectorError, aiohttp.ServerTimeoutError):
        raise  # never sent again by aiohttp
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        reason = _reason(error)
    raise _DisconnectedError(reason)


class Transport:
    """The way to the server: a session of its own, opened with the first request, or a borrowed one."""

    def __init__(
        self,
        url: URL,
        token: str,
        *,
        session: aiohttp.ClientSession | None,
        connections: int,
        max_body_bytes: int,
    ) -> None:
        self._origin = url
        self._url = url.joinpath(*PATH.strip("/").split("/"))
        self._authorization = Secret(f"Bearer {token}")
        self._token = Secret(token)
        self._cut_token = re.compile(f"{re.escape(token[:LEAST_SECRET])}[!-~]*?\\.\\.\\.")
        self._session = session
        self._owns_session = session is None
        self._closing = asyncio.Lock()
        self._connections = connections
        self._max_body_bytes = max_body_bytes

    def __repr__(self) -> str:
        return f"Transport({str(self._url)!r})"

    async def get(self, request: PageRequest, seconds: float) -> Answer:
        """Send the request, and return the complete answer, whatever its status.

        Raises:
            TransportError: No complete answer arrived within `seconds`.
            ResponseTooLargeError: The body exceeds the limit.
            ClientClosedError: The borrowed session was closed.
            ConfigurationError: The session cannot be used here.
        """
        failure: ApifyTasksError
        timer = asyncio.timeout(seconds)
        try:
            async with timer:
                answer = await self._get(request, timer)
        except (aiohttp.ClientError, OSError, RuntimeError, ValueError, _DisconnectedError) as error:
            failure = self._translate(error, request, seconds if timer.expired() else None)
        else:
            if answer is not None:
                return answer
            failure = ResponseTooLargeError(
                f"the response is larger than {self._max_body_bytes} bytes", **request.where()
            )
        # Raised out here, because aiohttp's exceptions hold the request's headers, and with them the token: they
        # must be neither cause nor context of ours.
        raise failure

    async def close(self) -> None:
        """Close the session, if it is our own. Whoever calls this while it is being closed waits for that, too."""
        async with self._closing:
            if self._session is not None and self._owns_session:
                await self._session.close()

    async def _get(self, request: PageRequest, timer: asyncio.Timeout) -> Answer | None:
        session = self._opened()
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
            if response.status == 200:
                body = await _read(response.content, self._max_body_bytes)
                return None if body is None else Answer(200, response.headers, body)
            return Answer(response.status, response.headers, await self._read_error(response, timer))

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections),
                # The API needs no cookies, and a proxy's or a netrc's business is not to be read from the environment
                # behind the user's back: a netrc would fight with the token.
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                timeout=aiohttp.ClientTimeout(total=None),
                headers={"User-Agent": USER_AGENT},
            )
            # It holds the session, so that the garbage collector cannot come upon the session first.
            weakref.finalize(self, _drop, self._session, str(self._origin))
        return self._session

    async def _read_error(self, response: aiohttp.ClientResponse, timer: asyncio.Timeout) -> bytes:
        latest = asyncio.get_running_loop().time() + MAX_ERROR_SECONDS
        due = min(timer.when() or latest, latest)
        timer.reschedule(None)  # from here on there is an answer, whatever becomes of its body
        try:
            async with asyncio.timeout_at(due):
                body = await _read(response.content, MAX_ERROR_BYTES)
        except (aiohttp.ClientError, OSError):
            return b""  # the status says enough
        return self._hidden((body or b"").decode("latin-1")).encode("latin-1")

    def conceal(self, error: ApifyTasksError) -> None:
        """Take the token out of what an error says, in case the server has repeated it in a page."""
        error.problem = self._hidden(error.problem)
        error.args = (error.problem,)
        if isinstance(error, InvalidTaskError):
            error.problems = tuple(map(self._hidden, error.problems))

    def _hidden(self, text: str) -> str:
        """Return a text of the server's without the token, which it may repeat."""
        if len(self._token) < LEAST_SECRET:
            return text
        # A message shortens what it quotes, and the token with it.
        return self._cut_token.sub("***...", text.replace(self._token, "***"))

    def _translate(self, error: Exception, request: PageRequest, seconds: float | None) -> ApifyTasksError:
        where = request.where()
        reason = self._hidden(_reason(error))[:300]
        for kinds, failure, problem in _FAILURES:
            if isinstance(error, kinds):
                return failure(f"{problem} {reason}", **where)
        if isinstance(error, TimeoutError):
            limit = f"{seconds:.3g} s" if seconds is not None else f"the session's own timeout: {reason}"
            return RequestTimeoutError(f"no complete response within {limit}", **where)
        if isinstance(error, aiohttp.ClientError | OSError | _DisconnectedError):
            return TransportError(f"the connection broke: {reason}", **where)
        if self._session is None or self._session.closed:
            return ClientClosedError("the session was closed", **where)
        if isinstance(error, RuntimeError):
            return ConfigurationError(f"the session seems to belong to another event loop: {reason}", **where)
        return ConfigurationError(f"the session's own settings are in the way: {reason}", **where)


# The first that fits counts. A ClientResponseError comes with an invented status, which is not the server's.
_FAILURES: list[tuple[tuple[type[Exception], ...], type[ApifyTasksError], str]] = [
    (
        (aiohttp.ClientConnectorCertificateError, aiohttp.ServerFingerprintMismatch),
        CertificateError,
        "the server's certificate is not accepted:",
    ),
    ((aiohttp.InvalidURL, UnicodeError), ConfigurationError, "base_url cannot be used:"),
    ((aiohttp.ClientConnectorError,), TransportError, "cannot connect to"),
    ((aiohttp.ClientHttpProxyError,), TransportError, "the proxy did not let the request through:"),
    ((aiohttp.ClientResponseError,), TransportError, "the response cannot be read:"),
    ((aiohttp.ClientPayloadError,), TransportError, "the response broke off or is garbled:"),
]


def _drop(session: aiohttp.ClientSession, origin: str) -> None:
    """Say which client was not closed; aiohttp would complain of a session, of which the user has never heard."""
    if session.closed:
        return
    closing = session.close()
    # The first step closes the connections; nobody is there to wait for the others.
    with contextlib.suppress(StopIteration, RuntimeError):
        closing.send(None)
    closing.close()
    warnings.warn(
        f"unclosed TasksClient of {origin}; use `async with`, or await close()", ResourceWarning, stacklevel=2
    )


async def _read(stream: aiohttp.StreamReader, most: int) -> bytes | None:
    """Return what is in the stream; `None` as soon as it turns out to be more than the most allowed."""
    chunks = []
    size = 0
    async for chunk in stream.iter_any():
        size += len(chunk)
        if size > most:
            return None
        chunks.append(chunk)
    return b"".join(chunks)


def _reason(error: BaseException) -> str:
    """Return what an exception says, on one line; its name if it says nothing."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            text = str(error)
        case aiohttp.ClientConnectorError():
            text = f"{error.host}:{error.port}: {error.os_error.strerror or error.os_error}"
        case aiohttp.ServerDisconnectedError():
            text = "the server closed it before its answer had begun"
        case aiohttp.ClientResponseError():
            text = error.message
        case aiohttp.ClientPayloadError(__cause__=HttpProcessingError() as cause):
            text = cause.message
        case _:
            text = str(error)
    return " ".join(text.split()) or type(error).__name__
