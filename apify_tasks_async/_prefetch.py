"""An ordered, bounded window of page tasks."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections import deque
from typing import Generic, TypeVar

__all__ = ["Prefetch"]

T = TypeVar("T")


class Prefetch(Generic[T]):
    """Tasks that run ahead of their consumer, and are taken in the order in which they were added.

    Whoever adds the tasks owns them, and sees to it that their exceptions are retrieved. A window that is dropped
    without `clear` cancels what is left in it.
    """

    def __init__(self) -> None:
        self._tasks: deque[asyncio.Task[T]] = deque()
        self._watched = False

    def __len__(self) -> int:
        return len(self._tasks)

    def add(self, task: asyncio.Task[T]) -> None:
        """Add a task at the end."""
        if not self._watched:
            self._watched = True
            # It refers to the tasks alone: a reference to the window would keep the window alive.
            weakref.finalize(self, _abandon, self._tasks, task.get_loop()).atexit = False
        self._tasks.append(task)

    async def first(self) -> asyncio.Task[T] | None:
        """Wait for the first task, and take it out; `None` if the window was cleared meanwhile.

        When the wait is cancelled the task goes on, and the next call waits for it again.
        """
        # asyncio.wait tells the task's own cancellation from ours, which `await task` does not.
        await asyncio.wait({self._tasks[0]})
        return self._tasks.popleft() if self._tasks else None

    def clear(self) -> list[asyncio.Task[T]]:
        """Cancel and drop all tasks; return them, so that the caller may wait for their end."""
        tasks = list(self._tasks)
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        return tasks


def _abandon(tasks: deque[asyncio.Task[T]], loop: asyncio.AbstractEventLoop) -> None:
    # The garbage collector calls this, from whichever thread it runs in.
    with contextlib.suppress(RuntimeError):  # the loop is closed, and its tasks with it
        loop.call_soon_threadsafe(_cancel, tasks)


def _cancel(tasks: deque[asyncio.Task[T]]) -> None:
    for task in tasks:
        task.cancel()
