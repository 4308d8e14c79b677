"""Faults of the network and the server, each with the error that the client raises and what it costs."""

import asyncio
import gzip
import itertools
import json
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import cache, partial
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import aiohttp
import attrs
import trustme
from aiohttp.abc import AbstractResolver, ResolveResult

from apify_tasks_async import (
    ApifyTasksError,
    AuthenticationError,
    BadRequestError,
    CertificateError,
    InvalidResponseError,
    InvalidTaskError,
    NotFoundError,
    PermissionDeniedError,
    ProxyError,
    RateLimitedError,
    RequestTimeoutError,
    ResponseError,
    ResponseTooLargeError,
    ServerError,
    TaskPage,
    TasksClient,
    TaskStats,
    TransportError,
)
from apify_tasks_async._clock import Clock
from apify_tasks_async.models import Task
from helpers.documents import page_document, task_document
from helpers.raw_server import EMPTY_PAGE, RawServer, Reply, Then, chunked, encoded, message, raw
from helpers.support import FakeTime

__all__ = [
    "BACKOFF",
    "FAULTS",
    "KINDS",
    "LIMIT",
    "TOKEN",
    "TRANSIENT",
    "Fault",
    "Met",
    "Waits",
    "authority",
    "client_of",
    "highest",
    "tls_of",
    "trusting",
]

TOKEN = "planted-token-0123456789"
"""The token of the client, which must not show anywhere."""

LIMIT = 2**20
"""The most bytes of a body that the client accepts."""

BACKOFF = (0.5, 1.0, 2.0, 4.0)
"""Seconds between the attempts of the default policy, with the lowest jitter."""

LATER = (*BACKOFF, 8, 16, 30, 30)
"""Those after each 429: it spends no attempt, so the deadline ends them."""

SILENCE = BACKOFF[:2]
"""The same for a server that is silent: the third attempt ends with the deadline."""


@attrs.frozen
class Met:
    """A server for one client, and how to reach it."""

    server: RawServer
    url: str
    session: aiohttp.ClientSession | None = None
    proxy: str | None = None


Way = Callable[[Reply], AbstractAsyncContextManager[Met]]
"""Sets up a server that sends the reply, and how to reach it."""


@asynccontextmanager
async def plainly(reply: Reply) -> AsyncIterator[Met]:
    """Reach the server over plain http on loopback."""
    async with RawServer(reply) as server:
        yield Met(server, server.url)


@attrs.frozen
class Fault:
    """A fault, and its observable effects."""

    name: str
    reply: Reply
    error: type[ApifyTasksError]
    says: str
    """A part of the message of the error. ORIGIN stands for the scheme and the host of the server."""
    waits: tuple[float, ...] = BACKOFF
    """Seconds before each attempt except the first."""
    pooled: bool = False
    """Whether the next request uses the same connection; otherwise the connection is closed."""
    arrives: bool = True
    """Whether the server gets a request."""
    connects: bool = True
    """Whether the server gets a connection."""
    way: Way = plainly

    @property
    def attempts(self) -> int:
        """The number of attempts."""
        return len(self.waits) + 1


class Waits:
    """The sleep of a client in virtual time, and how long it slept."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def __call__(self) -> float:
        """Return the time of the loop."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Sleep."""
        self.slept.append(seconds)
        await asyncio.sleep(seconds)


def lowest(low: float, _: float) -> float:
    """Return the lowest jitter."""
    return low


def highest(_: float, high: float) -> float:
    """Return the highest jitter."""
    return high


def client_of(
    met: Met,
    waits: Waits | FakeTime,
    token: str = TOKEN,
    *,
    uniform: Callable[[float, float], float] = lowest,
    **options: Any,
) -> TasksClient:
    """Return a client with the default policy and timeout, for virtual time."""
    settings: dict[str, Any] = {"base_url": met.url, "session": met.session, "proxy": met.proxy}
    clock = Clock(now=waits, sleep=waits.sleep, uniform=uniform)
    client_type = type("TimedClient", (TasksClient,), {"_clock": clock})
    client: TasksClient = client_type(token, **settings, max_body_bytes=LIMIT, rate_limit=None, **options)
    return client


# No way to the server.


