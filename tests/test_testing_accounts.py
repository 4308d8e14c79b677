"""`FakeApify(accounts=...)`: many accounts on one server, each with what a single one has."""

import asyncio
from typing import Any

import aiohttp
import pytest
from helpers.support import until

from apify_tasks_async import RetryPolicy, TasksClient
from apify_tasks_async.errors import AuthenticationError, RateLimitedError, ServerError
from apify_tasks_async.testing import FakeApify, Hang, Status, make_task

ACCOUNTS = {"token-a": 20, "token-b": 3000, "token-c": 0}


def client_of(api: FakeApify, token: str) -> TasksClient:
    """Return a client of an account that does not try again."""
    return TasksClient(token, base_url=api.url, retry=RetryPolicy(attempts=1), rate_limit=None)


async def names(api: FakeApify, token: str) -> list[str]:
    """Return the names of the tasks that the token shows."""
    async with client_of(api, token) as client:
        return [task.name for task in await client.all_tasks()]


class TestLists:
    """What each token shows."""

    @pytest.mark.asyncio
    async def test_each_has_its_own(self) -> None:
        """Each token shows its list; the server's own token shows that of the server; others are refused."""
        async with FakeApify(tasks=2, accounts=ACCOUNTS) as api:
            counts = {token: len(await names(api, token)) for token in (*ACCOUNTS, api.token)}
            with pytest.raises(AuthenticationError):
                await names(api, "token-d")

        assert counts == ACCOUNTS | {api.token: 2}

    @pytest.mark.asyncio
    async def test_a_token_as_a_parameter(self) -> None:
        """The token may be a query parameter, as for a single account."""
        async with (
            FakeApify(accounts=ACCOUNTS) as api,
            aiohttp.ClientSession(api.url) as session,
            session.get("/v2/actor-tasks", params={"token": "token-a", "limit": 1}) as response,
        ):
            document = await response.json()

        assert document["data"]["total"] == 20

    @pytest.mark.asyncio
    async def test_changes_are_of_one_account(self) -> None:
        """What is created, changed, deleted or hidden in one account does not show in another."""
        async with FakeApify(accounts={"token-a": 3, "token-b": 3}) as api:
            account = api.account("token-a")
            account.create_task(name="new")
            account.update_task(account.tasks[1].id, name="renamed")
            account.delete_task(account.tasks[0].id)
            shown = {token: await names(api, token) for token in ("token-a", "token-b")}
            account.hide(account.tasks[0].id)
            hidden = await client_count(api, "token-a")

        assert shown == {
            "token-a": ["renamed", "my-task-2", "new"],
            "token-b": ["my-task-0", "my-task-1", "my-task-2"],
        }
        assert hidden == (3, 2)

    def test_ids_differ(self) -> None:
        """No id is in two accounts, and each account has a user of its own; the same token makes the same tasks."""
        api, again = FakeApify(tasks=20, accounts=ACCOUNTS), FakeApify(accounts=ACCOUNTS)
        api.account("token-c").create_task()
        lists = [api.tasks, *(api.account(token).tasks for token in ACCOUNTS)]

        assert len({task.id for tasks in lists for task in tasks}) == sum(map(len, lists))
        assert [len({task.user_id for task in tasks}) for tasks in lists] == [1, 1, 1, 1]
        assert len({tasks[0].user_id for tasks in lists}) == 4
        assert again.account("token-a").tasks == api.account("token-a").tasks

    def test_tasks_of_your_own(self) -> None:
        """An account may begin with given tasks."""
        tasks = [make_task(7), make_task(8)]

        assert FakeApify(accounts={"token-a": tasks}).account("token-a").tasks == tuple(tasks)


async def client_count(api: FakeApify, token: str) -> tuple[int, int]:
    """Return how many tasks the server counts, and how many it shows."""
    async with client_of(api, token) as client:
        page = await client.list_tasks()
        return page.total, len(page)


