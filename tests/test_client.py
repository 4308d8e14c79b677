"""The client: arguments, single requests, settings and life. test_pages has the walks."""

import asyncio
import copy
import inspect
import logging
import pickle
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import aiohttp
import attrs
import pytest
import pytest_asyncio
from aioresponses import aioresponses
from helpers.support import MakeClient, until

from apify_tasks_async import (
    ApifyTasksError,
    Attempt,
    AuthenticationError,
    Bookmark,
    ClientClosedError,
    ClientStats,
    ConfigurationError,
    InvalidResponseError,
    InvalidTaskError,
    PageIterator,
    RateLimitedError,
    RequestTimeoutError,
    RetryPolicy,
    ServerError,
    Task,
    TasksClient,
    TaskStats,
    TransportError,
    iter_tasks,
)
from apify_tasks_async.testing import FakeApify, Hang, MalformedItem, Status, make_task

TOKEN = "apify_api_secret"  # the tests look for it where it must not be

OFFICIAL = "https://api.apify.com/v2/actor-tasks"

BOOKMARK = Bookmark(datetime(2024, 1, 1, tzinfo=UTC), frozenset({"id"}), 0, desc=False)


async def coroutine_function(_: object) -> None:
    """Return a coroutine, which the library does not await."""


Refused = tuple[str, Any, type[Exception]]
"""An argument, a value that it refuses, and the error."""

# One value for each check of an argument. test_arguments has the checks themselves, and those of the client.

REFUSED_BY_PAGE: list[Refused] = [
    ("desc", 1, TypeError),
    ("offset", 2.0, TypeError),
    ("offset", -1, ValueError),
    ("limit", 2.0, TypeError),
    ("limit", 0, ValueError),
]
"""What every call refuses."""

REFUSED_BY_LIST: list[Refused] = [
    *REFUSED_BY_PAGE,
    ("limit", None, TypeError),
    ("limit", 1001, ValueError),
]

REFUSED_BY_WALK: list[Refused] = [
    *REFUSED_BY_PAGE,
    ("page_size", 2.0, TypeError),
    ("page_size", 0, ValueError),
    ("page_size", 1001, ValueError),
    ("exact", 1, TypeError),
    ("after", BOOKMARK.to_json(), TypeError),
    ("on_invalid", "ignore", ValueError),
    ("on_invalid", coroutine_function, TypeError),
]

REFUSED_TOGETHER: list[tuple[str, dict[str, Any]]] = [
    ("page_size must be from 4 to 1000, got 3", {"exact": True, "page_size": 3}),
    ("offset must be 0 with after, .* got 5", {"after": BOOKMARK, "offset": 5}),
    ("desc must be False, .* got True", {"after": BOOKMARK, "desc": True}),
]

Begin = Callable[[FakeApify, TasksClient, dict[str, Any]], object]

WALKS: dict[str, Begin] = {
    "iter_pages": lambda _, client, options: client.iter_pages(**options),
    "iter_tasks": lambda _, client, options: client.iter_tasks(**options),
    "module": lambda api, _, options: iter_tasks(api.token, base_url=api.url, **options),
    "all_tasks": lambda _, client, options: client.all_tasks(**options).send(None),
}
"""Calls that begin a walk, and refuse wrong arguments at once."""

each_walk = pytest.mark.parametrize("begin", WALKS.values(), ids=WALKS)


def shown(value: object) -> str:
    """Return a value as a message shows it."""
    return str(value) if isinstance(value, float) else repr(value)


def name_of(refused: Refused) -> str:
    """Return the name of a parametrised test."""
    name, value, _ = refused
    return f"{name}={getattr(value, '__name__', shown(value)):.50}"


