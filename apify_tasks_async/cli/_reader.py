"""Notices that nobody reads standard output any more, without writing to it."""

from __future__ import annotations

import asyncio
import contextlib
import select
from collections.abc import Callable, Generator

__all__ = ["watch_reader"]

SECONDS = 0.25
"""How often to look where the event loop cannot wait for it."""


@contextlib.contextmanager
def watch_reader(file: int, on_closed: Callable[[], None]) -> Generator[None, None, None]:
    """Call the function once a pipe, a socket or a terminal has lost its reader. Nobody reads a regular file.

    On Linux the event loop waits for it. Elsewhere a timer looks. On Windows, the next write notices.
    """
    with contextlib.ExitStack() as stack:
        if hasattr(select, "epoll"):
            stack.enter_context(_wait(file, on_closed))
        elif hasattr(select, "poll"):
            stack.enter_context(_look(file, on_closed))
        yield


@contextlib.contextmanager
def _wait(file: int, on_closed: Callable[[], None]) -> Generator[None, None, None]:
    loop = asyncio.get_running_loop()
    with select.epoll() as watch:
        try:
            # Without an event it reports only the end: there may be data in a pipe that is open for reading too.
            watch.register(file, 0)
        except PermissionError:  # a regular file
            yield
            return

        def check() -> None:
            loop.remove_reader(watch.fileno())
            on_closed()

        loop.add_reader(watch.fileno(), check)
        try:
            yield
        finally:
            loop.remove_reader(watch.fileno())


@contextlib.contextmanager
def _look(file: int, on_closed: Callable[[], None]) -> Generator[None, None, None]:
    watch = select.poll()
    watch.register(file, select.POLLOUT)  # Without an event, macOS reports nothing; with POLLIN, half a closed socket.

    def is_closed() -> bool:
        return any(events & (select.POLLHUP | select.POLLERR) for _, events in watch.poll(0))

    async def look() -> None:
        while not is_closed():  # noqa: ASYNC110 - the system sets no event
            await asyncio.sleep(SECONDS)
        on_closed()

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()
