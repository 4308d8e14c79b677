"""Runs the event loop, and stops it on a signal or a closed pipe."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Coroutine, Generator
from types import FrameType
from typing import Any, TypeVar

from apify_tasks_async import ApifyTasksError
from apify_tasks_async.cli._advice import to_failure
from apify_tasks_async.cli._daemons import DaemonExecutor
from apify_tasks_async.cli._reader import watch_reader
from apify_tasks_async.cli._signals import Interrupted, handle_signals, raise_interrupted, terminate

__all__ = ["Canceller", "interruptible", "run_async"]

_Result = TypeVar("_Result")


def run_async(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run the coroutine in a new event loop, and turn the library's errors into a `Failure`.

    Raises:
        BrokenPipeError: The reader of standard output closed the pipe.
        Interrupted: Ctrl-C or SIGTERM came.
    """
    canceller = Canceller()
    try:
        with handle_signals(canceller.on_signal), asyncio.Runner() as runner:
            # A look-up of a name in a slow resolver cannot be cancelled. The command must not wait for it at its end.
            runner.get_loop().set_default_executor(DaemonExecutor())
            return runner.run(canceller.run(work))
    except ApifyTasksError as error:
        raise to_failure(error) from None


class Canceller:
    """Cancels the work on a signal. An exception raised by the handler itself could leave the event loop hanging."""

    def __init__(self) -> None:
        self._reason: BaseException | None = None
        self._task: asyncio.Task[Any] | None = None

    async def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Return the result of the work, or raise the reason for its cancellation."""
        self._task = asyncio.current_task()
        try:
            # Without the watch, `follow | head -1` would notice the closed pipe only at the next new task.
            with _wake_on_signals(), watch_reader(sys.stdout.fileno(), lambda: self._cancel(BrokenPipeError())):
                if self._reason is not None:
                    self._cancel(self._reason)  # the signal came while the event loop started
                return await work
        except asyncio.CancelledError as error:
            raise (self._reason or error) from None
        finally:
            self._task = None

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal: the first one cancels the work, which cleans up; the second one ends the process."""
        if self._reason is None:
            self._cancel(Interrupted(number))
        else:
            terminate(number)

    def _cancel(self, reason: BaseException) -> None:
        self._reason = reason
        if self._task is not None:
            self._task.cancel()
            # Wakes the event loop.
            self._task.get_loop().call_soon_threadsafe(lambda: None)


@contextlib.contextmanager
def _wake_on_signals() -> Generator[None, None, None]:
    """Let each signal wake the event loop.

    Python calls a handler when the main thread runs. A signal that came right before the loop began to wait, or in
    another thread, would be handled only after the wait.
    """
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        here, there = map(stack.enter_context, socket.socketpair())
        there.settimeout(0)
        with contextlib.suppress(NotImplementedError):  # The loop of Windows wakes by itself.
            loop.add_reader(here, here.recv, 4096)
            stack.callback(loop.remove_reader, here)
            stack.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(there.fileno(), warn_on_full_buffer=False))
        yield


@contextlib.contextmanager
def interruptible() -> Generator[None, None, None]:
    """Let a signal interrupt a blocking call, such as a write to a slow reader.

    Raises:
        asyncio.CancelledError: The work was cancelled before.
        Interrupted: A signal came.
    """
    with handle_signals(raise_interrupted):
        # A signal just before has cancelled the work, which would not notice while it blocks here.
        with contextlib.suppress(RuntimeError):  # no event loop is running
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise asyncio.CancelledError
        yield
