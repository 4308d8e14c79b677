"""The one writer of standard output and standard error."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import stat
import sys
from collections.abc import Generator
from typing import Any

__all__ = ["patient_streams", "write_all", "write_lines"]

MILLISECONDS = 250
"""How long to wait at a time."""


def write_all(file: int, data: bytes) -> None:
    """Write everything to a file descriptor, and wait whenever it is full.

    Another program that has the same pipe or terminal, such as Node.js, may have made it non-blocking.

    Raises:
        BrokenPipeError: Nobody reads a pipe, a socket or a terminal any more.
    """
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(file, rest) :]
        except BlockingIOError:
            full = select.poll()
            full.register(file, select.POLLOUT)
            # Python handles a signal that came right before the wait, or in another thread, only after it.
            full.poll(MILLISECONDS)
        except OSError as error:
            if error.errno == errno.EIO and stat.S_ISCHR(os.fstat(file).st_mode):
                raise BrokenPipeError from None  # a terminal that is gone
            raise


def write_lines(file: int, data: bytes) -> None:
    """Write everything to a file descriptor, and whole lines at a time, so that a signal cuts none.

    A pipe takes up to `PIPE_BUF` bytes, 4 KiB on Linux, all or none. A longer line may be cut.

    Raises:
        BrokenPipeError: As for `write_all`.
    """
    start = 0
    while start < len(data):
        end = data.rfind(b"\n", start, start + select.PIPE_BUF) + 1 or data.find(b"\n", start) + 1 or len(data)
        write_all(file, data[start:end])
        start = end


class _PatientFile(io.BufferedIOBase):
    """Writes at once: the interpreter would wait at exit for a slow reader to take the rest of a buffer."""

    def __init__(self, file: int, name: str) -> None:
        self._file = file
        self.name = name

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._file

    def isatty(self) -> bool:
        return os.isatty(self._file)

    def write(self, data: Any) -> int:
        write_all(self._file, data)
        return len(data)


@contextlib.contextmanager
def patient_streams() -> Generator[None, None, None]:
    """Let `sys.stdout` and `sys.stderr` wait where they would fail, whoever writes to them."""
    previous = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(_make_patient, previous)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = previous


def _make_patient(stream: Any) -> Any:
    # Python sets a standard stream that was closed at the start to None.
    if stream is None:
        return stream
    return io.TextIOWrapper(
        _PatientFile(stream.fileno(), stream.name), encoding=stream.encoding, errors=stream.errors, write_through=True
    )
