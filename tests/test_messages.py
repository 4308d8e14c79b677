"""Who is at fault, what came instead, and what to do about it, as an operator reads it at night."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from helpers.faults import TOKEN
from helpers.leaks import leaks
from helpers.raw_server import RawServer, Reply, message
from helpers.support import client_of, until
from hypothesis import given
from hypothesis import strategies as st

from apify_tasks_async import ApifyTasksError, InvalidResponseError, ResponseError, RetryPolicy
from apify_tasks_async._excerpt import VISIBLE, describe_body, describe_size, one_line
from apify_tasks_async._page import PageRequest
from apify_tasks_async._refusal import Response, read_refusal

ONCE = RetryPolicy(attempts=1)
WHERE = "(offset=0, limit=1, desc=False, after 1 attempt)"
HTML = "Content-Type: text/html; charset=utf-8"


async def failure_of(reply: Reply, **options: Any) -> ApifyTasksError:
    """Return the error of a request that gets this reply. ORIGIN in its problem is the server."""
    async with RawServer(reply) as server, client_of(server, TOKEN, retry=ONCE, **options) as client:
        with pytest.raises(ApifyTasksError) as caught:
            await client.count()
        error = caught.value
        error.problem = error.problem.replace(server.url, "ORIGIN")
        await until(lambda: True)
    return error


def refusal(status: int, type_: str | None = None, *headers: str, body: str | None = None) -> Reply:
    """Return the API's refusal with an error document of that type, or another body."""
    document = f'{{"error": {{"type": "{type_}", "message": "The reason."}}}}' if body is None else body
    return message(document.encode(), *headers, status=f"{status} X")


OWNER = "ask the owner of the server in front of the API"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("reply", "advice"),
    [
        (refusal(400, "invalid-input"), "check the arguments; if they are as documented, the API has changed"),
        (refusal(402, "limit"), "check the plan, the limits and the payments of the account: Apify Console, Billing"),
        (refusal(403, "insufficient-permissions"), "use a token whose scope includes reading tasks"),
        (refusal(403, "user-disabled"), "the account is disabled: sign in to Apify Console, or ask support@apify.com"),
        (refusal(403, "something-new"), "see what the API's message asks for"),
        (refusal(429, "rate-limit-exceeded"), "lower `rate_limit`, or try again later"),
        (refusal(429, "rate-limit-exceeded", "Retry-After: 3600"), "try again in 3,600 s, as the server asks"),
        (refusal(503, "unavailable"), "try again later"),
        (refusal(503, "unavailable", "Retry-After: 90"), "try again in 90 s, as the server asks"),
    ],
)
async def test_the_api_refuses(reply: Reply, advice: str) -> None:
    """The API's own refusals are the API's, and the advice follows from what it said."""
    error = await failure_of(reply)
    assert isinstance(error, ResponseError)
    assert (None, advice) == (error.answered_by, error.advice)
    assert f"the API at ORIGIN answered {error.status} ({error.type}: The reason)" == error.problem
    assert f"{error.problem} {WHERE}; {advice}" == str(error)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (400, f"check the base URL, or {OWNER}"),
        (401, "check the base URL, and what the server in front of the API wants; this says nothing about the token"),
        (403, f"{OWNER} to let the request through; this says nothing about the token"),
        (404, "check the base URL: it has no /v2/actor-tasks"),
        (407, "check the user and the password in the URL of the proxy"),
        (413, "check the base URL, and whether a proxy or gateway answers in place of the API"),
        (502, f"try again later; if it stays so, {OWNER}"),
        (503, f"try again later; if it stays so, {OWNER}"),
        (504, f"try again later; if it stays so, {OWNER}"),
    ],
)
@pytest.mark.parametrize(
    ("headers", "who"),
    [
        (("Server: nginx/1.25.3",), "Server: nginx/1.25.3"),
        (("Via: 1.1 varnish", "Server: Varnish"), "Server: Varnish, Via: 1.1 varnish"),
        (("Via: 1.1 cache (squid/6.1)",), "Via: 1.1 cache (squid/6.1)"),
        ((), "unknown"),
    ],
)
async def test_something_in_front_of_the_api(status: int, advice: str, headers: tuple[str, ...], who: str) -> None:
    """Without the API's error document, another server answered. The message says which, and blames no token."""
    page = "<html><head><title>No way</title></head><body><h1>No way</h1><hr>over there</body></html>"
    error = await failure_of(refusal(status, None, HTML, *headers, body=page))
    assert isinstance(error, ResponseError)
    assert (who, advice) == (error.answered_by, error.advice)
    shown = "text/html: 'No way No way over there'"
    came = shown if who == "unknown" else f"{who}; {shown}"
    assert f"a server in front of the API at ORIGIN answered {status} ({came})" == error.problem


@pytest.mark.asyncio
async def test_a_server_that_repeats_the_token() -> None:
    """The token is not shown, wherever another server repeats it."""
    page = f"<html><title>Bearer {TOKEN} is odd</title></html>"
    error = await failure_of(refusal(403, None, HTML, f"Server: {TOKEN}", f"Via: 1.1 {TOKEN}", body=page))
    assert [] == leaks(error, TOKEN)
    assert "Server: ***, Via: 1.1 ***; text/html: 'Bearer *** is odd'" in error.problem