class TestArguments:
    """Wrong arguments are refused before a request."""

    @pytest_asyncio.fixture
    async def api(self) -> AsyncIterator[FakeApify]:
        """Return an API without tasks, since no test here reads any."""
        async with FakeApify() as api:
            yield api

    @pytest.mark.asyncio
    @each_walk
    @pytest.mark.parametrize("refused", REFUSED_BY_WALK, ids=name_of)
    async def test_walk(self, api: FakeApify, client: TasksClient, begin: Begin, refused: Refused) -> None:
        """A walk refuses at the call, and names the argument and the value."""
        name, value, kind = refused
        with pytest.raises(kind, match=f"^{name} must be ") as caught:
            begin(api, client, {name: value})
        assert shown(value) in str(caught.value)
        assert [] == api.requests

    @pytest.mark.asyncio
    @each_walk
    @pytest.mark.parametrize(("message", "options"), REFUSED_TOGETHER)
    async def test_walk_together(
        self, api: FakeApify, client: TasksClient, begin: Begin, message: str, options: dict[str, Any]
    ) -> None:
        """A walk refuses at the call arguments that exclude each other."""
        with pytest.raises(ValueError, match=message):
            begin(api, client, options)
        assert [] == api.requests

    @pytest.mark.asyncio
    @each_walk
    async def test_unknown(self, api: FakeApify, client: TasksClient, begin: Begin) -> None:
        """A walk refuses at the call an unknown argument."""
        with pytest.raises(TypeError, match="unexpected keyword argument 'pagesize'"):
            begin(api, client, {"pagesize": 5})

    @pytest.mark.asyncio
    @pytest.mark.parametrize("refused", REFUSED_BY_LIST, ids=name_of)
    async def test_list_tasks(self, api: FakeApify, client: TasksClient, refused: Refused) -> None:
        """`list_tasks` names the argument and the value."""
        name, value, kind = refused
        arguments: dict[str, Any] = {name: value}
        with pytest.raises(kind, match=f"^{name} must be ") as caught:
            await client.list_tasks(**arguments)
        assert shown(value) in str(caught.value)
        assert [] == api.requests

    @pytest.mark.parametrize(("name", "value"), [("concurrency", True), ("token", ""), ("base_url", "ftp://a")])
    def test_module_level(self, name: str, value: object) -> None:
        """The function refuses the arguments that the client refuses, at the call."""
        arguments: dict[str, Any] = {"token": TOKEN, name: value}
        with pytest.raises((TypeError, ValueError), match=f"^{name} "):
            iter_tasks(**arguments)

    def test_generator(self) -> None:
        """`iter_tasks` returns an asynchronous generator."""
        assert inspect.isasyncgen(TasksClient(TOKEN).iter_tasks())
        assert inspect.isasyncgen(iter_tasks(TOKEN))


@pytest.mark.asyncio
class TestListTasks:
    """One page, as the server gave it."""

    @pytest.mark.parametrize(
        ("options", "part"),
        [
            ({}, slice(0, 1000)),
            ({"offset": 2400}, slice(2400, 2500)),
            ({"offset": 3000}, slice(3000, 3000)),
            ({"limit": 1}, slice(0, 1)),
            ({"offset": 5, "limit": 7, "desc": True}, slice(5, 12)),
        ],
    )
    async def test_page(self, api: FakeApify, client: TasksClient, options: dict[str, Any], part: slice) -> None:
        """The page has the requested tasks, and the fields that the server sent."""
        page = await client.list_tasks(**options)
        asked = {"offset": 0, "limit": 1000, "desc": False} | options
        items = tuple(reversed(api.tasks) if asked["desc"] else api.tasks)[part]
        assert (2500, *asked.values(), len(items), items) == (
            page.total,
            page.offset,
            page.limit,
            page.desc,
            page.count,
            page.items,
        )
        assert [tuple(asked.values())] == [(sent.offset, sent.limit, sent.desc) for sent in api.requests]

    async def test_clamped(self, api: FakeApify, client: TasksClient) -> None:
        """A page with fewer tasks than asked for says so in its `limit`."""
        api.max_limit = 250
        page = await client.list_tasks()
        assert (250, 250) == (page.limit, len(page))

    async def test_unsorted(self) -> None:
        """A page that is not in order is returned as it is, without a bookmark."""
        async with FakeApify(tasks=3) as api, TasksClient(api.token, base_url=api.url) as client:
            api.fail(MalformedItem(field="createdAt", value="2050-01-01T00:00:00.000Z"))
            page = await client.list_tasks()
        assert [task.id for task in api.tasks] == [task.id for task in page]
        assert page.bookmark is None

    async def test_bookmark(self, api: FakeApify, client: TasksClient) -> None:
        """The bookmark of a page continues after it."""
        page = await client.list_tasks(limit=900)
        assert [*api.tasks] == [*page, *await client.all_tasks(after=page.bookmark)]

    async def test_invalid(self, api: FakeApify, client: TasksClient) -> None:
        """The first invalid item fails the page; the error has its position."""
        api.fail(MalformedItem(index=3))
        with pytest.raises(InvalidTaskError) as caught:
            await client.list_tasks(offset=10, limit=20)
        error = caught.value
        assert (13, 20, False, 1) == (error.offset, error.limit, error.desc, error.attempts)
        assert (api.tasks[13].id, ("name: expected a string, got null",)) == (error.task_id, error.problems)

    @pytest.mark.parametrize(("fault", "kind", "attempts"), [(401, AuthenticationError, 1), (503, ServerError, 5)])
    async def test_error(
        self, api: FakeApify, client: TasksClient, fault: int, kind: type[ApifyTasksError], attempts: int
    ) -> None:
        """An error has the request and the number of attempts."""
        api.fail(Status(fault), times=None)
        with pytest.raises(kind) as caught:
            await client.list_tasks(offset=10, limit=20, desc=True)
        error = caught.value
        assert (10, 20, True, attempts) == (error.offset, error.limit, error.desc, error.attempts)
        assert attempts == len(api.requests)
        assert f"(offset=10, limit=20, desc=True, after {attempts} attempt" in str(error)

    @pytest.mark.parametrize("fault", [None, MalformedItem()])
    async def test_count(self, api: FakeApify, client: TasksClient, fault: MalformedItem | None) -> None:
        """`count` returns the total of a page with one item, even an invalid item."""
        api.reported_total = 123_456
        if fault is not None:
            api.fail(fault)
        assert 123_456 == await client.count()
        assert [(0, 1)] == [(sent.offset, sent.limit) for sent in api.requests]


