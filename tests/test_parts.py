"""What cannot be decoded in one item costs that item, not the page."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from helpers.documents import page_document, task_document
from helpers.raw_server import RawServer, message
from helpers.support import client_of

from apify_tasks_async import InvalidResponseError, InvalidTaskError, RetryPolicy, Task
from apify_tasks_async._batch import TaskReader
from apify_tasks_async._page import InvalidItem, Page, PageRequest
from apify_tasks_async._refusal import Response
from apify_tasks_async._response import read_response
from apify_tasks_async._secret import Redactor
from apify_tasks_async._weight import LONG

TOKEN = "apify_api_0123456789"


def page_of(*items: str) -> bytes:
    """Return a page with these items, as JSON."""
    marks = [f"ITEM-{number}" for number in range(len(items))]
    text = json.dumps(page_document(*marks))
    for mark, item in zip(marks, items, strict=True):
        text = text.replace(f'"{mark}"', item)
    return text.encode("latin-1")


def item_with(name: str, value: str) -> str:
    """Return a task one of whose fields has this value, as JSON."""
    return json.dumps(task_document(**{name: "HERE"})).replace('"HERE"', value)


GOOD = json.dumps(task_document(id="good"))


def read(body: bytes) -> Any:
    """Read a response."""
    return read_response(PageRequest(0, 1000, desc=False), Response(200, {}, body), 1, Redactor(TOKEN), TaskReader())


UNREADABLE = {
    "1e400": "Number out of range",
    "-1e400": "Number out of range",
    "1e999999": "Number out of range",
    "9" * 5000: "Integer value out of range",
    '"\xff"': "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
    '[1, {"x": 1e400}]': "Number out of range",
}


@pytest.mark.parametrize(("value", "reason"), UNREADABLE.items(), ids=range(len(UNREADABLE)))
@pytest.mark.parametrize("name", ["new", "name", "stats"])
def test_value_that_cannot_be_read(value: str, reason: str, name: str) -> None:
    """The other items are tasks. The error names the field, and holds the others: a walk finds its place by them."""
    page = read(page_of(GOOD, item_with(name, value), GOOD))
    assert isinstance(page, Page)
    first, item, last = page.entries
    assert {Task} == {type(first), type(last)}
    assert isinstance(item, InvalidItem)
    error = item.error
    [problem] = error.problems
    assert problem.startswith(f"{name}: cannot be read: {reason}")
    assert ("zdc3Pyhyz3m8vjDeM", 1, 1) == (error.task_id, error.offset, error.attempts)
    assert task_document()["createdAt"][:10] == f"{error.created_at:%Y-%m-%d}"
    assert name not in error.raw
    assert task_document()["modifiedAt"] == error.raw["modifiedAt"]


def test_key_that_cannot_be_read() -> None:
    """Without a `createdAt` that can be read, the error has none."""
    [item] = read(page_of(item_with("createdAt", "1e400"))).entries
    assert item.created_at is None


@pytest.mark.parametrize("item", ["1e400", "[1e400]", '{"\xff": 1}'])
def test_item_that_cannot_be_read(item: str) -> None:
    """An item that is no object, or whose names cannot be read, is lost as a whole."""
    invalid, task = read(page_of(item, GOOD)).entries
    error = invalid.error
    assert (None, None, None) == (error.raw, error.task_id, error.created_at)
    assert error.problems[0].startswith("cannot be read: ")
    assert "good" == task.id


def test_token_beside_it() -> None:
    """A token in such an item is hidden."""
    [item] = read(page_of(item_with("new", "1e400").replace("zdc3Pyhyz3m8vjDeM", TOKEN))).entries
    assert TOKEN not in f"{item.task_id} {item.problem} {vars(item.error)}"


def test_half_surrogate_beside_it() -> None:
    """Half of an emoji is replaced in such a page, too."""
    task, _ = read(page_of(item_with("name", r'"cut \ud83d"'), item_with("new", "1e400"))).entries
    assert "cut \N{REPLACEMENT CHARACTER}" == task.name


@pytest.mark.parametrize(
    "body",
    [
        page_of(item_with("new", "NaN")),
        page_of(item_with("new", "Infinity")),
        page_of(item_with("new", "1e400")).replace(b"2500", b"1e400"),
        page_of(item_with("new", "1e400")).replace(b'"total"', b'"t\xfftal"'),
        page_of(item_with("new", "1e400")).ljust(LONG + 1),
    ],
    ids=["NaN", "Infinity", "head", "name in the head", "long"],
)
def test_pages_that_cannot_be_read(body: bytes) -> None:
    """The page is lost if it is not JSON, if the fault is not in an item, or if it is too long for a second look."""
    error = read(body)
    assert InvalidResponseError is type(error)
    assert ", in place of JSON" in error.problem


@pytest.mark.parametrize(
    "moment",
    ["2016-12-31T23:59:60Z", "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00"],
)
@pytest.mark.parametrize("name", ["createdAt", "modifiedAt"])
def test_moments_that_python_does_not_have(moment: str, name: str) -> None:
    """A leap second, or a year beyond Python's, costs one item."""
    task, item = read(page_of(GOOD, item_with(name, json.dumps(moment)))).entries
    assert "good" == task.id
    assert (f"{name}: expected an RFC 3339 time, got '{moment}'",) == item.error.problems


def test_name_that_is_there_twice() -> None:
    """Of two fields with one name the last one counts, as in JavaScript."""
    [task] = read(page_of(GOOD.replace('"id"', '"name": 1, "id": "first", "id"'))).entries
    assert ("good", task_document()["name"]) == (task.id, task.name)


@pytest.mark.asyncio
async def test_walk() -> None:
    """A walk delivers the others, and asks once: the server would send the same again."""
    body = page_of(GOOD, item_with("new", "1e400"))
    async with (
        RawServer(message(body.replace(b"2500", b"2"))) as server,
        client_of(server, retry=RetryPolicy(attempts=3)) as client,
    ):
        [task] = await client.all_tasks(on_invalid="skip")
        assert datetime(2018, 10, 26, tzinfo=UTC).date() == task.created_at.date()
        with pytest.raises(InvalidTaskError, match="new: cannot be read: Number out of range"):
            await client.all_tasks()
        assert 2 == len(server.requests)
