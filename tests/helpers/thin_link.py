"""A thin link in front of a server: what comes back on all of its connections together is no faster than it carries."""

import asyncio
import contextlib
from types import TracebackType
from typing import Self

from yarl import URL

__all__ = ["ThinLink"]

PIECE = 256
"""Bytes that a connection sends before another one has its turn."""


class ThinLink:
    """Forwards connections to a server on this machine.

    Args:
        url: The URL of the server.
        bits_per_second: What the link carries.
    """

    def __init__(self, url: str, bits_per_second: float) -> None:
        self._target = URL(url)
        self._bytes_per_second = bits_per_second / 8
        self._link = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self.carried = 0

    @property
    def url(self) -> str:
        """The URL of the server, over the link."""
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._forward(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._target.host
        source, target = await asyncio.open_connection(self._target.host, self._target.port, limit=PIECE)
        sending = asyncio.create_task(self._carry(source, writer))
        try:
            # The client may hang up at any time.
            with contextlib.suppress(OSError):
                while data := await reader.read(PIECE):
                    target.write(data)
        finally:
            sending.cancel()
            writer.transport.abort()
            target.transport.abort()
            await asyncio.wait({sending})

    async def _carry(self, source: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await source.read(PIECE):
            async with self._link:  # first come, first served
                await asyncio.sleep(len(data) / self._bytes_per_second)
            self.carried += len(data)
            writer.write(data)
        writer.close()
