"""What becomes of everything that can happen between a request and its answer."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from helpers.faults import TOKEN, tls_of, trusting
from helpers.leaks import leaks
from helpers.raw_server import EMPTY_PAGE, RawServer, Reply, Then, chunked, message, raw
from helpers.support import until
from yarl import URL

from apify_tasks_async import (
    ApifyTasksError,
    AuthenticationError,
    CertificateError,
    ClientClosedError,
    ConfigurationError,
    ProxyError,
    RequestTimeoutError,
    ResponseError,
    ResponseTooLargeError,
    RetryPolicy,
    TasksClient,
    TransportError,
)
from apify_tasks_async._page import PageRequest
from apify_tasks_async._recorder import Recorder
from apify_tasks_async._secret import Redactor, Secret
from apify_tasks_async._session import OwnSession
from apify_tasks_async._transport import Transport

pytestmark = pytest.mark.asyncio

REQUEST = PageRequest(0, 1000, desc=False)
CLOSE = Reply(then=Then.CLOSE)
HANG = Reply(then=Then.HANG)


def client_of(server: RawServer | str, *, attempts: int = 1, **options: Any) -> TasksClient:
    """Return a client of the server, or of a base URL, that does not wait between its attempts."""
    url = server if isinstance(server, str) else server.url
    policy = RetryPolicy(attempts=attempts, base_delay=0)
    settings: dict[str, Any] = {"base_url": url, "retry": policy, "rate_limit": None}
    return TasksClient(TOKEN, **settings | options)


async def failure_of(client: TasksClient) -> ApifyTasksError:
    """Return the error with which a request for a page ends, after having looked for the token in it."""
    with pytest.raises(ApifyTasksError) as info:
        await client.list_tasks()
    assert [] == leaks(info.value, TOKEN)
    return info.value


# What an answer repeats.

ECHO = TOKEN.encode()

ECHOES = {
    "error document": message(b'{"error": {"type": "a", "message": "no user %s"}}' % ECHO, status="401 Unauthorized"),
    "type of an error": message(b'{"error": {"type": "%s", "message": "b"}}' % ECHO, status="403 Forbidden"),
    "status line": raw(b"Authorization: Bearer " + ECHO + b"\r\n\r\n"),
    "header": raw(b"HTTP/1.1 200 OK\r\nBearer " + ECHO + b"\r\n\r\n"),
    "redirect": message(b"", f"Location: /?token={TOKEN}", status="302 Found"),
    "gateway's page": message(b"<p>%s</p>" % ECHO, status="502 Bad Gateway"),
}


@pytest.mark.parametrize("reply", [pytest.param(reply, id=name) for name, reply in ECHOES.items()])
async def test_echoed_token(reply: Reply) -> None:
    """An answer that repeats the token does not bring it into the error."""
    async with RawServer(reply) as server, client_of(server) as client:
        await failure_of(client)


@pytest.mark.parametrize("token", ["t", "token", "user"])
async def test_token_like_a_word(token: str) -> None:
    """What the API says stays legible when the token, as in a test, is a common word."""
    body = b'{"error": {"type": "user-or-token-not-found", "message": "Token not valid."}}'
    async with (
        RawServer(message(body, status="401 Unauthorized")) as server,
        TasksClient(token, base_url=server.url) as client,
    ):
        with pytest.raises(AuthenticationError) as info:
            await client.count()
    assert ("user-or-token-not-found", "Token not valid.") == (info.value.type, info.value.message)


# One attempt is one request.


@pytest.mark.parametrize("attempts", [1, 3])
@pytest.mark.parametrize("then", [Then.CLOSE, Then.RESET])
@pytest.mark.parametrize("used", [False, True], ids=["fresh connection", "reused connection"])
async def test_disconnect_is_one_request(attempts: int, then: Then, *, used: bool) -> None:
    """After a disconnect nothing is sent again but by the retry policy; once more if the connection was an old one."""
    before = [message()] if used else []
    async with RawServer(*before, Reply(then=then)) as server, client_of(server, attempts=attempts) as client:
        for _ in before:
            await client.count()
        error = await failure_of(client)
    assert (attempts, attempts + 2 * len(before)) == (error.attempts, len(server.requests))
    assert attempts + len(before) == server.connections


async def test_reuses_connections() -> None:
    """Requests one after the other share one connection, those that were refused included."""
    document = b'{"error": {"type": "a", "message": "b"}}'
    refusals = [message(document, status=status) for status in ("404 Not Found", "503 Service Unavailable")]
    async with RawServer(message(), *refusals, message()) as server, client_of(server, attempts=2) as client:
        await client.count()
        await failure_of(client)
        await client.count()
    assert (4, 1) == (len(server.requests), server.connections)


async def test_deadline_cuts_an_attempt_off() -> None:
    """No attempt goes on beyond the deadline, however long its own timeout is."""
    async with RawServer(HANG) as server, client_of(server, retry=RetryPolicy(deadline=0.05)) as client:
        error = await failure_of(client)
    assert (RequestTimeoutError, 1) == (type(error), error.attempts)


# Size.


@pytest.mark.parametrize("reply", [message(), chunked(b"%x\r\n%b\r\n0\r\n\r\n" % (len(EMPTY_PAGE), EMPTY_PAGE))])
async def test_max_body_bytes(reply: Reply) -> None:
    """A body of exactly the limit is read, one byte more is too large, which is not tried again."""
    async with RawServer(reply) as server:
        async with client_of(server, max_body_bytes=len(EMPTY_PAGE)) as client:
            assert 0 == await client.count()
        async with client_of(server, attempts=3, max_body_bytes=len(EMPTY_PAGE) - 1) as client:
            error = await failure_of(client)
    assert (ResponseTooLargeError, 1, 2) == (type(error), error.attempts, len(server.requests))
    assert error.problem.endswith(f" is larger than {len(EMPTY_PAGE) - 1} bytes")


@pytest.mark.parametrize("size", [100, 2**16])
async def test_error_body(size: int) -> None:
    """The API's error document is read, up to 64 KiB."""
    document = b'{"error": {"type": "invalid-input", "message": "no"}}'
    async with (
        RawServer(message(document.ljust(size), status="400 Bad Request")) as server,
        client_of(server) as client,
    ):
        error = await failure_of(client)
    assert isinstance(error, ResponseError)
    assert ("invalid-input", "no") == (error.type, error.message)


