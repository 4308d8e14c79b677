"""The token is nowhere except in the header of the request."""

import asyncio
import copy
import itertools
import json
import logging
import pickle
import sys
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest
from helpers.documents import page_document, task_document
from helpers.faults import KINDS, Fault, Met, Waits, client_of
from helpers.leaks import leaks
from helpers.processes import SECONDS, started
from helpers.raw_server import RawServer, message
from helpers.support import FakeTime, until, wait_until
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretBytes, SecretStr

from apify_tasks_async import (
    ApifyTasksError,
    Attempt,
    ClientClosedError,
    InvalidResponseError,
    InvalidTaskError,
    ResponseError,
    RetryPolicy,
    TasksClient,
    iter_tasks,
)
from apify_tasks_async._batch import TaskReader
from apify_tasks_async._page import InvalidItem, PageRequest
from apify_tasks_async._refusal import Response
from apify_tasks_async._response import read_response
from apify_tasks_async._secret import Redactor, Secret, as_header
from apify_tasks_async.testing import FakeApify, Hang, MalformedItem, Status

SECRET = "planted-token-"
"""The text to search for: the beginning of the token, since some reports cut long texts."""

TOKEN = SECRET + "0123456789" * 10
"""Longer than what reports show of a text, so that a report that cuts it would show a plain piece."""


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Record the DEBUG output of all loggers of the process."""
    names = [None, "asyncio", "aiohttp", "apify_tasks_async", *logging.root.manager.loggerDict]
    for name in names:
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


@pytest.mark.parametrize("text", ["", "?", TOKEN])
def test_secret(text: str) -> None:
    """A secret gives its text to whoever asks for it, and no report finds it."""
    secret = Secret(text)
    assert text == secret.get_secret_value()
    assert ["***"] * 3 == [repr(secret), str(secret), f"{secret}"]
    assert str not in Secret.__mro__
    assert [] == leaks(secret, text or "a text")
    with pytest.raises(TypeError, match="a secret is not pickled"):
        pickle.dumps(secret)


def test_secrets_are_compared() -> None:
    """What a test that replaces aiohttp finds among the headers equals the text, also after a deep copy."""
    secret = Secret(TOKEN)
    for other in (Secret(TOKEN), TOKEN, copy.deepcopy(secret), copy.copy(secret)):
        assert secret == other
        assert other == secret
        assert hash(other) == hash(secret)
    for different in (Secret("x"), "x", TOKEN.encode(), None):
        assert secret != different


@pytest.mark.parametrize("text", ["", "x", TOKEN])
def test_header(text: str) -> None:
    """The value of a header equals its text, but the repr hides it, also that of a slice."""
    header = as_header(Secret(text))
    assert (text, text.encode(), f"{text}") == (header, header.encode(), f"{header}")
    assert ["'***'"] * 3 == [repr(header), repr(header[:5]), repr(header[5:])]


@pytest.mark.asyncio
@pytest.mark.virtual_time
@pytest.mark.parametrize("fault", KINDS, ids=lambda fault: fault.name)
async def test_fault(fault: Fault, log: pytest.LogCaptureFixture) -> None:
    """After any fault, the token is not in the error, a report with all locals, a log or a warning.

    A server that drips takes over a second, since asyncio logs every turn of the loop.
    """
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0  # so that every callback is logged
    attempts: list[Attempt] = []
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        async with (
            fault.way(fault.reply) as met,
            client_of(met, Waits(), TOKEN, on_attempt=attempts.append) as client,
        ):
            with pytest.raises(ApifyTasksError) as caught:
                await client.list_tasks()
            assert [] == leaks(client, SECRET)
    assert [] == leaks(caught.value, SECRET)
    assert [] == [leak for attempt in attempts for leak in leaks(attempt, SECRET)]
    assert SECRET not in log.text
    assert SECRET not in repr([warning.message for warning in warned])
    assert "Executing" in log.text


@pytest.mark.asyncio
async def test_secret_str() -> None:
    """A token that pydantic hides is sent, and shown nowhere."""
    async with FakeApify(tasks=1, token=TOKEN) as api:
        async with TasksClient(SecretStr(TOKEN), base_url=api.url) as client:
            assert [*api.tasks] == await client.all_tasks()
            assert [] == leaks(client, SECRET)
        assert [*api.tasks] == [task async for task in iter_tasks(SecretStr(TOKEN), base_url=api.url)]


def test_what_hides_no_text_is_refused() -> None:
    """Hidden bytes are not a token."""
    with pytest.raises(TypeError, match="token must be a string, got SecretBytes") as caught:
        TasksClient(SecretBytes(TOKEN.encode()))  # type: ignore[arg-type]  # the case
    assert [] == leaks(caught.value, SECRET)


REFUSED: dict[str, Callable[[str], object]] = {
    "base URL": lambda token: TasksClient(token, base_url="ftp://host"),
    "token": lambda token: TasksClient(f"{token} "),
    "hidden token": lambda token: TasksClient(SecretStr(f"{token} ")),
    "concurrency": lambda token: TasksClient(token, concurrency=0),
    "base URL of the function": lambda token: iter_tasks(token, base_url="ftp://host"),
    "page size of the function": lambda token: iter_tasks(token, page_size=0),
}


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED)
def test_refusal(make: Callable[[str], object]) -> None:
    """A report of a refused argument holds no token, although it shows the locals of our frames."""
    with pytest.raises(ValueError, match=r".") as caught:
        make(TOKEN)
    assert [] == leaks(caught.value, SECRET)


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token from the environment is hidden in the same way."""
    monkeypatch.setenv("APIFY_TOKEN", TOKEN)
    with pytest.raises(ValueError, match="concurrency") as caught:
        TasksClient(concurrency=0)
    assert [] == leaks(caught.value, SECRET)


