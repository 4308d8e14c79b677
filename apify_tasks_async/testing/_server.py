"""The fake server: it listens, records requests, answers them, and fails on demand."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Self, cast

import attrs
from aiohttp import hdrs, web

from apify_tasks_async._arguments import (
    check_boolean,
    check_instance,
    check_integer,
    check_number,
    check_text,
    short_repr,
    validator,
)
from apify_tasks_async._home import running_loop
from apify_tasks_async.models import Task
from apify_tasks_async.testing._faults import Fault, FaultScript, Hang, OtherRequest, Status
from apify_tasks_async.testing._limiters import LIMITERS, Limiter, LimiterKind, make_limiter
from apify_tasks_async.testing._listener import Listener
from apify_tasks_async.testing._protocol import (
    DEFAULT_LIMIT,
    PATH,
    Answer,
    Query,
    RecordedRequest,
    apply_fault,
    error_answer,
    page_answer,
    read_token,
    status_answer,
)
from apify_tasks_async.testing._tasks import TaskList, make_task_of
from apify_tasks_async.testing._wire import send

__all__ = ["FakeApify"]


def _initial_tasks(tasks: int | Iterable[Task], owner: str = "") -> Iterable[Task]:
    if isinstance(tasks, Iterable):
        return tasks
    refusal = f"tasks must be an integer >= 0 or an iterable of Task, got {tasks!r}"
    if type(tasks) is not int:
        raise TypeError(refusal)
    if tasks < 0:
        raise ValueError(refusal)
    return map(partial(make_task_of, owner), range(tasks))


def _check_accounts(accounts: Any, own: str) -> None:
    check_instance("accounts", accounts, kinds=(Mapping,))
    for token in accounts:
        check_text("accounts", token)
        if token == own:
            raise ValueError("accounts must not have the token of the server itself")


def _check_limiter(_: Any, attribute: Any, value: LimiterKind) -> None:
    if value not in LIMITERS:
        raise ValueError(f"{attribute.name} must be one of {', '.join(LIMITERS)}, got {short_repr(value)}")


def _check_lags(name: str, value: Any) -> None:
    if not isinstance(value, tuple):
        raise TypeError(f"{name} must be a tuple of integers, got {short_repr(value)}")
    if not value:
        raise ValueError(f"{name} must not be empty")
    lags: tuple[Any, ...] = value
    for lag in lags:
        check_integer(name, lag, minimum=0)


@attrs.define(eq=False, repr=False)
class FakeApify:
    """A server on loopback that serves `GET /v2/actor-tasks` as the API does.

    https://docs.apify.com/api/v2/actor-tasks-get describes the endpoint. `async with` runs the server in the event loop
    of the caller. `with` runs it in a thread, for code without asyncio. You may start it again after it was stopped; it
    keeps its tasks. You may use every member from any thread.

    If a client must survive many faults in a test, give it `retry=RetryPolicy(base_delay=0)`. With the default policy,
    the waits between its attempts take up to 15 seconds for each request.

    A request is recorded, then `on_request` is called, then the answer is decided. The latency passes after that.

    Args:
        tasks: The tasks to begin with, or how many to make.
        token: The accepted token, sent as `Authorization: Bearer` or as the query parameter `token`.
        latency: Seconds before every answer.
        rate_limit: Requests per second; others are answered with 429. `None`: unlimited. See `limiter` and `refusal`.
        max_limit: The maximum number of tasks in one page.
        seed: Decides faults with a probability, and the order of shuffled ties.
        port: The port to listen on; 0: a free one.
        host: The address to listen on, such as `"0.0.0.0"` in a container.
        accounts: Other accounts, by their tokens: the tasks that each begins with, or how many to make. The ids of one
            account are in no other. `account` returns what you have of each.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of range, or two tasks have the same id.

    Example:
        >>> import asyncio
        >>> from apify_tasks_async.testing import FakeApify
        >>> async def main() -> None:
        ...     async with FakeApify(tasks=2500) as api:
        ...         print(api.url.startswith("http://127.0.0.1:"), len(api.tasks), api.requests)
        >>> asyncio.run(main())
        True 2500 []
    """

    _initial: int | Iterable[Task] = attrs.field(default=0, alias="tasks")

    token: str = attrs.field(
        default="fake-token-of-no-account",
        kw_only=True,
        validator=validator(check_text),
        on_setattr=attrs.setters.frozen,
    )
    """The accepted token."""

    latency: float = attrs.field(default=0.0, kw_only=True, validator=validator(check_number, minimum=0))
    """Seconds before every answer. You may change it while the server runs."""

    rate_limit: float | None = attrs.field(
        default=None, kw_only=True, validator=validator(check_number, optional=True, above=0)
    )
    """Requests per second; `None`: unlimited. You may change it while the server runs."""

    max_limit: int = attrs.field(default=DEFAULT_LIMIT, kw_only=True, validator=validator(check_integer, minimum=1))
    """The maximum number of tasks in one page. You may change it while the server runs."""

    # attrs finds these aliases by itself, pyright does not.
    _seed: int = attrs.field(default=0, alias="seed", kw_only=True, validator=validator(check_instance, kinds=(int,)))
    _port: int = attrs.field(
        default=0,
        alias="port",
        kw_only=True,
        validator=validator(check_integer, minimum=0, maximum=65535),
    )
    _host: str = attrs.field(default="127.0.0.1", alias="host", kw_only=True, validator=validator(check_text))

    _accounts: Mapping[str, Any] = attrs.field(default={}, alias="accounts", kw_only=True)

    limiter: LimiterKind = attrs.field(default="sliding", init=False, validator=_check_limiter)
    """How `rate_limit` is counted. You may change it while the server runs.

    "sliding": no second holds more. "fixed": no second of the clock holds more. "bucket": a second's worth may be saved
    up. "spaced": requests must be evenly spaced, as nginx has it with `limit_req`.
    """

    refusal: Status = attrs.field(default=Status(429), init=False, validator=validator(check_instance, kinds=(Status,)))
    """The answer to a request over the `rate_limit`. nginx answers 503 by default."""

    reported_total: int | None = attrs.field(
        default=None, init=False, validator=validator(check_integer, optional=True, minimum=0)
    )
    """The `total` of every answer; `None`: the true one."""

    total_lag: int | None = attrs.field(
        default=None, init=False, validator=validator(check_integer, optional=True, minimum=0)
    )
    """How many changes ago the `total` of an answer was true; `None`: at the moment of its items.

    `reported_total` takes precedence.
    """

    unsaid_max_limit: int | None = attrs.field(
        default=None, init=False, validator=validator(check_integer, optional=True, minimum=1)
    )
    """The maximum number of tasks in one page, although `limit` in the answer says more; `None`: no such bound."""

    replica_lags: tuple[int, ...] = attrs.field(
        default=(0,),
        init=False,
        validator=validator(_check_lags),
    )
    """One number for each replica. They answer in turn, with the list as it was that many changes ago."""

    shuffle_ties: bool = attrs.field(default=False, init=False, validator=validator(check_boolean))
    """Whether tasks with equal creation times change their order with each request."""

    on_request: Callable[[RecordedRequest], object] | None = attrs.field(
        default=None, init=False, validator=attrs.validators.optional(attrs.validators.is_callable())
    )
    """Called with each request before it is answered, in the thread of the server. It may change the list.

    If it raises, the answer is a plain 500, and the traceback is logged.
    """

    requests: list[RecordedRequest] = attrs.field(factory=list[RecordedRequest], init=False)
    """All requests to the endpoint so far, refused ones included, and those of other accounts."""

    in_flight: int = attrs.field(default=0, init=False)
    """How many requests are being answered now, those of other accounts included."""

    _tasks: TaskList = attrs.field(init=False)
    _faults: FaultScript = attrs.field(init=False)
    _turns: Iterator[int] = attrs.field(factory=itertools.count, init=False)
    _limiters: dict[LimiterKind, Limiter] = attrs.field(init=False)
    _clock: Callable[[], float] = attrs.field(default=time.monotonic, init=False)
    _listener: Listener = attrs.field(init=False)
    _server: FakeApify | None = attrs.field(default=None, init=False)
    """The server that an account belongs to; `None`: it is one itself."""

    def __attrs_post_init__(self) -> None:
        self._tasks = TaskList(_initial_tasks(self._initial), seed=self._seed)
        self._faults = FaultScript(seed=self._seed)
        self._limiters = {kind: make_limiter(kind) for kind in LIMITERS}
        self._listener = Listener(self._handle, self._host, self._port)
        # Let go of an iterable that is exhausted.
        self._initial = 0
        _check_accounts(self._accounts, self.token)
        self._accounts = {token: self._open_account(token, tasks) for token, tasks in self._accounts.items()}

    def _open_account(self, token: str, tasks: int | Iterable[Task]) -> FakeApify:
        fields = [field for field in attrs.fields(FakeApify) if field.init]
        options: dict[str, Any] = {str(field.alias): getattr(self, field.name) for field in fields}
        options |= {"tasks": 0, "token": token, "accounts": {}}
        account = FakeApify(**options)
        account._join(self, tasks)
        return account

    def _join(self, server: FakeApify, tasks: int | Iterable[Task]) -> None:
        self._server, self._listener = server, server._listener
        self._tasks = TaskList(_initial_tasks(tasks, self.token), seed=self._seed, owner=self.token)

    @property
    def url(self) -> str:
        """The base URL, without `/v2`.

        Raises:
            RuntimeError: The server is not running.
        """
        return self._listener.url

    def account(self, token: str) -> FakeApify:
        """Return the account with that token: its tasks, requests, rate limit and faults, and what else you may set.

        It begins with the `latency`, `rate_limit`, `max_limit` and `seed` of the server, and runs as long as that.

        Args:
            token: One of `accounts`, or the token of the server itself.

        Raises:
            KeyError: No account has this token.

        Example:
            >>> api = FakeApify(accounts={"token-a": 20, "token-b": 3000})
            >>> api.account("token-a").rate_limit = 5
            >>> len(api.account("token-a").tasks), len(api.account("token-b").tasks)
            (20, 3000)
        """
        account: FakeApify = {**self._accounts, self.token: self}[token]
        return account

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks, sorted by `created_at`; equal ones in the order of their creation."""
        return self._tasks.snapshot()

    def create_task(self, **fields: Any) -> Task:
        """Add a task. It is the newest, unless you give a `created_at`.

        Args:
            **fields: Any fields of `Task`. The others get plausible values.

        Returns:
            The task.

        Raises:
            TypeError: `Task` has no such field, or a value has the wrong type. A page with a task that is not as
                documented, such as one without `createdAt`, comes from `fail(MalformedItem(...))`.
            ValueError: Another task has the same id, or a time is naive.

        Example:
            >>> api = FakeApify(tasks=2)
            >>> api.create_task(name="mine") == api.tasks[-1]
            True
        """
        return self._tasks.create(fields)

    def delete_task(self, id: str) -> Task:  # noqa: A002 - the name of the field
        """Remove a task.

        Args:
            id: The id of the task.

        Returns:
            The task that was removed.

        Raises:
            KeyError: No task has this id.

        Example:
            >>> api = FakeApify(tasks=2)
            >>> api.delete_task(api.tasks[0].id).name, len(api.tasks)
            ('my-task-0', 1)
        """
        return self._tasks.remove(id)

    def update_task(self, id: str, **fields: Any) -> Task:  # noqa: A002 - the name of the field
        """Change a task. Its `modified_at` becomes later, unless you give one.

        Args:
            id: The id of the task.
            **fields: Any fields of `Task`, except `created_at`, which never changes.

        Returns:
            The changed task.

        Raises:
            KeyError: No task has this id.
            TypeError: `Task` has no such field, or a value has the wrong type.
            ValueError: A `created_at` was given, or a time is naive.

        Example:
            >>> api = FakeApify(tasks=2)
            >>> before = api.tasks[0]
            >>> after = api.update_task(before.id, name="renamed")
            >>> after.name, after.modified_at > before.modified_at
            ('renamed', True)
        """
        return self._tasks.update(id, fields)

    def hide(self, id: str) -> None:  # noqa: A002 - the name of the field
        """Leave a task out of every page, but count it in `total` and in offsets.

        A page may then be short, or empty in the middle of the list. To let a task become visible late, hide it, then
        `reveal` it. To let it be counted late as well, create it late with an early `created_at`.

        Args:
            id: The id of the task.

        Raises:
            KeyError: No task has this id.

        Example:
            >>> api = FakeApify(tasks=2)
            >>> late = api.create_task()
            >>> api.hide(late.id)
            >>> api.reveal(late.id)
        """
        self._tasks.hide(id)

    def reveal(self, id: str) -> None:  # noqa: A002 - the name of the field
        """Show a hidden task again. Does nothing if the task is not hidden.

        Args:
            id: The id of the task.

        Raises:
            KeyError: No task has this id.
        """
        self._tasks.reveal(id)

    def fail(self, fault: Fault, *, times: int | None = 1, probability: float = 1.0, offset: int | None = None) -> None:
        """Let requests to the endpoint fail. If several faults apply to a request, the one added first is used.

        Args:
            fault: What happens to the requests.
            times: How many requests fail; `None`: all, until `clear_faults`.
            probability: The probability that a request fails, 0 to 1. The seed decides.
            offset: Only requests with this `offset` fail; `None`: with any.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of range.

        Example:
            >>> from apify_tasks_async.testing import Disconnect, Status
            >>> api = FakeApify(tasks=2500)
            >>> api.fail(Status(503), times=2, offset=1000)
            >>> api.fail(Disconnect(), times=None, probability=0.05)
        """
        self._faults.add(fault, times=times, probability=probability, offset=offset)

    def clear_faults(self) -> None:
        """Remove all faults, and answer the requests that hang."""
        self._faults.clear()
        self._listener.release(self.token)

    async def start(self) -> None:
        """Start to listen in the running event loop.

        Raises:
            RuntimeError: The server is running already.
            ConfigurationError: No event loop of asyncio is running, but that of trio, for example.
            OSError: The port is taken.
        """
        running_loop("or write `with FakeApify()` in place of `async with`: then it has a loop in a thread")
        await self._listener.start()

    async def stop(self) -> None:
        """Close every connection and stop listening, at once. You may call it twice."""
        await self._listener.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def __enter__(self) -> Self:
        self._listener.start_in_thread()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.stop_thread()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path != PATH:
            return await send(request, error_answer(404))
        token = read_token(request.headers, request.query)
        account: FakeApify = self._accounts.get(token or "", self)
        concerned = {self, account}
        for one in concerned:
            one.in_flight += 1
        try:
            return await account._serve(request, token)
        finally:
            for one in concerned:
                one.in_flight -= 1

    async def _serve(self, request: web.BaseRequest, token: str | None) -> web.StreamResponse:
        query = Query.read(request.query)
        recorded = RecordedRequest(query.offset, query.limit, query.desc, token == self.token, self._clock())
        self.requests.append(recorded)
        if self._server:
            self._server.requests.append(recorded)
        if self.on_request is not None:
            self.on_request(recorded)
        # First the event, then the fault: another thread may clear the faults in between.
        released = self._listener.released[self.token]
        fault = self._faults.next(query.offset)
        answer = (
            status_answer(fault) if isinstance(fault, Status) else self._answer(request.method, token, query, fault)
        )
        if self.rate_limit is not None:
            limit = {"X-RateLimit-Limit": f"{self.rate_limit:.15g}"}
            answer = attrs.evolve(answer, headers={**answer.headers, **limit})
        await asyncio.sleep(self.latency)
        if isinstance(fault, Hang):
            await released.wait()
        return await send(request, apply_fault(answer, fault), fault)

    def _answer(self, method: str, token: str | None, query: Query, fault: Fault | None) -> Answer:
        if method != hdrs.METH_GET:
            return error_answer(405)
        if not token:
            return error_answer(401, error_type="token-not-provided", message="The request came without a token.")
        if token != self.token:
            return error_answer(401)
        if self.rate_limit is not None and not self._limiters[self.limiter].accepts(self.rate_limit, self._clock()):
            return status_answer(self.refusal)
        if query.problem is not None:
            return error_answer(400, message=query.problem)
        answered = query.instead(fault)
        return self._page(answered, query if isinstance(fault, OtherRequest) and not fault.admits else answered)

    def _page(self, query: Query, said: Query) -> Answer:
        # Without a problem, the query has both.
        offset, desc = cast(int, query.offset), cast(bool, query.desc)
        limit = self._effective_limit(query)
        total, items = self._tasks.page(
            offset,
            limit if self.unsaid_max_limit is None else min(limit, self.unsaid_max_limit),
            desc=desc,
            shuffle_ties=self.shuffle_ties,
            lag=self.replica_lags[next(self._turns) % len(self.replica_lags)],
            total_lag=self.total_lag,
        )
        if self.reported_total is not None:
            total = self.reported_total
        return page_answer(
            total=total,
            offset=cast(int, said.offset),
            limit=self._effective_limit(said),
            desc=cast(bool, said.desc),
            items=items,
        )

    def _effective_limit(self, query: Query) -> int:
        return min(query.limit or DEFAULT_LIMIT, self.max_limit)
