"""What is asked for, and what an answer means."""

import json
import random
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from helpers.documents import (
    body_of,
    example,
    json_values,
    moments,
    page_document,
    property_test,
    task_document,
    task_documents,
)
from helpers.raw_server import RawServer, message
from helpers.support import client_of
from hypothesis import given
from hypothesis import strategies as st

from apify_tasks_async import Task, converter
from apify_tasks_async._batch import TaskReader
from apify_tasks_async._page import InvalidItem, Page, PageRequest
from apify_tasks_async._refusal import Response, parse_retry_after
from apify_tasks_async._response import read_response
from apify_tasks_async._secret import Redactor
from apify_tasks_async.errors import (
    ApifyTasksError,
    AuthenticationError,
    BadRequestError,
    InvalidResponseError,
    InvalidTaskError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    ResponseError,
    ServerError,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
REQUEST = PageRequest(2000, 500, desc=True)
ORIGIN = "https://api.apify.com"
AS_DOCUMENTED = f"the response of {ORIGIN} is not as documented: "


def meaning(
    body: bytes, status: int = 200, headers: Mapping[str, str] | None = None, request: PageRequest = REQUEST
) -> Page | ApifyTasksError:
    """Return what a response means."""
    return read_response(request, Response(status, headers or {}, body), 1, Redactor("some-token"), TaskReader())


def read(document: Any, request: PageRequest = REQUEST) -> Page:
    """Return the page that a 200 with that document means."""
    page = meaning(json.dumps(document).encode(), request=request)
    assert isinstance(page, Page)
    return page


def facts(page: Page) -> tuple[Any, ...]:
    """Return what a page says of itself, and its entries."""
    return page.total, page.offset, page.limit, page.desc, list(page.entries)


def invalid(page: Page) -> list[InvalidTaskError]:
    """Return the errors among the entries of a page."""
    return [entry.error for entry in page.entries if isinstance(entry, InvalidItem)]


def refused(
    body: bytes, status: int = 200, headers: Mapping[str, str] | None = None, request: PageRequest = REQUEST
) -> Any:
    """Return the error that the response stands for."""
    error = meaning(body, status, headers, request)
    assert isinstance(error, ApifyTasksError)
    assert 1 == error.attempts
    return error


def refused_document(document: Any) -> str:
    """Return why a 200 with that document is refused."""
    error = refused(json.dumps(document).encode())
    assert InvalidResponseError is type(error)
    return str(error.problem).removeprefix(AS_DOCUMENTED)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (PageRequest(0, 1000, desc=False), {"offset": "0", "limit": "1000"}),
        (PageRequest(2000, 1, desc=True), {"offset": "2000", "limit": "1", "desc": "1"}),
    ],
)
def test_query(asked: PageRequest, expected: dict[str, str]) -> None:
    """Offset and limit are always sent, and `desc=1` as documented, only if it is wanted."""
    assert expected == asked.query()


def test_example_response() -> None:
    """The specification's example of a 200 is read as it stands there."""
    items = example(200)["data"]["items"]
    page = meaning(body_of(200), request=PageRequest(0, 1000, desc=False))

    assert isinstance(page, Page)
    assert (2, 0, 1000, False, [converter.structure(item, Task) for item in items]) == facts(page)


def test_empty_page() -> None:
    """A page without items is one."""
    assert (2500, 0, 1000, False, []) == facts(read(page_document()))


def test_effective_limit_and_unknown_fields() -> None:
    """The server's own limit is what counts, and what else the envelope holds does not matter."""
    document = page_document(offset=7, limit=20, desc=True, new=1) | {"meta": {}}

    assert (2500, 7, 20, True, []) == facts(read(document))


