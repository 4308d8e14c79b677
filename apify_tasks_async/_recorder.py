"""What a client did: statistics, log, and `on_attempt`."""

import itertools
import logging
from collections.abc import Callable
from typing import Any, TypeVar

import attrs

from apify_tasks_async._document import PydanticType
from apify_tasks_async._page import Page, PageRequest
from apify_tasks_async.errors import ApifyTasksError, RateLimitedError

E = TypeVar("E", bound=Exception)

logger = logging.getLogger("apify_tasks_async")
logger.addHandler(logging.NullHandler())

_numbers = itertools.count(1)


@attrs.frozen
class Attempt(PydanticType):
    """A finished attempt at one request, passed to `on_attempt`."""

    offset: int
    """The `offset` asked for."""

    limit: int
    """The `limit` asked for."""

    desc: bool
    """Whether descending order was asked for."""

    number: int
    """The number of the attempt at this request, from 1."""

    status: int | None
    """The HTTP status; `None` if no response arrived."""

    error: ApifyTasksError | None
    """Why it failed; `None` if it did not."""

    elapsed: float
    """Seconds that it took, without the wait for its turn."""

    delay: float | None
    """Seconds until the next attempt; `None` after the last one."""

    label: str | None = None
    """The `label` of the client."""


@attrs.frozen(kw_only=True)
class ClientStats(PydanticType):
    """What a client has done so far.

    Example:
        >>> ClientStats(requests=3, pages=3, tasks=2500).retries
        0
    """

    requests: int = 0
    """Requests sent, retries included."""

    retries: int = 0
    """Requests that failed and were sent again."""

    reconnects: int = 0
    """Requests sent again at once on a new connection, since an old one was dead. They are no attempts."""

    rate_limited: int = 0
    """Requests answered with 429."""

    slowdowns: int = 0
    """How often the client began to send more slowly, since the server refused requests."""

    failures: int = 0
    """Requests that failed for good, after all attempts."""

    pages: int = 0
    """Responses that contained a page."""

    tasks: int = 0
    """Tasks delivered."""

    bytes_received: int = 0
    """Bytes of all bodies, decoded."""

    duplicates: int = 0
    """Items dropped because they were delivered before. An exact walk overlaps its pages on purpose."""

    reseeks: int = 0
    """How often a walk found that the list had changed, and searched for its place in it."""

    incomplete: int = 0
    """Walks that may have missed tasks, since the server counts tasks that it does not show. Each logs a warning."""

    invalid: int = 0
    """Items that were not tasks as documented."""


class Recorder:
    """Counts, logs and reports what a client does."""

    def __init__(
        self, on_attempt: Callable[[Attempt], object] | None, host: str = "", label: str | None = None
    ) -> None:
        self._on_attempt = on_attempt
        self.label = label
        """Whose account the client lists: named in errors, attempts and the log."""
        self._fields = {"host": host, "client": next(_numbers), "label": label}
        self._counts = dict.fromkeys(attrs.fields_dict(ClientStats), 0)
        self._is_slow = False

    @property
    def stats(self) -> ClientStats:
        """What was counted so far."""
        return ClientStats(**self._counts)

    def name(self, error: E) -> E:
        """Let the error say whose account failed, unless it is that of another client, and return it."""
        if isinstance(error, ApifyTasksError) and error.label is None:
            error.label = self.label
        return error

    def record_request(self) -> None:
        """Count a request that is sent."""
        self._add(requests=1)

    def record_reconnect(self, request: PageRequest) -> None:
        """Count and log a request that is sent again on a new connection."""
        self._add(requests=1, reconnects=1)
        text = f"an idle connection was dead; the page at offset {request.offset} was asked for again on a new one"
        self.log(logging.DEBUG, text, offset=request.offset)

    def record_body(self, size: int) -> None:
        """Count the bytes of a body."""
        self._add(bytes_received=size)

    def record_incomplete(self, warning: str) -> None:
        """Count a walk that may have missed tasks, and log why."""
        self._add(incomplete=1)
        self.log(logging.WARNING, warning)

    def record_delivery(self, *, tasks: int, duplicates: int = 0, invalid: int = 0, reseeks: int = 0) -> None:
        """Count what became of the items of a page."""
        self._add(tasks=tasks, duplicates=duplicates, invalid=invalid, reseeks=reseeks)

    def record_attempt(
        self, request: PageRequest, number: int, result: Page | ApifyTasksError, elapsed: float, delay: float | None
    ) -> None:
        """Count, log and report a finished attempt."""
        error = None if isinstance(result, Page) else self.name(result)
        self._add(
            pages=error is None,
            retries=delay is not None,
            failures=error is not None and delay is None,
            rate_limited=isinstance(error, RateLimitedError),
        )
        status = 200 if error is None else getattr(error, "status", None)
        attempt = Attempt(
            request.offset, request.limit, request.desc, number, status, error, elapsed, delay, self.label
        )
        if logger.isEnabledFor(level := _level(attempt)):  # Most programs do not log every page.
            self.log(
                level,
                _text(attempt),
                offset=attempt.offset,
                limit=attempt.limit,
                desc=attempt.desc,
                attempt=attempt.number,
                status=attempt.status,
                elapsed=attempt.elapsed,
                wait=attempt.delay,
            )
        if self._on_attempt is not None:
            self._on_attempt(attempt)

    def record_unsent(self, error: E) -> E:
        """Count and log a request that was given up before it was sent; return its error with the label."""
        self._add(failures=1)
        self.log(logging.WARNING, str(error))
        return self.name(error)

    def record_pace(self, *, is_slow: bool) -> None:
        """Count and log when the client begins to send more slowly than its limit allows, and log when it stops."""
        if is_slow is self._is_slow:
            return
        self._is_slow = is_slow
        self._add(slowdowns=is_slow)
        if is_slow:
            self.log(logging.INFO, "the server refuses requests; sending more slowly, to find out how many it accepts")
        else:
            self.log(logging.INFO, "the server refuses no more requests; sending as fast as the limit allows again")

    def log(self, level: int, text: str, **fields: Any) -> None:
        """Log a text after the label. The fields become attributes of the record, with `host`, `client` and `label`."""
        text = text if self.label is None else f"{self.label}: {text}"
        logger.log(level, "%s", text, extra=self._fields | fields)

    def _add(self, **counts: int) -> None:
        for name, count in counts.items():
            self._counts[name] += count


def _level(attempt: Attempt) -> int:
    if attempt.error is None:
        return logging.DEBUG
    # One failed attempt is no news. A second one of the same request may be an outage.
    return logging.INFO if attempt.number == 1 else logging.WARNING


def _text(attempt: Attempt) -> str:
    page = f"the page at offset {attempt.offset}"
    if attempt.error is None:
        return f"{page} arrived in {attempt.elapsed:.3f} s"
    # The text, not the error: a handler that keeps records would keep the error, and with it the client.
    problem = f"{attempt.error.problem} (attempt {attempt.number} at {page})"
    return (
        f"{problem}; not tried again" if attempt.delay is None else f"{problem}; trying again in {attempt.delay:.1f} s"
    )
