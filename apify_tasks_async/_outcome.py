"""Results that are a value or an error, and the one place that raises such an error."""

from typing import TypeVar

T = TypeVar("T")


def unwrap(outcome: T | Exception) -> T:
    """Return the value, or raise the error.

    A raised error refers to its traceback, and the traceback to the frames and their variables. If one of these is the
    error, that is a reference cycle, which keeps pages and client in memory. So callers pass the outcome without naming
    it, and this frame forgets it.
    """
    try:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome
    finally:
        del outcome
