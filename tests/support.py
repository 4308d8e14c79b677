"""What tests import from each other."""

import asyncio
from collections.abc import Callable

from apify_tasks_async import TasksClient

__all__ = ["MakeClient", "until"]

MakeClient = Callable[..., TasksClient]
"""Takes the options of a client, and returns one that is closed after the test."""


async def until(condition: Callable[[], object]) -> None:
    """Let the event loop run until the condition holds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)
