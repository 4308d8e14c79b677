"""The label of a client: whose account it is, in errors, attempts and the log."""

import asyncio
import copy
import logging
import pickle
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from apify_tasks_async import (
    ApifyTasksError,
    Attempt,
    AuthenticationError,
    ClientClosedError,
    ConfigurationError,
    DriftError,
    InvalidTaskError,
    RetryPolicy,
    TasksClient,
)
from apify_tasks_async.testing import FakeApify, MalformedItem, ShortPage, Status

TOKEN = "fake-token-of-alice"


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[tuple[FakeApify, TasksClient]]:
    """Yield an API with 20 tasks, and a client with a label that retries without waiting."""
    defaults: dict[str, Any] = {"retry": RetryPolicy(base_delay=0), "label": "alice"}
    async with FakeApify(20, token=TOKEN) as api, TasksClient(TOKEN, base_url=api.url, **defaults | options) as client:
        yield api, client


CALLS: dict[str, Callable[[TasksClient], Awaitable[object]]] = {
    "list_tasks": lambda client: client.list_tasks(),
    "count": lambda client: client.count(),
    "all_tasks": lambda client: client.all_tasks(),
    "changes_since": lambda client: client.changes_since({}),
    "iter_pages": lambda client: anext(client.iter_pages()),
    "follow_pages": lambda client: anext(client.follow_pages()),
}
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


class TestErrors:
    """Each error says whose account failed."""

    @each_call
    @pytest.mark.asyncio
    async def test_of_requests(self, call: Callable[[TasksClient], Awaitable[object]]) -> None:
        """The error of a request has the label, and its message names it first."""
        async with serving() as (api, client):
            api.fail(Status(401), times=None)
            with pytest.raises(AuthenticationError, match=r"\(account alice, offset=0, limit=") as caught:
                await call(client)

        assert caught.value.label == "alice"
        for same in (copy.copy(caught.value), pickle.loads(pickle.dumps(caught.value))):
            assert (same.label, str(same)) == ("alice", str(caught.value))

    @each_call
    @pytest.mark.asyncio
    async def test_of_closed_clients(self, call: Callable[[TasksClient], Awaitable[object]]) -> None:
        """A closed client says whose it was."""
        async with serving() as (_, client):
            await client.close()
            with pytest.raises(ClientClosedError, match=r"the client is closed \(account alice\)"):
                await call(client)

    @pytest.mark.asyncio
    async def test_of_walks(self) -> None:
        """So does what a walk finds."""
        async with serving() as (api, client):
            api.fail(ShortPage(), times=None)
            for call in (client.all_tasks(exact=True), client.changes_since({})):
                with pytest.raises(DriftError, match="account alice"):
                    await call

    @pytest.mark.asyncio
    async def test_of_doubtful_removals(self) -> None:
        """So does an uncertain difference."""
        async with serving() as (api, client):
            api.hide(api.tasks[3].id)
            with pytest.raises(DriftError, match=r"in 3 walks \(account alice\)"):
                await client.changes_since({task.id: None for task in api.tasks})

    @pytest.mark.asyncio
    async def test_of_items(self) -> None:
        """So does the error of an item: raised, passed on, or of a single page."""
        errors: list[ApifyTasksError] = []
        async with serving() as (api, client):
            api.fail(MalformedItem(3), times=None)
            await client.all_tasks(on_invalid=errors.append)
            for call in (client.all_tasks(), client.list_tasks()):
                with pytest.raises(InvalidTaskError) as caught:
                    await call
                errors.append(caught.value)

        assert [error.label for error in errors] == ["alice"] * 3

    @pytest.mark.asyncio
    async def test_of_other_event_loops(self) -> None:
        """So does the refusal of another event loop."""
        async with serving() as (_, client):
            await client.count()

            def elsewhere() -> None:
                asyncio.run(client.count())

            with pytest.raises(ConfigurationError, match="account alice"):
                await asyncio.to_thread(elsewhere)

    @pytest.mark.asyncio
    async def test_of_another_client(self) -> None:
        """An error of another client that a callback raises keeps its own label."""

        def on_invalid(_: InvalidTaskError) -> None:
            raise DriftError("elsewhere", label="bob")

        async with serving() as (api, client):
            api.fail(MalformedItem(3))
            with pytest.raises(DriftError, match="account bob"):
                await client.all_tasks(on_invalid=on_invalid)

    @pytest.mark.asyncio
    async def test_without_a_label(self) -> None:
        """Without a label nothing is said of accounts."""
        async with serving(label=None) as (api, client):
            api.fail(Status(401))
            with pytest.raises(AuthenticationError) as caught:
                await client.count()

        assert caught.value.label is None
        assert "account" not in str(caught.value)
        assert "alice" not in repr(client)


