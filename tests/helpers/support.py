"""Small helpers that many tests share."""

import asyncio
import contextlib
import secrets
import socket
import time
from collections.abc import Callable
from typing import Any

from apify_tasks_async import TasksClient
from helpers.raw_server import RawServer

__all__ = ["FakeTime", "MakeClient", "client_of", "free_port", "until", "wait_until"]

MakeClient = Callable[..., TasksClient]
"""Takes the options of a client, and returns a client that is closed after the test."""

SECONDS = 30
"""How long `wait_until` waits."""


async def until(condition: Callable[[], object], *, seconds: float = 10, pause: float = 0) -> None:
    """Let the event loop run until the condition holds, and check it after each pause."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(pause)


def wait_until(condition: Callable[[], object]) -> None:
    """Block until the condition holds, which depends on another process or thread."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def free_port() -> int:
    """Return a port on which nothing listens, and which the system gives to nobody who asks for any port."""
    while True:
        port = 20_000 + secrets.randbelow(10_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def client_of(server: RawServer, token: str = "test-token", **options: Any) -> TasksClient:
    """Return a client of the server that does not limit its rate."""
    defaults: dict[str, Any] = {"base_url": server.url, "rate_limit": None}
    return TasksClient(token, **defaults | options)


class FakeTime:
    """A clock that moves only when something sleeps or a test sets it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Move the clock, without waiting."""
        self.slept.append(seconds)
        self.now += seconds
