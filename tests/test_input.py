"""Any input, from the caller or the server, raises only documented errors.

The property tests are slow, `test_answers` takes over one second: each tries many generated inputs.
"""

import inspect
import json
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from helpers.documents import json_values, moments, page_document, property_test, task_document, task_documents
from helpers.raw_server import RawServer, Reply, Then, encoded, message
from hypothesis import given
from hypothesis import strategies as st

from apify_tasks_async import (
    ApifyTasksError,
    Bookmark,
    RetryPolicy,
    Task,
    TaskPage,
    TasksClient,
    TaskStats,
    converter,
    iter_tasks,
)
from apify_tasks_async.client import FollowOptions, WalkOptions
from apify_tasks_async.testing import FakeApify

TOKEN = "input-token"

CLIENT = (*inspect.signature(TasksClient).parameters, "no token")
WALK = tuple(WalkOptions.__annotations__)
FOLLOW = tuple(FollowOptions.__annotations__)
"""The words that begin the message about a wrong argument."""

DOCUMENTED = (TypeError, ValueError, ApifyTasksError)
"""The errors that a wrong argument raises."""

BOOKMARKS = st.builds(Bookmark, moments, st.frozensets(st.text()), st.integers(0, 10**6), desc=st.booleans())

JUNK = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-5, 1005)
    | st.sampled_from([10**30, 10**400, 0, 1, 3, 4, 5])
    | st.floats()
    | st.text()
    | st.text().map("https://{}".format)
    | st.binary()
    | st.lists(st.integers())
    | BOOKMARKS
    | st.sampled_from(["raise", "skip", RetryPolicy(), print, object(), int, "1"])
)
"""Anything that a caller may pass."""

GIANTS = st.sampled_from([-(10**5000), [10**5000]])
"""Numbers that `str` refuses."""


