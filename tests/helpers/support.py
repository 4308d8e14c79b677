"""What tests import from each other."""

import asyncio
from collections.abc import Callable

from apify_tasks_async import TasksClient

__all__ = ["FakeTime", "MakeClient", "until"]

MakeClient = Callable[..., TasksClient]
"""Takes the options of a client, and returns one that is closed after the test."""


async def until(condition: Callable[[], object]) -> None:
    """Let the event loop run until the condition holds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)


class FakeTime:
    """A clock that goes on only while something sleeps or works."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Let the time go on."""
        self.slept.append(seconds)
        self.now += seconds
