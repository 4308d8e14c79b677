"""`map_accounts`: many accounts on one session, and each account's failure is its own."""

import asyncio
import gc
import inspect
import subprocess
import sys
import traceback
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import aiohttp
import pytest
from helpers.support import until

from apify_tasks_async import (
    AccountResult,
    ApifyTasksError,
    Attempt,
    AuthenticationError,
    ClientOptions,
    ConfigurationError,
    RequestTimeoutError,
    RetryPolicy,
    ServerError,
    TasksClient,
    map_accounts,
)
from apify_tasks_async.testing import FakeApify, Hang, RecordedRequest, Status

TOKENS = {f"account-{number}": f"fake-token-of-{number}" for number in range(20)}
COUNTS = {account: number for number, account in enumerate(TOKENS)}


async def count(client: TasksClient, account: str) -> int:
    """Return how many tasks the account has."""
    return await client.count()


def serve(**options: Any) -> FakeApify:
    """Return an API with an account for each token; the number of tasks is that of the account."""
    return FakeApify(accounts={token: COUNTS[account] for account, token in TOKENS.items()}, **options)


def account_of(api: FakeApify, account: str) -> FakeApify:
    """Return an account by its name."""
    return api.account(TOKENS[account])


async def collect(results: AsyncGenerator[AccountResult[Any], None]) -> dict[str, AccountResult[Any]]:
    """Return the results by account, each of which must come once."""
    found = [result async for result in results]
    assert len({result.account for result in found}) == len(found)
    return {result.account: result for result in found}


class TestResults:
    """What comes of each account."""

    @pytest.mark.asyncio
    @pytest.mark.parametrize("at_once", [1, 7, 50])
    async def test_each_account_once(self, at_once: int) -> None:
        """Each account has one result, with what its job returned."""
        async with serve() as api:
            results = await collect(map_accounts(TOKENS, count, at_once=at_once, base_url=api.url))

        assert {account: result.value for account, result in results.items()} == COUNTS
        assert {result.error for result in results.values()} == {None}

    @pytest.mark.asyncio
    async def test_no_accounts(self) -> None:
        """Without accounts there are no results."""
        assert await collect(map_accounts({}, count)) == {}

    @pytest.mark.asyncio
    async def test_any_awaitable(self) -> None:
        """The job may be any function that returns an awaitable, such as a lambda; it is given the account's name."""
        async with serve() as api:
            accounts: list[str] = []

            def job(client: TasksClient, account: str) -> Any:
                accounts.append(account)
                return client.all_tasks()

            results = await collect(map_accounts(TOKENS, job, base_url=api.url))

        assert accounts == [*TOKENS]
        assert {account: len(result.value or ()) for account, result in results.items()} == COUNTS

    @pytest.mark.asyncio
    async def test_in_the_order_in_which_they_end(self) -> None:
        """A result comes as soon as its account ends; a slow account holds up no other."""
        async with serve() as api:
            slow = account_of(api, "account-0")
            slow.fail(Hang(), times=None)
            order: list[str] = []
            async for result in map_accounts(TOKENS, count, at_once=2, base_url=api.url):
                order.append(result.account)
                if len(order) == len(TOKENS) - 1:
                    slow.clear_faults()

        assert order == [*list(TOKENS)[1:], "account-0"]

    @pytest.mark.asyncio
    async def test_so_many_at_once(self) -> None:
        """At most `at_once` accounts are at work, and that many if there are enough."""
        most = working = 0
        async with serve() as api:
            waiting = asyncio.Event()

            async def job(client: TasksClient, account: str) -> None:
                nonlocal most, working
                working += 1
                most = max(most, working)
                if working == 5:
                    waiting.set()
                await waiting.wait()
                await client.count()
                working -= 1

            await collect(map_accounts(TOKENS, job, at_once=5, base_url=api.url))

        assert most == 5

    @pytest.mark.asyncio
    async def test_a_slow_consumer(self) -> None:
        """While results wait for their consumer, no further account begins."""
        begun: list[str] = []

        async def job(_: TasksClient, account: str) -> None:
            begun.append(account)

        async with aclosing(map_accounts(TOKENS, job, at_once=3)) as results:
            await anext(results)
            for _ in range(20):
                await asyncio.sleep(0)

            assert len(begun) == 3


