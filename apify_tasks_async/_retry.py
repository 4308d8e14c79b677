"""Whether and when a request is sent again: the policy, which is pure, and the loop."""

import asyncio

import attrs

from apify_tasks_async import errors
from apify_tasks_async._arguments import check_integer, check_number, validator
from apify_tasks_async._batch import TaskReader
from apify_tasks_async._clock import Clock
from apify_tasks_async._congestion import Flight
from apify_tasks_async._limiter import Limiter
from apify_tasks_async._outage import Ticket, is_answer, is_shared
from apify_tasks_async._page import Page, PageRequest
from apify_tasks_async._patience import explain_timeout, full_time
from apify_tasks_async._recorder import Recorder
from apify_tasks_async._refusal import Response
from apify_tasks_async._response import read_response
from apify_tasks_async._secret import Redactor
from apify_tasks_async._transport import Transport


@attrs.frozen
class RetryPolicy:
    """How often, how soon and for how long a request is tried again.

    A request is tried again after 408, 421, 425, 429, 5xx, a transport failure, a timeout, or a 2xx without the page.
    It is never tried again after another 4xx, a 3xx, or a certificate that is not trusted. The wait after attempt n is
    random in [D, 2D], D = `base_delay` * 2 ** (n - 1), as https://docs.apify.com/api/v2#rate-limiting asks for.
    `Retry-After` is honoured as the minimum.

    Raises:
        TypeError: A value has the wrong type.
        ValueError: A value is out of range.

    Example:
        >>> RetryPolicy(attempts=3).attempts
        3
    """

    attempts: int = attrs.field(default=5, validator=validator(check_integer, minimum=1))
    """The maximum number of attempts at one request, the first included: at least 1.

    A 429 means later, so it spends neither an attempt nor the budget: the `deadline` bounds it. Nor does a timeout of
    three or more pages that arrive together. With 1, nothing is tried again.
    """

    base_delay: float = attrs.field(default=0.5, validator=validator(check_number, minimum=0))
    """Seconds: the D of the first wait. 0 makes tests fast."""

    max_delay: float = attrs.field(default=30.0, validator=validator(check_number, minimum=0))
    """Seconds: the longest wait, unless `Retry-After` asks for a longer one."""

    deadline: float = attrs.field(default=120.0, validator=validator(check_number, above=0))
    """Seconds for one request, all its attempts and waits included.

    Waiting for its turn among the client's other requests does not count, unless the server refuses all of them. Nor
    does waiting for a connection that other clients of the session use, which may itself take no longer than this.
    """

    budget: int = attrs.field(default=25, validator=validator(check_integer, minimum=0))
    """How many more retries than successes all requests of a client may have together.

    Each retry takes one from it, each success puts one back, so that an outage does not multiply the load. While it is
    empty, a request that fails is not tried again. A request that stood back in an outage takes none.
    """


_TRANSIENT = errors.TransportError, errors.RateLimitedError, errors.ServerError, errors.InvalidResponseError
_TRANSIENT_STATUSES = 408, 421, 425
"""Timeout, misdirected, too early: RFC 9110 and RFC 8470 let a client send a GET again."""

_PERMANENT = errors.CertificateError, errors.InvalidTaskError, errors.ResponseTooLargeError  # Kinds of the above.


def is_transient(error: BaseException) -> bool:
    """Return True if the same request may succeed when it is sent again."""
    if isinstance(error, errors.ProxyError):
        return error.status is None or error.status >= 500
    if isinstance(error, errors.ResponseError) and error.status in _TRANSIENT_STATUSES:
        return True
    return isinstance(error, _TRANSIENT) and not isinstance(error, _PERMANENT)


def backoff(policy: RetryPolicy, number: int, error: errors.ApifyTasksError, clock: Clock) -> float:
    """Return the seconds to wait after attempt `number`, which ended with `error`."""
    # Without a bound on the exponent, a large `attempts` would overflow a float.
    low = min(policy.base_delay * 2 ** min(number - 1, 64), policy.max_delay)
    delay = min(clock.uniform(low, 2 * low), policy.max_delay)
    return max(delay, retry_after(error))


def retry_after(error: errors.ApifyTasksError) -> float:
    """Return the seconds that the server asked to wait; 0 if it did not ask."""
    return (error.retry_after or 0.0) if isinstance(error, errors.ResponseError) else 0.0


