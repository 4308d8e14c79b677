"""Whether and when to try again. The policy is pure; the loop is tenacity's."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

import attrs
import tenacity

from apify_tasks_async._arguments import check_integer, check_number
from apify_tasks_async.errors import (
    ApifyTasksError,
    CertificateError,
    InvalidResponseError,
    InvalidTaskError,
    RateLimitedError,
    ResponseError,
    ResponseTooLargeError,
    ServerError,
    TransportError,
)

__all__ = ["Attempt", "Budget", "Outcome", "Retrier", "RetryPolicy", "backoff", "is_transient"]

T = TypeVar("T")


@attrs.frozen
class RetryPolicy:
    """How often, how soon and for how long a request is tried again.

    Tried again are 429, 5xx, transport failures, timeouts, and a 2xx without the page; never another 4xx, a 3xx
    or a certificate that is not accepted. The wait before attempt n + 1 is random in [D, 2D], D = `base_delay` *
    2 ** (n - 1), as https://docs.apify.com/api/v2#rate-limiting asks for; `Retry-After` is honoured as the minimum.

    Raises:
        TypeError: A value is not of its type.
        ValueError: A value is out of its range.

    Example:
        >>> RetryPolicy(attempts=3).attempts
        3
    """

    attempts: int = 5
    """The most attempts at one request, the first included: at least 1."""

    base_delay: float = 0.5
    """Seconds: the D of the first wait."""

    max_delay: float = 30.0
    """Seconds: the longest wait that is not asked for by `Retry-After`."""

    deadline: float = 120.0
    """Seconds from the first attempt at a request: no wait and no attempt at it goes on for longer.

    Waiting for its turn among the client's other requests does not count.
    """

    budget: int = 25
    """How many more retries than successes all requests of a client may have together.

    Each retry takes one from it, each success puts one back, so that an outage does not multiply the load. What fails
    while it is empty is not tried again.
    """

    def __attrs_post_init__(self) -> None:
        check_integer("attempts", self.attempts, minimum=1)
        check_number("base_delay", self.base_delay, minimum=0)
        check_number("max_delay", self.max_delay, minimum=0)
        check_number("deadline", self.deadline, above=0)
        check_integer("budget", self.budget, minimum=0)


@attrs.frozen
class Attempt:
    """One attempt at one request, as `on_attempt` is told of it when it has ended."""

    offset: int
    """The `offset` asked for."""

    limit: int
    """The `limit` asked for."""

    desc: bool
    """The order asked for."""

    number: int
    """Which attempt at this request it was, from 1."""

    status: int | None
    """The HTTP status; `None` if no response arrived."""

    error: ApifyTasksError | None
    """What went wrong; `None` if nothing did."""

    elapsed: float
    """Seconds that it took, without the wait for its turn."""

    delay: float | None
    """Seconds until the next attempt; `None` if there is none."""


@attrs.frozen
class Outcome:
    """How an attempt ended."""

    number: int
    error: ApifyTasksError | None
    elapsed: float
    delay: float | None


def is_transient(error: BaseException) -> bool:
    """Tell whether the same request may well succeed when it is sent again."""
    if isinstance(error, CertificateError | InvalidTaskError | ResponseTooLargeError):
        return False
    return isinstance(error, TransportError | RateLimitedError | ServerError | InvalidResponseError)


def backoff(
    policy: RetryPolicy, number: int, error: BaseException | None, uniform: Callable[[float, float], float]
) -> float:
    """Return the seconds to wait between attempt `number`, which ended with `error`, and the next."""
    # 2 ** 64 half seconds are beyond any max_delay; without the bound a large `attempts` would overflow a float.
    low = min(policy.base_delay * 2 ** min(number - 1, 64), policy.max_delay)
    delay = min(uniform(low, 2 * low), policy.max_delay)
    asked = error.retry_after if isinstance(error, ResponseError) else None
    return max(delay, asked or 0.0)


class Budget:
    """The retries that all requests of a client share."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.left: int = size

    def spend(self) -> bool:
        """Take one retry out, and tell whether there was one."""
        if self.left == 0:
            return False
        self.left -= 1
        return True

    def refund(self) -> None:
        """Put one back after a success."""
        self.left = min(self.left + 1, self._size)