class TestFailures:
    """An account's failure is its own."""

    @pytest.mark.asyncio
    async def test_a_revoked_token(self) -> None:
        """One revoked token fails one account, and the error says which."""
        async with serve() as api:
            account_of(api, "account-7").fail(Status(401), times=None)
            results = await collect(map_accounts(TOKENS, count, base_url=api.url))

        failed = results.pop("account-7")
        assert {account: result.value for account, result in results.items()} == {
            account: number for account, number in COUNTS.items() if account != "account-7"
        }
        assert isinstance(failed.error, AuthenticationError)
        assert failed.value is None
        assert failed.error.label == "account-7"
        assert "account account-7, offset=0" in str(failed.error)

    @pytest.mark.asyncio
    @pytest.mark.parametrize(
        ("token", "kind"),
        [("", ConfigurationError), ("a token\n", ConfigurationError), (None, ConfigurationError), (7, TypeError)],
    )
    async def test_an_unusable_token(self, token: Any, kind: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
        """A token that cannot be sent fails its account alone. A missing one is not that of the environment."""
        monkeypatch.setenv("APIFY_TOKEN", TOKENS["account-1"])
        async with serve() as api:
            results = await collect(map_accounts({**TOKENS, "odd": token}, count, base_url=api.url))

        assert type(results["odd"].error) is kind
        assert "odd" in "".join(traceback.format_exception(results["odd"].error))
        assert sum(result.error is None for result in results.values()) == len(TOKENS)

    @pytest.mark.asyncio
    @pytest.mark.parametrize(
        "failure",
        [
            ZeroDivisionError("mine"),
            StopAsyncIteration(),
            TimeoutError("mine"),
            RequestTimeoutError("mine"),
            ServerError("of another client", status=503, label="other"),
        ],
        ids=repr,
    )
    async def test_errors_of_the_job(self, failure: Exception) -> None:
        """Whatever a job raises is its account's error, and a note or the label names the account."""

        async def job(client: TasksClient, account: str) -> int:
            if account == "account-3":
                raise failure
            return await client.count()

        async with serve() as api:
            results = await collect(map_accounts(TOKENS, job, base_url=api.url, deadline=60))

        assert results.pop("account-3").error is failure
        assert all(result.error is None for result in results.values())
        if isinstance(failure, ApifyTasksError):
            assert failure.label in {"account-3", "other"}
        else:
            assert failure.__notes__ == ["account account-3"]

    @pytest.mark.asyncio
    async def test_a_job_that_is_cancelled_from_inside(self) -> None:
        """It is not taken for a cancellation of the caller."""

        async def job(client: TasksClient, account: str) -> int:
            if account == "account-3":
                raise asyncio.CancelledError
            return await client.count()

        async with serve() as api:
            results = await collect(map_accounts(TOKENS, job, base_url=api.url))

        error = results.pop("account-3").error
        assert isinstance(error, RuntimeError)
        assert error.__notes__ == ["account account-3"]
        assert all(result.error is None for result in results.values())

    @pytest.mark.asyncio
    async def test_a_job_that_returns_no_awaitable(self) -> None:
        """The error of the account says so."""
        job: Any = lambda client, account: 7  # noqa: E731 - a function that is no job
        results = await collect(map_accounts({"alice": "a-token"}, job))

        assert isinstance(results["alice"].error, TypeError)


class TestDeadlines:
    """A hanging account does not hold its place for ever."""

    @pytest.mark.virtual_time
    @pytest.mark.asyncio
    async def test_a_hanging_account(self) -> None:
        """After the deadline the account's error is a timeout that names it; the others are not affected."""
        async with serve() as api:
            account_of(api, "account-7").fail(Hang(), times=None)
            begin = asyncio.get_running_loop().time()
            results = await collect(map_accounts(TOKENS, count, at_once=2, deadline=5, base_url=api.url))
            elapsed = asyncio.get_running_loop().time() - begin
            await until(lambda: api.in_flight == 0)

        error = results.pop("account-7").error
        assert isinstance(error, RequestTimeoutError)
        assert isinstance(error, TimeoutError)
        assert str(error) == (
            "the job took longer than 5 seconds (account account-7); raise `deadline`, or let the job do less"
        )
        assert error.__cause__ is None
        assert {account: result.value for account, result in results.items()}.items() <= COUNTS.items()
        assert 5 <= elapsed < 6

    @pytest.mark.virtual_time
    @pytest.mark.asyncio
    async def test_each_account_has_its_own(self) -> None:
        """The deadline begins with the account, not with the call."""

        async def job(_: TasksClient, __: str) -> None:
            await asyncio.sleep(4)

        results = await collect(map_accounts(TOKENS, job, at_once=1, deadline=5))

        assert all(result.error is None for result in results.values())

    @pytest.mark.virtual_time
    @pytest.mark.asyncio
    async def test_a_job_that_fails_at_the_deadline(self) -> None:
        """What it raises while it is cancelled is the cause."""

        async def job(_: TasksClient, __: str) -> None:
            try:
                await asyncio.sleep(60)
            finally:
                raise ZeroDivisionError

        [result] = [result async for result in map_accounts({"alice": "a-token"}, job, deadline=5)]

        assert isinstance(result.error, RequestTimeoutError)
        assert isinstance(result.error.__cause__, ZeroDivisionError)


async def hang(client: TasksClient, account: str) -> None:
    """Never end, with a request in flight, except for one account."""
    if account != "account-0":
        await client.all_tasks()


class TestLeaving:
    """The accounts that are at work are cancelled, and nothing is left: the fixture of all tests looks."""

    async def hanging(self, api: FakeApify) -> AsyncGenerator[AccountResult[None], None]:
        """Begin, until one account has ended and all others hang."""
        for account in TOKENS:
            account_of(api, account).fail(Hang(), times=None)
        results = map_accounts(TOKENS, hang, base_url=api.url)
        assert (await anext(results)).account == "account-0"
        await until(lambda: api.in_flight == len(TOKENS) - 1)
        return results

    @pytest.mark.asyncio
    async def test_by_aclose(self) -> None:
        """After `aclose` no request is in flight."""
        async with serve() as api:
            results = await self.hanging(api)
            await results.aclose()
            await until(lambda: api.in_flight == 0)

    @pytest.mark.asyncio
    @pytest.mark.parametrize("way", ["break", "raise", "drop"])
    async def test_by_leaving_the_loop(self, way: str) -> None:
        """Leaving the loop by `break`, by an exception, or by dropping the iterator does the same."""
        async with serve() as api:
            results = await self.hanging(api)
            api.account(TOKENS["account-1"]).clear_faults()

            async def consume(results: AsyncGenerator[AccountResult[None], None]) -> None:
                async for _ in results:
                    if way == "break":
                        break
                    if way == "raise":
                        raise ZeroDivisionError
                    return

            if way == "raise":
                with pytest.raises(ZeroDivisionError):
                    await consume(results)
            else:
                await consume(results)
            del results
            gc.collect()
            await until(lambda: api.in_flight == 0)

    @pytest.mark.asyncio
    async def test_by_cancelling(self) -> None:
        """Cancelling the consumer does the same."""
        async with serve() as api:
            results = await self.hanging(api)
            waiting = asyncio.create_task(anext(results))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await until(lambda: api.in_flight == 0)

    @pytest.mark.asyncio
    async def test_before_the_first_result(self) -> None:
        """An iterator that is never used leaves nothing, and sends nothing."""
        async with serve() as api:
            await map_accounts(TOKENS, count, base_url=api.url).aclose()

        assert api.requests == []


class TestSession:
    """All accounts share one session."""

    @pytest.mark.asyncio
    @pytest.mark.parametrize("options", [{}, {"session": None}], ids=repr)
    async def test_connections_are_bounded(self, options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """However many accounts are at work, there are no more connections than the bound."""
        monkeypatch.setattr("apify_tasks_async._accounts.CONNECTIONS", 4)
        most = 0
        async with serve(latency=0.001) as api:

            def look(_: RecordedRequest) -> None:
                nonlocal most
                most = max(most, api.in_flight)

            for token in TOKENS.values():
                api.account(token).on_request = look
            results = await collect(map_accounts(TOKENS, count, base_url=api.url, **options))

        assert {result.error for result in results.values()} == {None}
        assert 1 <= most <= 4

    @pytest.mark.asyncio
    async def test_a_borrowed_session(self) -> None:
        """A session of yours is used in place of it, and stays open."""
        async with serve() as api, aiohttp.ClientSession(headers={"X-Mine": "yes"}) as session:
            results = await collect(map_accounts(TOKENS, count, base_url=api.url, session=session))
            assert not session.closed

        assert {account: result.value for account, result in results.items()} == COUNTS

    @pytest.mark.asyncio
    async def test_a_closed_client(self) -> None:
        """A job that closes its client closes it for no other account."""

        async def job(client: TasksClient, account: str) -> int:
            counted = await client.count()
            await client.close()
            return counted

        async with serve() as api:
            results = await collect(map_accounts(TOKENS, job, at_once=3, base_url=api.url))

        assert {account: result.value for account, result in results.items()} == COUNTS

    @pytest.mark.asyncio
    async def test_connections_are_used_again(self) -> None:
        """One account after the other needs one connection: the session is not closed between them."""
        async with serve() as api:
            connections: set[Any] = set()
            results = map_accounts(TOKENS, count, at_once=1, base_url=api.url)
            async for _ in results:
                connections |= {id(one) for one in api._listener.connections}

        assert len(connections) == 1

    def test_few_descriptors(self) -> None:
        """A process that may open 150 files reads 400 accounts at once."""
        tokens = {f"account-{number}": f"fake-token-of-{number}" for number in range(400)}
        program = """
import asyncio, resource
from apify_tasks_async import map_accounts
async def main(url):
    tokens = {f"account-{number}": f"fake-token-of-{number}" for number in range(400)}
    results = map_accounts(tokens, lambda client, _: client.count(), at_once=400, base_url=url)
    print([result.error for result in [result async for result in results] if result.error or result.value != 3])
resource.setrlimit(resource.RLIMIT_NOFILE, (150, 150))
asyncio.run(main(input()))
"""
        with FakeApify(accounts=dict.fromkeys(tokens.values(), 3), latency=0.01) as api:
            ended = subprocess.run(
                [sys.executable, "-W", "error", "-c", program],
                input=api.url,
                capture_output=True,
                text=True,
                check=False,
            )
            requests = len(api.requests)

        assert (ended.stdout, ended.stderr) == ("[]\n", "")
        assert requests == 400


class TestOptions:
    """What the clients are made with."""

    def test_all_but_two(self) -> None:
        """All arguments of the client are options, except the token and the label."""
        parameters = inspect.signature(TasksClient).parameters.keys()

        assert ClientOptions.__annotations__.keys() == parameters - {"token", "label"}

    @pytest.mark.asyncio
    async def test_they_reach_the_clients(self) -> None:
        """Attempts carry the account, and the policy is that of the options."""
        attempts: list[Attempt] = []
        async with serve() as api:
            account_of(api, "account-7").fail(Status(503), times=None)
            options: ClientOptions = {
                "base_url": api.url,
                "retry": RetryPolicy(attempts=2, base_delay=0),
                "on_attempt": attempts.append,
            }
            await collect(map_accounts(TOKENS, count, **options))

        assert {attempt.label for attempt in attempts} == {*TOKENS}
        assert len([attempt for attempt in attempts if attempt.label == "account-7"]) == 2

    @pytest.mark.parametrize(
        ("arguments", "kind", "message"),
        [
            (
                {"tokens": ["secret-token"]},
                TypeError,
                "^tokens must be a mapping of accounts to tokens, got an object of list$",
            ),
            ({"tokens": {7: "secret-token"}}, TypeError, "each account in tokens must be a string, got 7"),
            ({"tokens": {"": "secret-token"}}, ValueError, "each account in tokens must not be empty"),
            ({"job": None}, TypeError, "job must be a coroutine function, got None"),
            ({"at_once": 0}, ValueError, "at_once must be at least 1, got 0"),
            ({"at_once": True}, TypeError, "at_once must be an integer, got True"),
            ({"deadline": 0}, ValueError, "deadline must be greater than 0, got 0"),
            ({"deadline": "5"}, TypeError, "deadline must be a number, got '5'"),
            ({"timeout": -1}, ValueError, "timeout must be greater than 0, got -1"),
            ({"base_url": "ftp://x"}, ConfigurationError, "base_url must begin with https://"),
            ({"label": "mine"}, TypeError, "label"),
            ({"colour": "red"}, TypeError, "colour"),
        ],
    )
    def test_arguments(self, arguments: dict[str, Any], kind: type[Exception], message: str) -> None:
        """Bad arguments are refused at the call, and no traceback shows a token."""
        secrets = {"proxy": "http://user:secret-token@localhost:1", "headers": {"X-Key": "secret-token"}}
        given: Any = {"tokens": {"alice": "secret-token"}, "job": count} | secrets | arguments
        with pytest.raises(kind, match=message) as caught:
            map_accounts(**given)

        here, *inside = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
        assert here.name == "test_arguments"
        assert "secret-token" not in "".join(traceback.StackSummary.from_list(inside).format())

    @pytest.mark.asyncio
    async def test_tokens_are_hidden(self) -> None:
        """Neither the iterator's frames nor an error's show a token."""

        async def job(client: TasksClient, account: str) -> None:
            raise ZeroDivisionError

        results: Any = map_accounts({"alice": "secret-token"}, job)
        result = await anext(results)
        assert result.error
        told = traceback.TracebackException.from_exception(result.error, capture_locals=True)
        frame: Callable[[], str] = lambda: repr(results.ag_frame.f_locals)  # noqa: E731 - read twice
        assert "secret-token" not in frame() + "".join(told.format()) + repr(result)
        await results.aclose()