@asynccontextmanager
async def refused(reply: Reply) -> AsyncIterator[Met]:
    """Connect to a port that is closed."""
    async with RawServer(reply) as server:
        url = server.url
    yield Met(server, url)


class NoResolver(AbstractResolver):
    """A resolver that knows no host."""

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        """Fail as the system's resolver does."""
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def close(self) -> None:
        """Do nothing."""


@asynccontextmanager
async def unknown(reply: Reply) -> AsyncIterator[Met]:
    """Connect to an unknown host."""
    connector = aiohttp.TCPConnector(resolver=NoResolver())
    async with RawServer(reply) as server, aiohttp.ClientSession(connector=connector) as session:
        yield Met(server, "https://api.invalid", session)


@asynccontextmanager
async def proxied(reply: Reply) -> AsyncIterator[Met]:
    """Reach an API through a proxy that sends the reply."""
    async with RawServer(reply) as server:
        yield Met(server, "https://api.invalid", proxy=server.url)


@asynccontextmanager
async def without_proxy(reply: Reply) -> AsyncIterator[Met]:
    """Reach an API through a proxy whose port is closed."""
    async with refused(reply) as met:
        yield Met(met.server, "https://api.invalid", proxy=met.url)


@cache
def authority() -> trustme.CA:
    """Return a certificate authority that no client trusts by default."""
    return trustme.CA()


def tls_of(host: str = "127.0.0.1", **options: Any) -> ssl.SSLContext:
    """Return a server's TLS context for the host."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority().issue_cert(host, **options).configure_cert(context)
    return context


def trusting() -> aiohttp.TCPConnector:
    """Return a connector that trusts the authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority().configure_trust(context)
    return aiohttp.TCPConnector(ssl=context)


@asynccontextmanager
async def untrusted(reply: Reply) -> AsyncIterator[Met]:
    """Reach a server whose authority is unknown, with the client's own session."""
    async with RawServer(reply, tls=tls_of()) as server:
        yield Met(server, server.url)


@asynccontextmanager
async def trusted(reply: Reply, **certificate: Any) -> AsyncIterator[Met]:
    """Reach a server with a certificate of a trusted authority."""
    async with (
        RawServer(reply, tls=tls_of(**certificate)) as server,
        aiohttp.ClientSession(connector=trusting()) as session,
    ):
        yield Met(server, server.url, session)


@asynccontextmanager
async def without_tls(_: Reply) -> AsyncIterator[Met]:
    """Reach a server that speaks another protocol than TLS."""
    async with RawServer(greeting=b"220 mail.example ESMTP\r\n") as server:
        yield Met(server, server.url.replace("http:", "https:"))


@asynccontextmanager
async def broken_handshake(_: Reply, then: Then) -> AsyncIterator[Met]:
    """Reach a server that ends the connection within the TLS handshake."""
    async with RawServer(greeting=b"", then=then) as server:
        yield Met(server, server.url.replace("http:", "https:"))


@asynccontextmanager
async def without_handshake(reply: Reply) -> AsyncIterator[Met]:
    """Reach a server that hangs in the TLS handshake."""
    async with RawServer(reply) as server:
        yield Met(server, server.url.replace("http:", "https:"))


EXPIRED = partial(trusted, not_before=datetime(2020, 1, 1, tzinfo=UTC), not_after=datetime(2020, 2, 1, tzinfo=UTC))
REFUSES = "the server's certificate is not trusted: "