class Retrier:
    """Runs operations until they succeed, or until the policy says that they will not."""

    def __init__(
        self,
        policy: RetryPolicy,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.policy = policy
        self.budget: Budget = Budget(policy.budget)
        self.sleep = sleep
        self.clock = clock
        self.uniform = uniform

    async def run(
        self,
        operation: Callable[[float], Awaitable[T]],
        *,
        admit: Callable[[], AbstractAsyncContextManager[object]],
        report: Callable[[Outcome], object],
    ) -> T:
        """Return what the operation returns.

        Args:
            operation: One attempt; it is told how many seconds are left until the deadline.
            admit: The wait for the attempt's turn, which neither the deadline nor `elapsed` counts.
            report: Is told how each attempt ended.

        Raises:
            ApifyTasksError: What the last attempt raised, with the number of attempts.
        """
        return await _Run(self, operation, admit, report).result()


class _Run(Generic[T]):
    """The attempts at one operation."""

    def __init__(
        self,
        retrier: Retrier,
        operation: Callable[[float], Awaitable[T]],
        admit: Callable[[], AbstractAsyncContextManager[object]],
        report: Callable[[Outcome], object],
    ) -> None:
        self._retrier = retrier
        self._operation = operation
        self._admit = admit
        self._report = report
        self._number = 0
        self._reported = 0
        self._started: float | None = None  # moved on by the waits for a turn since
        self._began = 0.0
        self._exhausted = False

    async def result(self) -> T:
        retrying = tenacity.AsyncRetrying(
            sleep=self._retrier.sleep,
            stop=self._gives_up,
            wait=self._delay,
            retry=tenacity.retry_if_exception(is_transient),
            before_sleep=self._before_sleep,
            reraise=True,
        )
        try:
            result: T = await retrying(self._attempt)
        except ApifyTasksError as error:
            if self._reported == self._number:
                raise  # it was `report` that raised it, which is not to hear of the same attempt again
            error.attempts = self._number
            if self._exhausted:
                error.problem += "; too many other requests failed as well to try again"
            self._tell(error, None)
            # The frames of tenacity hold on to the error, which would hold on to them, and they to the client.
            raise error.with_traceback(None)  # noqa: B904  it is the same one
        finally:
            retrying.iter_state.reset()  # what it holds refers to itself, and to the client
        self._retrier.budget.refund()
        self._tell(None, None)
        return result

    async def _attempt(self) -> T:
        asked = self._retrier.clock()
        async with self._admit():
            self._number += 1
            self._began = self._retrier.clock()
            self._started = self._began if self._started is None else self._started + (self._began - asked)
            # A consumer who kept the event loop busy may have let the deadline pass.
            left = max(0.0, self._retrier.policy.deadline - (self._began - self._started))
            return await self._operation(left)

    def _delay(self, state: tenacity.RetryCallState) -> float:
        return backoff(self._retrier.policy, self._number, _error_of(state), self._retrier.uniform)

    def _gives_up(self, state: tenacity.RetryCallState) -> bool:
        elapsed = self._retrier.clock() - (self._started or 0.0)
        policy = self._retrier.policy
        if self._number >= policy.attempts or elapsed + state.upcoming_sleep >= policy.deadline:
            return True
        self._exhausted = not self._retrier.budget.spend()
        return self._exhausted

    def _before_sleep(self, state: tenacity.RetryCallState) -> None:
        self._reported = self._number
        self._tell(_error_of(state), state.upcoming_sleep)

    def _tell(self, error: ApifyTasksError | None, delay: float | None) -> None:
        self._report(Outcome(self._number, error, self._retrier.clock() - self._began, delay))


def _error_of(state: tenacity.RetryCallState) -> ApifyTasksError | None:
    error = state.outcome.exception() if state.outcome else None
    return error if isinstance(error, ApifyTasksError) else None