# Where the token goes.


async def test_request() -> None:
    """The request carries the token in its header alone, and says who asks for what."""
    async with RawServer(message()) as server, client_of(server) as client:
        await client.list_tasks(offset=3, limit=7, desc=True)
    line, *lines = server.requests[0].split("\r\n")
    headers = dict(text.split(": ", 1) for text in lines if text)
    assert "GET /v2/actor-tasks?offset=3&limit=7&desc=1 HTTP/1.1" == line
    assert (f"Bearer {TOKEN}", "application/json") == (headers["Authorization"], headers["Accept"])
    assert "apify-tasks-async/" == headers["User-Agent"][:18]
    assert 1 == server.requests[0].count(TOKEN)


async def test_no_cookies() -> None:
    """Cookies that the server sets are not sent back."""
    async with RawServer(message(EMPTY_PAGE, "Set-Cookie: track=me")) as server, client_of(server) as client:
        await client.count()
        await client.count()
    assert [] == [head for head in server.requests if "cookie" in head.lower()]


async def test_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither a netrc nor a proxy from the environment has anything to do with our own session."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with RawServer(message()) as proxy, RawServer(message()) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        async with client_of(server) as client:
            await client.count()
    assert (1, 0) == (len(server.requests), proxy.connections)
    assert f"Authorization: Bearer {TOKEN}\r\n" in server.requests[0]


# No way to the server.


async def test_trusted_certificate() -> None:
    """A certificate that the borrowed session's connector trusts is good enough."""
    async with (
        RawServer(message(), tls=tls_of()) as server,
        aiohttp.ClientSession(connector=trusting()) as session,
        client_of(server, session=session) as client,
    ):
        assert 0 == await client.count()


async def test_pinned_certificate() -> None:
    """Another certificate than the one that the borrowed session pins is refused at the first attempt."""
    pinned = aiohttp.TCPConnector(ssl=aiohttp.Fingerprint(b"x" * 32))
    async with (
        RawServer(message(), tls=tls_of()) as server,
        aiohttp.ClientSession(connector=pinned) as session,
        client_of(server, attempts=3, session=session) as client,
    ):
        error = await failure_of(client)
    assert (CertificateError, 1, 1) == (type(error), error.attempts, server.connections)


def transport_to(url: URL) -> Transport:
    """Return a transport with a session of its own."""
    session = OwnSession(1, str(url))
    return Transport(url, Secret(TOKEN), Redactor(TOKEN), Recorder(None), session, max_body_bytes=1)


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "api..example", "a" * 64 + "\xe9.example"])
async def test_impossible_host(host: str) -> None:
    """A host name that can be none is refused when the client is made."""
    with pytest.raises(ConfigurationError):
        TasksClient(TOKEN, base_url=f"https://{host}")


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a" * 64 + "\xe9.example"])
async def test_impossible_host_below(host: str) -> None:
    """What aiohttp makes of such a host name ends as our own error too."""
    transport = transport_to(URL.build(scheme="https", host=host, encoded=True))
    try:
        error = await transport.get(REQUEST, 1)
    finally:
        await transport.close()
    assert isinstance(error, ConfigurationError)
    assert "base_url cannot be used" in error.problem
    assert [] == leaks(error, TOKEN)


