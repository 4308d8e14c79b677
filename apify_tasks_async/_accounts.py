"""Many accounts at once: a client for each, all on one session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from itertools import islice
from typing import Any, Generic, TypedDict, TypeVar, Unpack

import aiohttp
import attrs

from apify_tasks_async._arguments import check_integer, check_label, check_number, short_repr
from apify_tasks_async._defaults import AT_ONCE
from apify_tasks_async._fetch import cancel, wait_for
from apify_tasks_async._home import running_loop
from apify_tasks_async._recorder import Attempt
from apify_tasks_async._retry import RetryPolicy
from apify_tasks_async._secret import SecretText, as_secret, as_secrets
from apify_tasks_async._session import SharedSession
from apify_tasks_async.client import TasksClient
from apify_tasks_async.errors import ApifyTasksError, RequestTimeoutError

T = TypeVar("T")

CONNECTIONS = 100
"""The maximum number of connections of all accounts, far below the descriptors that a process may usually open."""


class ClientOptions(TypedDict, total=False):
    """The arguments of `TasksClient`, except `token` and `label`."""

    base_url: str | None
    session: aiohttp.ClientSession | None
    concurrency: int
    rate_limit: float | None
    timeout: float
    retry: RetryPolicy
    max_body_bytes: int
    allow_insecure: bool
    proxy: str | SecretText | None
    headers: Mapping[str, str | SecretText] | None
    user_agent_suffix: str | None
    pause_gc: bool
    on_attempt: Callable[[Attempt], object] | None


@attrs.frozen
class AccountResult(Generic[T]):
    """What became of one account.

    Example:
        >>> AccountResult("alice", 20).error is None
        True
    """

    account: str
    """The name of the account."""

    value: T | None = None
    """What the job returned; `None` if it failed."""

    error: Exception | None = None
    """Why it failed; `None` if it did not."""


def map_accounts(
    tokens: Mapping[str, str],
    job: Callable[[TasksClient, str], Awaitable[T]],
    *,
    at_once: int = AT_ONCE,
    deadline: float | None = None,
    **client_options: Unpack[ClientOptions],
) -> AsyncGenerator[AccountResult[T], None]:
    """Run a job for each account, many at once, and yield what became of each as soon as it ends.

    Each account has a client, with its own rate limit and retries. All clients share one session with at most 100
    connections; lend a `session` to have more. An account's failure is its own result, and the others go on. Leaving
    the loop cancels the accounts that are running. At most `at_once` results wait for you; while they do, no further
    account begins.

    Args:
        tokens: The token of each account, by a name of the account. The name is the `label` of its client.
        job: Called as `job(client, account)`. It returns an awaitable; its result is the account's `value`.
        at_once: The maximum number of accounts at work.
        deadline: Seconds for each account, from its beginning. After that its error is a `RequestTimeoutError`.
            `None`: no limit.
        **client_options: Arguments for each `TasksClient`.

    Yields:
        An `AccountResult` for each account, in the order in which they end. An error that is not of this library has
        a note that names the account.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of range.

    Example:
        >>> async def totals(tokens: dict[str, str]) -> dict[str, int | None]:
        ...     results = map_accounts(tokens, lambda client, account: client.count(), deadline=30)
        ...     return {result.account: result.value async for result in results}
    """
    # A traceback with locals would show them.
    kind, hidden = type(tokens).__name__, _hide(tokens)
    client_options = _hide_in(client_options)
    del tokens
    if hidden is None:
        raise TypeError(f"tokens must be a mapping of accounts to tokens, got an object of {kind}")
    for account in hidden:
        check_label("each account in tokens", account)
    if not callable(job):
        raise TypeError(f"job must be a coroutine function, got {short_repr(job)}")
    check_integer("at_once", at_once, minimum=1)
    if deadline is not None:
        check_number("deadline", deadline, above=0)
    TasksClient("checks-the-options", label="account", **client_options)
    return _map(hidden, Worker(job, deadline, client_options), at_once)


def _hide(tokens: Any) -> dict[str, Any] | None:
    return as_secrets(tokens) if isinstance(tokens, Mapping) else None


def _hide_in(options: ClientOptions) -> ClientOptions:
    hidden = options.copy()
    hidden["proxy"], hidden["headers"] = as_secret(options.get("proxy")), as_secrets(options.get("headers"))
    return hidden


class AccountClient(TasksClient):
    """The client of one account: on the session of all accounts, unless it borrows another one."""

    def __init__(
        self, shared: SharedSession, token: str | SecretText, *, label: str, **options: Unpack[ClientOptions]
    ) -> None:
        self._shared = shared
        super().__init__(token, label=label, **options)

    def _own_session(self, connections: int) -> SharedSession:  # noqa: ARG002 - it has its number of connections
        return self._shared


@attrs.frozen(eq=False, repr=False)
class Worker(Generic[T]):
    """Runs the job of one account."""

    _job: Callable[[TasksClient, str], Awaitable[T]]
    _deadline: float | None
    _options: ClientOptions

    async def run(self, account: str, token: SecretText | None, session: SharedSession) -> AccountResult[T]:
        """Return what became of the account."""
        timer = asyncio.timeout(self._deadline)
        try:
            # A missing token must not become that of the environment, which is another account's.
            async with timer, AccountClient(session, token or "", label=account, **self._options) as client:
                return AccountResult(account, await self._job(client, account))
        except Exception as error:  # noqa: BLE001 - a foreign job may raise anything
            if timer.expired():
                return AccountResult(account, error=self._timed_out(account, error))
            return AccountResult(account, error=_named(error, account))

    def _timed_out(self, account: str, failure: Exception) -> RequestTimeoutError:
        error = RequestTimeoutError(f"the job took longer than {self._deadline:g} seconds", label=account)
        error.advice = "raise `deadline`, or let the job do less"
        error.__cause__ = None if type(failure) is TimeoutError else failure
        return error


def _named(error: Exception, account: str) -> Exception:
    if isinstance(error, ApifyTasksError):
        error.label = error.label or account
    else:
        error.add_note(f"account {account}")
    return error


async def _map(tokens: dict[str, Any], worker: Worker[T], at_once: int) -> AsyncGenerator[AccountResult[T], None]:
    running_loop()
    session = SharedSession(CONNECTIONS, "map_accounts")
    accounts = iter(tokens.items())
    running: dict[asyncio.Task[AccountResult[T]], str] = {}
    finished: asyncio.Queue[asyncio.Task[AccountResult[T]]] = asyncio.Queue()
    try:
        while True:
            for account, token in islice(accounts, at_once - len(running)):
                task = asyncio.create_task(worker.run(account, token, session), name=f"apify_tasks_async: {account}")
                running[task] = account
                task.add_done_callback(finished.put_nowait)
            if not running:
                return
            task = await finished.get()
            yield _result(task, running.pop(task))
    finally:
        try:
            await wait_for(cancel(running))
        finally:
            await session.close_for_all()


def _result(task: asyncio.Task[AccountResult[T]], account: str) -> AccountResult[T]:
    if task.cancelled():  # not by us
        return AccountResult(account, error=_named(RuntimeError("the job was cancelled by itself"), account))
    return task.result()
