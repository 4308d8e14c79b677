"""Whether and when a request is tried again."""

import asyncio
import math
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, cast

import attrs
import pytest
from helpers.raw_server import EMPTY_PAGE, RawServer, Reply, Then, message
from helpers.support import FakeTime, until
from hypothesis import given
from hypothesis import strategies as st

from apify_tasks_async import (
    ApifyTasksError,
    Attempt,
    AuthenticationError,
    BadRequestError,
    CertificateError,
    ClientClosedError,
    ConfigurationError,
    DriftError,
    InvalidResponseError,
    InvalidTaskError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    RequestTimeoutError,
    ResponseError,
    ResponseTooLargeError,
    RetryPolicy,
    ServerError,
    TasksClient,
    TransportError,
)
from apify_tasks_async._clock import Clock
from apify_tasks_async._congestion import Congestion
from apify_tasks_async._limiter import Limiter
from apify_tasks_async._outage import Outage, Ticket
from apify_tasks_async._pace import Pace
from apify_tasks_async._page import Page, PageRequest
from apify_tasks_async._recorder import Recorder
from apify_tasks_async._refusal import Response
from apify_tasks_async._retry import Budget, RetryLoop, backoff, is_transient
from apify_tasks_async._secret import Redactor
from apify_tasks_async._transport import Transport

# What is tried again.


def of_kind(kind: type[ApifyTasksError], **details: Any) -> ApifyTasksError:
    """Return an error of the kind."""
    return kind("boom", **({"status": 500} if issubclass(kind, ResponseError) else {}) | details)


@pytest.mark.parametrize(
    ("kind", "transient"),
    [
        (RateLimitedError, True),
        (ServerError, True),
        (TransportError, True),
        (RequestTimeoutError, True),
        (InvalidResponseError, True),
        (BadRequestError, False),
        (AuthenticationError, False),
        (PermissionDeniedError, False),
        (NotFoundError, False),
        (ResponseError, False),
        (CertificateError, False),
        (ResponseTooLargeError, False),
        (InvalidTaskError, False),
        (ClientClosedError, False),
        (ConfigurationError, False),
        (DriftError, False),
        (ApifyTasksError, False),
    ],
)
def test_is_transient(kind: type[ApifyTasksError], *, transient: bool) -> None:
    """Tried again is what time may cure, and nothing else."""
    assert transient == is_transient(of_kind(kind))


@pytest.mark.parametrize(
    ("status", "transient"), [(400, False), (405, False), (408, True), (409, False), (421, True), (425, True)]
)
def test_statuses_that_ask_for_another_try(status: int, *, transient: bool) -> None:
    """RFC 9110 and RFC 8470 let a client send a GET again after 408, 421 and 425, and after no other of these."""
    assert transient == is_transient(ResponseError("boom", status=status))


@pytest.mark.parametrize("error", [TimeoutError(), ConnectionError(), ValueError(), asyncio.CancelledError()])
def test_foreign_errors_are_not_transient(error: BaseException) -> None:
    """What is none of our errors is not tried again, whatever it is."""
    assert not is_transient(error)


# The policy.


@pytest.mark.parametrize(
    ("argument", "value", "kind"),
    [
        *((name, value, TypeError) for name in ("attempts", "budget") for value in (True, 2.0, "2", None, math.nan)),
        *((name, value, ValueError) for name, value in (("attempts", 0), ("attempts", -1), ("budget", -1))),
        *(
            (name, value, kind)
            for name in ("base_delay", "max_delay", "deadline")
            for value, kind in (
                (True, TypeError),
                ("2", TypeError),
                (None, TypeError),
                (math.nan, ValueError),
                (math.inf, ValueError),
                (-math.inf, ValueError),
                (-0.1, ValueError),
                (-1, ValueError),
            )
        ),
        ("deadline", 0, ValueError),
    ],
)
def test_policy_refuses(argument: str, value: Any, kind: type[Exception]) -> None:
    """A value that makes no sense is refused, and the message names the argument and the value."""
    with pytest.raises(kind) as info:
        RetryPolicy(**{argument: value})
    assert kind is type(info.value)
    assert str(info.value).startswith(f"{argument} must be ")
    assert str(value) in str(info.value)