async def test_repr() -> None:
    """The repr of a transport says where it leads to, and not with which token."""
    transport = transport_to(URL("https://a.example/x"))
    assert "Transport('https://a.example/x/v2/actor-tasks')" == repr(transport)
    await transport.close()


# A borrowed session.


@asynccontextmanager
async def borrowed(*replies: Reply, attempts: int = 1, **settings: Any) -> AsyncIterator[tuple[RawServer, TasksClient]]:
    """Run a server and a client of it with a borrowed session of these settings, and look whether it stays open."""
    async with RawServer(*replies) as server, aiohttp.ClientSession(**settings) as session:
        async with client_of(server, attempts=attempts, session=session) as client:
            yield server, client
        assert not session.closed


async def test_borrowed_session_is_not_closed() -> None:
    """A borrowed session can be used on after the client was closed."""
    async with RawServer(message()) as server, aiohttp.ClientSession() as session:
        for _ in range(2):
            async with client_of(server, session=session) as client:
                assert 0 == await client.count()
    assert (2, 1) == (len(server.requests), server.connections)


async def test_borrowed_headers() -> None:
    """The borrowed session's headers are sent, but for the two without which the request would be another one."""
    headers = {"User-Agent": "mine/1", "X-Mine": "1", "Authorization": "Basic eDp5", "Accept": "text/html"}
    async with borrowed(message(), headers=headers) as (server, client):
        await client.count()
    sent = [line for line in server.requests[0].split("\r\n") if line.split(":")[0] in headers]
    expected = ["User-Agent: mine/1", "X-Mine: 1", f"Authorization: Bearer {TOKEN}", "Accept: application/json"]
    assert sorted(expected) == sorted(sent)


@pytest.mark.parametrize(
    "limits", [aiohttp.ClientTimeout(total=0.05), aiohttp.ClientTimeout(sock_read=0.05)], ids=["total", "sock_read"]
)
async def test_borrowed_timeout(limits: aiohttp.ClientTimeout) -> None:
    """The borrowed session's timeout holds if it is the shorter one, and the error does not name ours."""
    async with borrowed(HANG, timeout=limits) as (_, client):
        error = await failure_of(client)
    assert RequestTimeoutError is type(error)
    assert "within the session's own timeout: " in error.problem


async def test_borrowed_timeout_while_connecting() -> None:
    """A connection that takes longer than the borrowed session allows is a timeout."""
    async with (
        RawServer(HANG) as server,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(connect=0.05)) as session,
        client_of(server.url.replace("http:", "https:"), session=session) as client,
    ):
        error = await failure_of(client)
    assert RequestTimeoutError is type(error)


async def test_borrowed_without_decompression() -> None:
    """From a session that decodes nothing no encoded answer is asked for."""
    async with borrowed(message(), auto_decompress=False) as (server, client):
        assert 0 == await client.count()
    assert "Accept-Encoding: identity\r\n" in server.requests[0]


async def refuse(response: aiohttp.ClientResponse) -> None:
    """Raise for every status, as a session's `raise_for_status` may."""
    raise RuntimeError(str(response.status))


@pytest.mark.parametrize("raise_for_status", [True, refuse])
async def test_borrowed_raise_for_status(raise_for_status: Any) -> None:
    """A borrowed session that raises for statuses leaves the errors to us."""
    body = b'{"error": {"type": "invalid-token", "message": "no"}}'
    reply = message(body, status="401 Unauthorized")
    async with borrowed(reply, raise_for_status=raise_for_status) as (_, client):
        error = await failure_of(client)
    assert isinstance(error, AuthenticationError)
    assert "invalid-token" == error.type


async def test_borrowed_base_url() -> None:
    """A borrowed session's base URL is that of its other requests."""
    async with RawServer(message()) as other, borrowed(message(), base_url=other.url) as (server, client):
        assert 0 == await client.count()
    assert (1, 0) == (len(server.requests), len(other.requests))


