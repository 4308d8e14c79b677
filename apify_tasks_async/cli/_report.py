"""Reports on stderr, while a command runs: log lines and retries."""

from __future__ import annotations

import contextlib
import logging
import math
import sys
from collections.abc import Generator

from apify_tasks_async import Attempt
from apify_tasks_async.cli._advice import to_failure
from apify_tasks_async.cli._exit import is_terminal, print_message
from apify_tasks_async.cli._options import Options
from apify_tasks_async.cli._text import printable

__all__ = ["AttemptReporter", "log_to_stderr"]


class _OneLineFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(f"apify-tasks: {record.levelname.lower()}: {record.getMessage()}")


@contextlib.contextmanager
def log_to_stderr(*, verbose: bool) -> Generator[None, None, None]:
    """Write the library's log to stderr: everything if verbose, else warnings."""
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLineFormatter())
    logger = logging.getLogger("apify_tasks_async")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if verbose else logging.WARNING)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class AttemptReporter:
    """Called after every attempt: tells the user at a terminal why a request takes longer.

    Args:
        options: The options of the command.
        fail_first: Whether a failure before the first success ends the command. `follow` outlives later failures,
            but at the start the API may not exist at all.
    """

    def __init__(self, options: Options, *, fail_first: bool = False) -> None:
        # With --verbose the log says it already.
        self._silent = options.verbose or options.quiet or not is_terminal(sys.stderr)
        self._fail = fail_first
        self._reported: set[object] = set()

    def __call__(self, attempt: Attempt) -> None:
        """Report the attempt if it failed."""
        error = attempt.error
        if error is None:
            self._fail = False
        elif attempt.delay is None:
            if self._fail:
                raise to_failure(error)
        elif not self._silent and (type(error), attempt.status) not in self._reported:
            # Once per kind of failure: every page in flight may meet the same one.
            self._reported.add((type(error), attempt.status))
            print_message(f"{error.problem}; trying again in {math.ceil(attempt.delay):,} s")
