"""Shows a text that is longer than the screen in `$PAGER`."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
from subprocess import PIPE, Popen

__all__ = ["page"]

_SETTINGS = {"LESS": "FRX", "LV": "-c"}
"""Quit if it fits, keep colours, and leave the text on the screen; as git and gh set them.

What the pager is given was written by others, so it gets no token, and less runs no commands and writes no files.
"""


def page(text: str) -> bool:
    """Show the text in the pager, and wait for its end. Return False if it fits the screen, or there is no pager."""
    if text.count("\n") < shutil.get_terminal_size().lines:
        return False
    command = _command(os.environ.get("PAGER", "less"))
    if command is None:
        return False
    environment = _SETTINGS | os.environ | {"LESSSECURE": "1"}
    environment.pop("APIFY_TOKEN", None)
    try:
        process = Popen(command, stdin=PIPE, env=environment)  # noqa: S603 - the user's own pager
    except OSError:
        return False
    _feed(process, text.encode())
    return True


def _command(pager: str) -> list[str] | None:
    """Return the words of the pager's command; `None` to use no pager."""
    try:
        words = shlex.split(pager)
    except ValueError:  # an open quote
        return None
    return None if words in ([], ["cat"]) else words


def _feed(process: Popen[bytes], text: bytes) -> None:
    # Ctrl-C is for the pager, which ends when its user says so.
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process.communicate(text)
    except BaseException:  # SIGTERM
        process.terminate()
        process.wait()
        raise
    finally:
        signal.signal(signal.SIGINT, previous)