NO_WAY = [
    Fault("refused", message(), TransportError, "cannot connect to 127.0.0.1:", connects=False, way=refused),
    Fault("unknown host", message(), TransportError, "cannot connect to api.invalid:443: Name or service not known",
          connects=False, way=unknown),
    Fault("no TLS", message(), TransportError, "cannot connect to 127.0.0.1:", arrives=False, way=without_tls),
    *(
        Fault(f"TLS, {name} in the handshake", message(), TransportError, f"the TLS handshake failed: {reason}",
              arrives=False, way=partial(broken_handshake, then=then))
        for name, then, reason in (("closed", Then.CLOSE, "the other side closed the connection"),
                                   ("reset", Then.RESET, "Connection reset by peer"))
    ),
    Fault("silent where TLS is due", Reply(then=Then.HANG), RequestTimeoutError,
          "no complete response from ORIGIN within ",
          arrives=False, waits=SILENCE, way=without_handshake),
    Fault("certificate untrusted", message(), CertificateError, REFUSES, waits=(), arrives=False, way=untrusted),
    Fault("certificate expired", message(), CertificateError, REFUSES, waits=(), arrives=False, way=EXPIRED),
    Fault("certificate of another host", message(), CertificateError, REFUSES, waits=(), arrives=False,
          way=partial(trusted, host="elsewhere.example")),
    Fault("no proxy", message(), ProxyError, "cannot connect to the proxy 127.0.0.1:", connects=False,
          way=without_proxy),
    *(
        Fault(f"a proxy that answers {status}", message(b"", status=status), ProxyError,
              f"answered {status[:3]} ({status[4:]}), and did not connect to the API", waits=waits, way=proxied)
        for status, waits in (("403 Forbidden", ()), ("407 Proxy Authentication Required", ()),
                              ("502 Bad Gateway", BACKOFF), ("503 Service Unavailable", BACKOFF))
    ),
    Fault("a proxy that hangs up", Reply(then=Then.CLOSE), ProxyError, "gave no usable answer: ", way=proxied),
    Fault("a proxy that is silent", Reply(then=Then.HANG), RequestTimeoutError,
          "no complete response from ORIGIN through the proxy 127.0.0.1:", waits=SILENCE, way=proxied),
]  # fmt: skip


# No whole answer.


@attrs.frozen
class Forever:
    """Pieces that do not end."""

    first: bytes
    then: bytes

    def __iter__(self) -> Iterator[bytes]:
        return itertools.chain([self.first], itertools.repeat(self.then))


@attrs.frozen
class Spaces:
    """Pieces of a body that is small on the wire, and without an end when it is decoded."""

    encoding: str
    wbits: int

    def __iter__(self) -> Iterator[bytes]:
        yield f"HTTP/1.1 200 OK\r\nContent-Encoding: {self.encoding}\r\n\r\n".encode()
        compressor = zlib.compressobj(wbits=self.wbits)
        while True:
            yield compressor.compress(b" " * 2**20)


BROTLI = bytes.fromhex(
    "cfffff7ff82540e2b14020f7fe9ffffffff04b00c4610180eefd3fffffffe1970088c32200ddfb7ffeffffc32f0110870500baf7ff03"
)
"""54 bytes that are 64 MiB of spaces."""

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
BROKE = "the connection to ORIGIN broke: "
UNREADABLE = "the response of ORIGIN cannot be read: "
GARBLED = "the response of ORIGIN broke off or is garbled: "
SILENT = "no complete response from ORIGIN within "
TOO_LARGE = "the response of ORIGIN is larger than 1 MiB"