class Budget:
    """The retries that all requests of a client share."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.left: int = size

    def spend(self) -> bool:
        """Take one retry; return False if none is left."""
        if self.left == 0:
            return False
        self.left -= 1
        return True

    def refund(self) -> None:
        """Put one retry back after a success."""
        self.left = min(self.left + 1, self._size)


@attrs.define(eq=False, repr=False)
class RetryLoop:
    """Sends a request until its page arrives, or until the policy gives up. All requests of a client share one."""

    _transport: Transport
    _policy: RetryPolicy
    _timeout: float
    _limiter: Limiter
    _recorder: Recorder
    _redactor: Redactor
    _clock: Clock
    _budget: Budget = attrs.field(init=False)
    _reader: TaskReader = attrs.field(init=False, factory=TaskReader)
    _decoding: asyncio.Lock = attrs.field(init=False, factory=asyncio.Lock)

    def __attrs_post_init__(self) -> None:
        self._budget = Budget(self._policy.budget)

    async def fetch(self, request: PageRequest) -> Page | errors.ApifyTasksError:
        """Return the page, or the error that the last attempt ended with.

        The error is returned, not raised. So no traceback keeps these frames and what they hold: the client, and texts
        in which a server may have repeated the token.
        """
        ticket = self._limiter.outage.enter()
        try:
            return await self._fetch(request, ticket)
        finally:
            self._limiter.outage.leave(ticket)

    async def _fetch(self, request: PageRequest, ticket: Ticket) -> Page | errors.ApifyTasksError:
        deadline = self._clock.now() + self._policy.deadline
        number = spent = refusals = crowded = 0
        failure: errors.ApifyTasksError | None = None
        while True:
            number += 1
            async with self._limiter.turn(ticket, deadline - self._clock.now()) as waited:
                # Both are tested, but CPython 3.11 traces no line after an exception was thrown into a coroutine.
                if waited is None:  # pragma: no cover - not traced
                    return self._unsent(request, number)
                # Turns do not count, unless the server refuses whatever is sent: then the deadline must end it.
                if not (refusals and self._limiter.pace.refusals_in_a_row):
                    deadline += waited
                sent_at = self._clock.now()
                if failure is not None and sent_at >= deadline:
                    return self._recorder.record_unsent(failure)
                flight = self._limiter.congestion.begin()
                result = await self._attempt(request, flight, number, spent + crowded + 1, deadline, before=failure)
            ended_at = self._clock.now()
            delay: float | None
            if not isinstance(result, Page) and await self._stands_back(result, sent_at, ticket):
                deadline += self._clock.now() - ended_at
                delay = self._delay_after_outage(result, deadline, ticket)
            elif isinstance(result, errors.RateLimitedError):
                refusals += 1
                delay = self._delay_after_refusal(result, refusals, deadline)
            elif flight.crowded and not isinstance(result, Page):  # pragma: no cover - not traced
                crowded += 1
                delay = self._delay_in_a_crowd(result, deadline, ticket)
            else:
                spent += 1
                delay = self._delay_after(result, spent, deadline, ticket)
            self._recorder.record_attempt(request, number, result, ended_at - sent_at, delay)
            self._recorder.record_pace(is_slow=self._limiter.pace.is_slow)
            if delay is None or isinstance(result, Page):
                self._limiter.outage.give_up(ticket)
                return result
            failure = result
            await self._clock.sleep(delay)

    def _unsent(self, request: PageRequest, number: int) -> errors.RequestTimeoutError:
        """Return the error of a request that found no connection; `number` is that of the attempt."""
        problem = f"no connection of the session became free within the deadline of {self._policy.deadline:g} s"
        error = errors.RequestTimeoutError(problem, attempts=number - 1, **request.where())
        error.advice = "let the session have more connections, or raise the `deadline` of the retry policy"
        return self._recorder.record_unsent(error)

    async def _stands_back(self, result: errors.ApifyTasksError, sent_at: float, ticket: Ticket) -> bool:
        """Return True, after the outage, if the attempt failed only for what another request probes already."""
        outage = self._limiter.outage
        limited = self._is_limited(result, sent_at)
        if limited or is_answer(result):
            outage.record_answer()
        if limited or not is_shared(result):
            return False
        doubtful = isinstance(result, errors.RequestTimeoutError) or retry_after(result) > 0
        outage.record_failure(ticket, doubtful=doubtful)
        if not outage.holds(ticket):
            return False
        await outage.wait(ticket)
        return True

    async def _attempt(
        self,
        request: PageRequest,
        flight: Flight,
        number: int,
        patience: int,
        deadline: float,
        *,
        before: errors.ApifyTasksError | None,
    ) -> Page | errors.ApifyTasksError:
        # A consumer that blocks the event loop may let the deadline pass.
        seconds = max(0.0, min(full_time(self._timeout, patience), deadline - self._clock.now()))
        self._recorder.record_request()
        response = await self._fly(request, flight, seconds)
        if isinstance(response, errors.ApifyTasksError):
            response.attempts = number
            if isinstance(response, errors.RequestTimeoutError):
                explain_timeout(
                    response, timeout=self._timeout, number=patience, deadline=self._policy.deadline, before=before
                )
            return response
        self._recorder.record_body(len(response.body))
        self._limiter.pace.set_server_limit(response.headers.get("X-RateLimit-Limit"))
        # Pages arrive in bursts. Decoding one page per turn of the loop keeps a burst from blocking it.
        async with self._decoding:
            await asyncio.sleep(0)
            return read_response(request, response, number, self._redactor, self._reader)

    async def _fly(self, request: PageRequest, flight: Flight, seconds: float) -> Response | errors.ApifyTasksError:
        """Send the request, and learn from how its response arrived."""
        congestion = self._limiter.congestion
        try:
            response = await self._transport.get(request, seconds, lambda: congestion.arrive(flight))
        finally:
            congestion.end(flight)
        if isinstance(response, errors.RequestTimeoutError):
            congestion.record_timeout(flight)
        elif isinstance(response, Response) and response.status == 200:
            congestion.record_page(flight)
        return response

    def _delay_after_outage(self, result: errors.ApifyTasksError, deadline: float, ticket: Ticket) -> float | None:
        """Return the seconds to wait before a request that stood back is sent again; `None` if it is not."""
        if ticket.hopeless:
            return self._too_many(result)
        delay = self._clock.uniform(0.0, min(self._policy.base_delay, self._policy.max_delay))
        return delay if self._clock.now() + delay < deadline else None

    def _delay_in_a_crowd(self, result: errors.ApifyTasksError, deadline: float, ticket: Ticket) -> float | None:
        """Return the seconds to wait after a timeout that spends no attempt; `None` if it is the last one."""
        return None if self._policy.attempts == 1 else self._delay_after_outage(result, deadline, ticket)

    def _delay_after(
        self, result: Page | errors.ApifyTasksError, number: int, deadline: float, ticket: Ticket
    ) -> float | None:
        """Return the seconds to wait before the next attempt; `None` after the last one."""
        if isinstance(result, Page):
            self._budget.refund()
            self._limiter.pace.record_acceptance()
            self._limiter.outage.record_answer()
            return None
        if not is_transient(result) or number >= self._policy.attempts:
            return None
        delay = backoff(self._policy, number, result, self._clock)
        if self._clock.now() + delay >= deadline:
            return None
        if ticket.hopeless or not self._budget.spend():
            return self._too_many(result)
        return delay

    def _delay_after_refusal(self, result: errors.RateLimitedError, refusals: int, deadline: float) -> float | None:
        """Return the seconds to wait after a 429, which spends no attempt; `None` if it is the last one."""
        if self._policy.attempts == 1:
            return None
        # The pace does most of it. The wait grows only while the server refuses this request and all others.
        number = max(1, min(refusals, self._limiter.pace.refusals_in_a_row))
        delay = backoff(self._policy, number, result, self._clock)
        return delay if self._clock.now() + delay < deadline else None

    def _is_limited(self, result: errors.ApifyTasksError, sent_at: float) -> bool:
        """Slow down after a refusal. Return True if a limiter refused the request, which says nothing of an outage."""
        pace = self._limiter.pace
        if isinstance(result, errors.RateLimitedError):
            # A Retry-After beyond the deadline fails only this request; the others go on.
            pause = retry_after(result)
            pace.record_refusal(sent_at, pause if pause < self._policy.deadline else 0.0)
            return True
        if isinstance(result, errors.ServerError) and result.status == 503:
            return pace.record_unavailable(sent_at, asks_to_wait=result.retry_after is not None)
        return False

    @staticmethod
    def _too_many(error: errors.ApifyTasksError) -> None:
        """Say why a request is not tried again, although its attempts are not spent."""
        error.problem += "; too many other requests failed as well to try again"