@pytest.mark.asyncio
async def test_objects() -> None:
    """No public object shows the token at any time, nor do the asyncio tasks that fetch pages.

    Takes two seconds, since the client sends more slowly after a 503 that says when to try again.
    """
    attempts: list[Attempt] = []
    async with FakeApify(tasks=100, token=TOKEN) as api:
        api.fail(Hang(), offset=20)
        api.fail(Status(503, retry_after=0))
        client = TasksClient(TOKEN, base_url=api.url, retry=RetryPolicy(base_delay=0), on_attempt=attempts.append)
        things: list[Any] = [client, client.stats]
        assert [] == found_in(things)
        pages, follower = client.iter_pages(page_size=10), client.follow_pages()
        page = await anext(pages)
        things += [pages, follower, page, page.items, page.bookmark, await anext(follower), client.stats, attempts]
        await until(lambda: api.in_flight)
        tasks = [task for task in asyncio.all_tasks() if task.get_name().startswith("apify_tasks_async")]
        frames = [frame for task in tasks for frame in task.get_stack()]
        assert tasks
        things += [repr(tasks), *(frame.f_locals for frame in frames)]
        assert [] == found_in(things)
        await client.close()
        with pytest.raises(ClientClosedError) as caught:
            await client.count()
        assert [] == found_in([*things, caught.value])


def found_in(things: list[Any]) -> list[str]:
    """Return where the objects show the token."""
    return [f"{type(thing).__name__}: {leak}" for thing in things for leak in leaks(thing, SECRET)]


@pytest.mark.asyncio
async def test_log_of_a_walk(log: pytest.LogCaptureFixture) -> None:
    """A walk with every loss that it can bear, logged by every logger there is, leaves no token in the log."""
    asyncio.get_running_loop().set_debug(True)
    async with FakeApify(tasks=100, token=TOKEN) as api:
        api.fail(Status(503, message=f"Bearer {TOKEN}"), times=2)
        api.fail(MalformedItem(), offset=20)
        async with TasksClient(TOKEN, base_url=api.url, retry=RetryPolicy(base_delay=0)) as client:
            assert 99 == len(await client.all_tasks(page_size=10, on_invalid="skip"))
    assert {"INFO", "DEBUG", "WARNING"} <= {record.levelname for record in log.records}
    assert SECRET not in log.text
    assert [] == [record for record in log.records if SECRET in repr(vars(record))]


@pytest.mark.asyncio
async def test_echo() -> None:
    """A token that the server repeats is hidden in every part of the error."""
    document = b'{"error": {"type": "no-%b", "message": "there is no %b"}}' % (TOKEN.encode(), TOKEN.encode())
    async with (
        RawServer(message(document, status="403 Forbidden")) as server,
        client_of(Met(server, server.url), FakeTime(), TOKEN) as client,
    ):
        with pytest.raises(ResponseError) as caught:
            await client.count()
    assert ("no-***", "there is no ***") == (caught.value.type, caught.value.message)
    assert [] == leaks(caught.value, SECRET)


