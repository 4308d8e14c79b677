"""Who is at fault, and what to do about it: what the errors of a request without an answer say."""

import asyncio
import contextlib
import resource
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from helpers.faults import TOKEN, authority, tls_of
from helpers.leaks import leaks
from helpers.raw_server import RawServer, Then

from apify_tasks_async import ApifyTasksError, ConfigurationError, RetryPolicy, TasksClient, TransportError

pytestmark = pytest.mark.asyncio


async def failure_of(url: str, *, attempts: int = 1, **options: Any) -> ApifyTasksError:
    """Return the error of a request, after having looked for the token in it."""
    policy = RetryPolicy(attempts=attempts, base_delay=0)
    async with TasksClient(TOKEN, base_url=url, retry=policy, **options) as client:
        with pytest.raises(ApifyTasksError) as info:
            await client.count()
    assert [] == leaks(info.value, TOKEN)
    return info.value


# TLS.


@asynccontextmanager
async def handshaking(context: ssl.SSLContext) -> AsyncIterator[str]:
    """Run a server that tells its client why a handshake fails, as asyncio's does not, and return its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_shake_hands, args=(listener, context))
        thread.start()
        try:
            yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            await asyncio.to_thread(thread.join)


def _shake_hands(listener: socket.socket, context: ssl.SSLContext) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                context.wrap_socket(connection, server_side=True).close()


def newer(context: ssl.SSLContext) -> None:
    """Speak TLS 1.3 alone."""
    context.minimum_version = ssl.TLSVersion.TLSv1_3


def older(context: ssl.SSLContext) -> None:
    """Speak TLS 1.2 alone."""
    context.maximum_version = ssl.TLSVersion.TLSv1_2


def of_cipher(name: str) -> Callable[[ssl.SSLContext], None]:
    """Return what makes a context accept one cipher alone."""

    def configure(context: ssl.SSLContext) -> None:
        older(context)
        context.set_ciphers(name)

    return configure


def wants_certificate(context: ssl.SSLContext) -> None:
    """Ask the client for a certificate."""
    older(context)
    context.verify_mode = ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("server", "client", "reason"),
    [
        (newer, older, "tlsv1 alert protocol version"),
        (of_cipher("ECDHE+AESGCM"), of_cipher("ECDHE+CHACHA20"), "handshake failure"),
        (wants_certificate, older, "handshake failure"),
    ],
    ids=["version", "cipher", "client certificate"],
)
async def test_refused_handshake(
    server: Callable[[ssl.SSLContext], None], client: Callable[[ssl.SSLContext], None], reason: str
) -> None:
    """A handshake that the server refuses is named, with the reason that the server gave."""
    context, trusted = tls_of(), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority().configure_trust(trusted)
    server(context)
    client(trusted)
    connector = aiohttp.TCPConnector(ssl=trusted)
    async with handshaking(context) as url, aiohttp.ClientSession(connector=connector) as session:
        error = await failure_of(url, session=session)
    assert TransportError is type(error)
    host = url.removeprefix("https://")
    assert error.problem.startswith(f"cannot connect to {host}: the TLS handshake failed: ")
    assert reason in error.problem
    assert "TLS versions, ciphers and client certificates" in error.advice


@pytest.mark.parametrize(
    ("then", "reason"), [(Then.CLOSE, "the other side closed the connection"), (Then.RESET, "Connection reset by peer")]
)
async def test_closed_handshake(then: Then, reason: str) -> None:
    """A connection that ends within the handshake is a failed handshake."""
    async with RawServer(greeting=b"", then=then) as server:
        error = await failure_of(server.url.replace("http:", "https:"))
    assert error.problem.endswith(f": the TLS handshake failed: {reason}")


# The machine.


@contextlib.contextmanager
def no_more_files() -> Iterator[None]:
    """Use up all file descriptors but those that the tests have open."""
    with contextlib.ExitStack() as stack:
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (128, before[1]))
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        with contextlib.suppress(OSError):
            while True:
                stack.enter_context(open("/dev/null"))  # noqa: PTH123 - the stack closes it
        yield


async def test_too_many_open_files() -> None:
    """A process with too many open files is told so, and what to do; the network is not to blame."""
    with no_more_files():
        error = await failure_of("http://127.0.0.1:9")
    assert (TransportError, "cannot connect to 127.0.0.1:9: Too many open files") == (type(error), error.problem)
    assert "let many clients share one session" in error.advice


async def test_no_more_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that cannot be looked up since there may be no more threads is tried again."""
    tried = []

    async def no_threads(*_: Any, **__: Any) -> None:
        tried.append(1)
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", no_threads)
    error = await failure_of("http://localhost:9", attempts=3)
    assert (TransportError, 3) == (type(error), len(tried))
    assert error.problem.endswith("can't start new thread")
    assert "threads" in error.advice


async def test_event_loop_that_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request in a loop whose thread pool was shut down is not tried again."""

    async def no_threads(*_: Any, **__: Any) -> None:
        raise RuntimeError("cannot schedule new futures after shutdown")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", no_threads)
    error = await failure_of("http://localhost:9", attempts=3)
    assert (ConfigurationError, 1) == (type(error), error.attempts)
    assert error.problem.startswith("the event loop is shutting down")


# What is not ours.


class BlockedError(RuntimeError):
    """What a tool raises that blocks sockets in tests."""


@pytest.mark.parametrize("error", [BlockedError("no sockets here"), ValueError("mine"), UnicodeError("mine")])
async def test_foreign_error(error: Exception) -> None:
    """What a middleware of the user raises comes out as it is, and is not tried again."""
    raised = []

    async def middleware(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        raised.append(1)
        raise error

    async with (
        aiohttp.ClientSession(middlewares=[middleware]) as session,
        TasksClient(TOKEN, base_url="http://127.0.0.1:9", session=session) as client,
    ):
        with pytest.raises(type(error)) as info:
            await client.count()
    assert (True, 1) == (info.value is error, len(raised))
    assert [] == leaks(info.value, TOKEN)


async def test_blocked_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal of a tool that blocks sockets in tests comes out as it is."""

    def blocked(*_: Any, **__: Any) -> socket.socket:
        raise BlockedError("no sockets here")

    async with TasksClient(TOKEN, base_url="http://127.0.0.1:9") as client:
        with monkeypatch.context() as patch, pytest.raises(BlockedError):
            patch.setattr("aiohappyeyeballs.impl.socket.socket", blocked)
            await client.count()


async def test_ipv6() -> None:
    """A host that is an IPv6 address is written in brackets."""
    error = await failure_of("http://[::1]:9")
    assert error.problem.startswith("cannot connect to [::1]:9: ")
