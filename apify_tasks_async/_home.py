"""The process and the event loop that an object belongs to, and how to finalize it there."""

import asyncio
import contextlib
import os
from collections.abc import Callable
from typing import Any, Self

import attrs

from apify_tasks_async.errors import ConfigurationError


def running_loop(advice: str = "under trio, run it through trio-asyncio, or in a thread") -> asyncio.AbstractEventLoop:
    """Return the running event loop of asyncio; raise a `ConfigurationError` if there is none."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        pass
    error = ConfigurationError("no event loop of asyncio is running here")
    error.advice = f"call this inside asyncio.run; {advice}"
    raise error


@attrs.frozen(eq=False, repr=False)
class Home:
    """A process and an event loop. The garbage collector may meet the object in any thread, and in a forked child."""

    process: int
    loop: asyncio.AbstractEventLoop

    @classmethod
    def here(cls) -> Self:
        """Return the current process and the running loop."""
        return cls(os.getpid(), asyncio.get_running_loop())

    @property
    def is_this_process(self) -> bool:
        """Whether this is the process. A forked child shares the parent's sockets and its selector, so keep off."""
        return os.getpid() == self.process

    def call(self, function: Callable[..., object], *arguments: Any) -> None:
        """Call the function in the loop if it runs, and otherwise right now. Not in another process."""
        if not self.is_this_process:
            return
        with contextlib.suppress(RuntimeError):  # The loop is closed, and its tasks ended with it.
            if self.loop.is_running():
                self.loop.call_soon_threadsafe(function, *arguments)
            else:
                function(*arguments)