LEAKY = {
    "page": page_document(total=f"Bearer {TOKEN[:46]}"),
    "cut": page_document(total=f"GET /v2/actor-tasks Authorization: Bearer {TOKEN[:46]} and so on"),
    "item": page_document(task_document(createdAt=f"Bearer {TOKEN[:46]}")),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("document", LEAKY.values(), ids=LEAKY)
@pytest.mark.parametrize("call", [TasksClient.list_tasks, TasksClient.all_tasks], ids=["list_tasks", "all_tasks"])
async def test_echo_in_a_page(
    document: Any, call: Callable[[TasksClient], Awaitable[Any]], log: pytest.LogCaptureFixture
) -> None:
    """An error about a page that repeats the token does not show it."""
    async with (
        RawServer(message(json.dumps(document).encode())) as server,
        client_of(Met(server, server.url), FakeTime(), TOKEN[:46]) as client,
    ):
        with pytest.raises(InvalidResponseError) as caught:
            await call(client)
    error = caught.value
    assert "Bearer ***" in str(error)
    assert [] == leaks(error, TOKEN[:12])
    assert TOKEN[:12] not in log.text


def spelled(text: str, escapes: list[str]) -> str:
    """Return the text as JSON may write it: each character as it is, or as one of its escapes."""
    spellings: dict[str, Callable[[str], str]] = {
        "as it is": lambda char: json.dumps(char)[1:-1],
        "lower": lambda char: f"\\u{ord(char):04x}",
        "upper": lambda char: f"\\u{ord(char):04X}",
    }
    return "".join(spellings[escape](char) for char, escape in zip(text, itertools.cycle(escapes), strict=False))


_ITEM = json.dumps(task_document(name="NAME", createdAt="CREATED", new={"KEY": ["DEEP"]}))
PLACES: dict[str, tuple[int, str]] = {
    "type": (403, '{"error": {"type": "HERE", "message": "no"}}'),
    "message": (503, '{"error": {"type": "a", "message": "Bearer HERE, so no"}}'),
    "cut message": (400, '{"error": {"type": "a", "message": "' + "x" * 270 + 'HERE"}}'),
    "a 2xx": (204, "HERE"),
    "a gateway's page": (502, "<html><body>HERE</body></html>"),
    "no JSON": (200, "HERE"),
    "total": (200, json.dumps(page_document(total="HERE"))),
    "name of a page": (200, json.dumps(page_document()).replace("total", "HERE")),
    **{
        where: (200, json.dumps(page_document("ITEM")).replace('"ITEM"', _ITEM.replace(where, "HERE")))
        for where in ("CREATED", "NAME", "KEY", "DEEP", "zdc3Pyhyz3m8vjDeM", "userId")
    },
    "an item that is a text": (200, json.dumps(page_document("HERE"))),
    "an item that is an array": (200, json.dumps(page_document([["HERE"]]))),
}


@pytest.mark.parametrize(("status", "body"), PLACES.values(), ids=PLACES)
@given(
    escapes=st.lists(st.sampled_from(["as it is", "lower", "upper"]), min_size=1, max_size=len(TOKEN)),
    token=st.sampled_from([TOKEN, SECRET + "with'both\"quotes\\and-a-backslash"]),
)
def test_spellings(status: int, body: str, escapes: list[str], token: str) -> None:
    """Whatever the spelling of a token in JSON and the place, no text of an error and no pickle of it holds it."""
    written = spelled(token, escapes) if body.startswith("{") else token
    response = Response(status, {"Server": token, "Via": f"1.1 {token}"}, body.replace("HERE", written).encode())
    result = read_response(PageRequest(0, 1000, desc=False), response, 1, Redactor(token), TaskReader())
    items = [] if isinstance(result, ApifyTasksError) else result.entries
    errors = [item.error for item in items if isinstance(item, InvalidItem)] if items else [result]
    assert errors
    assert [] == [leak for item in items for leak in leaks(item, SECRET)]
    for error in errors:
        assert isinstance(error, ApifyTasksError)
        assert [] == leaks(error, SECRET)


def test_raw_that_cannot_be_searched() -> None:
    """An invalid item that is nested too deeply to look for the token is not kept."""
    error = InvalidTaskError("an item", raw=[])
    for _ in range(10**5):
        error.raw = [error.raw]
    Redactor(TOKEN).redact_error(error)
    assert error.raw is None


def command(api: FakeApify, folder: Path, name: str) -> AbstractContextManager[Popen[bytes]]:
    """Start the command line, with the token in a file."""
    (folder / "token").write_text(TOKEN)
    options = ("--verbose", "--token-file", folder / "token", "--base-url", api.url)
    return started(None, name, *options, command=(sys.executable, "-X", "dev", "-m", "apify_tasks_async"))


@pytest.fixture
def api() -> Iterator[FakeApify]:
    """Return an API that runs in another thread."""
    with FakeApify(tasks=6, token=TOKEN) as api:
        yield api


OUTCOMES = {
    "nothing": ([], 0),
    "an outage that passes": ([Status(503, retry_after=0, message=TOKEN)], 0),
    "a refusal": ([Status(401, message=f"no user has {TOKEN}")], 4),
    "a redirect": ([Status(302, body=TOKEN)], 1),
    "an invalid item": ([MalformedItem()], 1),
}


@pytest.mark.parametrize(("faults", "code"), OUTCOMES.values(), ids=OUTCOMES)
def test_command_line(api: FakeApify, tmp_path: Path, faults: list[Any], code: int) -> None:
    """The command line prints the token neither to stdout nor to stderr, even with --verbose.

    May take over a second, since it starts Python in its debug mode.
    """
    for fault in faults:
        api.fail(fault)
    with command(api, tmp_path, "list") as process:
        out, err = process.communicate(timeout=SECONDS)
    assert code == process.returncode
    assert b"apify-tasks: " in err
    assert SECRET.encode() not in out + err


def test_ps(api: FakeApify, tmp_path: Path) -> None:
    """The token is neither in the arguments nor in the environment of a running command.

    May take over a second, since it starts Python in its debug mode.
    """
    api.fail(Hang(), times=None)
    with command(api, tmp_path, "count") as process:
        wait_until(lambda: api.in_flight)
        # Empty where the system has no /proc.
        shown = {
            path.name: path.read_text()
            for name in ("cmdline", "environ")
            for path in Path(f"/proc/{process.pid}").glob(name)
        }
    assert [] == [name for name, text in shown.items() if SECRET in text]
    assert "--token-file" in shown.get("cmdline", "--token-file")