@pytest.mark.asyncio
class TestStats:
    """The statistics of a client."""

    async def test_fresh(self, client: TasksClient) -> None:
        """All counters start at zero."""
        assert ClientStats() == client.stats

    @pytest.mark.virtual_time
    async def test_everything(self, make_client: MakeClient) -> None:
        """Each kind of event has a counter."""
        async with FakeApify(
            tasks=[make_task(0), attrs.evolve(make_task(1), name=cast("str", None)), make_task(2)]
        ) as api:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"{api.url}/v2/actor-tasks", headers={"Authorization": f"Bearer {api.token}"}) as response,
            ):
                size = len(await response.read())
            client = make_client(base_url=api.url)
            for status, times in ((429, 2), (503, 1)):
                api.fail(Status(status, body=""), times=times)
            await client.all_tasks(on_invalid="skip")
            before = client.stats
            api.fail(Status(403, body=""), times=2)  # on a connection in use before, and then on a new one
            with pytest.raises(ApifyTasksError):
                await client.count()
        expected = ClientStats(
            requests=4, retries=3, rate_limited=2, slowdowns=1, pages=1, tasks=2, bytes_received=size, invalid=1
        )
        assert expected == before
        assert attrs.evolve(expected, requests=6, reconnects=1, failures=1) == client.stats

    async def test_changed_list(self, api: FakeApify, client: TasksClient) -> None:
        """Duplicates and reseeks are counted."""
        pages = client.iter_pages(page_size=1000)
        api.on_request = lambda request: request.offset == 1000 and api.delete_task(api.tasks[0].id)
        assert 2500 == sum([len(page) async for page in pages])
        assert (2500, 1) == (client.stats.tasks, client.stats.reseeks)
        assert client.stats.duplicates > 0

    async def test_frozen(self, client: TasksClient) -> None:
        """A snapshot cannot be changed."""
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            client.stats.requests = 5  # type: ignore[misc]  # what is tested


