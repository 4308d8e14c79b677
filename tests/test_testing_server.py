"""How `FakeApify` answers, changes and fails."""

import asyncio
import contextlib
import gc
import gzip
import itertools
import json
import logging
import socket
import threading
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import aiohttp
import attrs
import pytest
from helpers.support import until

import apify_tasks_async.testing
from apify_tasks_async.models import Task, TaskStats
from apify_tasks_async.testing import (
    ABSENT,
    Disconnect,
    FakeApify,
    Fault,
    Hang,
    MalformedItem,
    MalformedJson,
    RecordedRequest,
    SlowBody,
    Status,
    TruncatedBody,
    make_task,
)

MOMENT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PATIENCE = 30
"""Seconds after which a test that waits for something fails."""

Wrong: Any = Status
"""Takes arguments that a type checker would refuse."""


NO_NULL = "every Task has one; for an API that sends null, use"


@attrs.frozen
class Answer:
    """A whole response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The JSON document in the body."""
        document: dict[str, Any] = json.loads(self.body)
        return document

    @property
    def data(self) -> dict[str, Any]:
        """The page."""
        data: dict[str, Any] = self.document["data"]
        return data

    @property
    def ids(self) -> list[str]:
        """The ids of the tasks in the page."""
        return [item["id"] for item in self.data["items"]]

    @property
    def error(self) -> tuple[int, str]:
        """The status, and the type in the error document."""
        return self.status, self.document["error"]["type"]


async def ask(
    api: FakeApify, *, method: str = "GET", path: str = "/v2/actor-tasks", token: str | None = None, **parameters: Any
) -> Answer:
    """Send a request with the token of the server, or another one, and return the whole response."""
    headers = {"Authorization": f"Bearer {api.token if token is None else token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(method, api.url + path, params=parameters) as response,
    ):
        return Answer(response.status, response.headers, await response.read())


async def ask_raw(api: FakeApify, *headers: str, method: str = "GET", target: str = "/v2/actor-tasks") -> bytes:
    """Send a request by hand, and return every byte that comes before the end of the connection."""
    host, _, port = api.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    try:
        return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


def authorisation(api: FakeApify) -> str:
    """Return the header line that the server wants."""
    return f"Authorization: Bearer {api.token}"


