"""The page tasks of a walk that run ahead of their consumer."""

import asyncio
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from apify_tasks_async._home import Home
from apify_tasks_async._page import PageRequest

T = TypeVar("T")


class Window(Generic[T]):
    """One task for each planned request, in the order of the plan.

    The owner of the tasks retrieves their exceptions. A window that is dropped without `clear` cancels its tasks.

    Args:
        start: Starts the task of a request.
    """

    def __init__(self, start: Callable[[PageRequest], asyncio.Task[T]]) -> None:
        self._start = start
        self._running: deque[tuple[PageRequest, asyncio.Task[T]]] = deque()
        self._watched = False

    def __len__(self) -> int:
        return len(self._running)

    def follow(self, plan: Sequence[PageRequest]) -> None:
        """Start the requests that are new in the plan, and cancel those that are no longer in it."""
        # Compare requests by identity: a plan may contain two equal ones.
        tasks = {id(request): task for request, task in self._running}
        planned = [(request, tasks.pop(id(request), None)) for request in plan]
        for task in tasks.values():
            task.cancel()
        self._running.clear()
        for request, running in planned:
            self._running.append((request, running if running is not None else self._start(request)))
        self._watch()

    async def wait(self) -> None:
        """Wait for the first task. If the wait is cancelled, the task goes on."""
        # Unlike `await task`, asyncio.wait tells a cancelled task from a cancelled caller.
        await asyncio.wait({self._running[0][1]})

    def pop(self) -> tuple[PageRequest, asyncio.Task[T]]:
        """Remove the first task."""
        return self._running.popleft()

    def clear(self) -> list[asyncio.Task[T]]:
        """Cancel and remove all tasks; return them, so that the caller can wait for their end."""
        tasks = [task for _, task in self._running]
        self._running.clear()
        for task in tasks:
            task.cancel()
        return tasks

    def _watch(self) -> None:
        if self._running and not self._watched:
            self._watched = True
            # The finalizer refers to the tasks alone: a reference to the window would keep the window alive.
            weakref.finalize(self, Home.here().call, _cancel, self._running).atexit = False


def _cancel(running: deque[tuple[PageRequest, asyncio.Task[T]]]) -> None:
    for _, task in running:
        task.cancel()
