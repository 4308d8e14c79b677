"""Reports on stderr, while a command runs: log lines and retries."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Generator
from datetime import datetime

from apify_tasks_async import (
    ApifyTasksError,
    Attempt,
    CertificateError,
    InvalidResponseError,
    InvalidTaskError,
    RateLimitedError,
    ResponseTooLargeError,
    ServerError,
    TransportError,
)
from apify_tasks_async.cli._advice import replace_argument_names, to_failure
from apify_tasks_async.cli._exit import is_terminal, print_message
from apify_tasks_async.cli._options import Options
from apify_tasks_async.cli._text import printable

__all__ = ["AttemptReporter", "log_to_stderr"]


class _OneLineFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(f"apify-tasks: {record.levelname.lower()}: {record.getMessage()}")


@contextlib.contextmanager
def log_to_stderr(*, verbose: bool) -> Generator[None, None, None]:
    """Write the library's log to stderr: everything if verbose, else warnings, except those about retries."""
    handler = logging.StreamHandler()
    if not verbose:
        handler.addFilter(lambda record: not hasattr(record, "wait"))  # `AttemptReporter` tells them.
    handler.setFormatter(_OneLineFormatter())
    logger = logging.getLogger("apify_tasks_async")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if verbose else logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


_OUTAGES = TransportError, RateLimitedError, ServerError, InvalidResponseError
_PERMANENT = CertificateError, InvalidTaskError, ResponseTooLargeError  # Kinds of the above.


def _is_waited_out(error: ApifyTasksError) -> bool:
    """Return whether `follow` waits for the end of this failure, also after the last attempt."""
    return isinstance(error, _OUTAGES) and not isinstance(error, _PERMANENT)


class AttemptReporter:
    """Called after every attempt: tells the user when an outage begins, and when it ends.

    Args:
        options: The options of the command.
        fail_first: Whether a failure before the first success ends the command. `follow` outlives later failures,
            but at the start the API may not exist at all.
    """

    def __init__(self, options: Options, *, fail_first: bool = False) -> None:
        # With --verbose the log says it already. A script that reads errors as JSON wants nothing else.
        self._silent = options.verbose or options.quiet or options.errors == "json"
        # A terminal shows when a line appears. A file does not. Asked now, since rich replaces stderr meanwhile.
        self._dated = not is_terminal(sys.stderr)
        self._fail = self._follows = fail_first
        self._began = self._latest = 0.0
        self._kinds: set[object] = set()

    def __call__(self, attempt: Attempt) -> None:
        """Report the attempt if an outage begins or ends with it."""
        now = time.monotonic()
        if attempt.error is None:
            self._fail = False
            # Other requests, sent before the outage, may still succeed in it.
            if self._kinds and now - attempt.elapsed >= self._latest:
                self._end(now)
        elif attempt.delay is None and self._fail:
            raise to_failure(attempt.error)
        elif attempt.delay is not None or (self._follows and _is_waited_out(attempt.error)):
            self._latest = now
            self._begin(attempt, attempt.error, now)

    def _begin(self, attempt: Attempt, error: ApifyTasksError, now: float) -> None:
        if not self._kinds:
            self._began = now - attempt.elapsed
        # Once per kind of failure: every page in flight may meet the same one.
        if (kind := (type(error), attempt.status)) not in self._kinds:
            self._kinds.add(kind)
            self._print(f"{error.problem}; trying again")

    def _end(self, now: float) -> None:
        self._kinds.clear()
        self._print(f"works again, after {max(1, round(now - self._began)):,} s")

    def _print(self, message: str) -> None:
        if not self._silent:
            moment = f"{datetime.now().astimezone():%Y-%m-%dT%H:%M:%S%z} " if self._dated else ""
            print_message(f"{moment}{replace_argument_names(message)}")
