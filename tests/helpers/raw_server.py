"""A server that sends exactly the given bytes, and counts requests and connections."""

import asyncio
import contextlib
import enum
import json
import socket
import ssl
import struct
from collections.abc import Callable, Iterable
from functools import partial
from types import TracebackType
from typing import Any, Self

import attrs

__all__ = ["EMPTY_PAGE", "RawServer", "Reply", "Then", "chunked", "encoded", "message", "raw"]

EMPTY_PAGE = json.dumps(
    {"data": {"total": 0, "offset": 0, "limit": 1000, "desc": False, "count": 0, "items": []}}
).encode()
"""The document of a list without tasks."""


class Then(enum.Enum):
    """What happens to the connection after a reply."""

    READ = "read the next request"
    CLOSE = "close it"
    RESET = "reset it"
    HANG = "send nothing more"


@attrs.frozen
class Reply:
    """The answer to one request."""

    pieces: Iterable[bytes] = ()
    then: Then = Then.READ
    pause: float = 0.0
    """Seconds before each piece."""


Answer = Reply | Callable[[str], Reply]
"""A reply, or a function that returns the reply to a request with this head."""


def message(
    body: bytes = EMPTY_PAGE, *headers: str, status: str = "200 OK", length: int | None = None, then: Then = Then.READ
) -> Reply:
    """Return a reply with a `Content-Length`, by default that of the body."""
    length = len(body) if length is None else length
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {length}", *headers, "", ""]
    return Reply(["\r\n".join(lines).encode(), body], then)


def chunked(*chunks: bytes, then: Then = Then.READ) -> Reply:
    """Return a chunked reply; the chunks are sent unchanged."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return Reply([head, *chunks], then)


def encoded(body: bytes, encoding: str) -> Reply:
    """Return a reply with a `Content-Encoding`."""
    return message(body, f"Content-Encoding: {encoding}")


def raw(*pieces: bytes) -> Reply:
    """Return a reply of exactly these bytes, and close the connection."""
    return Reply(pieces, Then.CLOSE)


class RawServer:
    """Answers each request with the next reply, and repeats the last one.

    With a `greeting`, it sends that at once, which may be nothing, and reads no request: `then` follows.

    Attributes:
        requests: The head of each request that was answered.
        resets: How many requests came on a connection that the server had forgotten.
        connections: How many connections were accepted, including failed TLS handshakes.
        open: How many connections are open.
    """

    def __init__(
        self, *replies: Answer, tls: ssl.SSLContext | None = None, greeting: bytes | None = None, then: Then = Then.HANG
    ) -> None:
        self.requests: list[str] = []
        self.resets = 0
        self.connections = 0
        self._forgotten: set[asyncio.Task[Any]] = set()
        self._replies = list(replies)
        self._tls = tls
        self._greeting = greeting
        self._then = then
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The base URL."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._listener.getsockname()[1]}"

    def forget(self) -> None:
        """Forget the open connections: reset each when a request comes on it, as after a reload or a sleep."""
        self._forgotten |= self._tasks

    def forget_current(self) -> None:
        """Forget the connection on which the request came that is being answered."""
        task = asyncio.current_task()
        assert task is not None
        self._forgotten.add(task)

    @property
    def open(self) -> int:
        """How many connections are open."""
        return len(self._tasks)

    async def __aenter__(self) -> Self:
        self._accepting = asyncio.create_task(self._accept())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        tasks = {self._accepting, *self._tasks}
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        self._listener.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(self._listener)
            # Otherwise a reply of two pieces takes 40 ms: the second piece waits for the acknowledgement of the first.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            task = loop.create_task(self._serve(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            # The task cannot do this, since it may be cancelled before it begins.
            task.add_done_callback(partial(_close, connection))

    async def _serve(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection, ssl=self._tls)
        except OSError:
            return  # the client refused the certificate
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        try:
            # A client may hang up at any time.
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                if self._greeting is not None:
                    writer.write(self._greeting)
                    await reader.read(1)
                    await self._end(reader, writer, self._then)
                    return
                while await self._answer(reader, writer):
                    pass
        finally:
            transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request, and return whether to read another one from this connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        if asyncio.current_task() in self._forgotten:
            self.resets += 1
            _reset_when_closed(writer)
            return False
        reply = self._replies[min(len(self.requests), len(self._replies) - 1)]
        if not isinstance(reply, Reply):
            reply = reply(head)
        self.requests.append(head)
        for piece in reply.pieces:
            await asyncio.sleep(reply.pause)
            writer.write(piece)
            await writer.drain()
        await self._end(reader, writer, reply.then)
        return reply.then is Then.READ

    async def _end(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, then: Then) -> None:
        if then is Then.HANG:
            await reader.read()
        elif then is Then.RESET:
            _reset_when_closed(writer)
        elif then is Then.CLOSE:
            writer.close()
            await writer.wait_closed()


def _reset_when_closed(writer: asyncio.StreamWriter) -> None:
    # Closing a socket that does not linger sends a reset.
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _close(connection: socket.socket, _: asyncio.Task[None]) -> None:
    connection.close()