@pytest.mark.parametrize(
    "values",
    [{"attempts": 1}, {"base_delay": 0}, {"max_delay": 0}, {"deadline": 1}, {"deadline": 0.001}, {"budget": 0}],
)
def test_policy_accepts(values: dict[str, Any]) -> None:
    """The bounds themselves are fine."""
    assert values == {name: getattr(RetryPolicy(**values), name) for name in values}


def test_policy_defaults() -> None:
    """The defaults are those of the contract."""
    assert (5, 0.5, 30.0, 120.0, 25) == attrs.astuple(RetryPolicy())


def test_policy_is_frozen() -> None:
    """A policy, which clients share, cannot be changed."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        RetryPolicy().attempts = 7  # type: ignore[misc]  # that is the point


# The wait.


def lowest(low: float, _: float) -> float:
    """Be as random as the least value."""
    return low


def highest(_: float, high: float) -> float:
    """Be as random as the greatest value."""
    return high


@pytest.mark.parametrize(
    ("uniform", "delays"),
    [(lowest, [0.5, 1, 2, 4, 8, 16, 30, 30]), (highest, [1, 2, 4, 8, 16, 30, 30, 30])],
)
def test_backoff(uniform: Callable[[float, float], float], delays: list[float]) -> None:
    """The wait is random in [D, 2D]; D is 500 ms and doubles; the wait ends at the longest one."""
    error = TransportError("down")
    assert delays == [backoff(RetryPolicy(), number, error, Clock(uniform=uniform)) for number in range(1, 9)]


positive = st.floats(0, 1e6)
numbers = st.integers(1, 10**6)
shares = st.floats(0, 1)
waits = st.none() | st.floats(0, 1e9)


@given(base=positive, most=positive, number=numbers, share=shares, asked=waits)
def test_backoff_bounds(base: float, most: float, number: int, share: float, asked: float | None) -> None:
    """No wait is shorter than the server asks for, and none is longer than both that and the longest one."""
    policy = RetryPolicy(base_delay=base, max_delay=most)
    error = RateLimitedError("", status=429, retry_after=asked)
    delay = backoff(policy, number, error, Clock(uniform=lambda low, high: low + share * (high - low)))
    assert (asked or 0) <= delay <= max(asked or 0, most)


@given(base=st.floats(1e-3, 1), number=st.integers(1, 10), share=shares)
def test_backoff_doubles(base: float, number: int, share: float) -> None:
    """As long as the longest wait is far away, each wait is twice the one before."""

    def delay(number: int) -> float:
        policy = RetryPolicy(base_delay=base, max_delay=1e9)
        clock = Clock(uniform=lambda low, high: low + share * (high - low))
        return backoff(policy, number, TransportError("down"), clock)

    assert math.isclose(2 * delay(number), delay(number + 1))


@pytest.mark.parametrize(("asked", "delay"), [(None, 0.5), (0.0, 0.5), (0.2, 0.5), (7.0, 7.0), (100.0, 100.0)])
@pytest.mark.parametrize("kind", [RateLimitedError, ServerError])
def test_retry_after(kind: type[ResponseError], asked: float | None, delay: float) -> None:
    """Retry-After is the least wait, for a 429 as for a 503, even if it is longer than our longest one."""
    error = kind("", status=503, retry_after=asked)
    assert delay == backoff(RetryPolicy(), 1, error, Clock(uniform=lowest))


def test_a_seed_decides_nothing() -> None:
    """Workers that seed `random` alike wait differently, and their own numbers are those that they expect."""
    state = random.getstate()
    try:
        waits, numbers = [], []
        for _ in range(3):
            random.seed(42)
            waits.append(
                [backoff(RetryPolicy(), number, ServerError("", status=503), Clock()) for number in range(1, 5)]
            )
            numbers.append(random.random())
        random.seed(42)
        assert {random.random()} == set(numbers)
    finally:
        random.setstate(state)
    assert waits[0] != waits[1] != waits[2]


# The budget.


@given(size=st.integers(0, 10), events=st.lists(st.booleans()))
def test_budget(size: int, events: list[bool]) -> None:
    """It gives no more retries than its size and the successes together, and holds no more than its size."""
    budget = Budget(size)
    given_out = successes = 0
    for success in events:
        if success:
            budget.refund()
            successes += 1
        else:
            given_out += budget.spend()
        assert 0 <= budget.left <= size
        assert given_out <= size + successes


def test_budget_is_refunded() -> None:
    """A success puts one retry back."""
    budget = Budget(1)
    assert [True, False] == [budget.spend(), budget.spend()]
    budget.refund()
    assert [True, False] == [budget.spend(), budget.spend()]


# The loop.

REQUEST = PageRequest(0, 1, desc=False)
PAGE = Response(200, {}, EMPTY_PAGE)


class FakeLimiter:
    """Gives every request its turn after a while."""

    def __init__(self, time: FakeTime, seconds: float) -> None:
        self.congestion = Congestion(1, 1e9, time)
        self.pace = Pace(None, time)
        self.outage = Outage()
        self.inside = 0
        self._time = time
        self._seconds = seconds

    @asynccontextmanager
    async def turn(self, ticket: Ticket, seconds: float) -> AsyncIterator[float]:
        """Let an attempt in."""
        self._time.now += self._seconds
        self.inside += 1
        try:
            yield self._seconds
        finally:
            self.inside -= 1


class Bench:
    """Runs scripted attempts, without any real wait."""

    def __init__(
        self,
        policy: RetryPolicy,
        *,
        takes: float = 0.0,
        turn: float = 0.0,
        on_attempt: Callable[[Attempt], object] | None = None,
    ) -> None:
        self.time = FakeTime()
        self.attempts: list[Attempt] = []
        self.timeouts: list[float] = []
        self.limiter = FakeLimiter(self.time, turn)
        self.recorder = Recorder(on_attempt or self.attempts.append)
        self.loop = RetryLoop(
            cast("Transport", self),
            policy,
            timeout=1e9,
            limiter=cast("Limiter", self.limiter),
            recorder=self.recorder,
            redactor=Redactor("token"),
            clock=Clock(now=self.time, sleep=self.time.sleep, uniform=lowest),
        )
        self._takes = takes
        self._script: Iterator[Response | ApifyTasksError | BaseException] = iter(())

    async def get(self, request: PageRequest, timeout: float, _: object) -> Response | ApifyTasksError:  # noqa: ASYNC109 - as Transport
        """Be the transport: return the next result of the script."""
        assert REQUEST is request
        assert self.limiter.inside
        self.timeouts.append(timeout)
        self.time.now += self._takes
        result = next(self._script)
        if isinstance(result, Response | ApifyTasksError):
            return result
        raise result

    async def run(self, *results: Response | ApifyTasksError | BaseException) -> Page | ApifyTasksError:
        """Return what the fetch of a page returns, given these results of its attempts."""
        self._script = iter(results)
        return await self.loop.fetch(REQUEST)

    async def failure(self, *results: ApifyTasksError) -> ApifyTasksError:
        """Return the error that the fetch ends with."""
        error = await self.run(*results)
        assert isinstance(error, ApifyTasksError)
        return error

    @property
    def outcomes(self) -> list[tuple[int, ApifyTasksError | None, float, float | None]]:
        """The number, error, seconds and delay of each attempt."""
        return [(attempt.number, attempt.error, attempt.elapsed, attempt.delay) for attempt in self.attempts]


def outage(count: int = 1000, **details: Any) -> list[ApifyTasksError]:
    """Return failures of a server."""
    return [ServerError(f"outage {number}", status=503, **details) for number in range(1, count + 1)]


@pytest.mark.asyncio
async def test_success() -> None:
    """A page that arrives at once is neither requested again nor waited for."""
    bench = Bench(RetryPolicy(), takes=0.25)
    page = await bench.run(PAGE)
    assert isinstance(page, Page)
    assert ([(1, None, 0.25, None)], [], 1) == (bench.outcomes, bench.time.slept, page.attempts)


@pytest.mark.asyncio
async def test_recovery() -> None:
    """After a failure and a wait the request is sent again. Every attempt is reported, in order."""
    bench = Bench(RetryPolicy(), takes=0.25)
    first, second = outage(2)
    page = await bench.run(first, second, PAGE)
    assert isinstance(page, Page)
    assert 3 == page.attempts
    assert [(1, first, 0.25, 0.5), (2, second, 0.25, 1.0), (3, None, 0.25, None)] == bench.outcomes
    assert [0.5, 1.0] == bench.time.slept


@pytest.mark.asyncio
@pytest.mark.parametrize("attempts", [1, 2, 5])
async def test_attempts(attempts: int) -> None:
    """The policy bounds the attempts. The error of the last one is returned, and says how many there were."""
    bench = Bench(RetryPolicy(attempts=attempts))
    errors = outage(10)
    error = await bench.failure(*errors)
    assert (errors[attempts - 1], attempts, None) == (error, error.attempts, bench.attempts[-1].delay)
    assert list(range(1, attempts + 1)) == [attempt.number for attempt in bench.attempts]
    assert attempts - 1 == len(bench.time.slept)


@pytest.mark.asyncio
async def test_permanent_failure() -> None:
    """An error that is not transient ends the fetch at once."""
    bench = Bench(RetryPolicy())
    refused = AuthenticationError("no", status=401)
    assert (refused, 1) == (await bench.failure(refused), refused.attempts)
    assert ([(1, refused, 0.0, None)], []) == (bench.outcomes, bench.time.slept)


@pytest.mark.asyncio
@pytest.mark.parametrize("error", [KeyError("bug"), asyncio.CancelledError("stop")])
async def test_foreign_failure(error: BaseException) -> None:
    """An error that is not ours is raised as it is, and is not an attempt."""
    bench = Bench(RetryPolicy())
    with pytest.raises(type(error)) as info:
        await bench.run(error)
    assert (error, []) == (info.value, bench.outcomes)


@pytest.mark.asyncio
async def test_no_wait_beyond_the_deadline() -> None:
    """A wait that would end at the deadline or later does not begin."""
    bench = Bench(RetryPolicy(deadline=3.5, attempts=100))
    error = await bench.failure(*outage())
    assert ([0.5, 1.0], 3) == (bench.time.slept, error.attempts)


@pytest.mark.asyncio
@pytest.mark.parametrize(("asked", "slept"), [(119.0, [119.0]), (120.0, []), (1e18, [])])
async def test_retry_after_and_deadline(asked: float, slept: list[float]) -> None:
    """Retry-After is waited for, but never beyond the deadline."""
    bench = Bench(RetryPolicy())
    failures = outage(1, retry_after=asked)
    result = await bench.run(*failures, PAGE)
    assert slept == bench.time.slept
    assert isinstance(result, Page) if slept else result is failures[0]


@pytest.mark.asyncio
async def test_attempts_end_at_the_deadline() -> None:
    """An attempt may take the seconds that are left until the deadline, which starts with the first attempt."""
    bench = Bench(RetryPolicy(deadline=10), takes=1)
    await bench.run(*outage(2), PAGE)
    assert [10.0, 10 - 1 - 0.5, 10 - 1 - 0.5 - 1 - 1] == bench.timeouts


@pytest.mark.asyncio
async def test_a_timeout_that_the_deadline_cut_short_tells_what_came_before() -> None:
    """An attempt of a moment says nothing about the server, but the error of the attempt before it does."""
    bench = Bench(RetryPolicy(deadline=3), takes=1)
    cut_short = RequestTimeoutError("no response within 0.5 s", timeout=0.5)
    error = await bench.failure(RateLimitedError("it answered 429", status=429), cut_short)
    told = "no response within 0.5 s, all that the deadline of 3 s left; the attempt before ended with: it answered 429"
    assert told == error.problem


@pytest.mark.asyncio
async def test_turns_do_not_count() -> None:
    """The wait for a turn neither brings the deadline nearer nor makes the attempt longer."""
    bench = Bench(RetryPolicy(deadline=10), takes=1, turn=1000)
    await bench.run(*outage(2), PAGE)
    assert [10.0, 8.5, 6.5] == bench.timeouts
    assert [1.0, 1.0, 1.0] == [attempt.elapsed for attempt in bench.attempts]


@pytest.mark.asyncio
async def test_a_turn_ends_before_its_attempt_is_reported() -> None:
    """While a request waits for its next attempt, others have their turn."""
    inside = []
    bench = Bench(RetryPolicy(), on_attempt=lambda _: inside.append(bench.limiter.inside))
    await bench.run(*outage(2), PAGE)
    assert [0, 0, 0] == inside


@pytest.mark.asyncio
async def test_budget_is_shared() -> None:
    """All fetches share one budget. When it is empty a failure is final, and says why."""
    bench = Bench(RetryPolicy(attempts=4, budget=5))
    errors = [await bench.failure(*outage()) for _ in range(4)]
    assert [4, 3, 1, 1] == [error.attempts for error in errors]
    remark = "; too many other requests failed as well to try again"
    assert [False, True, True, True] == [error.problem.endswith(remark) for error in errors]
    await bench.run(PAGE)
    assert 2 == (await bench.failure(*outage())).attempts


@pytest.mark.asyncio
@pytest.mark.parametrize("limits", [{"attempts": 1}, {"deadline": 0.1}])
async def test_no_budget_is_spent_without_a_retry(limits: dict[str, Any]) -> None:
    """If the attempts or the deadline forbid a retry, none is taken from the budget."""
    bench = Bench(RetryPolicy(budget=1, **limits))
    errors = [await bench.failure(*outage(1)) for _ in range(3)]
    assert ["outage 1"] * 3 == [error.problem for error in errors]


class UserError(Exception):
    """What a user's function raises."""


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", [UserError, KeyError, DriftError])
@pytest.mark.parametrize(
    ("script", "at"), [([PAGE], 1), ([*outage(1), PAGE], 1), ([*outage(1), PAGE], 2), (outage(9), 5)]
)
async def test_report_raises(kind: type[Exception], script: list[Any], at: int) -> None:
    """If `on_attempt` raises, the error comes out, nothing is sent after it, and nothing is reported twice."""
    reported = []

    def report(attempt: Attempt) -> None:
        reported.append(attempt.number)
        if attempt.number == at:
            raise kind("enough")

    bench = Bench(RetryPolicy(), on_attempt=report)
    with pytest.raises(kind, match="enough"):
        await bench.run(*script)
    assert (list(range(1, at + 1)), at - 1) == (reported, len(bench.time.slept))


