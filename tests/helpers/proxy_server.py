"""A small HTTP proxy on loopback: it tunnels with CONNECT, and forwards plain requests."""

import asyncio
import base64
import contextlib
import ssl
from types import TracebackType
from typing import Self

from yarl import URL

__all__ = ["ProxyServer"]


class ProxyServer:
    """Leads every host to one server.

    Args:
        target: The URL of the server.
        user: `user:password` that it wants.
        tls: If the proxy itself is reached over TLS, how.
        refusal: What it answers to every request, in place of the server's answer. Empty bytes: it hangs up.

    Attributes:
        requests: The head of each request.
        port: The port on loopback.
    """

    def __init__(
        self,
        target: str,
        *,
        user: str | None = None,
        refusal: bytes | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.requests: list[str] = []
        self._target = URL(target)
        self._user = user
        self._refusal = refusal
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The URL, with user and password."""
        user = f"{self._user}@" if self._user else ""
        return f"{'https' if self._tls else 'http'}://{user}127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._start, "127.0.0.1", 0, ssl=self._tls)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _start(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.requests.append(head)
                refusal = self._refusal_of(head)
                if refusal is None:
                    await self._forward(head, reader, writer)
                else:
                    writer.write(refusal)
                    await writer.drain()
        finally:
            writer.close()

    def _refusal_of(self, head: str) -> bytes | None:
        """Return the answer of the proxy itself, if it gives one."""
        if self._refusal is not None or self._user is None:
            return self._refusal
        credentials = base64.b64encode(self._user.encode()).decode()
        if f"\r\nProxy-Authorization: Basic {credentials}\r\n" in head:
            return None
        body = b"<html><title>407</title>Squid wants a password</html>"
        head = (
            "HTTP/1.1 407 Proxy Authentication Required\r\nServer: squid/6.1\r\nContent-Type: text/html\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + body

    async def _forward(self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind, ahead = await asyncio.open_connection(self._target.host, self._target.port)
        try:
            if head.startswith("CONNECT "):
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                ahead.write(self._relative(head).encode())
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(reader, ahead))
                group.create_task(_copy(behind, writer))
        finally:
            ahead.close()

    def _relative(self, head: str) -> str:
        """Return the head of a request as the server expects it: a path in place of a URL."""
        first, rest = head.split("\r\n", 1)
        method, url, version = first.split(" ")
        return f"{method} {URL(url).raw_path_qs} {version}\r\n{rest}"


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()
    writer.close()