def test_example_error() -> None:
    """The specification's example of a 400 says what the API says."""
    error = refused(body_of(400), 400)

    assert BadRequestError is type(error)
    assert {
        "problem": f"the API at {ORIGIN} answered 400 "
        "(invalid-input: Invalid input: The request body contains invalid data)",
        "status": 400,
        "type": "invalid-input",
        "message": "Invalid input: The request body contains invalid data.",
        "retry_after": None,
        "answered_by": None,
        "offset": 2000,
        "limit": 500,
        "desc": True,
        "attempts": 1,
        "label": None,
        "bookmark": None,
    } == vars(error)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (100, ResponseError),
        (301, ResponseError),
        (302, ResponseError),
        (304, ResponseError),
        (307, ResponseError),
        (400, BadRequestError),
        (401, AuthenticationError),
        (402, ResponseError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (405, ResponseError),
        (408, ResponseError),
        (429, RateLimitedError),
        (499, ResponseError),
        (500, ServerError),
        (502, ServerError),
        (503, ServerError),
        (504, ServerError),
        (599, ServerError),
    ],
)
@pytest.mark.parametrize("body", [body_of(200), body_of(400), b"<html>"], ids=["page", "error", "html"])
def test_kinds_of_status(status: int, kind: type[ResponseError], body: bytes) -> None:
    """What is not 200 is the error of its status, whatever the body says."""
    error = refused(body, status)

    assert (kind, status) == (type(error), error.status)
    assert (2000, 500, True) == (error.offset, error.limit, error.desc)


@pytest.mark.parametrize("status", [201, 202, 204, 206, 299])
def test_other_success_is_no_page(status: int) -> None:
    """A 2xx other than 200 is not what is documented, even if it holds a page."""
    error = refused(body_of(200), status)

    assert (InvalidResponseError, status) == (type(error), error.status)
    assert error.problem.startswith(f"{ORIGIN} answered {status} in place of 200 ('{{")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("https://login.example:8443/?secret=x", " to https://login.example:8443"),
        ("//login.example/x", " to https://login.example"),
        ("/login", f" to {ORIGIN}"),
        ("", ""),
        (None, ""),
        ("http://[", " to a place that is no URL"),
        ("file:///etc/passwd", " to a place that is no URL"),
        ("mailto:x@y", " to a place that is no URL"),
    ],
)
def test_redirects_are_explained(status: int, location: str | None, target: str) -> None:
    """A redirect says to which host it leads, and why it is not followed. Its path may be a secret."""
    error = refused(b"", status, {} if location is None else {"Location": location})

    not_followed = "(not followed, so that the token goes nowhere else)"
    assert f"{ORIGIN} answered {status}, a redirect{target} {not_followed}" == error.problem
    assert (None, ResponseError.advice) == (error.answered_by, error.advice)


def error_document(error: Any) -> bytes:
    """Return an error document."""
    return json.dumps({"error": error}).encode()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (error_document({"type": "x", "message": "y"}), ("x", "y", "x: y")),
        (error_document({"type": "x"}), ("x", None, "x")),
        (error_document({"message": "y"}), (None, "y", "y")),
        (
            error_document({"type": 1, "message": ["y"]}),
            (None, None, """'{"error": {"type": 1, "message": ["y"]}}'"""),
        ),
        (
            error_document({"type": "", "message": ""}),
            ("", "", """'{"error": {"type": "", "message": ""}}'"""),
        ),
        (error_document("x"), (None, None, """'{"error": "x"}'""")),
        (error_document(None), (None, None, """'{"error": null}'""")),
        (b"[]", (None, None, "'[]'")),
        (b"null", (None, None, "'null'")),
        (b"", (None, None, "an empty body")),
        (b"<html><title>502 Bad Gateway</title>", (None, None, "'502 Bad Gateway'")),
        (b"\xff\xfe", (None, None, "2 bytes without text")),
        (b"[" * 100_000, (None, None, f"'{'[' * 60}...'")),
    ],
    ids=range(13),
)
def test_error_documents(body: bytes, expected: tuple[str | None, str | None, str]) -> None:
    """What the API says is handed on as far as it is as documented; a gateway may say anything."""
    error = refused(body, 502)

    who = "the API" if error.answered_by is None else "a server in front of the API"
    assert expected == (error.type, error.message, error.problem.removeprefix(f"{who} at {ORIGIN} answered 502 (")[:-1])


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("one\r\ntwo\n\n three", "one two three"),
        ("\x1b[31mred\x1b[0m\u202e", "[31mred [0m"),
        ("half a pair \ud83d", "half a pair \N{REPLACEMENT CHARACTER}"),
        ("\N{GRINNING FACE} é", "\N{GRINNING FACE} é"),
        ("x" * 1_000_000, "x" * 300 + "..."),
    ],
    ids=["lines", "terminal", "surrogate", "unicode", "long"],
)
def test_message_is_made_one_line(message: str, shown: str) -> None:
    """What the API says neither breaks a log line nor reaches a terminal's controls; the attribute has it whole."""
    error = refused(error_document({"message": message}), 400)

    assert f"the API at {ORIGIN} answered 400 ({shown})" == error.problem
    assert str(error).isprintable()
    assert message.replace("\ud83d", "\N{REPLACEMENT CHARACTER}") == error.message