@pytest.mark.asyncio
class TestOnAttempt:
    """The function that receives each attempt."""

    @pytest.mark.virtual_time
    async def test_attempts(self, api: FakeApify, make_client: MakeClient) -> None:
        """An attempt has the request, the result and the delay before the next one."""
        attempts: list[Attempt] = []
        api.fail(Status(429, retry_after=0))
        api.latency = 0.005  # uvloop's clock counts milliseconds
        await make_client(on_attempt=attempts.append).list_tasks(offset=5, limit=3, desc=True)
        failed, succeeded = attempts
        assert Attempt(5, 3, True, 1, 429, failed.error, failed.elapsed, 0.0) == failed
        assert Attempt(5, 3, True, 2, 200, None, succeeded.elapsed, None) == succeeded
        assert isinstance(failed.error, RateLimitedError)
        assert min(failed.elapsed, succeeded.elapsed) > 0

    async def test_no_response(self, make_client: MakeClient) -> None:
        """Without a response there is no status."""
        attempts: list[Attempt] = []
        async with FakeApify() as api:
            url = api.url
        with pytest.raises(TransportError):
            await make_client(base_url=url, retry=RetryPolicy(attempts=1), on_attempt=attempts.append).count()
        assert [(None, TransportError, None)] == [(each.status, type(each.error), each.delay) for each in attempts]

    @pytest.mark.parametrize("status", [None, 403, 503])
    async def test_failure(self, api: FakeApify, make_client: MakeClient, status: int | None) -> None:
        """An exception from the function ends the call."""

        def refuse(attempt: Attempt) -> None:
            raise LookupError(attempt.number)

        if status:
            api.fail(Status(status))
        client = make_client(on_attempt=refuse)
        with pytest.raises(LookupError):
            await client.all_tasks()
        assert 1 == len(api.requests)


