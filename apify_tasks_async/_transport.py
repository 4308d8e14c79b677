"""One request over aiohttp."""

import asyncio
from collections.abc import Callable, Mapping

import aiohttp
from yarl import URL

from apify_tasks_async._connections import Exchange
from apify_tasks_async._excerpt import describe_size
from apify_tasks_async._failures import DisconnectedError, translate
from apify_tasks_async._page import PATH, PageRequest
from apify_tasks_async._proxy import Proxy
from apify_tasks_async._proxy_failures import read_proxy_failure
from apify_tasks_async._recorder import Recorder
from apify_tasks_async._refusal import Response, is_foreign
from apify_tasks_async._secret import Redactor, Secret
from apify_tasks_async._secret_headers import as_request_headers, as_texts, reveal
from apify_tasks_async._session import Session
from apify_tasks_async._weight import find_burden
from apify_tasks_async.errors import ApifyTasksError, ConfigurationError, ResponseTooLargeError

MAX_ERROR_BYTES = 2**16
"""How much of an error's body is read. The API's error document is short; a gateway's HTML page may be long."""

MAX_ERROR_SECONDS = 2.0
"""Seconds to wait for an error's body. By then the status is known, and says most of it."""


TURN_BYTES = 2**22
"""How much of a body is read before other tasks have their turn, and from where on it is long."""


class Transport:
    """Sends requests over a session."""

    def __init__(
        self,
        url: URL,
        token: Secret,
        redactor: Redactor,
        recorder: Recorder,
        session: Session,
        *,
        max_body_bytes: int,
        headers: Mapping[str, str | Secret] | None = None,
        proxy: Proxy | None = None,
    ) -> None:
        self._origin = str(url.origin())
        self._url = url.joinpath(*PATH.strip("/").split("/"))
        bearer = Secret(f"Bearer {token.get_secret_value()}")
        self._headers = {**(headers or {}), "Accept": "application/json", "Authorization": bearer}
        self._proxy = proxy
        self._redactor = redactor
        self._recorder = recorder
        self._session = session
        self._max_body_bytes = max_body_bytes

    def __repr__(self) -> str:
        return f"Transport({str(self._url)!r})"

    async def get(
        self,
        request: PageRequest,
        timeout: float,  # noqa: ASYNC109 - named in the error
        on_arrival: Callable[[], None] = lambda: None,
    ) -> Response | ApifyTasksError:
        """Send the request; return the complete response, whatever its status, or the error if none arrived.

        Args:
            request: The request.
            timeout: Seconds for all of it. The error of a timeout says how many they were.
            on_arrival: Called when a response begins to arrive; perhaps again, if the request is sent again.
        """
        timer = asyncio.timeout(timeout)
        try:
            async with timer:
                return await self._get(request, timer, on_arrival)
        except (aiohttp.ClientError, OSError, RuntimeError, ValueError, DisconnectedError) as error:
            # Returned, not raised here: aiohttp's exceptions contain the request's headers, and so the token. They
            # must be neither the cause nor the context of ours.
            failure = self._proxy_failure(error, request) or translate(
                error,
                request,
                self._redactor,
                timeout=timeout if timer.expired() else None,
                session_closed=self._session.closed,
                origin=f"{self._origin} through the proxy {self._proxy.name}" if self._proxy else self._origin,
            )
            if failure is None:
                raise
            return failure

    def _proxy_failure(self, error: Exception, request: PageRequest) -> ApifyTasksError | None:
        tunnel = self._proxy is None or self._url.scheme == "https"
        return read_proxy_failure(error, request, self._redactor, self._proxy, tunnel=tunnel)

    def expect(self, requests: int) -> None:
        """Expect that many requests at once: a session of our own opens connections for them beside the first one."""
        self._session.expect(requests)

    async def close(self) -> None:
        """Close the session if it is our own. The connections are closed before it waits for anything."""
        await self._session.close()

    async def _get(
        self, request: PageRequest, timer: asyncio.Timeout, on_arrival: Callable[[], None]
    ) -> Response | ApifyTasksError:
        """Send the request, and once more if an old connection may be at fault: that proves nothing of the server."""
        while True:
            session = self._session.opened()
            if session is None:
                problem = "the session belongs to another event loop; create one in the loop that uses it"
                return ConfigurationError(problem, **request.where())
            exchange = self._session.begin()
            try:
                response = await self._exchange(request, timer, session, exchange, on_arrival)
            except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError, DisconnectedError):
                if not exchange.is_inconclusive:
                    raise
            else:
                if not (exchange.reused and is_foreign(response)):
                    return response
            exchange.fail()
            self._recorder.record_reconnect(request)

    async def _exchange(
        self,
        request: PageRequest,
        timer: asyncio.Timeout,
        session: aiohttp.ClientSession,
        exchange: Exchange,
        on_arrival: Callable[[], None],
    ) -> Response | ApifyTasksError:
        headers: dict[str, str | Secret] = dict(self._headers)
        options = exchange.options()
        if self._proxy is not None:
            options |= {"proxy": self._proxy.url}
            if self._url.scheme == "http":  # No tunnel, so the proxy reads the request itself.
                headers |= self._proxy.headers()
        if not session.auto_decompress:
            headers["Accept-Encoding"] = "identity"
        middlewares = exchange.middlewares()
        if middlewares is not None:
            options["middlewares"] = (reveal, *middlewares)
        make_headers = as_texts if middlewares is None else as_request_headers
        async with session.get(
            self._url,
            params=request.query(),
            headers=make_headers(headers),
            proxy_headers=make_headers(self._proxy.headers()) if self._proxy else None,
            allow_redirects=False,
            raise_for_status=False,
            **options,
        ) as response:
            exchange.answer()
            on_arrival()
            if response.status != 200:
                body = await self._read_error(response, timer)
                whole = body is not None
                return Response(
                    response.status, response.headers, body or b"", exchange.discard, self._origin, complete=whole
                )
            complete = await _read(response.content, self._max_body_bytes)
        burden = (
            f"is larger than {describe_size(self._max_body_bytes)}"
            if complete is None
            else find_burden(complete, self._max_body_bytes)
        )
        if complete is None or burden:
            return ResponseTooLargeError(f"the response of {self._origin} {burden}", **request.where())
        return Response(200, response.headers, complete, exchange.discard, origin=self._origin)

    async def _read_error(self, response: aiohttp.ClientResponse, timer: asyncio.Timeout) -> bytes | None:
        latest = asyncio.get_running_loop().time() + MAX_ERROR_SECONDS
        due = min(timer.when() or latest, latest)
        timer.reschedule(None)  # The status has arrived, so a missing body is no timeout of the attempt.
        try:
            async with asyncio.timeout_at(due):
                body = await _read(response.content, MAX_ERROR_BYTES)
        except (aiohttp.ClientError, OSError):
            return None
        return None if body is None else self._redactor.redact(body.decode("latin-1")).encode("latin-1")


async def _read(stream: aiohttp.StreamReader, maximum: int) -> bytes | None:
    """Return the body; `None` as soon as it exceeds the maximum."""
    chunks = []
    size = turn = 0
    async for chunk in stream.iter_any():
        size += len(chunk)
        if size > maximum:
            return None
        chunks.append(chunk)
        # aiohttp decompresses as we read, without a turn of the loop: a few KiB may become all that is allowed.
        if size - turn > TURN_BYTES:
            turn = size
            await asyncio.sleep(0)
    body = b"".join(chunks)
    if turn:
        await asyncio.sleep(0)
    return body