@pytest.mark.parametrize("status", [429, 503, 400])
def test_retry_after_is_read(status: int) -> None:
    """Every refusal says how long the server asked to wait."""
    assert 7.0 == refused(b"", status, {"Retry-After": "7"}).retry_after


@given(st.text())
@property_test
def test_any_message_is_one_line(message: str) -> None:
    """No text of the API's makes a message of two lines."""
    assert str(refused(error_document({"type": message, "message": message}), 400)).isprintable()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"<html>",
        b"\xff",
        b'{"data": NaN}',
        b'{"data": Infinity}',
        b"[" * 100_000 + b"]" * 100_000,
        b'{"data":' * 100_000 + b"}" * 100_000,
        b'{"data": {"total": ' + b"9" * 5000 + b"}}",
        b'{"data": {"total": 1e999}}',
        body_of(200)[: len(body_of(200)) // 2],
        body_of(200) * 2,
        b"\xef\xbb\xbf" + body_of(200),
    ],
    ids=range(13),
)
def test_bodies_that_are_no_json(body: bytes) -> None:
    """A 200 that does not decode is an InvalidResponseError of one line, whatever is the matter with it."""
    error = refused(body)

    assert InvalidResponseError is type(error)
    assert error.problem.startswith(f"{ORIGIN} sent ")
    assert ", in place of JSON" in error.problem
    assert str(error).isprintable()
    assert (200, 2000, 500, True) == (error.status, error.offset, error.limit, error.desc)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (None, "expected an object"),
        ([], "expected an object"),
        ("x", "expected an object"),
        (1, "expected an object"),
        ({}, "data: required"),
        ({"data": None}, "data: expected an object"),
        ({"data": []}, "data: expected an object"),
        (example(400), "data: required"),
    ],
)
def test_documents_without_data(document: Any, expected: str) -> None:
    """A 200 without `data` is not a page."""
    assert expected == refused_document(document)


@pytest.mark.parametrize("name", ["total", "offset", "limit", "desc", "count", "items"])
def test_required_fields(name: str) -> None:
    """All six fields of a page are required."""
    document = example(200)
    del document["data"][name]

    assert f"{name}: required" == refused_document(document)


@pytest.mark.parametrize("name", ["total", "offset", "limit", "count"])
@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "null"), ("1", "'1'"), (True, "true"), (2.5, "2.5"), ([], "an array"), ({}, "an object"), (1e30, "1e+30")],
)
def test_numbers_of_a_page(name: str, value: Any, shown: str) -> None:
    """The numbers of a page are integers."""
    assert f"{name}: expected an integer, got {shown}" == refused_document(page_document(**{name: value}))