NO_ANSWER = [
    Fault("closed before a byte", Reply(then=Then.CLOSE), TransportError, BROKE + "the server closed it before"),
    Fault("reset before a byte", Reply(then=Then.RESET), TransportError, BROKE),
    Fault("closed within the head", raw(HEAD + b"Set-Cookie: a=b\r\nX"), TransportError,
          BROKE + "the server closed it before its response began"),
    Fault("reset within the head", Reply([HEAD], Then.RESET), TransportError, BROKE),
    Fault("garbage for a status line", raw(b"these are no headers\r\n\r\n"), TransportError, UNREADABLE),
    Fault("another protocol", raw(b"SSH-2.0-OpenSSH_9.2\r\n"), TransportError, UNREADABLE),
    Fault("a length that is none", raw(HEAD + b"Content-Length: x\r\n\r\n{}"), TransportError, UNREADABLE),
    Fault("two lengths", raw(HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"), TransportError, UNREADABLE),
    Fault("a length that is too short", message(length=20), TransportError, UNREADABLE),
    Fault("a header of 10 kB", message(EMPTY_PAGE, "X-Long: " + "x" * 10_000), TransportError, UNREADABLE),
    Fault("a header without an end", Reply(Forever(HEAD + b"X: ", b"x" * 10_000)), TransportError, UNREADABLE),
    Fault("headers without an end", Reply(Forever(HEAD, b"X: x\r\n" * 1000)), TransportError, UNREADABLE),
    Fault("trailers without an end", Reply(Forever(CHUNKED + b"0\r\n", b"X: x\r\n" * 1000)), TransportError,
          UNREADABLE),
    Fault("closed within the body", message(length=1000, then=Then.CLOSE), TransportError,
          GARBLED + f"Not enough data to satisfy content length header (received {len(EMPTY_PAGE)} of 1000 bytes)"),
    Fault("reset within the body", message(length=1000, then=Then.RESET), TransportError, GARBLED + "Not enough data"),
    Fault("chunks without an end", chunked(b'5\r\n{"dat\r\n', then=Then.CLOSE), TransportError,
          GARBLED + "Not enough data to satisfy transfer length header"),
    Fault("a bad chunk size", chunked(b"zz\r\n{}\r\n0\r\n\r\n", then=Then.CLOSE), TransportError, UNREADABLE),
    Fault("no gzip at all", encoded(EMPTY_PAGE, "gzip"), TransportError, "Can not decode content-encoding: gzip"),
    Fault("truncated deflate", encoded(zlib.compress(EMPTY_PAGE)[:-9], "deflate"), TransportError, "deflate"),
    Fault("no brotli at all", encoded(b"\xff" * 20, "br"), TransportError, "Can not decode content-encoding: br"),
    Fault("no zstandard at all", encoded(b"\xff" * 20, "zstd"), TransportError, "zstd"),
    # Time.
    Fault("silent", Reply(then=Then.HANG), RequestTimeoutError, SILENT, waits=SILENCE),
    Fault("silent within the head", Reply([HEAD], Then.HANG), RequestTimeoutError, SILENT, waits=SILENCE),
    Fault("silent within the body", message(length=1000, then=Then.HANG), RequestTimeoutError, SILENT, waits=SILENCE),
    Fault("dripping head", Reply(Forever(HEAD + b"X: ", b"x"), pause=5), RequestTimeoutError, SILENT, waits=SILENCE),
    Fault("dripping body", Reply(Forever(HEAD + b"\r\n", b" "), pause=5), RequestTimeoutError, SILENT, waits=SILENCE),
    Fault("announcements without an end", Reply(Forever(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"), pause=5),
          RequestTimeoutError, SILENT, waits=SILENCE),
    Fault("a chunk size without an end", Reply(Forever(CHUNKED, b"0"), pause=5), RequestTimeoutError, SILENT,
          waits=SILENCE),
    # Size.
    Fault("a body without an end", Reply(Forever(HEAD + b"\r\n", b" " * 10_000)), ResponseTooLargeError, TOO_LARGE,
          waits=()),
    Fault("gzip bomb", Reply(Spaces("gzip", 31)), ResponseTooLargeError, TOO_LARGE, waits=()),
    Fault("deflate bomb", Reply(Spaces("deflate", 15)), ResponseTooLargeError, TOO_LARGE, waits=()),
    Fault("raw deflate bomb", Reply(Spaces("deflate", -15)), ResponseTooLargeError, TOO_LARGE, waits=()),
    Fault("brotli bomb", encoded(BROTLI, "br"), ResponseTooLargeError, TOO_LARGE, waits=()),
]  # fmt: skip


# Another answer than a page.

NO_JSON = ", in place of JSON"

NO_PAGE = [
    Fault("nothing", message(b""), InvalidResponseError, NO_JSON, pooled=True),
    Fault("half a page", raw(b"HTTP/1.0 200 OK\r\n\r\n", EMPTY_PAGE[:40]), InvalidResponseError, NO_JSON),
    Fault("truncated gzip, well framed", encoded(gzip.compress(EMPTY_PAGE)[:-20], "gzip"), InvalidResponseError,
          NO_JSON, pooled=True),
    Fault("an encoding that nobody knows", encoded(gzip.compress(EMPTY_PAGE), "rot13"), InvalidResponseError, NO_JSON,
          pooled=True),
    Fault("HTML", message(b"<html>Welcome to our Wi-Fi</html>", "Content-Type: text/html"), InvalidResponseError,
          NO_JSON, pooled=True),
    Fault("invalid UTF-8", message(EMPTY_PAGE.replace(b"total", b"t\xfftal")), InvalidResponseError, NO_JSON,
          pooled=True),
    Fault("NaN", message(EMPTY_PAGE.replace(b"0", b"NaN", 1)), InvalidResponseError, NO_JSON, pooled=True),
    Fault("an integer of 5,000 digits", message(EMPTY_PAGE.replace(b"0", b"9" * 5000, 1)), InvalidResponseError,
          NO_JSON, pooled=True),
    Fault("100,000 nested arrays", message(b"[" * 100_000 + b"]" * 100_000), InvalidResponseError, NO_JSON,
          pooled=True),
    Fault("204", Reply([b"HTTP/1.1 204 No Content\r\n\r\n"]), InvalidResponseError,
          "ORIGIN answered 204 in place of 200 (an empty body)", pooled=True),
    Fault("206", message(status="206 Partial Content"), InvalidResponseError,
          "ORIGIN answered 206 in place of 200 (", pooled=True),
]  # fmt: skip

DOCUMENT = b'{"error": {"type": "some-type", "message": "Some message."}}'
SAID = "(some-type: Some message)"
WITHOUT = "(without a complete body)"
ELSEWHERE = "(not followed, so that the token goes nowhere else)"
IN_FRONT = "a server in front of the API at ORIGIN answered"


def status(code: int, error: type[ApifyTasksError], waits: tuple[float, ...] = ()) -> Fault:
    """Return the fault that the API sends a status with its error document."""
    reply = message(DOCUMENT, status=f"{code} X")
    return Fault(f"{code}", reply, error, f"the API at ORIGIN answered {code} {SAID}", waits=waits, pooled=True)


def redirect(name: str, location: str, target: str, code: int = 302, way: Way = plainly) -> Fault:
    """Return the fault that a server redirects."""
    reply = message(b"", f"Location: {location}", status=f"{code} X")
    says = f"ORIGIN answered {code}, a redirect to {target} {ELSEWHERE}"
    return Fault(name, reply, ResponseError, says, waits=(), pooled=True, way=way)


REFUSALS = [
    status(400, BadRequestError),
    status(401, AuthenticationError),
    status(403, PermissionDeniedError),
    status(404, NotFoundError),
    status(405, ResponseError),
    status(429, RateLimitedError, LATER),
    status(500, ServerError, BACKOFF),
    status(502, ServerError, BACKOFF),
    status(503, ServerError, BACKOFF),
    *(redirect(f"{code}", "/elsewhere", "ORIGIN", code) for code in (301, 302, 303, 307, 308)),
    Fault("304", Reply([b"HTTP/1.1 304 Not Modified\r\n\r\n"]), ResponseError,
          f"ORIGIN answered 304, a redirect {ELSEWHERE}", waits=(), pooled=True),
    redirect("a redirect from https to http", "http://127.0.0.1:9/", "http://127.0.0.1:9", way=trusted),
    redirect("a redirect to another host", "https://elsewhere.invalid/?token=x", "https://elsewhere.invalid"),
    redirect("a redirect to plain http", "http://127.0.0.1:9/", "http://127.0.0.1:9"),
    redirect("a redirect to nowhere", "http://[", "a place that is no URL"),
    redirect("a redirect to a file", "file:///etc/passwd", "a place that is no URL"),
    Fault("a gateway's page", message(b"<p>Bad Gateway</p>", "Server: nginx", status="502 Bad Gateway"), ServerError,
          f"{IN_FRONT} 502 (Server: nginx; 'Bad Gateway')", pooled=True),
    Fault("a cache's page", message(b"<html><title>503 Backend fetch failed</title>", "Content-Type: text/html; a=b",
                                    "Server: Varnish", "Via: 1.1 varnish (Varnish/7.1)", status="503 X"), ServerError,
          f"{IN_FRONT} 503 (Server: Varnish, Via: 1.1 varnish (Varnish/7.1); text/html: '503 Backend fetch failed')",
          pooled=True),
    Fault("a firewall's refusal", message(b"<h1>403 Forbidden</h1>", status="403 Forbidden"), PermissionDeniedError,
          f"{IN_FRONT} 403 ('403 Forbidden')", waits=(), pooled=True),
    Fault("a proxy's refusal", message(b"", "Server: squid", status="407 Proxy Authentication Required"), ResponseError,
          f"{IN_FRONT} 407 (Server: squid; an empty body)", waits=(), pooled=True),
    Fault("an error without a body", message(b"", status="503 X"), ServerError,
          f"{IN_FRONT} 503 (an empty body)", pooled=True),
    Fault("an error garbled", message(DOCUMENT, "Content-Encoding: gzip", status="503 X"), ServerError,
          f"ORIGIN answered 503 {WITHOUT}"),
    Fault("an error cut off", message(DOCUMENT, status="401 X", length=1000, then=Then.CLOSE), AuthenticationError,
          f"ORIGIN answered 401 {WITHOUT}", waits=()),
    Fault("an error that hangs", message(DOCUMENT, status="401 X", length=1000, then=Then.HANG), AuthenticationError,
          f"ORIGIN answered 401 {WITHOUT}", waits=()),
    Fault("an outage that hangs", message(DOCUMENT, status="503 X", length=1000, then=Then.HANG), ServerError,
          f"ORIGIN answered 503 {WITHOUT}"),
    Fault("an error that drips", Reply(Forever(b"HTTP/1.1 403 X\r\n\r\n", b" "), pause=0.1), PermissionDeniedError,
          f"ORIGIN answered 403 {WITHOUT}", waits=()),
    Fault("an error without an end", Reply(Forever(b"HTTP/1.1 400 X\r\n\r\n", b" " * 10_000)), BadRequestError,
          f"ORIGIN answered 400 {WITHOUT}", waits=()),
    Fault("an error that is a bomb", message(zlib.compress(b" " * 2**24), "Content-Encoding: deflate", status="400 X"),
          BadRequestError, f"ORIGIN answered 400 {WITHOUT}", waits=()),
]  # fmt: skip


def retry_after(name: str, value: str, *waits: float, code: int = 429) -> Fault:
    """Return the fault that the API refuses with a `Retry-After`."""
    reply = message(b"", f"Retry-After: {value}", status=f"{code} X")
    kind = RateLimitedError if code == 429 else ServerError
    says = f"{IN_FRONT} {code} (an empty body)"
    return Fault(f"Retry-After: {name}, {code}", reply, kind, says, waits=waits, pooled=True)


def in_(seconds: float) -> str:
    """Return the HTTP date in `seconds` from now."""
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


WAITS = [
    retry_after("7 seconds", "7", 7, 7, 7, 7, 8, 16, 30, 30),
    retry_after("7 seconds", "7", 7, 7, 7, 7, code=503),
    retry_after("1.5 seconds", "1.5", 1.5, 1.5, *LATER[2:]),
    retry_after("none", "0", *LATER),
    retry_after("50 seconds", "50", 50, 50),
    retry_after("an hour", "3600"),
    retry_after("an hour", "3600", code=503),
    retry_after("10 ** 15 seconds", "1" + "0" * 15),
    retry_after("5,000 digits", "9" * 5000, *LATER),
    retry_after("a negative number", "-5", *LATER),
    retry_after("a date in the past", in_(-3600), *LATER),
    retry_after("a date in an hour", in_(3600)),
    retry_after("a date in 9999", "Fri, 31 Dec 9999 23:59:59 GMT"),
    retry_after("a date that is none", "Fri, 99 Dec 2026 23:59:59 GMT", *LATER),
    retry_after("a date without a zone", "Wed, 01 Jan 2020 00:00:00 -0000", *LATER),
    *(retry_after(repr(value), value, *LATER) for value in ("soon", "", "NaN", "inf", "1e3", "0x10", "7, 8", "٣")),
]


# Values of other types.

JSON_VALUES: dict[str, Any] = {
    "null": None,
    "true": True,
    "7": 7,
    "1.5": 1.5,
    "'x'": "x",
    "an array": [],
    "an object": {},
}
"""A value of each JSON type, by its text in messages."""

TYPES: dict[Any, tuple[str, set[str]]] = {
    int: ("an integer", {"7"}),
    bool: ("a boolean", {"true"}),
    str: ("a string", {"'x'"}),
    datetime: ("an RFC 3339 time", set()),
    tuple: ("an array", {"an array"}),
    TaskStats: ("an object", {"an object"}),
}
"""The name of a type in messages, and the JSON values that have it."""


def wrong_values(model: type) -> Iterator[tuple[str, str, Any]]:
    """Yield each field of a model: its name in JSON, the message, and a value of another type."""
    hints = get_type_hints(model)
    for field in attrs.fields(model):
        if field.name in ("extra", "bookmark"):
            continue
        first, *rest = field.name.split("_")
        wire = first + "".join(map(str.capitalize, rest))
        kinds = get_args(hints[field.name]) if isinstance(hints[field.name], UnionType) else (hints[field.name],)
        what, right = TYPES[get_origin(kinds[0]) or kinds[0]]
        accepted = right | {"null"} if type(None) in kinds else right
        for shown, value in JSON_VALUES.items():
            if shown not in accepted:
                yield wire, f"{wire}: expected {what}, got {shown}", value


def without(document: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the document without a field."""
    return {key: value for key, value in document.items() if key != name}


def document(value: Any) -> Reply:
    """Return a reply with a JSON document."""
    return message(json.dumps(value).encode())


def no_page(name: str, value: Any, says: str) -> Fault:
    """Return the fault that a document is not a page."""
    problem = f"the response of ORIGIN is not as documented: {says}"
    return Fault(name, document(value), InvalidResponseError, problem, pooled=True)


def no_task(name: str, item: Any, says: str) -> Fault:
    """Return the fault that an item is not a task, which is not retried."""
    return Fault(f"task, {name}", document(page_document(item)), InvalidTaskError, says, waits=(), pooled=True)


PAGE = page_document()["data"]

WRONG_TYPES = [
    *(no_page(f"{shown} for a document", value, "expected an object")
      for shown, value in JSON_VALUES.items() if shown != "an object"),
    no_page("data missing", {}, "data: required"),
    *(no_page(f"data, {shown}", {"data": value}, "data: expected an object")
      for shown, value in JSON_VALUES.items() if shown != "an object"),
    *(no_page(f"page, {says}", {"data": PAGE | {name: value}}, says) for name, says, value in wrong_values(TaskPage)),
    *(no_page(f"page, {name} missing", {"data": without(PAGE, name)}, f"{name}: required") for name in PAGE),
    no_page("a negative total", page_document(total=-1), "total: expected at least 0, got -1"),
    no_page("a negative offset", page_document(offset=-1), "offset: expected at least 0, got -1"),
    no_page("a limit of 0", page_document(limit=0), "limit: expected at least 1, got 0"),
    no_page("a count that lies", page_document(task_document(), count=0), "count: says 0, but items has 1"),
    *(no_task(shown, value, f"expected an object, got {shown}")
      for shown, value in JSON_VALUES.items() if shown != "an object"),
    *(no_task(says, task_document(**{name: value}), says) for name, says, value in wrong_values(Task)),
    *(no_task(f"{name} missing", without(task_document(), name), f"{name}: required")
      for name in ("id", "userId", "actId", "name", "createdAt", "modifiedAt")),
    *(no_task(f"stats.{says}", task_document(stats={name: value}), f"stats.{says}")
      for name, says, value in wrong_values(TaskStats)),
    *(no_task(f"createdAt {text}", task_document(createdAt=text), f"createdAt: expected an RFC 3339 time, got '{text}'")
      for text in ("2024-02-30T00:00:00Z", "2024-01-01", "2024-01-01T00:00:00", "1704067200000",
                   "0001-01-01T00:00:00+01:00")),
]  # fmt: skip

FAULTS = [*NO_WAY, *NO_ANSWER, *NO_PAGE, *REFUSALS, *WAITS, *WRONG_TYPES]
"""All faults."""

TRANSIENT = [fault for fault in (*NO_ANSWER, *NO_PAGE, *REFUSALS, *WAITS) if fault.waits]
"""Faults that may pass."""

KINDS = [*NO_WAY, *NO_ANSWER, *NO_PAGE, *REFUSALS, no_task("null", None, "expected an object, got null")]
"""One fault of each kind, without the variants of fields and headers."""
