"""Running in an event loop, and what ends that from outside: a signal, or a reader that goes away."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import stat
import sys
from collections.abc import Callable, Coroutine, Generator
from types import FrameType
from typing import Any, TypeVar

from apify_tasks_async import ApifyTasksError
from apify_tasks_async.cli._advice import failure
from apify_tasks_async.cli._exit import Interrupted, die, handling, interrupt

__all__ = ["Ending", "interruptible", "run_async"]

_Result = TypeVar("_Result")


def run_async(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run the work in an event loop of its own, and turn the library's errors into a `Failure`.

    Raises:
        BrokenPipeError: Nobody reads standard output any more.
        Interrupted: Ctrl-C or SIGTERM came.
    """
    ending = Ending()
    try:
        with handling(ending.on_signal):
            return asyncio.run(ending.end_early(work))
    except ApifyTasksError as error:
        raise failure(error) from None


class Ending:
    """Cancels the work. An exception that a signal raises anywhere in the event loop may leave it waiting for ever."""

    def __init__(self) -> None:
        self._reason: BaseException | None = None
        self._task: asyncio.Task[Any] | None = None

    async def end_early(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Return what the work returns, or raise why it was ended."""
        self._task = asyncio.current_task()
        if self._reason is not None:
            self._end(self._reason)  # it came while the loop was opened
        try:
            # `follow | head -1` would not hear of the closed pipe until there is something to write.
            with _on_closed_pipe(sys.stdout.fileno(), lambda: self._end(BrokenPipeError())):
                return await work
        except asyncio.CancelledError as error:
            raise (self._reason or error) from None
        finally:
            self._task = None

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal: the first one lets the work be cleared up, the second one does not wait for that."""
        if self._reason is None:
            self._end(Interrupted(number))
        else:
            die(number)

    def _end(self, reason: BaseException) -> None:
        self._reason = reason
        if self._task is not None:
            self._task.cancel()
            # It may be asleep.
            self._task.get_loop().call_soon_threadsafe(lambda: None)


@contextlib.contextmanager
def interruptible() -> Generator[None, None, None]:
    """Let a signal end at once what our own code waits for: a reader that is in no hurry.

    Raises:
        asyncio.CancelledError: The work was cancelled before.
        Interrupted: A signal came.
    """
    with handling(interrupt):
        # One that came a moment ago has cancelled the work, which does not notice while it waits in here.
        with contextlib.suppress(RuntimeError):  # outside of the event loop
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise asyncio.CancelledError
        yield


@contextlib.contextmanager
def _on_closed_pipe(file: int, hang_up: Callable[[], None]) -> Generator[None, None, None]:
    """Call the function once the file is a pipe that has no reader any more."""
    if not stat.S_ISFIFO(os.fstat(file).st_mode):
        yield
        return
    loop = asyncio.get_running_loop()

    def look() -> None:
        loop.remove_reader(file)
        poll = select.poll()
        poll.register(file, 0)
        # A named pipe that was opened for reading as well may only have something to read.
        if poll.poll(0):
            hang_up()

    # On Windows a loop cannot watch a pipe like that.
    with contextlib.suppress(NotImplementedError):
        loop.add_reader(file, look)
    try:
        yield
    finally:
        with contextlib.suppress(NotImplementedError):
            loop.remove_reader(file)