class TestEnvironment:
    """Settings from environment variables."""

    @pytest.fixture(autouse=True)
    def _environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("APIFY_TOKEN", TOKEN)
        monkeypatch.setenv("APIFY_API_BASE_URL", "https://of-environment.example/")

    def test_base_url(self) -> None:
        """The base URL comes from the environment, unless you pass one."""
        assert "of-environment.example" in repr(TasksClient())
        assert "of-argument.example" in repr(TasksClient(base_url="https://of-argument.example"))

    @pytest.mark.parametrize("value", [None, ""])
    def test_official_base_url(self, monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
        """Without both, the base URL is that of Apify."""
        monkeypatch.delenv("APIFY_API_BASE_URL") if value is None else monkeypatch.setenv("APIFY_API_BASE_URL", value)
        assert "<TasksClient of https://api.apify.com, open>" == repr(TasksClient()).replace("/,", ",")

    def test_unusable_base_url(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An unusable base URL in the environment is refused like an argument."""
        monkeypatch.setenv("APIFY_API_BASE_URL", "http://plain.example")
        with pytest.raises(ConfigurationError, match=r"http://plain\.example"):
            TasksClient()

    def test_no_token(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without a token the error says where to get one."""
        monkeypatch.delenv("APIFY_TOKEN")
        for create in (TasksClient, iter_tasks):
            with pytest.raises(ConfigurationError, match=r"no token; pass token=\.\.\., or set APIFY_TOKEN"):
                create()

    @pytest.mark.parametrize("token", ["", " ", "token\n"])
    def test_unusable_token(self, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
        """An unusable token in the environment is refused like an argument."""
        monkeypatch.setenv("APIFY_TOKEN", token)
        with pytest.raises(ConfigurationError, match=r"^token "):
            TasksClient()

    @pytest.mark.asyncio
    async def test_token(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The token comes from the environment, unless you pass one."""
        async with FakeApify(tasks=3, token=TOKEN) as api:
            monkeypatch.setenv("APIFY_API_BASE_URL", api.url)
            assert [*api.tasks] == [task async for task in iter_tasks()]
            async with TasksClient("another") as client:
                with pytest.raises(AuthenticationError):
                    await client.count()


class TestSecrecy:
    """The client does not show its token."""

    def test_repr(self) -> None:
        """The repr has the base URL and whether the client is open."""
        client = TasksClient(TOKEN, base_url="https://proxy.example/apify/v2/")
        assert "<TasksClient of https://proxy.example/apify, open>" == repr(client)

    @pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
    def test_no_copies(self, duplicate: Callable[[object], object]) -> None:
        """A client is neither copied nor pickled."""
        with pytest.raises(TypeError, match="TasksClient cannot be copied or pickled"):
            duplicate(TasksClient(TOKEN))

    @pytest.mark.asyncio
    async def test_log(self, caplog: pytest.LogCaptureFixture) -> None:
        """The log has each attempt, with what a filter needs as fields, but no token."""
        caplog.set_level(logging.DEBUG, logger="apify_tasks_async")
        async with (
            FakeApify(tasks=3, token=TOKEN) as api,
            TasksClient(TOKEN, base_url=api.url, retry=RetryPolicy(base_delay=0)) as client,
            TasksClient(TOKEN, base_url=api.url) as other,
        ):
            api.fail(Status(503, message=f"do not send {TOKEN}"), times=2)
            await client.count()
            api.fail(Status(403))
            with pytest.raises(ApifyTasksError):
                await client.list_tasks(offset=1)
            await other.count()
            url = api.url
        records = [vars(record) for record in caplog.records]
        assert ["INFO", "WARNING", "DEBUG", "INFO", "DEBUG"] == [record["levelname"] for record in records]
        assert [url.removeprefix("http://")] * 5 == [record["host"] for record in records]
        names = ("offset", "limit", "desc", "attempt", "status", "wait")
        assert [
            (0, 1, False, 1, 503, 0),
            (0, 1, False, 2, 503, 0),
            (0, 1, False, 3, 200, None),
            (1, 1000, False, 1, 403, None),
            (0, 1, False, 1, 200, None),
        ] == [tuple(record[name] for name in names) for record in records]
        first, *same, last = [record["client"] for record in records]
        assert ([first] * 3, True) == (same, first != last)
        outage = f"the API at {url} answered 503 (service-unavailable: do not send ***) (attempt 2 at the page at "
        assert f"{outage}offset 0); trying again in 0.0 s" == caplog.messages[1]
        assert caplog.messages[2].startswith("the page at offset 0 arrived in 0.")
        assert caplog.messages[3].endswith(" (attempt 1 at the page at offset 1); not tried again")
        assert TOKEN not in caplog.text

    def test_silence(self) -> None:
        """A program that does not set up logging gets nothing on stderr."""
        handlers = logging.getLogger("apify_tasks_async").handlers
        assert [logging.NullHandler] == list(map(type, handlers))


CALLS: dict[str, Callable[[TasksClient], Any]] = {
    "list_tasks": lambda client: client.list_tasks(),
    "count": lambda client: client.count(),
    "all_tasks": lambda client: client.all_tasks(),
    "iter_tasks": lambda client: anext(client.iter_tasks()),
    "iter_pages": lambda client: anext(client.iter_pages()),
    "async with": lambda client: client.__aenter__(),
}
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@pytest.mark.asyncio
class TestClose:
    """The end of a client."""

    async def test_closed(self, client: TasksClient) -> None:
        """`closed` and the repr say whether the client is closed; a second `close` is fine."""
        seen = [client.closed]
        for _ in range(2):
            await client.close()
            seen.append(client.closed)
        assert [False, True, True] == seen
        assert repr(client).endswith(", closed>")

    async def test_block(self, api: FakeApify) -> None:
        """An `async with` block closes the client and its connections."""
        async with TasksClient(api.token, base_url=api.url) as client:
            await client.count()
            assert not client.closed
        assert client.closed

    @each_call
    @pytest.mark.parametrize("before", [0, 1])
    async def test_later_calls(
        self, api: FakeApify, client: TasksClient, call: Callable[[TasksClient], Any], before: int
    ) -> None:
        """Later calls fail, and send nothing."""
        for _ in range(before):
            await client.count()
        await client.close()
        with pytest.raises(ClientClosedError, match="create a new TasksClient"):
            await call(client)
        assert before == len(api.requests)

    @pytest.mark.parametrize("name", ["list_tasks", "count"])
    async def test_pending(self, api: FakeApify, client: TasksClient, name: str) -> None:
        """Closing the client ends a pending request, also with several calls of `close` at once."""
        api.fail(Hang())
        pending = asyncio.ensure_future(CALLS[name](client))
        await until(lambda: api.in_flight)
        await asyncio.gather(*(client.close() for _ in range(3)))
        with pytest.raises(ClientClosedError, match="closed during the request") as caught:
            await pending
        assert 0 == caught.value.offset
        await until(lambda: not api.in_flight)

    async def test_borrowed_session(self, api: FakeApify) -> None:
        """A borrowed session stays open."""
        async with aiohttp.ClientSession() as session:
            for _ in range(2):
                async with TasksClient(api.token, base_url=api.url, session=session) as client:
                    assert 2500 == await client.count()
            assert not session.closed

    async def test_borrowed_session_closed(self, api: FakeApify) -> None:
        """If the owner closed a borrowed session, calls fail as with a closed client."""
        async with aiohttp.ClientSession() as session:
            client = TasksClient(api.token, base_url=api.url, session=session)
        for call in ("list_tasks", "all_tasks"):
            with pytest.raises(ClientClosedError, match="the session was closed"):
                await CALLS[call](client)
        assert not client.closed


class TestEventLoops:
    """A client belongs to the loop of its first request."""

    @pytest.fixture
    def threaded(self) -> Iterator[FakeApify]:
        """Return an API that runs in another thread."""
        with FakeApify(tasks=100) as api:
            yield api

    def test_created_before(self, threaded: FakeApify) -> None:
        """You can create a client and a walk before an event loop runs."""
        client = TasksClient(threaded.token, base_url=threaded.url)
        pages = client.iter_pages(page_size=10)

        async def drain() -> list[Task]:
            async with client:
                return [task async for page in pages for task in page]

        assert [*threaded.tasks] == asyncio.run(drain())

    def test_another_loop(self, threaded: FakeApify) -> None:
        """A call in another loop fails with the reason; the first loop can still use the client."""
        client = TasksClient(threaded.token, base_url=threaded.url)
        with asyncio.Runner() as first, asyncio.Runner() as second:
            assert 100 == first.run(client.count())
            with pytest.raises(ConfigurationError, match="belongs to another event loop"):
                second.run(client.count())
            assert 100 == first.run(client.count())
            first.run(client.close())

    def test_closing_in_another_loop(self, threaded: FakeApify) -> None:
        """While a request is in flight, closing the client in another loop fails and does not hang."""
        threaded.fail(Hang())
        client = TasksClient(threaded.token, base_url=threaded.url)
        with asyncio.Runner() as first, asyncio.Runner() as second:
            counting = first.get_loop().create_task(client.count())
            first.run(until(lambda: threaded.in_flight))
            with pytest.raises(ConfigurationError, match="in use in another event loop; close it there"):
                second.run(client.close())
            first.run(client.close())
            with pytest.raises(ClientClosedError):
                counting.result()

    @pytest.mark.asyncio
    async def test_closing_beside_its_loop(self, threaded: FakeApify) -> None:
        """While its loop runs, closing the client in another one fails, though no request is in flight."""
        async with TasksClient(threaded.token, base_url=threaded.url) as client:
            assert 100 == await client.count()
            with pytest.raises(ConfigurationError, match="in use in another event loop; close it there"):
                await asyncio.to_thread(asyncio.run, client.close())
            assert 100 == await client.count()
            await client.close()
            await asyncio.to_thread(asyncio.run, client.close())

    def test_iterator_outlives_its_loop(self, threaded: FakeApify) -> None:
        """You can drop a half consumed iterator after its loop was closed."""
        kept: list[PageIterator] = []

        async def begin() -> None:
            async with aiohttp.ClientSession() as session:
                client = TasksClient(threaded.token, base_url=threaded.url, session=session)
                kept.append(client.iter_pages(page_size=10))
                await anext(kept[0])

        asyncio.run(begin())
        iterator = weakref.ref(kept[0])
        kept.clear()
        assert iterator() is None


@pytest.mark.asyncio
class TestModuleLevel:
    """`iter_tasks`, which opens and closes a client."""

    async def test_all(self, api: FakeApify) -> None:
        """It takes the arguments of a walk."""
        tasks = iter_tasks(api.token, base_url=api.url, desc=True, limit=1100)
        assert [*reversed(api.tasks)][:1100] == [task async for task in tasks]
        assert [(0, 1000, True), (1000, 100, True)] == [(sent.offset, sent.limit, sent.desc) for sent in api.requests]

    async def test_left_early(self, api: FakeApify) -> None:
        """Leaving the loop early closes the client; the fixtures fail on what stays open."""
        for offset in (1000, 2000):
            api.fail(Hang(), offset=offset)
        async for task in iter_tasks(api.token, base_url=api.url):
            await until(lambda: api.in_flight == 2)
            assert api.tasks[0] == task
            break
        await until(lambda: not api.in_flight)

    async def test_failure(self, api: FakeApify) -> None:
        """A failure closes the client; the fixtures fail on what stays open."""
        api.fail(Status(403), offset=1000)
        with pytest.raises(ApifyTasksError):
            [task async for task in iter_tasks(api.token, base_url=api.url)]

    async def test_never_begun(self, api: FakeApify) -> None:
        """It sends nothing before you iterate over it."""
        tasks = iter_tasks(api.token, base_url=api.url)
        await tasks.aclose()
        assert [] == api.requests

    async def test_session_and_concurrency(self, api: FakeApify) -> None:
        """It uses a borrowed session, and the concurrency that you pass."""
        for offset in (100, 200, 300):
            api.fail(Hang(), offset=offset)
        async with aiohttp.ClientSession() as session:
            tasks = iter_tasks(api.token, base_url=api.url, session=session, concurrency=2, page_size=100)
            first = await anext(tasks)
            await until(lambda: api.in_flight == 2)
            assert [0, 100, 200] == [sent.offset for sent in api.requests]
            api.clear_faults()
            assert [*api.tasks] == [first, *[task async for task in tasks]]
            assert not session.closed


@pytest.fixture
def mocked(monkeypatch: pytest.MonkeyPatch) -> Iterator[aioresponses]:
    """Return aioresponses, adapted to this aiohttp."""

    class Response(aiohttp.ClientResponse):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{"stream_writer": Writer()} | options)

    class Writer:
        output_size = 0

    def stream_reader(loop: asyncio.AbstractEventLoop) -> aiohttp.StreamReader:
        protocol = aiohttp.client_proto.ResponseHandler(loop=loop)
        return aiohttp.StreamReader(protocol, limit=2**30, loop=loop)

    monkeypatch.setattr("aioresponses.core.ClientResponse", Response)
    monkeypatch.setattr("aioresponses.core.stream_reader_factory", stream_reader)
    with aioresponses() as mocked:
        yield mocked


def document(total: int, offset: int = 0, limit: int = 1000, *, desc: bool = False) -> dict[str, Any]:
    """Return a page of the API with the tasks at that offset."""
    items = [
        {
            "id": f"id-{number}",
            "userId": "user",
            "actId": "act",
            "name": "name" * 50,
            "createdAt": (BOOKMARK.created_at + timedelta(minutes=number)).isoformat(),
            "modifiedAt": "2024-01-02T00:00:00.000Z",
        }
        for number in range(offset, min(total, offset + limit))
    ]
    data = {"total": total, "offset": offset, "limit": limit, "desc": desc, "count": len(items), "items": items}
    return {"data": data}


@pytest.mark.asyncio
class TestRouting:
    """The URL, parameters and headers of requests."""

    async def test_a_mock_that_answers_another_request(self, mocked: aioresponses) -> None:
        """A page from another place fails as it does without a mock, which has no connection."""
        mocked.get(f"{OFFICIAL}?offset=5&limit=1000", payload=document(10))
        async with TasksClient(TOKEN, retry=RetryPolicy(attempts=1)) as client:
            with pytest.raises(InvalidResponseError, match="offset"):
                await client.list_tasks(offset=5)

    @pytest.mark.parametrize(
        ("options", "query"),
        [
            ({}, "offset=0&limit=1000"),
            ({"offset": 5}, "offset=5&limit=1000"),
            ({"limit": 7}, "offset=0&limit=7"),
            ({"desc": True}, "offset=0&limit=1000&desc=1"),
        ],
    )
    async def test_parameters(self, mocked: aioresponses, options: dict[str, Any], query: str) -> None:
        """A request has the documented parameters; without `desc` if it is false."""
        mocked.get(
            f"{OFFICIAL}?{query}", payload=document(1, offset=options.get("offset", 0), desc=bool(options.get("desc")))
        )
        async with TasksClient(TOKEN) as client:
            await client.list_tasks(**options)
        assert [("GET", f"{OFFICIAL}?{query}")] == [
            (
                method,
                str(
                    url.with_query({name: url.query[name] for name in ("offset", "limit", "desc") if name in url.query})
                ),
            )
            for method, url in mocked.requests
        ]

    @pytest.mark.parametrize(
        ("base_url", "endpoint"),
        [
            ("https://api.apify.com/", OFFICIAL),
            ("https://api.apify.com/v2", OFFICIAL),
            ("https://api.apify.com/v2/", OFFICIAL),
            ("https://proxy.example:8443/apify", "https://proxy.example:8443/apify/v2/actor-tasks"),
            ("http://localhost:8080", "http://localhost:8080/v2/actor-tasks"),
            ("http://[::1]:8080", "http://[::1]:8080/v2/actor-tasks"),
            ("https://xn--bcher-kva.example", "https://bücher.example/v2/actor-tasks"),
        ],
    )
    async def test_base_url(self, mocked: aioresponses, base_url: str, endpoint: str) -> None:
        """Each usual form of the base URL leads to the endpoint."""
        mocked.get(f"{endpoint}?offset=0&limit=1", payload=document(5, limit=1))
        async with TasksClient(TOKEN, base_url=base_url) as client:
            assert 5 == await client.count()

    async def test_insecure(self, mocked: aioresponses) -> None:
        """With allow_insecure, plain http to any host works."""
        mocked.get("http://proxy.example/v2/actor-tasks?offset=0&limit=1", payload=document(5, limit=1))
        async with TasksClient(TOKEN, base_url="http://proxy.example", allow_insecure=True) as client:
            assert 5 == await client.count()

    async def test_headers(self, mocked: aioresponses) -> None:
        """The token is in a header, not in the URL, and does not follow a redirect."""
        mocked.get(f"{OFFICIAL}?offset=0&limit=1", payload=document(5, limit=1))
        async with TasksClient(TOKEN) as client:
            await client.count()
        ((url, (call,)),) = [(url, calls) for (_, url), calls in mocked.requests.items()]
        assert f"Bearer {TOKEN}" == call.kwargs["headers"]["Authorization"]
        assert call.kwargs["allow_redirects"] is False
        assert TOKEN not in str(url)

    async def test_whole_floats(self, mocked: aioresponses) -> None:
        """To JSON Schema 15.0 is an integer, and 15 to us, in a task and in the head of a page."""
        page = document(2)
        page["data"]["total"] = 2.0
        page["data"]["items"][0]["stats"] = {"totalRuns": 15.0}
        mocked.get(f"{OFFICIAL}?offset=0&limit=1000", payload=page)
        async with TasksClient(TOKEN) as client:
            tasks = await client.all_tasks()
        assert [TaskStats(15)] == [task.stats for task in tasks[:1]]
        assert type(tasks[0].stats and tasks[0].stats.total_runs) is int

    async def test_large_pages(self, mocked: aioresponses) -> None:
        """A walk asks for page after page, however large they are."""
        for offset in (0, 1000):
            mocked.get(f"{OFFICIAL}?offset={offset}&limit=1000", payload=document(1500, offset))
        async with TasksClient(TOKEN) as client:
            assert [f"id-{number}" for number in range(1500)] == [task.id for task in await client.all_tasks()]

    @pytest.mark.parametrize(
        ("failure", "kind"),
        [
            (aiohttp.ClientConnectionError("refused"), TransportError),
            (aiohttp.ServerDisconnectedError(), TransportError),
            (aiohttp.ClientPayloadError("cut off"), TransportError),
            (ConnectionResetError(), TransportError),
            (TimeoutError(), RequestTimeoutError),
            (aiohttp.ServerTimeoutError(), RequestTimeoutError),
        ],
        ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value.__name__,
    )
    async def test_connection_failures(
        self, mocked: aioresponses, failure: Exception, kind: type[ApifyTasksError]
    ) -> None:
        """A failed connection is retried as the policy says, then raises our error."""
        url = f"{OFFICIAL}?offset=0&limit=1"
        retry = RetryPolicy(attempts=3, base_delay=0)
        async with TasksClient(TOKEN, retry=retry) as client:
            for _ in range(2):
                mocked.get(url, exception=failure)
            mocked.get(url, payload=document(5, limit=1))
            assert 5 == await client.count()

            mocked.get(url, exception=failure, repeat=True)
            with pytest.raises(kind) as caught:
                await client.count()
        assert kind is caught.type
        assert 3 == caught.value.attempts