@pytest.mark.asyncio
async def test_report_raises_the_error() -> None:
    """`on_attempt` may raise the error of an attempt to give up early."""
    reported = []

    def report(attempt: Attempt) -> None:
        reported.append(attempt.number)
        if attempt.error:
            raise attempt.error

    failures = outage(9)
    with pytest.raises(ServerError) as info:
        await Bench(RetryPolicy(), on_attempt=report).run(*failures)
    assert (failures[0], [1]) == (info.value, reported)


@pytest.mark.asyncio
async def test_cancelled_wait() -> None:
    """A cancellation during a wait ends it at once; no further attempt is made."""
    sleeping = asyncio.Event()

    async def sleep(seconds: float) -> None:
        sleeping.set()
        await asyncio.Event().wait()

    bench = Bench(RetryPolicy(base_delay=30, max_delay=60))
    bench.loop._clock = attrs.evolve(bench.loop._clock, sleep=sleep)
    running = asyncio.create_task(bench.run(*outage(9)))
    await sleeping.wait()
    running.cancel()
    await asyncio.wait({running})
    assert (True, [30]) == (running.cancelled(), [attempt.delay for attempt in bench.attempts])


@pytest.mark.asyncio
async def test_one_page_is_decoded_per_turn_of_the_loop() -> None:
    """Pages that arrive together are decoded in turns of the loop, so that other tasks run between two of them."""
    turns = 0
    decoded_at: list[int] = []
    bench = Bench(RetryPolicy(), on_attempt=lambda _: decoded_at.append(turns))
    bench._script = iter([PAGE] * 5)

    async def count_turns() -> None:
        nonlocal turns
        while len(decoded_at) < 5:
            turns += 1
            await asyncio.sleep(0)

    await asyncio.gather(count_turns(), *(bench.loop.fetch(REQUEST) for _ in range(5)))
    assert sorted(set(decoded_at)) == decoded_at