@pytest.mark.parametrize(("value", "shown"), [(None, "null"), ("false", "'false'"), (0, "0"), ([], "an array")])
def test_desc_of_a_page(value: Any, shown: str) -> None:
    """The direction of a page is a boolean."""
    assert f"desc: expected a boolean, got {shown}" == refused_document(page_document(desc=value))


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "null"), ("", "''"), ("ab", "'ab'"), (0, "0"), (2, "2"), ({}, "an object"), ({"0": {}}, "an object")],
)
def test_items_of_a_page(value: Any, shown: str) -> None:
    """The items of a page are an array; what is empty or false in another way is none."""
    assert f"items: expected an array, got {shown}" == refused_document(page_document(items=value))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"total": -1}, "total: expected at least 0, got -1"),
        ({"offset": -1}, "offset: expected at least 0, got -1; offset: asked for 2000, got -1"),
        ({"limit": 0}, "limit: expected at least 1, got 0"),
        ({"count": -1}, "count: says -1, but items has 1"),
        ({"count": 0}, "count: says 0, but items has 1"),
        ({"offset": 1000}, "offset: asked for 2000, got 1000"),
        ({"desc": False}, "desc: asked for True, got False"),
        ({"offset": 0, "desc": False}, "offset: asked for 2000, got 0; desc: asked for True, got False"),
    ],
)
def test_numbers_out_of_range(changes: dict[str, int], expected: str) -> None:
    """Impossible numbers, and the answer to another request, are refused, so that no walk relies on them."""
    assert expected == refused_document(page_document(task_document(), **{"offset": 2000, "desc": True} | changes))


@pytest.mark.parametrize("changes", [{"offset": 1000}, {"desc": False}, {"count": 7}])
def test_empty_answers_to_other_requests(changes: dict[str, int]) -> None:
    """A page without items is let through, whatever it says. The walk takes it for evidence of nothing."""
    assert [] == list(read(page_document(**{"offset": 2000, "desc": True} | changes)).entries)


def test_a_count_of_scanned_rows() -> None:
    """A count above the number of items is usable: it may count the rows that were scanned."""
    page = read(page_document(task_document(), offset=2000, desc=True, count=1000))
    assert (1000, 1) == (page.count, len(page.entries))


def test_all_problems_of_a_page_are_named() -> None:
    """A page is refused for all that is wrong with it at once."""
    assert "total: expected an integer, got null; limit: expected an integer, got '1'" == refused_document(
        page_document(task_document(), total=None, limit="1")
    )


INVALID_ITEMS: dict[str, tuple[Any, str | None, datetime | None, tuple[str, ...], str]] = {
    "no name": (
        task_document(name=None),
        "zdc3Pyhyz3m8vjDeM",
        datetime(2018, 10, 26, 7, 23, 14, 855000, tzinfo=UTC),
        ("name: expected a string, got null",),
        "task 'zdc3Pyhyz3m8vjDeM' from https://api.apify.com is not as documented: name: expected a string, got null",
    ),
    "no id": (
        task_document(id=15),
        None,
        datetime(2018, 10, 26, 7, 23, 14, 855000, tzinfo=UTC),
        ("id: expected a string, got 15",),
        "a task without id from https://api.apify.com is not as documented: id: expected a string, got 15",
    ),
    "no times": (
        task_document(createdAt=None, modifiedAt="yesterday\n"),
        "zdc3Pyhyz3m8vjDeM",
        None,
        ("createdAt: expected an RFC 3339 time, got null", "modifiedAt: expected an RFC 3339 time, got 'yesterday\\n'"),
        (
            "task 'zdc3Pyhyz3m8vjDeM' from https://api.apify.com is not as documented: "
            "createdAt: expected an RFC 3339 time, got null; modifiedAt: expected an RFC 3339 time, got 'yesterday\\n'"
        ),
    ),
    "no object": (
        None,
        None,
        None,
        ("expected an object, got null",),
        "a task without id from https://api.apify.com is not as documented: expected an object, got null",
    ),
    "an array": (
        ["id"],
        None,
        None,
        ("expected an object, got an array",),
        "a task without id from https://api.apify.com is not as documented: expected an object, got an array",
    ),
}