async def test_borrowed_middlewares() -> None:
    """A borrowed session's middlewares see every attempt."""
    seen = []

    async def middleware(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        response = await handler(request)
        seen.append(response.status)
        return response

    replies = [message(b"", status="503 Service Unavailable"), message()]
    async with borrowed(*replies, attempts=2, middlewares=[middleware]) as (_, client):
        await client.count()
    assert [503, 200] == seen


async def test_borrowed_middleware_that_raises() -> None:
    """What a borrowed session's middleware raises comes out as it is, and no frame that it passed shows the token."""

    async def middleware(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        raise KeyError(str(request.headers["Accept"]))

    async with borrowed(message(), attempts=3, middlewares=[middleware]) as (server, client):
        with pytest.raises(KeyError, match="application/json") as info:
            await client.count()
    assert ([], []) == (leaks(info.value, TOKEN), server.requests)


async def test_borrowed_disconnect() -> None:
    """A borrowed session sends again by itself what aiohttp holds to be safe, unless its owner forbids it."""
    async with borrowed(CLOSE, message()) as (server, client):
        await client.count()
    assert 2 == len(server.requests)


async def test_borrowed_disconnects() -> None:
    """Disconnects that a borrowed session does not get over are tried again like those of our own."""
    async with borrowed(CLOSE, attempts=2) as (server, client):
        error = await failure_of(client)
    assert (TransportError, 2, 4) == (type(error), error.attempts, len(server.requests))


async def test_borrowed_connector() -> None:
    """A borrowed session's connector limits the connections."""
    connector = aiohttp.TCPConnector(limit=1)
    async with borrowed(message(), connector=connector) as (server, client):
        await asyncio.gather(*(client.count() for _ in range(5)))
    assert (5, 1) == (len(server.requests), server.connections)


async def test_borrowed_cookies() -> None:
    """A borrowed session's cookies are its own business."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with borrowed(message(EMPTY_PAGE, "Set-Cookie: a=b"), cookie_jar=jar) as (server, client):
        await client.count()
        await client.count()
    assert "Cookie: a=b\r\n" in server.requests[1]


async def test_borrowed_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A borrowed session with credentials of its own for the host cannot be used, and nothing is sent."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with borrowed(message(), attempts=3, trust_env=True) as (server, client):
        error = await failure_of(client)
    assert (ConfigurationError, 1, 0) == (type(error), error.attempts, len(server.requests))
    assert error.problem.startswith("a setting of the session prevents the request: ")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # aiohttp would rather see a header
async def test_borrowed_auth() -> None:
    """The same holds for credentials that the borrowed session was made with."""
    async with borrowed(message(), attempts=3, auth=aiohttp.BasicAuth("somebody", "secret")) as (server, client):
        error = await failure_of(client)
    assert (ConfigurationError, 1, 0) == (type(error), error.attempts, len(server.requests))


async def test_borrowed_proxy() -> None:
    """A proxy of the borrowed session that wants a password is at fault; that is not tried again."""
    refusal = message(b"", status="407 Proxy Authentication Required")
    async with (
        RawServer(refusal) as proxy,
        aiohttp.ClientSession(proxy=proxy.url) as session,
        client_of("https://api.invalid", attempts=2, session=session) as client,
    ):
        error = await failure_of(client)
    assert (ProxyError, 1, 1) == (type(error), error.attempts, len(proxy.requests))
    refused = "answered 407 (Proxy Authentication Required), and did not connect to the API"
    assert f"the proxy of the session {refused}" == error.problem


async def test_closed_session() -> None:
    """A borrowed session that was closed is as good as a closed client."""
    session = aiohttp.ClientSession()
    await session.close()
    async with RawServer(message()) as server, client_of(server, attempts=3, session=session) as client:
        error = await failure_of(client)
    assert (ClientClosedError, 0) == (type(error), len(server.requests))


async def test_session_closed_in_flight() -> None:
    """A borrowed session that is closed during a request ends it, and its retries."""
    session = aiohttp.ClientSession()
    async with RawServer(HANG) as server, client_of(server, attempts=5, session=session) as client:
        failing = asyncio.create_task(failure_of(client))
        await until(lambda: server.requests)
        await session.close()
        error = await failing
    assert (ClientClosedError, 1) == (type(error), len(server.requests))


# Another event loop.


@asynccontextmanager
async def in_another_loop() -> AsyncIterator[Callable[[Coroutine[Any, Any, Any]], Awaitable[Any]]]:
    """Return a function that runs a coroutine in another event loop, which ends afterwards."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield lambda coroutine: asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, loop))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        await asyncio.to_thread(thread.join)
        loop.close()


@pytest.mark.parametrize("ended", [False, True], ids=["running", "ended"])
async def test_client_in_another_loop(*, ended: bool) -> None:
    """A client that was used in another event loop, whether that runs or has ended, says so, and sends nothing."""
    async with RawServer(message(EMPTY_PAGE, "Connection: close", then=Then.CLOSE)) as server:
        client = client_of(server, attempts=3)
        async with in_another_loop() as run:
            await run(client.count())
            if not ended:
                error = await failure_of(client)
                await run(client.close())
        if ended:
            error = await failure_of(client)
            await client.close()
    assert ConfigurationError is type(error)
    assert (
        "this client belongs to another event loop; create a client in each: asyncio.run starts a new loop, so create "
        "the client inside the coroutine that it runs"
    ) == error.problem
    assert 1 == len(server.requests)


async def opened(**settings: Any) -> aiohttp.ClientSession:
    """Return a session of the loop that this runs in."""
    return aiohttp.ClientSession(**settings)


@pytest.mark.parametrize("ended", [False, True], ids=["running", "ended"])
@pytest.mark.parametrize("total", [None, 300])
async def test_session_of_another_loop(total: float | None, *, ended: bool) -> None:
    """A borrowed session of another event loop is refused, and the error says so."""
    timeout = aiohttp.ClientTimeout(total=total)
    async with RawServer(message()) as server:
        async with in_another_loop() as run:
            session = await run(opened(timeout=timeout))
            if not ended:
                async with client_of(server, attempts=3, session=session) as client:
                    error = await failure_of(client)
                await run(session.close())
        if ended:
            async with client_of(server, attempts=3, session=session) as client:
                error = await failure_of(client)
            await session.close()
    assert (ConfigurationError, 1) == (type(error), error.attempts)
    assert error.problem.startswith("the session belongs to another event loop; ")
    assert 0 == len(server.requests)


async def test_client_made_without_a_loop() -> None:
    """A client may be made where no event loop runs."""
    async with RawServer(message()) as server:
        client = await asyncio.to_thread(client_of, server)
        async with client:
            assert 0 == await client.count()


# Cancelling.


async def test_cancel_before_the_answer() -> None:
    """Cancelling a request that waits for its answer closes its connection at once."""
    async with RawServer(HANG) as server, client_of(server, attempts=3) as client:
        waiting = asyncio.create_task(client.count())
        await until(lambda: server.requests)
        waiting.cancel()
        await until(lambda: not server.open)
    assert (True, 1) == (waiting.cancelled(), server.connections)


async def test_cancel_within_the_body() -> None:
    """Cancelling a request that reads its answer closes its connection at once."""
    began = asyncio.Event()

    async def note(*_: Any) -> None:
        began.set()

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(note)
    async with borrowed(message(length=10_000, then=Then.HANG), trace_configs=[trace]) as (server, client):
        waiting = asyncio.create_task(client.count())
        await began.wait()
        waiting.cancel()
        await until(lambda: not server.open)
    assert (True, 1) == (waiting.cancelled(), server.connections)


async def test_cancel_within_the_handshake() -> None:
    """Cancelling a request that waits for TLS closes its connection at once."""
    async with RawServer(HANG) as server, client_of(server.url.replace("http:", "https:")) as client:
        waiting = asyncio.create_task(client.count())
        await until(lambda: server.open)
        waiting.cancel()
        await until(lambda: not server.open)
    assert (True, 1) == (waiting.cancelled(), server.connections)


async def test_cancel_before_a_connection() -> None:
    """Cancelling a request that waits for a connection leaves the one that the session's owner uses alone."""
    waits = asyncio.Event()

    async def note(*_: Any) -> None:
        waits.set()

    trace = aiohttp.TraceConfig()
    trace.on_connection_queued_start.append(note)
    connector = aiohttp.TCPConnector(limit=1)
    async with (
        RawServer(HANG, message()) as server,
        aiohttp.ClientSession(connector=connector, trace_configs=[trace]) as session,
        client_of(server, session=session) as client,
    ):
        first = asyncio.ensure_future(session._request("GET", server.url))
        await until(lambda: server.requests)
        second = asyncio.create_task(client.count())
        await waits.wait()
        second.cancel()
        await asyncio.wait({second})
        assert (1, 1) == (server.open, len(server.requests))
        first.cancel()
        await until(lambda: not server.open)
        assert 0 == await client.count()
    assert [True, True] == [first.cancelled(), second.cancelled()]


async def test_close_twice() -> None:
    """Closing a transport that was never used, or was closed before, is fine."""
    async with RawServer(message()) as server:
        client = client_of(server)
        await client.count()
        for _ in range(2):
            await client.close()
        await client_of(server).close()
        await until(lambda: not server.open)
