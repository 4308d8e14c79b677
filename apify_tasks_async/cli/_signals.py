"""Ctrl-C and SIGTERM: how a signal ends the command."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Generator
from types import FrameType
from typing import NoReturn

__all__ = ["SIGNAL_EXIT_BASE", "Interrupted", "handle_signals", "raise_interrupted", "terminate"]

SIGNAL_EXIT_BASE = 128
"""A shell adds this to the number of the signal that ended a process."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM came. The command completes its output, saves the bookmark and removes the progress bar."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.exit_code = SIGNAL_EXIT_BASE + number


@contextlib.contextmanager
def handle_signals(handler: Callable[[int, FrameType | None], object]) -> Generator[None, None, None]:
    """Call the handler on Ctrl-C and SIGTERM, except where the process was started to ignore them."""
    handled = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) != signal.SIG_IGN]
    previous = {number: signal.signal(number, handler) for number in handled}
    try:
        yield
    finally:
        for number, restored in previous.items():
            signal.signal(number, restored)


def raise_interrupted(number: int, _frame: FrameType | None) -> NoReturn:
    """Handle a signal by raising, where our own code blocks: for example on a slow reader."""
    raise Interrupted(number)


def terminate(number: int) -> None:
    """End the process at once, with the default action of the signal."""
    # The progress bar may have hidden the cursor and replaced sys.stderr.
    if sys.__stderr__ is not None and sys.__stderr__.isatty():
        os.write(sys.__stderr__.fileno(), b"\x1b[?25h")
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