@pytest.mark.parametrize(
    ("raw", "task_id", "created_at", "problems", "problem"), INVALID_ITEMS.values(), ids=INVALID_ITEMS
)
def test_invalid_item_keeps_its_place(
    raw: Any, task_id: str | None, created_at: datetime | None, problems: tuple[str, ...], problem: str
) -> None:
    """An item that is no task is an error at its place, with all that is known of it; the others are unharmed."""
    page = read(page_document(task_document(id="first"), raw, task_document(id="last"), offset=2000, desc=True))
    first, item, last = page.entries
    assert isinstance(item, InvalidItem)
    error = item.error

    assert (problem, task_id, created_at, raw) == (item.problem, item.task_id, item.created_at, item.raw)
    assert ("first", "last") == (getattr(first, "id", None), getattr(last, "id", None))
    assert [error] == invalid(page)
    assert isinstance(error, InvalidTaskError)
    assert {
        "problem": problem,
        "status": 200,
        "task_id": task_id,
        "created_at": created_at,
        "problems": problems,
        "raw": raw,
        "offset": 2001,
        "limit": 500,
        "desc": True,
        "attempts": 1,
        "label": None,
        "bookmark": None,
    } == vars(error)


def test_empty_item_lists_every_required_field() -> None:
    """The problems are a line each."""
    (error,) = invalid(read(page_document({}, offset=2000, desc=True)))

    names = ("id", "userId", "actId", "name", "createdAt", "modifiedAt")
    assert tuple(f"{name}: required" for name in names) == error.problems


@given(st.lists(json_values | task_documents, max_size=6), st.integers(0, 10_000))
@property_test
def test_every_item_is_a_task_or_an_error_at_its_place(items: list[Any], offset: int) -> None:
    """Each item of a page is read by itself, in order; errors know their offset, and are of one line."""
    page = read(page_document(*items, offset=offset), PageRequest(offset, 1000, desc=False))

    assert len(items) == len(page.entries)
    for place, (raw, item) in enumerate(zip(items, page.entries, strict=True), offset):
        if isinstance(item, Task):
            assert raw == converter.unstructure(item)
        else:
            assert (place, raw) == (item.error.offset, item.raw)
            assert str(item.error).isprintable()


def mutate(document: Any, value: Any, generator: random.Random) -> Any:
    """Return the document with a part of it, wherever it is, replaced by the value, lost or doubled."""
    if not isinstance(document, dict | list) or not document or generator.random() < 0.15:
        return value
    if isinstance(document, list):
        index = generator.randrange(len(document))
        changed = mutate(document[index], value, generator)
        return [*document[:index], *generator.choice([[changed], [], [changed] * 2]), *document[index + 1 :]]
    name = generator.choice(sorted(document))
    rest = {other: part for other, part in document.items() if other != name}
    return generator.choice([rest, rest | {name: mutate(document[name], value, generator)}])


damaged_bodies = (
    st.binary()
    | st.text().map(str.encode)
    | json_values.map(lambda value: json.dumps(value).encode())
    | st.builds(
        lambda status, value, generator: json.dumps(mutate(example(status), value, generator)).encode(),
        st.sampled_from([200, 400]),
        json_values | st.integers(),
        st.randoms(use_true_random=False),
    )
    | st.builds(
        lambda status, start, length, middle: body_of(status)[:start] + middle + body_of(status)[start + length :],
        st.sampled_from([200, 400]),
        st.integers(0, 1000),
        st.integers(0, 30),
        st.binary(max_size=3),
    )
)