# Through the client.

UNAVAILABLE = message(b"", "Retry-After: 0.001", status="503 Service Unavailable")


def client_of(server: RawServer, policy: RetryPolicy, **options: Any) -> TasksClient:
    """Return a client of the server."""
    settings: dict[str, Any] = {"base_url": server.url, "retry": policy, "rate_limit": None}
    return TasksClient("test-token", **settings | options)


@pytest.mark.virtual_time
@pytest.mark.asyncio
async def test_on_attempt() -> None:
    """`on_attempt` is told of each attempt in full, in order; the last has no delay."""
    attempts: list[Attempt] = []
    policy = RetryPolicy(base_delay=0)
    replies = [Reply(then=Then.CLOSE), UNAVAILABLE, message(b"?"), message()]
    async with RawServer(*replies) as server, client_of(server, policy, on_attempt=attempts.append) as client:
        await client.list_tasks(offset=3, limit=7, desc=True)
    kinds = [TransportError, ServerError, InvalidResponseError, type(None)]
    assert [(3, 7, True, number) for number in (1, 2, 3, 4)] == [attrs.astuple(attempt)[:4] for attempt in attempts]
    assert [None, 503, 200, 200] == [attempt.status for attempt in attempts]
    assert kinds == [type(attempt.error) for attempt in attempts]
    assert [0.0, 0.001, 0.0, None] == [attempt.delay for attempt in attempts]
    assert all(0 <= attempt.elapsed < 60 for attempt in attempts)
    assert (4, 3, 0, 1) == (client.stats.requests, client.stats.retries, client.stats.failures, client.stats.pages)