@pytest.mark.asyncio
async def test_the_platform_has_a_status_page() -> None:
    """Only for Apify's own API the advice names the page with its state."""
    for origin, expected in (("https://api.apify.com", True), ("https://notapify.com", False)):
        response = Response(502, {}, b"", origin=origin)
        error = read_refusal(PageRequest(0, 1, desc=False), response, datetime.now(UTC))
        assert expected == ("https://status.apify.com" in error.advice)


NOT_DOCUMENTED = "the response of ORIGIN is not as documented"
MALFORMED = "in place of JSON (JSON is malformed"
CHANGED = "check the base URL and any proxy; if they are right, the API has changed"
ELSEWHERE = "check the base URL and the network: something else answers in place of the API"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("reply", "problem", "advice"),
    [
        (message(b""), "ORIGIN sent an empty body, in place of JSON", ELSEWHERE),
        (
            message(b"<!DOCTYPE html>\n<html><script>var x = 1;</script><title>Sign in &amp; go</title>", HTML),
            "ORIGIN sent text/html: 'Sign in & go', in place of JSON",
            ELSEWHERE,
        ),
        (message(b"<br>", HTML), "ORIGIN sent text/html: '<br>', in place of JSON", ELSEWHERE),
        (
            message(b"word " * 100, "Content-Type: text/plain"),
            f"ORIGIN sent text/plain: '{'word ' * 12}...', in place of JSON",
            ELSEWHERE,
        ),
        (
            message(b'{"data": {"total', "Content-Type: application/json"),
            'ORIGIN sent application/json: \'{"data": {"total\', in place of JSON (Input data was truncated)',
            CHANGED,
        ),
        (message(b'{"data":{}}'), f"{NOT_DOCUMENTED}: total, offset, limit, desc, count, items: required", CHANGED),
        (
            message(b"\x00\x01\x02" * 1000),
            f"ORIGIN sent 3,000 bytes without text, {MALFORMED}: invalid character (byte 0))",
            CHANGED,
        ),
    ],
)
async def test_another_answer_than_json(reply: Reply, problem: str, advice: str) -> None:
    """The message says what came in place of the page, and from where."""
    error = await failure_of(reply)
    assert InvalidResponseError is type(error)
    assert f"{problem} {WHERE}; {advice}" == str(error)


@pytest.mark.asyncio
@pytest.mark.parametrize(("size", "shown"), [(2**10, "1 KiB"), (2**20, "1 MiB"), (1500, "1,500 bytes")])
async def test_a_size_is_readable(size: int, shown: str) -> None:
    """A limit is shown in the unit that a person would choose."""
    error = await failure_of(message(b" " * 2**21), max_body_bytes=size)
    assert f"the response of ORIGIN is larger than {shown}" == error.problem


@given(st.integers(1, 2**70))
def test_sizes(size: int) -> None:
    """A size in a unit is exactly the size in bytes."""
    number, unit = describe_size(size).split()
    assert size == int(number.replace(",", "")) * {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10, "bytes": 1}[unit]


@given(st.binary() | st.text().map(str.encode), st.dictionaries(st.just("Content-Type"), st.text()))
def test_any_body(body: bytes, headers: dict[str, str]) -> None:
    """Whatever comes, its description is one short printable line."""
    shown = describe_body(headers, body)
    assert shown.isprintable()
    assert len(shown) < 4 * VISIBLE + 50


@given(st.text(), st.integers(1, 400))
def test_any_line(text: str, maximum: int) -> None:
    """A text becomes one line within its bound."""
    line = one_line(text, maximum)
    assert line.isprintable()
    assert len(line) <= maximum + len("...")


GARBLED = r"""
import asyncio
import sys
from apify_tasks_async import ApifyTasksError, RetryPolicy, TasksClient
from helpers.raw_server import RawServer, raw

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def main():
    for size in (b"\x1b[31mzz", b"\xed\xa0\x80", b"\xe2\x80\xae1", b"5;\x1b]0;x\x07\r\nabcde\r\n\x1b"):
        async with (
            RawServer(raw(HEAD + size + b"\r\n")) as server,
            TasksClient("a-token", base_url=server.url, retry=RetryPolicy(attempts=1)) as client,
        ):
            try:
                await client.count()
            except ApifyTasksError as error:
                print(ascii(str(error).partition(" (offset")[0].partition(": ")[2]), str(error).isprintable())


asyncio.run(main())
"""


def test_garbled_chunk_sizes_without_extensions() -> None:
    """Control characters and halves of surrogate pairs are escaped, which aiohttp's own parser in Python quotes."""
    folder = str(Path(__file__).parent)
    path = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        (sys.executable, "-c", GARBLED),
        env=os.environ | {"AIOHTTP_NO_EXTENSIONS": "1", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "" == done.stderr
    assert [
        r"'\\x1b[31mzz' True",
        r"'\\udced\\udca0\\udc80' True",
        r"'\\udce2\\udc80\\udcae1' True",
        r"'\\x1b' True",
    ] == done.stdout.splitlines()
