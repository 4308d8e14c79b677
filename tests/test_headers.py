"""The headers that a user, and the platform, add to every request."""

import re
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest
from helpers.faults import TOKEN
from helpers.leaks import leaks
from helpers.raw_server import RawServer, message
from helpers.support import client_of

from apify_tasks_async import TasksClient
from apify_tasks_async._headers import USER_AGENT

KEY = "a-key-of-the-gateway"


async def head_of(**options: Any) -> str:
    """Return the head of a request of a client with these options."""
    async with RawServer(message()) as server, client_of(server, TOKEN, **options) as client:
        await client.count()
        assert [] == leaks(client, KEY)
    return server.requests[0]


@pytest.mark.asyncio
async def test_added() -> None:
    """The headers are sent beside those of the client, and no repr shows their values."""
    head = await head_of(headers={"X-Gateway-Key": KEY, "x-team": "a b"}, user_agent_suffix="my-service/1.2 (x)")
    for line in ("X-Gateway-Key: " + KEY, "x-team: a b", f"User-Agent: {USER_AGENT} my-service/1.2 (x)"):
        assert f"\r\n{line}\r\n" in head
    assert f"\r\nAuthorization: Bearer {TOKEN}\r\n" in head
    assert 1 == head.count("User-Agent")


@pytest.mark.asyncio
async def test_added_where_aiohttp_reads_the_text() -> None:
    """A cookie that is added is sent beside those of a borrowed session."""
    cookies = aiohttp.CookieJar(unsafe=True)
    cookies.update_cookies({"theirs": "1"})
    async with aiohttp.ClientSession(cookie_jar=cookies) as session:
        head = await head_of(headers={"Cookie": "mine=2", "Content-Encoding": "identity"}, session=session)
    [line] = [line for line in head.split("\r\n") if line.startswith("Cookie: ")]
    assert {"theirs=1", "mine=2"} == set(line.removeprefix("Cookie: ").split("; "))


@pytest.mark.asyncio
async def test_secrets_where_requests_are_made() -> None:
    """What traces a session sees no string of the token or of a key: they become texts below it."""
    seen: list[Any] = []

    async def begun(_: aiohttp.ClientSession, __: object, parameters: aiohttp.TraceRequestStartParams) -> None:
        seen.append(parameters.headers)

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(begun)
    async with aiohttp.ClientSession(trace_configs=[trace]) as session:
        await head_of(headers={"X-Gateway-Key": KEY}, session=session)
    [headers] = seen
    assert [False, False] == [isinstance(headers[name], str) for name in ("Authorization", "X-Gateway-Key")]
    assert (f"Bearer {TOKEN}", KEY) == (headers["Authorization"], headers["X-Gateway-Key"])
    assert not {TOKEN, KEY} & set(re.findall(r"[\w-]+", repr(headers)))


@pytest.mark.asyncio
async def test_nothing_added() -> None:
    """By default there is no further header."""
    head = await head_of()
    names = {line.split(":")[0] for line in head.split("\r\n")[1:] if line}
    assert {"Host", "User-Agent", "Accept", "Accept-Encoding", "Authorization"} == names


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("headers", "sent"), [(None, "from-the-platform"), ({"x-apify-workflow-key": "mine"}, "mine")], ids=["env", "given"]
)
async def test_workflow_key(headers: Mapping[str, str] | None, sent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The workflow key of the platform is sent, as the official clients do, unless the user gives another one."""
    monkeypatch.setenv("APIFY_WORKFLOW_KEY", "from-the-platform")
    head = (await head_of(headers=headers)).lower()
    assert f"\r\nx-apify-workflow-key: {sent}\r\n" in head
    assert 1 == head.count("x-apify-workflow-key")


@pytest.mark.parametrize(
    ("options", "kind", "says"),
    [
        ({"headers": 5}, TypeError, "headers must be a mapping, got int"),
        ({"headers": [("a", "b")]}, TypeError, "headers must be a mapping, got list"),
        ({"headers": {5: "x"}}, TypeError, "headers must have strings as names, got 5"),
        ({"headers": {"a b": "x"}}, ValueError, "headers must have names of letters, digits and hyphens, got 'a b'"),
        ({"headers": {"": "x"}}, ValueError, "headers must have names of letters, digits and hyphens, got ''"),
        ({"headers": {"X-Key": 5}}, TypeError, "headers['X-Key'] must be a string, got int"),
        *(
            ({"headers": {"X-Key": value}}, ValueError, "headers['X-Key'] must consist of visible ASCII characters")
            for value in ("", "hunter2\r\nX-Other: y", "hunter2 ", "hunter2\x00", "hunter2\xe9")
        ),
        ({"headers": {"authorization": "hunter2"}}, ValueError, "must not contain 'authorization'; pass token"),
        ({"headers": {"User-Agent": "x"}}, ValueError, "must not contain 'User-Agent'; pass user_agent_suffix"),
        ({"headers": {"Host": "x"}}, ValueError, "headers must not contain 'Host'; the client sets it"),
        ({"user_agent_suffix": 5}, TypeError, "user_agent_suffix must be a string, got int"),
        ({"user_agent_suffix": "a\nb"}, ValueError, "user_agent_suffix must consist of visible ASCII characters"),
        ({"user_agent_suffix": ""}, ValueError, "user_agent_suffix must consist of visible ASCII characters"),
    ],
)
def test_refused(options: dict[str, Any], kind: type[Exception], says: str) -> None:
    """What cannot be sent is refused by its name, and its value, which may be a key, is not shown."""
    with pytest.raises(kind) as caught:
        TasksClient(TOKEN, **options)
    assert says in str(caught.value)
    assert [] == leaks(caught.value, "hunter2")


def test_a_workflow_key_that_cannot_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is named."""
    monkeypatch.setenv("APIFY_WORKFLOW_KEY", "a\nb")
    with pytest.raises(ValueError, match="APIFY_WORKFLOW_KEY must consist of visible ASCII characters"):
        TasksClient(TOKEN)