@given(
    damaged_bodies,
    st.just(200) | st.integers(100, 599),
    st.dictionaries(st.just("Retry-After"), st.text()),
)
@property_test
def test_only_our_errors_come_out(body: bytes, status: int, headers: dict[str, str]) -> None:
    """Whatever a server sends, it is a page or one of this library's errors, which says so in one line."""
    result = meaning(body, status, headers)
    errors = invalid(result) if isinstance(result, Page) else [result]
    assert all(str(error).isprintable() for error in errors)


def dated(seconds: float) -> str:
    """Return the HTTP date that is so many seconds from now."""
    return format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("", None),
        ("   ", None),
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("007", 7.0),
        ("1.5", 1.5),
        ("86400", 86400.0),
        ("9" * 18, 1e18),
        ("9" * 19, None),
        ("9" * 5000, None),
        ("-1", None),
        ("+1", None),
        ("1e3", None),
        ("1,5", None),
        (".5", None),
        ("inf", None),
        ("nan", None),
        ("\N{ARABIC-INDIC DIGIT SEVEN}", None),
        ("7 seconds", None),
        ("soon", None),
        (dated(90), 90.0),
        (dated(0), 0.0),
        (dated(-90), 0.0),
        ("Sun, 01 Mar 2026 14:01:30 +0200", 90.0),
        ("Sun, 01 Mar 2026 12:01:30 -0000", 90.0),
        ("Sunday, 01-Mar-26 12:01:30 GMT", 90.0),
        ("Sun Mar  1 12:01:30 2026", 90.0),
        ("Sun, 01 Mar 99999999999 12:00:00 GMT", None),
        ("Sun, 31 Feb 2026 12:00:00 GMT", None),
        ("Sun, 01 Mar 2026 12:00:00 +9999", None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_retry_after(value: str | None, expected: float | None) -> None:
    """`Retry-After` is seconds or a date, one that has passed being no wait; anything else is as good as absent."""
    assert expected == parse_retry_after(value, NOW)


DATE_PARTS = [
    "Sun",
    "Sun,",
    ",",
    "",
    "01",
    "Mar",
    "mar-",
    "2026",
    "26",
    "12:01:30",
    "12.01.30",
    ":",
    "GMT",
    "-0000",
    "+9",
]


@given(
    st.none()
    | st.text()
    | st.from_regex(r"\A-?[0-9]{0,25}(\.[0-9]*)?\Z")
    | st.lists(st.sampled_from([*DATE_PARTS, "9" * 11, "٣", "-", "+"]), max_size=8).map(" ".join)
    | moments.map(format_datetime),
    moments,
)
@property_test
def test_retry_after_never_raises(value: str | None, now: datetime) -> None:
    """Whatever the header holds, it is a wait that is not negative, or none."""
    seconds = parse_retry_after(value, now)

    assert seconds is None or seconds >= 0


@given(st.integers(0, 10**9))
@property_test
def test_retry_after_by_seconds_and_by_date_agree(seconds: int) -> None:
    """A date is the same wait as the seconds until then."""
    assert seconds == parse_retry_after(str(seconds), NOW) == parse_retry_after(dated(seconds), NOW)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("on_invalid", "built"), [("skip", 0), ("raise", 1), (lambda _: None, 20)], ids=["skip", "raise", "call"]
)
async def test_errors_are_built_when_they_are_used(
    on_invalid: Any, built: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a page of invalid items, the errors that nobody sees are not built: each masks a whole item."""
    errors: list[InvalidTaskError] = []

    class CountedError(InvalidTaskError):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            errors.append(self)

    monkeypatch.setattr("apify_tasks_async.errors.InvalidTaskError", CountedError)
    body = json.dumps(page_document(*({"id": f"x{number}"} for number in range(20)), total=20)).encode()
    async with RawServer(message(body)) as server, client_of(server) as client:
        with suppress(CountedError):
            assert [] == await client.all_tasks(on_invalid=on_invalid)
        with suppress(CountedError):
            await client.list_tasks()
        assert built + 1 == len(errors)