def get_without_asyncio(api: FakeApify) -> dict[str, Any]:
    """Return the first page, fetched in this thread."""
    request = urllib.request.Request(f"{api.url}/v2/actor-tasks", headers={"Authorization": f"Bearer {api.token}"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        data: dict[str, Any] = json.load(response)["data"]
        return data


def signal_requests(api: FakeApify) -> asyncio.Event:
    """Return an event that is set when a request comes."""
    came = asyncio.Event()
    api.on_request = lambda _: came.set()
    return came


async def until_idle(api: FakeApify) -> None:
    """Let the event loop run until no request is being answered."""
    await until(lambda: api.in_flight == 0)


class Moment(datetime):
    """A subclass of datetime, as other libraries have them."""


class TestNames:
    """What can be imported."""

    def test_every_name_can_be_imported(self) -> None:
        """Every exported name is there, and belongs to the package."""
        module = apify_tasks_async.testing

        names = {name: getattr(module, name) for name in module.__all__}

        assert sorted(module.__all__) == sorted(names)
        assert set(module.__all__) <= set(dir(module))

    def test_an_unknown_name_is_refused(self) -> None:
        """A name that does not exist is an `AttributeError` that names it."""
        with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
            apify_tasks_async.testing.nonsense  # noqa: B018 - reading it is the point


class TestMakeTask:
    """The factory of tasks."""

    def test_is_deterministic(self) -> None:
        """The same number gives the same task, its unknown fields included."""
        assert make_task(12) == make_task(12)
        assert make_task(12).extra == make_task(12).extra

    def test_numbers_differ(self) -> None:
        """Each number gives a different id and a later time."""
        tasks = [make_task(number) for number in range(2000)]

        assert len({task.id for task in tasks}) == 2000
        assert all(before.created_at < after.created_at for before, after in itertools.pairwise(tasks))

    def test_ids_look_like_those_of_the_api(self) -> None:
        """An id has 17 letters and digits."""
        assert all(len(task.id) == 17 and task.id.isalnum() for task in map(make_task, range(500)))

    def test_every_field_can_be_overridden(self) -> None:
        """Whatever is given is in the task as it was given."""
        fields: dict[str, Any] = {
            "id": "a",
            "user_id": "b",
            "act_id": "c",
            "name": "d",
            "created_at": MOMENT,
            "modified_at": MOMENT,
            "act_name": None,
            "username": None,
            "act_username": None,
            "stats": None,
            "extra": {"title": "e"},
        }

        task = make_task(**fields)

        assert Task(**fields) == task
        assert task.extra == {"title": "e"}

    def test_is_modified_after_it_was_created(self) -> None:
        """A creation time of the caller's moves the time of the last change."""
        task = make_task(created_at=MOMENT)

        assert task.modified_at > task.created_at == MOMENT

    @pytest.mark.parametrize(("number", "kind"), [(-1, ValueError), (1.0, TypeError), (True, TypeError)])
    def test_refuses_other_numbers(self, number: Any, kind: type[Exception]) -> None:
        """An invalid number is an error that names it."""
        with pytest.raises(kind, match=f"number must be an integer >= 0, got {number}"):
            make_task(number)

    def test_refuses_unknown_fields(self) -> None:
        """A field that a task does not have is a `TypeError`."""
        with pytest.raises(TypeError, match="nmae"):
            make_task(nmae="x")


class TestArguments:
    """Invalid arguments raise at once."""

    @pytest.mark.parametrize(
        ("arguments", "kind", "message"),
        [
            ({"tasks": -1}, ValueError, "tasks must be an integer >= 0 or an iterable of Task, got -1"),
            ({"tasks": True}, TypeError, "tasks must be an integer >= 0 or an iterable of Task, got True"),
            ({"tasks": 1.5}, TypeError, "tasks must be an integer >= 0 or an iterable of Task, got 1.5"),
            ({"tasks": ["x"]}, TypeError, "tasks must contain only Task, got 'x'"),
            ({"token": ""}, ValueError, "token must not be empty"),
            ({"token": 1}, TypeError, "token must be a string, got 1"),
            ({"latency": -0.1}, ValueError, "latency must be at least 0, got -0.1"),
            ({"latency": float("nan")}, ValueError, "latency must be finite, got nan"),
            ({"latency": float("inf")}, ValueError, "latency must be finite, got inf"),
            ({"latency": "1"}, TypeError, "latency must be a number, got '1'"),
            ({"rate_limit": 0}, ValueError, "rate_limit must be greater than 0, got 0"),
            ({"rate_limit": True}, TypeError, "rate_limit must be a number, got True"),
            ({"max_limit": 0}, ValueError, "max_limit must be at least 1, got 0"),
            ({"max_limit": 1e3}, TypeError, "max_limit must be an integer, got 1000.0"),
            ({"seed": None}, TypeError, "seed must be int, got None"),
            ({"seed": True}, TypeError, "seed must be int, got True"),
            ({"port": 65536}, ValueError, "port must be from 0 to 65535, got 65536"),
        ],
    )
    def test_each_is_checked(self, arguments: dict[str, Any], kind: type[Exception], message: str) -> None:
        """An argument that does not fit is one error that names it and its value."""
        with pytest.raises(kind) as caught:
            FakeApify(**arguments)

        assert message == str(caught.value)

    @pytest.mark.parametrize(
        ("name", "value", "kind"),
        [
            ("latency", -1, ValueError),
            ("rate_limit", -1, ValueError),
            ("max_limit", 0, ValueError),
            ("reported_total", -1, ValueError),
            ("reported_total", "1", TypeError),
            ("shuffle_ties", 1, TypeError),
            ("limiter", "leaky", ValueError),
            ("limiter", None, ValueError),
            ("refusal", 503, TypeError),
            ("on_request", 1, TypeError),
        ],
    )
    def test_attributes_are_checked_too(self, name: str, value: Any, kind: type[Exception]) -> None:
        """What can be changed while it runs is checked when it is changed, and stays as it was if it does not fit."""
        api = FakeApify()
        before = getattr(api, name)

        with pytest.raises(kind, match=name):
            setattr(api, name, value)

        assert before == getattr(api, name)

    def test_the_token_is_fixed(self) -> None:
        """The token cannot be changed, and is not shown."""
        api = FakeApify(token="hidden")

        with pytest.raises(AttributeError):
            api.token = "other"

        assert "hidden" not in repr(api)

    @pytest.mark.parametrize(
        ("arguments", "kind", "message"),
        [
            ({"fault": 503}, TypeError, "fault must be one of Status, Disconnect, TruncatedBody, Hang, SlowBody, "),
            ({"fault": Hang}, TypeError, "fault must be one of Status, "),
            ({"fault": Hang(), "times": 0}, ValueError, "times must be at least 1, got 0"),
            ({"fault": Hang(), "times": 1.0}, TypeError, "times must be an integer, got 1.0"),
            ({"fault": Hang(), "probability": 1.1}, ValueError, "probability must be at most 1, got 1.1"),
            ({"fault": Hang(), "offset": -1}, ValueError, "offset must be at least 0, got -1"),
        ],
    )
    def test_those_of_fail_are_checked(self, arguments: dict[str, Any], kind: type[Exception], message: str) -> None:
        """An argument of `fail` that does not fit is one error that names it and its value."""
        with pytest.raises(kind) as caught:
            FakeApify().fail(**arguments)

        assert str(caught.value).startswith(message)

    @pytest.mark.parametrize(
        ("make", "kind", "message"),
        [
            (lambda: Status(199), ValueError, "status must be from 200 to 599, got 199"),
            (lambda: Status(600), ValueError, "status must be from 200 to 599, got 600"),
            (lambda: Wrong("503"), TypeError, "status must be an integer, got '503'"),
            (lambda: Wrong(503, retry_after=[]), TypeError, "retry_after must be str or int or float, got []"),
            (lambda: Wrong(503, type=1), TypeError, "type must be str, got 1"),
            (lambda: Wrong(503, message=1), TypeError, "message must be str, got 1"),
            (lambda: Wrong(503, body=1), TypeError, "body must be str or bytes, got 1"),
            (lambda: SlowBody(-1), ValueError, "seconds must be at least 0, got -1"),
            (lambda: MalformedItem(-1), ValueError, "index must be at least 0, got -1"),
            (lambda: MalformedItem(field=""), ValueError, "field must not be empty"),
            (lambda: MalformedItem(value={1}), TypeError, "value must be ABSENT or fit into JSON, got {1}"),
        ],
    )
    def test_those_of_faults_are_checked(self, make: Callable[[], object], kind: type[Exception], message: str) -> None:
        """A fault that cannot happen is one error that names the argument and its value."""
        with pytest.raises(kind) as caught:
            make()

        assert message == str(caught.value)


class TestLife:
    """Starting and stopping."""

    @pytest.mark.asyncio
    async def test_url_is_of_loopback(self) -> None:
        """The base URL is plain HTTP to 127.0.0.1, on a port that was free, without the path."""
        async with FakeApify() as api:
            scheme, host, port = api.url.split(":")

        assert (scheme, host) == ("http", "//127.0.0.1")
        assert 0 < int(port) < 65536

    def test_there_is_no_url_before_it_runs(self) -> None:
        """The URL of a server that is not running is an error that says how to start it."""
        with pytest.raises(RuntimeError, match="await start"):
            FakeApify().url  # noqa: B018 - reading it is the point

    @pytest.mark.asyncio
    async def test_starts_again_with_its_tasks(self) -> None:
        """Started again after it was stopped, it has the tasks and the requests that it had."""
        api = FakeApify(tasks=2)
        await api.start()
        api.create_task()
        first = await ask(api)
        await api.stop()
        await api.stop()

        await api.start()
        second = await ask(api)
        await api.stop()

        assert first.ids == second.ids == [task.id for task in api.tasks]
        assert len(api.requests) == 2

    @pytest.mark.asyncio
    async def test_does_not_start_twice(self) -> None:
        """Starting a server that runs is an error, and it goes on."""
        async with FakeApify(tasks=1) as api:
            with pytest.raises(RuntimeError, match=f"is running already, at {api.url}"):
                await api.start()

            assert (await ask(api)).status == 200

    @pytest.mark.asyncio
    async def test_listens_on_a_port_of_choice(self) -> None:
        """A port that is given is the one that it listens on, and taken for others."""
        async with FakeApify() as other:
            taken = int(other.url.rpartition(":")[2])
            with pytest.raises(OSError, match=str(taken)):
                await FakeApify(port=taken).start()

        async with FakeApify(port=taken) as api:
            assert f"http://127.0.0.1:{taken}" == api.url
            assert (await ask(api)).data["items"] == []

    def test_runs_without_an_event_loop(self) -> None:
        """`with` serves code that knows nothing of asyncio, and the thread ends with it."""
        with FakeApify(tasks=3) as api:
            data = get_without_asyncio(api)
            created = api.create_task()
            after = get_without_asyncio(api)

        assert (data["total"], after["total"]) == (3, 4)
        assert created.id == after["items"][-1]["id"]
        assert [thread.name for thread in threading.enumerate() if thread.name == "FakeApify"] == []

    def test_a_thread_that_cannot_listen_ends(self) -> None:
        """If the port is taken `with` fails, and leaves no thread."""
        with FakeApify() as other:
            api = FakeApify(port=int(other.url.rpartition(":")[2]))
            with pytest.raises(OSError, match="address"):
                api.__enter__()
            names = [thread.name for thread in threading.enumerate()]

        assert names.count("FakeApify") == 1

    @pytest.mark.asyncio
    async def test_stops_while_requests_hang(self, caplog: pytest.LogCaptureFixture) -> None:
        """Stopping ends requests that would never be answered, and leaves no task, no noise and no socket."""
        caplog.set_level(logging.INFO)
        api = FakeApify()
        await api.start()
        came = signal_requests(api)
        api.fail(Hang(), times=None)
        request = asyncio.create_task(ask_raw(api, authorisation(api)))
        await came.wait()

        async with asyncio.timeout(PATIENCE):
            await api.stop()
            try:
                received = await request
            except ConnectionResetError:
                received = b""

        assert received == b""
        assert api.in_flight == 0
        assert {asyncio.current_task()} == asyncio.all_tasks()
        assert caplog.messages == []
        gc.collect()

    @pytest.mark.asyncio
    async def test_stops_while_a_client_does_not_read(self) -> None:
        """Stopping does not wait for a client that leaves an answer lying: the rest is thrown away."""
        size = 16_000_000
        api = FakeApify()
        await api.start()
        came = signal_requests(api)
        api.create_task(extra={"title": "x" * size})
        reader, writer = await asyncio.open_connection("127.0.0.1", int(api.url.rpartition(":")[2]))
        writer.write(f"GET /v2/actor-tasks HTTP/1.1\r\nHost: x\r\n{authorisation(api)}\r\n\r\n".encode())
        await came.wait()
        await until_idle(api)

        async with asyncio.timeout(PATIENCE):
            await api.stop()
            try:
                received = await reader.read()
            except ConnectionResetError:
                received = b""
        writer.transport.abort()

        assert len(received) < size
        assert asyncio.all_tasks() == {asyncio.current_task()}

    @pytest.mark.asyncio
    async def test_stops_after_a_client_hung_up(self) -> None:
        """Stopping in the moment in which a client hangs up is no error."""
        async with FakeApify(tasks=1) as api:
            answer = await ask(api)

        assert answer.status == 200

    @pytest.mark.asyncio
    async def test_stops_with_idle_connections(self) -> None:
        """Stopping closes connections that are kept alive."""
        async with aiohttp.ClientSession() as session:
            async with FakeApify() as api:
                async with session.get(f"{api.url}/v2/actor-tasks") as response:
                    await response.read()
                url = api.url
            with pytest.raises(aiohttp.ClientConnectionError):
                await session.get(url)

        assert {asyncio.current_task()} == asyncio.all_tasks()

    @pytest.mark.asyncio
    async def test_stops_though_the_call_is_cancelled(self) -> None:
        """Its port is free, and nothing is left to stop."""
        api = FakeApify()
        await api.start()
        port = int(api.url.rpartition(":")[2])
        stopping = asyncio.create_task(api.stop())
        await asyncio.sleep(0)
        stopping.cancel()
        await asyncio.wait({stopping})
        assert stopping.cancelled()
        await api.stop()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)

    @pytest.mark.asyncio
    @pytest.mark.parametrize("turns", range(6))
    async def test_stops_while_a_client_connects(self, turns: int) -> None:
        """A connection that is accepted in the moment of stopping is closed, too."""
        with socket.socket() as connection:
            async with FakeApify() as api:
                connection.connect(("127.0.0.1", int(api.url.rpartition(":")[2])))
                for _ in range(turns):
                    await asyncio.sleep(0)
            connection.settimeout(PATIENCE)
            with contextlib.suppress(ConnectionResetError):
                assert b"" == connection.recv(1)


class TestPages:
    """Answers to valid and invalid requests."""

    @pytest.mark.asyncio
    async def test_defaults(self) -> None:
        """Without parameters the first thousand come, oldest first."""
        async with FakeApify(tasks=1200) as api:
            answer = await ask(api)

        described = {name: value for name, value in answer.data.items() if name != "items"}
        assert described == {"total": 1200, "offset": 0, "limit": 1000, "desc": False, "count": 1000}
        assert [task.id for task in api.tasks[:1000]] == answer.ids
        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"

    @pytest.mark.asyncio
    @pytest.mark.parametrize("desc", ["1", "true", "0", "false"])
    @pytest.mark.parametrize("offset", [0, 1, 9, 10, 11, 10**30])
    @pytest.mark.parametrize("limit", [1, 3, 10, 999])
    async def test_slices(self, desc: str, offset: int, limit: int) -> None:
        """A page is that slice of the list in the requested order."""
        async with FakeApify(tasks=10) as api:
            answer = await ask(api, desc=desc, offset=offset, limit=limit)

        tasks = api.tasks[::-1] if desc in ("1", "true") else api.tasks
        expected = [task.id for task in tasks[offset : offset + limit]]
        assert expected == answer.ids
        assert len(expected) == answer.data["count"]
        assert answer.data["desc"] is (desc in ("1", "true"))
        assert int(float(offset)) == answer.data["offset"]

    @pytest.mark.asyncio
    @pytest.mark.parametrize(
        ("asked", "answered"), [("0", 1000), ("0.4", 1000), ("1000", 1000), ("1001", 1000), ("1e300", 1000), ("2.7", 2)]
    )
    async def test_limit_is_clamped(self, asked: str, answered: int) -> None:
        """A limit of nothing is the default, one over the maximum is the maximum, and the answer says so."""
        async with FakeApify(tasks=1) as api:
            answer = await ask(api, limit=asked)

        assert answered == answer.data["limit"]

    @pytest.mark.asyncio
    async def test_maximum_can_be_lowered(self) -> None:
        """A lower maximum holds for the default too."""
        async with FakeApify(tasks=5) as api:
            api.max_limit = 2
            answers = [await ask(api), await ask(api, limit=4), await ask(api, limit=1)]

        assert [(answer.data["limit"], answer.data["count"]) for answer in answers] == [(2, 2), (2, 2), (1, 1)]

    @pytest.mark.asyncio
    async def test_reported_total_is_answered(self) -> None:
        """The `total` can be made to lie, and to tell the truth again."""
        async with FakeApify(tasks=3) as api:
            api.reported_total = 0
            lie = await ask(api)
            api.reported_total = None
            truth = await ask(api)

        assert (lie.data["total"], lie.data["count"]) == (0, 3)
        assert truth.data["total"] == 3

    @pytest.mark.asyncio
    @pytest.mark.parametrize(
        ("name", "value", "expected"),
        [
            *(("offset", value, "a number >= 0") for value in ("x", "-1", "nan", "inf", "1e999", "", "1_000", "٣")),
            *(("limit", value, "a number >= 0") for value in ("ten", "-0.5", "NaN", "Infinity", " 1", "0x10")),
            *(("desc", value, "1, true, 0 or false") for value in ("yes", "True", "2", "", "-1")),
        ],
    )
    async def test_refuses_other_parameters(self, name: str, value: Any, expected: Any) -> None:
        """A parameter that cannot be read is a 400 whose message names it, and is recorded as nothing."""
        async with FakeApify(tasks=1) as api:
            answer = await ask(api, **{name: value})

        assert answer.error == (400, "invalid-input")
        message = answer.document["error"]["message"]
        assert f'Invalid input: the parameter "{name}" must be {expected}, got "{value}".' == message
        assert getattr(api.requests[0], name) is None

    @pytest.mark.asyncio
    async def test_refuses_long_parameters_briefly(self) -> None:
        """The message does not repeat all of a long value, and names the first of several."""
        async with FakeApify() as api:
            answer = await ask(api, limit="x" * 1000, offset="y" * 1000)

        assert f'"offset" must be a number >= 0, got "{"y" * 60}".' in answer.document["error"]["message"]

    @pytest.mark.asyncio
    async def test_records_requests(self) -> None:
        """Every request to the endpoint is recorded, also a refused one, with ascending times."""
        async with FakeApify() as api:
            await ask(api)
            await ask(api, offset="1e1", limit="0", desc="true")
            await ask(api, token="wrong", limit="x")
            await ask(api, method="POST", desc="maybe")
            await ask(api, path="/v2/acts")

        recorded = [(one.offset, one.limit, one.desc, one.authorised) for one in api.requests]
        assert recorded == [
            (0, None, False, True),
            (10, 0, True, True),
            (0, None, False, False),
            (0, None, None, True),
        ]
        moments = [one.at for one in api.requests]
        assert sorted(moments) == moments

    @pytest.mark.asyncio
    @pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
    async def test_refuses_other_methods(self, method: str) -> None:
        """Another method than GET is a 405 that says so."""
        async with FakeApify() as api:
            answer = await ask(api, method=method)

        assert (answer.status, answer.headers["Allow"]) == (405, "GET")
        if method != "HEAD":
            assert answer.error == (405, "method-not-allowed")

    @pytest.mark.asyncio
    @pytest.mark.parametrize("path", ["/", "/v2", "/v2/actor-tasks/x", "/v1/actor-tasks"])
    async def test_refuses_other_paths(self, path: str) -> None:
        """Another path is a 404, and no request to the endpoint."""
        async with FakeApify() as api:
            answer = await ask(api, path=path)

        assert answer.error == (404, "page-not-found")
        assert api.requests == []


class TestTokens:
    """Who is let in."""

    @pytest.mark.asyncio
    @pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
    async def test_takes_a_header(self, scheme: str) -> None:
        """The server accepts the token as Bearer, in any case."""
        async with FakeApify(token="the-token") as api:
            received = await ask_raw(api, f"Authorization: {scheme} the-token")

        assert received.startswith(b"HTTP/1.1 200 ")

    @pytest.mark.asyncio
    async def test_takes_a_parameter(self) -> None:
        """The server accepts the token as a query parameter, like the API."""
        async with FakeApify(token="the-token") as api:
            received = await ask_raw(api, target="/v2/actor-tasks?token=the-token&limit=2")

        assert received.startswith(b"HTTP/1.1 200 ")
        assert [(one.limit, one.authorised) for one in api.requests] == [(2, True)]

    @pytest.mark.asyncio
    @pytest.mark.parametrize(
        ("header", "type_"),
        [
            ("X-Nothing: 1", "token-not-provided"),
            ("Authorization: Bearer", "token-not-provided"),
            ("Authorization: Basic dXNlcjpwYXNz", "token-not-provided"),
            ("Authorization: Bearer wrong", "user-or-token-not-found"),
        ],
    )
    async def test_refuses_others(self, header: str, type_: str) -> None:
        """A missing and a wrong token are a 401 each, of different types, before the parameters are looked at."""
        async with FakeApify() as api:
            received = await ask_raw(api, header, target="/v2/actor-tasks?limit=x")

        head, _, body = received.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 401 ")
        assert type_ == json.loads(body)["error"]["type"]
        assert [one.authorised for one in api.requests] == [False]


class TestCompression:
    """How answers are encoded."""

    @pytest.mark.asyncio
    @pytest.mark.parametrize(
        ("accepted", "compressed"),
        [
            ("gzip", True),
            ("zstd, GZIP, deflate, br", True),
            ("br, gzip;q=0.5", True),
            ("gzip; q=0.1", True),
            ("gzip;q=0", False),
            ("gzip; q=0.000", False),
            ("identity", False),
            ("x-gzip-like", False),
            ("", False),
        ],
    )
    async def test_is_up_to_the_client(self, accepted: str, *, compressed: bool) -> None:
        """A client that takes gzip gets it, and the same document inside."""
        async with FakeApify(tasks=3) as api:
            received = await ask_raw(api, authorisation(api), f"Accept-Encoding: {accepted}")
            plain = await ask_raw(api, authorisation(api))

        head, _, body = received.partition(b"\r\n\r\n")
        assert (b"\r\nContent-Encoding: gzip\r\n" in head) is compressed
        assert (plain.partition(b"\r\n\r\n")[2]) == gzip.decompress(body) if compressed else body


class TestTasks:
    """The list of tasks."""

    def test_are_sorted(self) -> None:
        """Tasks that are given come in the order of their times, equal ones in the order in which they were given."""
        tasks = [
            make_task(0, created_at=MOMENT + timedelta(days=2)),
            make_task(1, created_at=MOMENT),
            make_task(2, created_at=MOMENT + timedelta(days=1)),
            make_task(3, created_at=MOMENT),
        ]

        api = FakeApify(iter(tasks))

        assert (tasks[1], tasks[3], tasks[2], tasks[0]) == api.tasks

    def test_of_one_id_are_refused(self) -> None:
        """Two tasks cannot have one id, from the start or later."""
        with pytest.raises(ValueError, match="id must be unique, got 'same'"):
            FakeApify([make_task(0, id="same"), make_task(1, id="same")])

        api = FakeApify([make_task(0, id="same")])
        with pytest.raises(ValueError, match="got 'same'"):
            api.create_task(id="same")
        assert len(api.tasks) == 1

    def test_are_created_as_the_newest(self) -> None:
        """A new task is newer than all others, also if those are newer than what would be plausible."""
        api = FakeApify([make_task(0, created_at=MOMENT + timedelta(days=5000))])

        created = [api.create_task(name=f"new-{number}") for number in range(3)]

        assert tuple(created) == api.tasks[1:]
        assert [task.name for task in created] == ["new-0", "new-1", "new-2"]
        moments = [task.created_at for task in api.tasks]
        assert moments == sorted(set(moments))

    def test_are_created_in_an_empty_list(self) -> None:
        """The first task is plausible too."""
        api = FakeApify()

        assert make_task(0) == api.create_task()
        assert (make_task(0),) == api.tasks

    def test_are_created_with_ids_of_their_own(self) -> None:
        """A new task gets an unused id."""
        api = FakeApify(map(make_task, (0, 1, 3)))

        created = [api.create_task(), api.create_task()]

        assert [make_task(2).id, make_task(4).id] == [task.id for task in created]

    def test_are_created_at_any_time(self) -> None:
        """An explicit creation time sorts the task after the older ones and those of the same time."""
        api = FakeApify(tasks=3)
        tie = api.tasks[1].created_at

        second = api.create_task(created_at=tie, name="tie")
        oldest = api.create_task(created_at=tie - timedelta(days=1), name="oldest")

        names = [task.name for task in api.tasks]
        assert names == ["oldest", "my-task-0", "my-task-1", "tie", "my-task-2"]
        assert second == api.tasks[3]
        assert oldest == api.tasks[0]

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            (
                {"created_at": None},
                f"created_at must be datetime, got None: {NO_NULL} fail(MalformedItem(index, 'createdAt', None))",
            ),
            ({"modified_at": "now"}, "modified_at must be datetime, got 'now'"),
            ({"name": 5}, "name must be str, got 5"),
            ({"act_name": 5}, "act_name must be str, got 5"),
            ({"stats": {}}, "stats must be TaskStats, got {}"),
        ],
    )
    def test_fields_of_another_type_are_type_errors(self, fields: dict[str, Any], message: str) -> None:
        """A field of the wrong type is a TypeError that names it, and adds no task."""
        api = FakeApify()
        with pytest.raises(TypeError) as caught:
            api.create_task(**fields)

        assert message == str(caught.value)
        assert api.tasks == ()

    @pytest.mark.asyncio
    @pytest.mark.parametrize("microsecond", [0, 5_000, 5])
    async def test_subclasses_of_datetime_are_served(self, microsecond: int) -> None:
        """A subclass of datetime is sent like the datetime itself."""
        moment = Moment(2024, 1, 1, microsecond=microsecond, tzinfo=UTC)
        plain = datetime(2024, 1, 1, microsecond=microsecond, tzinfo=UTC)
        async with FakeApify([make_task(0, created_at=moment), make_task(1, created_at=plain)]) as api:
            answer = await ask(api)

        first, second = answer.data["items"]
        assert first["createdAt"] == second["createdAt"]

    def test_are_deleted(self) -> None:
        """Deleting takes exactly that task away, also one of several of the same time, and returns it."""
        tasks = [make_task(number, created_at=MOMENT) for number in range(4)]
        api = FakeApify(tasks)

        assert tasks[2] == api.delete_task(tasks[2].id)

        assert (tasks[0], tasks[1], tasks[3]) == api.tasks

    def test_are_deleted_once(self) -> None:
        """Deleting a task that is not there is a `KeyError` with its id."""
        api = FakeApify(tasks=1)
        deleted = api.delete_task(api.tasks[0].id)

        with pytest.raises(KeyError, match=deleted.id):
            api.delete_task(deleted.id)

        assert deleted.id == api.create_task(id=deleted.id).id

    def test_are_updated(self) -> None:
        """Updating changes the fields of one task, and makes it modified later; its place stays."""
        api = FakeApify(tasks=3)
        before = api.tasks

        renamed = api.update_task(before[1].id, name="renamed")
        moved = api.update_task(before[1].id, act_name="other", modified_at=MOMENT)

        assert renamed == attrs.evolve(before[1], name="renamed", modified_at=renamed.modified_at)
        assert renamed.modified_at > before[1].modified_at
        assert (moved.name, moved.act_name, moved.modified_at) == ("renamed", "other", MOMENT)
        assert (before[0], moved, before[2]) == api.tasks

    @pytest.mark.parametrize(
        ("fields", "kind", "message"),
        [
            ({"created_at": MOMENT}, ValueError, "created_at of a task never changes"),
            ({"name": None}, TypeError, "name must be str, got None"),
            ({"colour": "red"}, TypeError, "colour"),
            ({"modified_at": MOMENT.replace(tzinfo=None)}, ValueError, "naive"),
        ],
    )
    def test_updates_are_checked(self, fields: dict[str, Any], kind: type[Exception], message: str) -> None:
        """What cannot be is refused, and changes nothing."""
        api = FakeApify(tasks=1)
        before = api.tasks

        with pytest.raises(kind, match=message):
            api.update_task(before[0].id, **fields)
        with pytest.raises(KeyError, match="of-no-task"):
            api.update_task("of-no-task")

        assert before == api.tasks

    @pytest.mark.asyncio
    async def test_changes_show_in_pages(self) -> None:
        """What was created and deleted while it runs shows in the next answer."""
        async with FakeApify(tasks=3) as api:
            created = api.create_task(name="new")
            api.delete_task(api.tasks[0].id)
            answer = await ask(api, desc="1")

        assert answer.data["total"] == 3
        assert [created.id, make_task(2).id, make_task(1).id] == answer.ids

    @pytest.mark.asyncio
    async def test_of_equal_times_are_reversed_with_the_others(self) -> None:
        """Descending order is exactly the reverse of ascending order, ties included."""
        tasks = [make_task(number, created_at=MOMENT + timedelta(hours=number // 3)) for number in range(9)]
        async with FakeApify(tasks) as api:
            ascending, descending = await ask(api), await ask(api, desc="1")

        assert [task.id for task in tasks] == ascending.ids
        assert ascending.ids[::-1] == descending.ids

    @pytest.mark.asyncio
    async def test_without_runs_say_nothing_of_them(self) -> None:
        """A task with statistics but no number of runs has no `totalRuns`: the API has no null there."""
        tasks = [make_task(0, stats=TaskStats(extra={"lastRun": 1})), make_task(1, stats=None)]
        async with FakeApify(tasks) as api:
            answer = await ask(api)

        assert [item["stats"] for item in answer.data["items"]] == [{"lastRun": 1}, None]


class TestTies:
    """Equal creation times."""

    @staticmethod
    def tasks(*sizes: int) -> list[Task]:
        """Return tasks in groups of those sizes, each group of one time."""
        groups = [[MOMENT + timedelta(hours=hour)] * size for hour, size in enumerate(sizes)]
        moments = [moment for group in groups for moment in group]
        return [make_task(number, created_at=moment) for number, moment in enumerate(moments)]

    @staticmethod
    async def orders(tasks: list[Task], requests: int, *, seed: int = 0, **parameters: Any) -> list[list[str]]:
        """Return the ids in the answers to equal requests."""
        async with FakeApify(tasks, seed=seed) as api:
            api.shuffle_ties = True
            return [(await ask(api, **parameters)).ids for _ in range(requests)]

    @pytest.mark.asyncio
    @pytest.mark.parametrize("size", [2, 3, 20])
    async def test_come_in_another_order_each_time(self, size: int) -> None:
        """Consecutive requests never see equal times in the same order."""
        orders = await self.orders(self.tasks(size), 20)

        assert all(before != after for before, after in itertools.pairwise(orders))
        assert {tuple(sorted(orders[0]))} == {tuple(sorted(order)) for order in orders}

    @pytest.mark.asyncio
    @pytest.mark.parametrize("desc", ["0", "1"])
    async def test_do_not_leave_their_group(self, desc: str) -> None:
        """The times of a page are those that they would be without it, and tasks of single times stay put."""
        tasks = self.tasks(1, 4, 1, 3, 1)
        moments = {task.id: task.created_at for task in tasks}
        orders = await self.orders(tasks, 10, desc=desc)

        walked = tasks[::-1] if desc == "1" else tasks
        expected = [task.created_at for task in walked]
        assert [expected] * 10 == [[moments[task_id] for task_id in order] for order in orders]
        single = [place for place, moment in enumerate(expected) if expected.count(moment) == 1]
        assert {tuple(walked[place].id for place in single)} == {
            tuple(order[place] for place in single) for order in orders
        }

    @pytest.mark.asyncio
    async def test_cross_the_ends_of_a_page(self) -> None:
        """A page that ends within a group has any of the group's tasks: this is what loses tasks."""
        tasks = self.tasks(1, 6, 1)
        orders = await self.orders(tasks, 40, offset=1, limit=3)

        group = {task.id for task in tasks[1:7]}
        assert all(len(order) == 3 and set(order) < group for order in orders)
        assert group == set().union(*orders)

    @pytest.mark.asyncio
    async def test_begin_a_page(self) -> None:
        """A page that begins within a group has as many of it as come after the offset, then the next group."""
        tasks = self.tasks(1, 6, 3)
        orders = await self.orders(tasks, 20, offset=4, limit=5)

        first, second = ({task.id for task in group} for group in (tasks[1:7], tasks[7:]))
        assert [set(order[:3]) < first and set(order[3:]) < second for order in orders] == [True] * 20

    @pytest.mark.asyncio
    async def test_are_shuffled_as_the_seed_has_it(self) -> None:
        """The same seed shuffles alike, another one does not."""
        tasks = self.tasks(30)

        first, again = await self.orders(tasks, 5, seed=1), await self.orders(tasks, 5, seed=1)
        other = await self.orders(tasks, 5, seed=2)

        assert again == first
        assert first != other

    @pytest.mark.asyncio
    async def test_of_an_empty_page(self) -> None:
        """A page after the end has nothing to shuffle."""
        assert await self.orders(self.tasks(3), 2, offset=3) == [[], []]


class TestHooks:
    """What happens around an answer."""

    @pytest.mark.asyncio
    async def test_are_called_before_the_answer(self) -> None:
        """What `on_request` changes shows in the answer to that request."""
        async with FakeApify(tasks=2) as api:
            seen = []

            def change(request: RecordedRequest) -> None:
                seen.append((request, api.in_flight, len(api.requests)))
                api.create_task()
                api.delete_task(api.tasks[0].id)

            api.on_request = change
            answer = await ask(api, offset=1, limit=5)

        assert [api.tasks[1].id] == answer.ids
        assert [(api.requests[0], 1, 1)] == seen
        assert isinstance(seen[0][0], RecordedRequest)

    @pytest.mark.asyncio
    async def test_that_raise_are_a_failure_of_the_server(self, caplog: pytest.LogCaptureFixture) -> None:
        """If `on_request` raises, the answer is a 500 and the log says why."""
        async with FakeApify() as api:
            api.on_request = lambda _: 1 / 0
            answer = await ask(api)

        assert answer.status == 500
        assert api.in_flight == 0
        assert [ZeroDivisionError] == [record.exc_info and record.exc_info[0] for record in caplog.records]

    @pytest.mark.asyncio
    async def test_latency_passes_before_the_answer(self) -> None:
        """An answer takes at least `latency` seconds, and is of the moment in which the request came."""
        async with FakeApify(tasks=1) as api:
            api.latency = 0.05
            came = signal_requests(api)
            loop = asyncio.get_running_loop()
            started = loop.time()
            request = asyncio.create_task(ask(api))
            await came.wait()
            in_flight = api.in_flight
            api.create_task()
            answer = await request
            elapsed = round(loop.time() - started, 6)  # uvloop counts milliseconds: 0.05 may come out as 0.04999999

        assert elapsed >= 0.05
        assert (answer.data["total"], in_flight, api.in_flight) == (1, 1, 0)


class TestRateLimit:
    """Too many requests."""

    @staticmethod
    async def statuses(api: FakeApify, moments: list[float]) -> list[int]:
        """Return the statuses of requests that come at those times."""
        statuses = []
        for moment in moments:
            api._clock = partial(float, moment)
            statuses.append((await ask(api)).status)
        return statuses

    @pytest.mark.asyncio
    async def test_holds_over_a_sliding_second(self) -> None:
        """No more than that many requests are accepted in any second; refused ones do not count."""
        async with FakeApify(rate_limit=2) as api:
            statuses = await self.statuses(api, [100.0, 100.4, 100.5, 100.99, 101.0, 101.3, 101.4, 102.0])

        assert statuses == [200, 200, 429, 429, 200, 429, 200, 200]

    @pytest.mark.asyncio
    async def test_may_be_less_than_one_a_second(self) -> None:
        """A rate of 0.5 is one request in two seconds."""
        async with FakeApify(rate_limit=0.5) as api:
            statuses = await self.statuses(api, [100.0, 101.0, 101.9, 102.0, 103.9])

        assert statuses == [200, 429, 429, 200, 429]

    @pytest.mark.asyncio
    @pytest.mark.parametrize(
        ("limiter", "moments", "accepted"),
        [
            ("fixed", [100.5, 100.9, 100.99, 101.0, 101.1, 101.2, 102.0], [0, 1, 3, 4, 6]),
            ("bucket", [100.0, 100.0, 100.1, 100.5, 100.6, 110.0, 110.0, 110.0], [0, 1, 3, 5, 6]),
            ("spaced", [100.0, 100.1, 100.4, 100.5, 100.9, 110.0, 110.0], [0, 3, 5]),
        ],
    )
    async def test_other_limiters(self, limiter: Any, moments: list[float], accepted: list[int]) -> None:
        """The second of the clock, a bucket of tokens, and even spaces count differently from a sliding second."""
        async with FakeApify(rate_limit=2) as api:
            api.limiter = limiter
            statuses = await self.statuses(api, moments)

        assert accepted == [index for index, status in enumerate(statuses) if status == 200]

    @pytest.mark.asyncio
    async def test_the_refusal_may_be_another_one(self) -> None:
        """A gateway may refuse with 503 and say when to come again."""
        async with FakeApify(rate_limit=2) as api:
            api.refusal = Status(503, retry_after=7)
            api._clock = lambda: 100.0
            answers = [await ask(api) for _ in range(3)]

        assert [200, 200, 503] == [answer.status for answer in answers]
        assert "7" == answers[2].headers["Retry-After"]

    @pytest.mark.asyncio
    async def test_is_told(self) -> None:
        """The limit is in a header of every answer, and only then; a 429 is the API's."""
        async with FakeApify(rate_limit=1) as api:
            api._clock = lambda: 100.0
            answers = [await ask(api), await ask(api), await ask(api, token="wrong")]
            api.rate_limit = None
            unlimited = await ask(api)

        assert [(answer.status, answer.headers["X-RateLimit-Limit"]) for answer in answers] == [
            (200, "1"),
            (429, "1"),
            (401, "1"),
        ]
        assert answers[1].error == (429, "rate-limit-exceeded")
        assert (unlimited.status, unlimited.headers.get("X-RateLimit-Limit")) == (200, None)

    @pytest.mark.asyncio
    @pytest.mark.parametrize(("rate_limit", "sent"), [(60, "60"), (60.0, "60"), (2.5, "2.5"), (25_000_000, "25000000")])
    async def test_is_told_as_a_plain_number(self, rate_limit: float, sent: str) -> None:
        """The header has the number as one would write it."""
        async with FakeApify(rate_limit=rate_limit) as api:
            answer = await ask(api)

        assert sent == answer.headers["X-RateLimit-Limit"]

    @pytest.mark.asyncio
    async def test_is_by_real_time(self) -> None:
        """Without a clock of the test's, times are of the monotonic one."""
        async with FakeApify(rate_limit=1000) as api:
            before = asyncio.get_running_loop().time()
            answer = await ask(api)

        assert answer.status == 200
        assert before <= api.requests[0].at <= asyncio.get_running_loop().time() + 0.001  # uvloop counts milliseconds


class TestFaults:
    """The faults."""

    @pytest.mark.asyncio
    @pytest.mark.parametrize(
        ("status", "type_"),
        [
            (302, "found"),
            (400, "invalid-input"),
            (401, "user-or-token-not-found"),
            (403, "insufficient-permissions"),
            (404, "page-not-found"),
            (405, "method-not-allowed"),
            (429, "rate-limit-exceeded"),
            (500, "internal-server-error"),
            (502, "bad-gateway"),
            (503, "service-unavailable"),
            (599, "unknown-error"),
        ],
    )
    async def test_status(self, status: int, type_: str) -> None:
        """A status comes with the API's error document, once."""
        async with FakeApify() as api:
            api.fail(Status(status))
            first, second = await ask(api), await ask(api)

        assert (status, type_) == first.error
        assert first.document["error"]["message"]
        assert "Retry-After" not in first.headers
        assert second.status == 200

    @pytest.mark.asyncio
    @pytest.mark.parametrize("retry_after", ["soon", "Fri, 31 Dec 1999 23:59:59 GMT", 3, 0.5, 0, ""])
    async def test_status_with_retry_after(self, retry_after: str | float) -> None:
        """Retry-After is sent as it was given."""
        async with FakeApify() as api:
            api.fail(Status(429, retry_after=retry_after, type="a", message="b"))
            answer = await ask(api)

        assert str(retry_after) == answer.headers["Retry-After"]
        assert answer.document == {"error": {"type": "a", "message": "b"}}

    @pytest.mark.asyncio
    @pytest.mark.parametrize(
        ("body", "sent", "content_type"),
        [
            ("<html>é</html>", "<html>é</html>".encode(), "text/html; charset=utf-8"),
            (b"\xff", b"\xff", "application/json; charset=utf-8"),
            ("", b"", "application/json; charset=utf-8"),
        ],
    )
    async def test_status_with_a_body(self, body: str | bytes, sent: bytes, content_type: str) -> None:
        """A body of the caller's is sent instead, an empty one too."""
        async with FakeApify() as api:
            api.fail(Status(502, body=body))
            answer = await ask(api)

        assert (502, sent) == (answer.status, answer.body)
        assert content_type == answer.headers["Content-Type"]

    @pytest.mark.asyncio
    async def test_disconnect(self, caplog: pytest.LogCaptureFixture) -> None:
        """The connection ends before the first byte, without noise in the log."""
        caplog.set_level(logging.INFO)
        async with FakeApify() as api:
            api.fail(Disconnect())
            first, second = [await ask_raw(api, authorisation(api)) for _ in range(2)]
            await until_idle(api)

        assert first == b""
        assert second.startswith(b"HTTP/1.1 200 ")
        assert caplog.messages == []

    @pytest.mark.asyncio
    async def test_disconnect_twice_fails_aiohttp(self) -> None:
        """A client of aiohttp asks again after the first disconnect, and gives up after the second."""
        async with FakeApify() as api:
            api.fail(Disconnect(), times=2)
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await ask(api)

        assert len(api.requests) == 2

    @pytest.mark.asyncio
    async def test_truncated_body(self, caplog: pytest.LogCaptureFixture) -> None:
        """Fewer bytes come than Content-Length says, then the connection ends, without noise in the log."""
        caplog.set_level(logging.INFO)
        async with FakeApify(tasks=3) as api:
            whole = (await ask_raw(api, authorisation(api))).partition(b"\r\n\r\n")[2]
            api.fail(TruncatedBody(), times=2)
            received = await ask_raw(api, authorisation(api))
            with pytest.raises(aiohttp.ClientPayloadError):
                await ask(api)
            await until_idle(api)

        head, _, body = received.partition(b"\r\n\r\n")
        assert f"\r\nContent-Length: {len(whole)}\r\n".encode() in head
        assert 0 < len(body) < len(whole)
        assert whole.startswith(body)
        assert caplog.messages == []

    @pytest.mark.asyncio
    async def test_a_short_body_is_truncated(self, caplog: pytest.LogCaptureFixture) -> None:
        """Of a body without bytes nothing comes, nor of one with a single byte, without noise in the log."""
        caplog.set_level(logging.INFO)
        async with FakeApify() as api:
            for body in ("", "x"):
                api.refusal = Status(429, body=body)
                api.rate_limit = 1
                api.fail(TruncatedBody(), times=2)
                await ask_raw(api, authorisation(api))
                received = await ask_raw(api, authorisation(api))
                assert received.startswith(b"HTTP/1.1 429 ")
                assert received.endswith(b"\r\n\r\n")
            await until_idle(api)

        assert caplog.messages == []

    @pytest.mark.asyncio
    async def test_hang_until_released(self) -> None:
        """A request hangs until the faults are cleared, then it is answered; one after that does not hang."""
        async with FakeApify(tasks=1) as api:
            came = signal_requests(api)
            api.fail(Hang(), times=None)
            request = asyncio.create_task(ask(api))
            await came.wait()
            in_flight = api.in_flight
            api.clear_faults()
            answer = await request
            after = await ask(api)

        assert (in_flight, answer.status, after.status) == (1, 200, 200)

    @pytest.mark.asyncio
    async def test_hang_until_the_client_hangs_up(self, caplog: pytest.LogCaptureFixture) -> None:
        """A client that hangs up ends its request, and nothing is logged of it."""
        caplog.set_level(logging.INFO)
        async with FakeApify() as api:
            came = signal_requests(api)
            api.fail(Hang())
            request = asyncio.create_task(ask(api))
            await came.wait()
            request.cancel()
            with pytest.raises(asyncio.CancelledError):
                await request
            await until_idle(api)

        assert api.in_flight == 0
        assert caplog.messages == []

    def test_faults_can_be_cleared_before_it_runs(self) -> None:
        """Clearing needs no running server."""
        api = FakeApify()
        api.fail(Hang())
        api.clear_faults()

        with api:
            assert get_without_asyncio(api)["total"] == 0

    def test_hang_in_another_loop(self) -> None:
        """Requests hang and are released in every event loop in which the server is started."""
        api = FakeApify()
        api.fail(Hang(), times=None)

        async def hang(*, release: bool) -> Answer | None:
            async with api:
                came = signal_requests(api)
                request = asyncio.create_task(ask(api))
                await came.wait()
                if release:
                    api.clear_faults()
                    return await request
                request.cancel()
                return None

        asyncio.run(hang(release=False))
        answer = asyncio.run(hang(release=True))

        assert answer is not None
        assert answer.status == 200

    def test_hang_in_a_thread_is_released_from_another(self) -> None:
        """The thread of the test controls a server in another thread."""
        came = threading.Event()
        answers = []
        with FakeApify(tasks=1) as api:
            api.on_request = lambda _: came.set()
            api.fail(Hang())
            client = threading.Thread(target=lambda: answers.append(get_without_asyncio(api)))
            client.start()
            came.wait(PATIENCE)
            api.clear_faults()
            client.join(PATIENCE)

        assert [answer["total"] for answer in answers] == [1]

    @pytest.mark.asyncio
    @pytest.mark.parametrize("tasks", [0, 100])
    async def test_slow_body(self, tasks: list[Task]) -> None:
        """The body takes that long, and is complete; the head comes before."""
        async with FakeApify(tasks=tasks) as api:
            api.fail(SlowBody(0.05))
            loop = asyncio.get_running_loop()
            started = loop.time()
            answer = await ask(api)
            elapsed = loop.time() - started

        assert elapsed >= 0.045
        assert tasks == answer.data["count"]

    @pytest.mark.asyncio
    @pytest.mark.parametrize("fault", [SlowBody(3600), TruncatedBody()])
    async def test_a_head_has_no_body_to_fail(self, fault: Fault) -> None:
        """What happens to bodies does not happen to the answer to a HEAD."""
        async with FakeApify() as api:
            api.fail(fault)
            received = await ask_raw(api, authorisation(api), method="HEAD")

        head, _, body = received.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 405 ")
        assert body == b""

    @pytest.mark.asyncio
    async def test_slow_body_that_nobody_waits_for(self, caplog: pytest.LogCaptureFixture) -> None:
        """A client that hangs up in the middle of a body ends its request."""
        caplog.set_level(logging.INFO)
        async with FakeApify(tasks=10) as api:
            api.fail(SlowBody(3600))
            headers = {"Authorization": f"Bearer {api.token}"}
            async with (
                aiohttp.ClientSession(headers=headers) as session,
                session.get(f"{api.url}/v2/actor-tasks") as response,
            ):
                status, in_flight = response.status, api.in_flight
            await until_idle(api)

        assert (status, in_flight, api.in_flight) == (200, 1, 0)
        assert caplog.messages == []

    @pytest.mark.asyncio
    @pytest.mark.parametrize("fault", [None, Disconnect(), SlowBody(3600), TruncatedBody()])
    async def test_a_connection_that_is_lost_before_the_body(
        self, fault: Fault | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A connection that goes between a request and its answer ends the request, and nothing is logged of it."""
        caplog.set_level(logging.INFO)

        def lose(_: RecordedRequest) -> None:
            (connection,) = api._listener.connections
            assert connection.transport is not None
            asyncio.get_running_loop().call_soon(connection.transport.abort)

        async with FakeApify(tasks=10) as api:
            api.on_request = lose
            if fault is not None:
                api.fail(fault)
            received = await ask_raw(api, authorisation(api))
            await until_idle(api)

        assert received == b""
        assert caplog.messages == []

    @pytest.mark.asyncio
    async def test_malformed_json(self) -> None:
        """A complete 200 holds no JSON."""
        async with FakeApify(tasks=2) as api:
            api.fail(MalformedJson())
            answer = await ask(api)

        assert answer.status == 200
        assert answer.body.startswith(b'{"data":')
        with pytest.raises(json.JSONDecodeError):
            answer.document  # noqa: B018 - reading it is the point

    @pytest.mark.asyncio
    @pytest.mark.parametrize(
        ("fault", "index", "expected"),
        [
            (MalformedItem(), 0, {"name": None}),
            (MalformedItem(2, "createdAt", "yesterday"), 2, {"createdAt": "yesterday"}),
            (MalformedItem(1, "stats", {"totalRuns": "many"}), 1, {"stats": {"totalRuns": "many"}}),
            (MalformedItem(1, "new", [1]), 1, {"new": [1]}),
        ],
    )
    async def test_malformed_item(self, fault: Fault, index: int, expected: Any) -> None:
        """One field of one item is replaced, all else is as before."""
        async with FakeApify(tasks=3) as api:
            items = (await ask(api)).data["items"]
            api.fail(fault)
            answer = await ask(api)

        items[index] |= expected
        assert items == answer.data["items"]

    @pytest.mark.asyncio
    async def test_malformed_item_without_a_field(self) -> None:
        """A field can be left out, by a value that says what it is."""
        assert repr(ABSENT) == "ABSENT"
        async with FakeApify(tasks=2) as api:
            items = (await ask(api)).data["items"]
            api.fail(MalformedItem(1, "createdAt", ABSENT))
            answer = await ask(api)

        del items[1]["createdAt"]
        assert items == answer.data["items"]

    @pytest.mark.asyncio
    @pytest.mark.parametrize("fault", [MalformedJson(), MalformedItem(0)])
    async def test_malformed_documents_are_of_pages(self, fault: Fault) -> None:
        """What is no page, and a page without that item, stays as it is."""
        async with FakeApify() as api:
            api.fail(fault)
            refused = await ask(api, token="wrong")
            api.fail(MalformedItem(0))
            empty = await ask(api)

        assert refused.error == (401, "user-or-token-not-found")
        assert empty.data["items"] == []

    @pytest.mark.asyncio
    async def test_come_in_their_order(self) -> None:
        """Several faults strike one after the other, each as often as was said."""
        async with FakeApify() as api:
            api.fail(Status(500), times=2)
            api.fail(Status(502))
            statuses = [(await ask(api)).status for _ in range(4)]
            api.fail(Status(503))
            statuses.append((await ask(api)).status)

        assert statuses == [500, 500, 502, 200, 503]

    @pytest.mark.asyncio
    async def test_last_until_cleared(self) -> None:
        """Without a number a fault strikes until the faults are cleared."""
        async with FakeApify() as api:
            api.fail(Status(500), times=None)
            before = [(await ask(api)).status for _ in range(5)]
            api.clear_faults()
            after = (await ask(api)).status

        assert (before, after) == ([500] * 5, 200)

    @pytest.mark.asyncio
    async def test_of_one_offset(self) -> None:
        """A fault of an offset strikes only requests of that offset, an absent one being 0."""
        async with FakeApify() as api:
            api.fail(Status(500), offset=10)
            api.fail(Status(502), offset=0)
            offsets: list[dict[str, Any]] = [{"offset": 1}, {"offset": 10}, {}, {"offset": 10}, {"offset": "x"}]
            statuses = [(await ask(api, **offset)).status for offset in offsets]

        assert statuses == [200, 500, 502, 200, 400]

    @pytest.mark.asyncio
    async def test_with_a_probability(self) -> None:
        """A probability strikes some requests: the same ones for the same seed, others for another one."""

        async def statuses(seed: int) -> list[int]:
            async with FakeApify(seed=seed) as api:
                api.fail(Status(500), times=None, probability=0.5)
                return [(await ask(api)).status for _ in range(30)]

        first, again, other = [await statuses(seed) for seed in (1, 1, 2)]

        assert {200, 500} == set(first)
        assert again == first
        assert first != other

    @pytest.mark.asyncio
    @pytest.mark.parametrize(("probability", "status"), [(0, 200), (1, 500)])
    async def test_with_a_certain_probability(self, probability: float, status: int) -> None:
        """A probability of 0 never strikes, one of 1 always."""
        async with FakeApify() as api:
            api.fail(Status(500), times=None, probability=probability)
            statuses = {(await ask(api)).status for _ in range(20)}

        assert {status} == statuses

    @pytest.mark.asyncio
    async def test_strike_requests_without_a_token(self) -> None:
        """A gateway fails before anyone looks at the token."""
        async with FakeApify() as api:
            api.fail(Status(503))
            answer = await ask(api, token="wrong")

        assert answer.status == 503
        assert [one.authorised for one in api.requests] == [False]


def test_it_can_be_used_by_many_threads() -> None:
    """Threads that create, delete and list at once see whole pages, and nothing is lost."""
    with FakeApify(tasks=50) as api:

        def work() -> None:
            for _ in range(20):
                api.delete_task(api.create_task().id)
                api.create_task()
                data = get_without_asyncio(api)
                assert data["count"] == len(data["items"]) == data["total"]

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)

        assert len(api.tasks) == 50 + 4 * 20
        assert len(api.requests) == 4 * 20
        assert len(api.tasks) == len({task.id for task in api.tasks})


@pytest.mark.parametrize("field", ["id", "name", "act_name", "username"])
def test_half_of_a_surrogate_pair(field: str) -> None:
    """A text that JSON in UTF-8 cannot hold is refused by the name of its field, and adds no task."""
    api = FakeApify()
    with pytest.raises(ValueError, match=rf"^{field} must be text that UTF-8 can encode, got '\\ud800'$"):
        api.create_task(**{field: "\ud800"})
    assert () == api.tasks