def options_of(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    """Return any values for some of the arguments."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, JUNK | GIANTS))


def arguments_of(function: Callable[..., object]) -> st.SearchStrategy[dict[str, Any]]:
    """Return any values for some of the arguments of a function."""
    return options_of(*inspect.signature(function).parameters)


def attempt(call: Callable[[], object], *words: str) -> None:
    """Make a call that may raise a documented error: one printable line that begins with one of the words."""
    try:
        call()
    except DOCUMENTED as error:
        text = str(error)
        assert (True, True) == (text.isprintable(), text.startswith(words)), text


class TestArguments:
    """Any argument is accepted, or refused before a request."""

    @given(arguments_of(TasksClient))
    @property_test
    def test_client(self, options: dict[str, Any]) -> None:
        """The call creates a client, or raises a documented error."""
        attempt(lambda: TasksClient(**({"token": TOKEN} | options)), *CLIENT)

    @given(arguments_of(RetryPolicy))
    @property_test
    def test_retry_policy(self, options: dict[str, Any]) -> None:
        """The call creates a policy, or raises a documented error."""
        attempt(lambda: RetryPolicy(**options), *attrs.fields_dict(RetryPolicy))

    @given(JUNK | json_values.map(json.dumps))
    @property_test
    def test_bookmark(self, text: Any) -> None:
        """A text is a bookmark, or raises a documented error."""
        attempt(lambda: Bookmark.from_json(text), "not a usable bookmark: ")

    @pytest.mark.parametrize("model", [Task, TaskStats, TaskPage, Bookmark])
    @given(st.data())
    @property_test
    def test_models(self, model: type, data: st.DataObject) -> None:
        """The call creates a model, or raises a documented error."""
        options = data.draw(arguments_of(model))
        attempt(lambda: model(**options), "")

    @pytest.mark.parametrize("model", [Task, TaskStats, TaskPage])
    @given(json_values | task_documents)
    @property_test
    def test_structure(self, model: type, value: Any) -> None:
        """A JSON value is a model, or raises a ValueError."""
        try:
            converter.structure(value, model)
        except ValueError as error:
            assert str(error)  # noqa: PT017 - other tests check the message


CALLS: dict[str, Callable[[TasksClient, dict[str, Any]], Any]] = {
    "iter_pages": lambda client, options: client.iter_pages(**options),
    "iter_tasks": lambda client, options: client.iter_tasks(**options),
    "follow_pages": lambda client, options: client.follow_pages(**options),
    "follow_tasks": lambda client, options: client.follow_tasks(**options),
    "function": lambda _, options: iter_tasks(TOKEN, **options),
}
"""Calls that return an iterator, and check their arguments at once, before an event loop runs."""


@pytest.mark.parametrize("name", CALLS)
@given(st.data())
@property_test
def test_iterators(name: str, data: st.DataObject) -> None:
    """The call returns an iterator, or raises a documented error, before a request."""
    names = FOLLOW if name.startswith("follow") else WALK
    client = TasksClient(TOKEN)
    options = data.draw(options_of(*names))
    attempt(lambda: CALLS[name](client, options), *WALK, *FOLLOW, "no token")
    assert 0 == client.stats.requests


@pytest.mark.asyncio
@given(options_of(*WALK))
@property_test
async def test_walk(options: dict[str, Any]) -> None:
    """A walk delivers a part of the list, or is refused before any request."""
    async with FakeApify(tasks=3) as api, TasksClient(api.token, base_url=api.url) as client:
        try:
            assert {*await client.all_tasks(**options)} <= {*api.tasks}
        except DOCUMENTED as error:
            assert str(error).startswith((*WALK, *FOLLOW))  # noqa: PT017 - any error is fine
            assert [] == api.requests


@pytest.mark.asyncio
@given(options_of("offset", "limit", "desc"))
@property_test
async def test_list_tasks(options: dict[str, Any]) -> None:
    """A page is a part of the list, or the call fails before a request."""
    async with FakeApify(tasks=3) as api, TasksClient(api.token, base_url=api.url) as client:
        try:
            assert {*await client.list_tasks(**options)} <= {*api.tasks}
        except DOCUMENTED as error:
            assert str(error).startswith((*WALK, *FOLLOW))  # noqa: PT017 - any error is fine
            assert [] == api.requests


PAGE = json.dumps(page_document(*(task_document(id=str(number)) for number in range(3)))).encode()

LINES = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=30)
"""Values of a header."""


def damaged(data: tuple[int, int, bytes]) -> bytes:
    """Return the page with some of its bytes replaced."""
    start, length, junk = data
    return PAGE[:start] + junk + PAGE[start + length :]


items = st.lists(
    st.builds(lambda item, changes: item | changes, task_documents, st.dictionaries(st.text(), json_values, max_size=2))
    | st.builds(lambda name, value: task_document(**{name: value}), st.sampled_from([*task_document()]), json_values)
    | json_values,
    max_size=4,
)

shaped = st.builds(
    lambda items, changes: {"data": page_document(*items)["data"] | changes},
    items,
    st.dictionaries(st.sampled_from([*page_document()["data"]]), json_values | st.integers(-1, 5), max_size=3),
)
"""Documents similar to a page."""

BODIES = (
    st.binary()
    | st.tuples(st.integers(0, len(PAGE)), st.integers(0, 50), st.binary(max_size=20)).map(damaged)
    | shaped.map(json.dumps).map(str.encode)
    | json_values.map(json.dumps).map(str.encode)
)

REPLIES = (
    st.builds(message, BODIES)
    | st.builds(encoded, BODIES, st.sampled_from(["gzip", "deflate", "br", "identity", "x"]))
    | st.builds(
        lambda body, code, line: message(body, f"Retry-After: {line}", f"Location: {line}", status=f"{code} {line}"),
        BODIES,
        st.integers(200, 599),
        LINES,
    )
    | st.builds(lambda data: Reply([data], Then.CLOSE), st.binary())
    | st.builds(lambda data: Reply([b"HTTP/1.1 200 OK\r\n", data], Then.CLOSE), st.binary())
)
"""Any reply of a server."""

READERS: dict[str, Callable[[TasksClient], Any]] = {
    "list_tasks": lambda client: client.list_tasks(),
    "all_tasks": lambda client: client.all_tasks(),
    "all_tasks, exact": lambda client: client.all_tasks(exact=True, page_size=4, on_invalid="skip"),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@given(st.data())
@property_test
async def test_answers(read: Callable[[TasksClient], Any], data: st.DataObject) -> None:
    """Any reply gives tasks, or raises one of our errors."""
    reply = data.draw(REPLIES)
    retry = RetryPolicy(attempts=1)
    async with (
        RawServer(reply) as server,
        TasksClient(TOKEN, base_url=server.url, retry=retry, rate_limit=None, max_body_bytes=2**16) as client,
    ):
        try:
            tasks = await read(client)
        except ApifyTasksError as error:
            assert (True, False) == (str(error).isprintable(), TOKEN in str(error))  # noqa: PT017 - any error is fine
        else:
            assert {Task} >= {type(task) for task in tasks}
