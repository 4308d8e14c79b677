"""A long wire in front of a server of this machine: what is sent arrives later, and a connection costs a round trip."""

from __future__ import annotations

import asyncio
import contextlib

__all__ = ["long_wire"]


async def long_wire(port: int, delay: float) -> asyncio.Server:
    """Start a wire to the port.

    Args:
        port: Where the server listens.
        delay: Seconds in one direction. A round trip takes twice as long.
    """

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(2 * delay)  # The machine itself has accepted the connection at once.
        there, back = await asyncio.open_connection("127.0.0.1", port)
        # At the end of the program the connections are cut. asyncio would log a cancellation as an error.
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await asyncio.gather(_carry(reader, back, delay), _carry(there, writer, delay))

    return await asyncio.start_server(connect, "127.0.0.1", 0)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Write what is read, each piece when its time has come."""
    now = asyncio.get_running_loop().time
    pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def deliver() -> None:
        while True:
            due, piece = await pieces.get()
            await asyncio.sleep(due - now())
            if not piece:
                writer.close()
                return
            writer.write(piece)

    delivering = asyncio.create_task(deliver())
    try:
        piece = b"more"
        while piece:
            piece = await reader.read(2**16)
            pieces.put_nowait((now() + delay, piece))
        await delivering
    finally:
        delivering.cancel()
        writer.close()