class TestReports:
    """Attempts, the log and `repr`."""

    @pytest.mark.asyncio
    async def test_attempts(self) -> None:
        """Each attempt has the label, and so has its error."""
        attempts: list[Attempt] = []
        async with serving(on_attempt=attempts.append) as (api, client):
            api.fail(Status(503))
            await client.count()

        assert [attempt.label for attempt in attempts] == ["alice", "alice"]
        assert attempts[0].error is not None
        assert attempts[0].error.label == "alice"

    @pytest.mark.asyncio
    @pytest.mark.parametrize("label", ["alice", "100 %s", None])
    async def test_log(self, label: str | None, caplog: pytest.LogCaptureFixture) -> None:
        """Each record has the label as a field, and begins with it."""
        caplog.set_level(logging.DEBUG, "apify_tasks_async")
        async with serving(label=label) as (api, client):
            api.fail(Status(503))
            await client.count()
            api.fail(MalformedItem(3), times=None)
            await client.all_tasks(on_invalid="skip")
            await client.changes_since({}, on_invalid="skip")
            api.clear_faults()
            for task in api.tasks[3:7]:
                api.hide(task.id)
            await client.all_tasks(page_size=2)

        records: list[Any] = [record for record in caplog.records if record.name == "apify_tasks_async"]
        assert {"DEBUG", "INFO", "WARNING"} == {record.levelname for record in records}
        assert {label} == {record.label for record in records}
        assert all(record.getMessage().startswith(f"{label}: ") == bool(label) for record in records)

    @pytest.mark.virtual_time
    @pytest.mark.asyncio
    async def test_log_of_following(self, caplog: pytest.LogCaptureFixture) -> None:
        """The outage of a list that is followed is logged with the label."""
        async with serving(retry=RetryPolicy(attempts=1)) as (api, client):
            api.fail(Status(503))
            async with client.follow_pages(interval=1) as pages:
                await anext(pages)

        [record] = [record for record in caplog.records if "looking again" in record.message]
        assert record.__dict__["label"] == "alice"
        assert "account alice" in record.message

    @pytest.mark.parametrize(
        "options",
        [{"token": ""}, {"token": None}, {"token": "a b"}, {"base_url": "ftp://x"}, {"proxy": "socks5://x"}],
        ids=str,
    )
    def test_of_a_client_that_cannot_be_made(self, options: dict[str, Any]) -> None:
        """The error of a client that cannot work as it is set up names the account."""
        with pytest.raises(ConfigurationError, match=r"\(account alice\)") as info:
            TasksClient(**{"token": TOKEN, "label": "alice"} | options)
        assert "alice" == info.value.label

    def test_of_a_client_with_its_token_in_the_label(self) -> None:
        """A token in the label is hidden in that error, too."""
        with pytest.raises(ConfigurationError) as info:
            TasksClient(TOKEN, label=f"of {TOKEN}", base_url="ftp://x")
        assert "of ***" == info.value.label

    def test_repr(self) -> None:
        """The client says whose it is."""
        assert repr(TasksClient(TOKEN, label="alice")) == "<TasksClient alice of https://api.apify.com, open>"


@pytest.mark.parametrize(
    ("label", "kind", "message"),
    [
        ("", ValueError, "label must not be empty"),
        (7, TypeError, "label must be a string, got 7"),
        ("a\nb", ValueError, r"label must be visible text on one line, got 'a\\nb'"),
        (" ", ValueError, "label must be visible text on one line"),
    ],
)
def test_arguments(label: Any, kind: type[Exception], message: str) -> None:
    """A label is visible text on one line."""
    with pytest.raises(kind, match=message):
        TasksClient(TOKEN, label=label)


def test_a_token_in_a_label_is_hidden() -> None:
    """The token is not shown where the label is."""
    assert repr(TasksClient(TOKEN, label=f"of {TOKEN}")) == "<TasksClient of *** of https://api.apify.com, open>"