@pytest.mark.virtual_time
@pytest.mark.asyncio
async def test_on_attempt_of_a_failure() -> None:
    """`on_attempt` is told the very error that is raised, and that there is no other attempt."""
    attempts: list[Attempt] = []
    policy = RetryPolicy(attempts=2, base_delay=0)
    async with RawServer(UNAVAILABLE) as server, client_of(server, policy, on_attempt=attempts.append) as client:
        with pytest.raises(ServerError) as info:
            await client.count()
    assert [(0.001, 1), (None, 2)] == [(attempt.delay, attempt.number) for attempt in attempts]
    assert (info.value, 2, 1) == (attempts[-1].error, client.stats.requests, client.stats.failures)


@pytest.mark.asyncio
@pytest.mark.parametrize("reply", [message(), UNAVAILABLE], ids=["success", "failure"])
async def test_on_attempt_raises(reply: Reply) -> None:
    """What `on_attempt` raises comes out of the call, and nothing is tried after it."""

    def on_attempt(_: Attempt) -> None:
        raise UserError

    async with RawServer(reply) as server, client_of(server, RetryPolicy(), on_attempt=on_attempt) as client:
        with pytest.raises(UserError):
            await client.count()
    assert 1 == len(server.requests)


@pytest.mark.asyncio
@pytest.mark.parametrize("delay", [0, 30], ids=["between attempts", "during a long wait"])
async def test_close_during_retries(delay: float) -> None:
    """Closing the client ends a request that is to be tried again."""
    policy = RetryPolicy(attempts=10**6, base_delay=delay, budget=10**6)
    reply = message(b"", status="503 Service Unavailable")
    async with RawServer(reply) as server, client_of(server, policy) as client:
        waiting = asyncio.create_task(client.count())
        await until(lambda: client.stats.retries)
        await client.close()
        with pytest.raises(ClientClosedError):
            await waiting