class TestFaults:
    """What goes wrong goes wrong for one account."""

    @pytest.mark.asyncio
    async def test_faults_are_of_one_account(self) -> None:
        """A fault of one account does not reach another, or the server's own."""
        async with FakeApify(tasks=1, accounts=ACCOUNTS) as api:
            api.account("token-a").fail(Status(503), times=None)
            with pytest.raises(ServerError):
                await names(api, "token-a")
            assert [len(await names(api, token)) for token in ("token-b", api.token)] == [3000, 1]
            api.account("token-a").clear_faults()
            assert len(await names(api, "token-a")) == 20

    @pytest.mark.asyncio
    async def test_rate_limits_are_of_one_account(self) -> None:
        """Each account has its own limiter, with the limit of the server unless you change it."""
        async with FakeApify(rate_limit=0.001, accounts=ACCOUNTS) as api:
            api.account("token-c").rate_limit = None
            for token in ("token-a", "token-b"):
                await client_count(api, token)
                with pytest.raises(RateLimitedError):
                    await client_count(api, token)
            for _ in range(3):
                await client_count(api, "token-c")

    @pytest.mark.asyncio
    async def test_requests_are_recorded(self) -> None:
        """An account records its requests; the server records all, refused ones included."""
        async with FakeApify(accounts=ACCOUNTS) as api:
            await names(api, "token-a")
            await names(api, "token-b")
            with pytest.raises(AuthenticationError):
                await names(api, "token-d")
            counts = {token: len(api.account(token).requests) for token in ACCOUNTS}

        assert counts == {"token-a": 1, "token-b": 3, "token-c": 0}
        assert [request.authorised for request in api.requests] == [True] * 4 + [False]

    @pytest.mark.asyncio
    async def test_requests_in_flight_are_counted(self) -> None:
        """An account counts its requests in flight, the server all; a hanging one is let go by its own account."""
        async with FakeApify(accounts=ACCOUNTS) as api:
            first, second = api.account("token-a"), api.account("token-b")
            for account in (first, second):
                account.fail(Hang())
            hanging = [asyncio.create_task(client_count(api, account.token)) for account in (first, second)]
            await until(lambda: api.in_flight == 2)
            second.clear_faults()
            await hanging[1]
            assert (api.in_flight, first.in_flight, second.in_flight) == (1, 1, 0)
            api.clear_faults()
            assert not hanging[0].done()
            first.clear_faults()
            await hanging[0]
            assert (api.in_flight, first.in_flight) == (0, 0)


class TestArguments:
    """What is refused, and what is found."""

    @pytest.mark.parametrize(
        ("accounts", "kind", "message"),
        [
            (["token-a"], TypeError, "accounts must be Mapping"),
            ({"": 1}, ValueError, "accounts must not be empty"),
            ({7: 1}, TypeError, "accounts must be a string, got 7"),
            ({"fake-token-of-no-account": 1}, ValueError, "accounts must not have the token of the server itself"),
            ({"token-a": -1}, ValueError, "tasks must be an integer >= 0"),
            ({"token-a": "1"}, TypeError, "tasks must contain only Task"),
        ],
    )
    def test_bad_accounts(self, accounts: Any, kind: type[Exception], message: str) -> None:
        """What is no account is refused."""
        with pytest.raises(kind, match=message):
            FakeApify(accounts=accounts)

    def test_accounts_are_found(self) -> None:
        """The server is the account of its own token; an unknown token is a `KeyError`."""
        api = FakeApify(accounts=ACCOUNTS, latency=0.5)

        assert api.account(api.token) is api
        assert api.account("token-a") is api.account("token-a")
        assert api.account("token-a").token == "token-a"
        assert api.account("token-a").latency == 0.5
        with pytest.raises(KeyError, match="token-d"):
            api.account("token-d")

    def test_they_share_the_server(self) -> None:
        """The server's address is that of all."""
        with FakeApify(accounts=ACCOUNTS) as api:
            assert api.account("token-a").url == api.url

    @pytest.mark.fake_apify(accounts=ACCOUNTS)
    def test_the_fixture_takes_them(self, fake_apify: FakeApify) -> None:
        """The marker takes accounts."""
        assert len(fake_apify.account("token-a").tasks) == 20