@pytest.mark.virtual_time
@pytest.mark.asyncio
@pytest.mark.parametrize("reply", [UNAVAILABLE, Reply(then=Then.CLOSE)], ids=["503", "disconnect"])
async def test_outage(reply: Reply) -> None:
    """During an outage 100 pages cost at most 107 requests on the wire, and all of them fail."""
    policy = RetryPolicy(base_delay=0)
    async with RawServer(reply) as server, client_of(server, policy) as client:
        requests = (client.list_tasks(offset=1000 * number) for number in range(100))
        results = await asyncio.gather(*requests, return_exceptions=True)
    assert 100 == sum(isinstance(result, ServerError | TransportError) for result in results)
    assert len(server.requests) <= 107


@pytest.mark.virtual_time
@pytest.mark.asyncio
async def test_recovers_from_an_outage() -> None:
    """Successes fill the budget up again, so that later failures are tried again."""
    policy = RetryPolicy(attempts=2, base_delay=0, budget=1)
    replies = [UNAVAILABLE, message(), UNAVAILABLE, message(), UNAVAILABLE]
    async with RawServer(*replies) as server, client_of(server, policy) as client:
        assert [0, 0] == [await client.count(), await client.count()]
        with pytest.raises(ServerError):
            await client.count()
    assert 6 == len(server.requests)
