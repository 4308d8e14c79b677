"""The errors: their tree, attributes, copies and messages."""

import copy
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from helpers.documents import json_values, property_test, task_document
from hypothesis import given
from hypothesis import strategies as st

from apify_tasks_async import Bookmark, errors
from apify_tasks_async.errors import (
    ApifyTasksError,
    AuthenticationError,
    BadRequestError,
    CertificateError,
    ClientClosedError,
    ConfigurationError,
    DriftError,
    InvalidResponseError,
    InvalidTaskError,
    NotFoundError,
    PermissionDeniedError,
    ProxyError,
    RateLimitedError,
    RequestTimeoutError,
    ResponseError,
    ResponseTooLargeError,
    ServerError,
    TransportError,
)

MOMENT = datetime(2018, 10, 26, 7, 23, 14, 855000, tzinfo=UTC)

PARENTS: dict[type[ApifyTasksError], tuple[type[BaseException], ...]] = {
    ApifyTasksError: (Exception,),
    ClientClosedError: (ApifyTasksError,),
    ConfigurationError: (ApifyTasksError, ValueError),
    TransportError: (ApifyTasksError,),
    CertificateError: (TransportError,),
    ProxyError: (TransportError,),
    RequestTimeoutError: (TransportError, TimeoutError),
    ResponseError: (ApifyTasksError,),
    BadRequestError: (ResponseError,),
    AuthenticationError: (ResponseError,),
    PermissionDeniedError: (ResponseError,),
    NotFoundError: (ResponseError,),
    RateLimitedError: (ResponseError,),
    ServerError: (ResponseError,),
    InvalidResponseError: (ApifyTasksError,),
    InvalidTaskError: (InvalidResponseError,),
    ResponseTooLargeError: (InvalidResponseError,),
    DriftError: (ApifyTasksError,),
}

WHERE: dict[str, Any] = {"offset": 1000, "limit": 500, "desc": True, "attempts": 5}
COMMON: dict[str, Any] = WHERE | {"bookmark": Bookmark(MOMENT, frozenset({"a"}), 999, desc=True), "label": None}
RESPONSE: dict[str, Any] = {
    "status": 418,
    "type": "teapot",
    "message": "short and stout",
    "retry_after": 1.5,
    "answered_by": None,
}
TASK: dict[str, Any] = {
    "status": 200,
    "task_id": "zdc3Pyhyz3m8vjDeM",
    "created_at": MOMENT,
    "problems": ("name: required",),
    "raw": task_document(name=None),
}

COPIERS: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


def pickled(error: Any, protocol: int) -> Any:
    """Return a pickled copy."""
    return pickle.loads(pickle.dumps(error, protocol))


COPIERS |= {f"pickle{protocol}": partial(pickled, protocol=protocol) for protocol in range(6)}


def attributes(kind: type[ApifyTasksError]) -> dict[str, Any]:
    """Return a value for each attribute of an error class."""
    if issubclass(kind, ResponseError):
        return COMMON | RESPONSE
    if issubclass(kind, InvalidTaskError):
        return COMMON | TASK
    if kind is RequestTimeoutError:
        return COMMON | {"timeout": 30.0}
    return COMMON | {"status": 204} if issubclass(kind, InvalidResponseError | ProxyError) else COMMON


def each_kind() -> pytest.MarkDecorator:
    """Run the test with each class of errors."""
    return pytest.mark.parametrize("kind", PARENTS, ids=lambda kind: kind.__name__)


def test_all_errors_are_known() -> None:
    """The module exports exactly the errors of the tree, sorted."""
    assert sorted(kind.__name__ for kind in PARENTS) == errors.__all__


@each_kind()
def test_error_tree(kind: type[ApifyTasksError]) -> None:
    """Every error has the documented base classes, which `except` relies on."""
    assert PARENTS[kind] == kind.__bases__
    assert issubclass(kind, ApifyTasksError)


@each_kind()
def test_errors_are_drawn_and_documented(kind: type[ApifyTasksError]) -> None:
    """The tree in the docstring of the module has every error, and each error has a docstring."""
    assert kind.__name__ in str(errors.__doc__)
    assert kind.__doc__


@each_kind()
def test_errors_hold_what_they_were_given(kind: type[ApifyTasksError]) -> None:
    """An error has each attribute that it was given."""
    given_attributes = attributes(kind)
    error = kind("it failed", **given_attributes)

    assert given_attributes | {"problem": "it failed"} == vars(error)


@each_kind()
@pytest.mark.parametrize("copier", COPIERS)
def test_errors_survive_copies(kind: type[ApifyTasksError], copier: str) -> None:
    """A copied or pickled error has all attributes, notes and the message of the original."""
    error = kind("it failed", **attributes(kind))
    error.add_note("during the nightly import")

    copied = COPIERS[copier](error)

    assert kind is type(copied)
    assert (vars(error), error.args) == (vars(copied), copied.args)
    assert (str(error), repr(error)) == (str(copied), repr(copied))


@each_kind()
@pytest.mark.parametrize("copier", COPIERS)
def test_errors_without_a_request_survive_copies(kind: type[ApifyTasksError], copier: str) -> None:
    """A copy of an error without a request has the attributes that were changed later."""
    required: dict[str, Any] = {"status": 500} if issubclass(kind, ResponseError) else {}
    error = kind("it failed", **required)
    error.problem += " again"
    error.attempts = 3

    copied = COPIERS[copier](error)

    assert vars(error) == vars(copied)
    assert str(error) == str(copied)


@pytest.mark.parametrize(
    ("kind", "builtin"), [(ConfigurationError, ValueError), (RequestTimeoutError, TimeoutError)], ids=str
)
def test_double_natures(kind: type[ApifyTasksError], builtin: type[Exception]) -> None:
    """`except` with the builtin error catches ours."""
    error = kind("it failed", offset=0)

    with pytest.raises(builtin, match="it failed") as caught:
        raise error

    assert error is caught.value
    assert 0 == error.offset


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({}, "it failed"),
        ({"attempts": 1}, "it failed (after 1 attempt)"),
        ({"offset": 0, "limit": 1000, "desc": False}, "it failed (offset=0, limit=1000, desc=False)"),
        (WHERE, "it failed (offset=1000, limit=500, desc=True, after 5 attempts)"),
    ],
)
def test_message_says_what_where_and_how_often(where: dict[str, Any], expected: str) -> None:
    """The message has the problem, the known parts of the request, and the number of attempts."""
    error = ApifyTasksError("it failed", **where)

    assert expected == str(error)
    assert f"ApifyTasksError({expected!r})" == repr(error)


@pytest.mark.parametrize(
    ("kind", "advice"),
    [
        (ClientClosedError, "create a new TasksClient, or keep this one open while you use it"),
        (TransportError, "check the network, the host name and any proxy, then try again"),
        (CertificateError, "check the base URL, the clock and the trusted certificates of this machine"),
        (ProxyError, "check the address of the proxy, and whether it is running"),
        (RequestTimeoutError, "raise `timeout`, ask for smaller pages, or try again later"),
        (ResponseError, "check the base URL, and whether a proxy or gateway answers in place of the API"),
        (BadRequestError, "check the arguments; if they are as documented, the API has changed"),
        (AuthenticationError, "check the token: Apify Console, Settings, API & Integrations shows the valid ones"),
        (PermissionDeniedError, "use a token whose scope includes reading tasks"),
        (NotFoundError, "check the base URL: it has no /v2/actor-tasks"),
        (RateLimitedError, "lower `rate_limit`, or try again later"),
        (ServerError, "try again later; https://status.apify.com shows the state of the platform"),
        (InvalidResponseError, "check the base URL and any proxy; if they are right, the API has changed"),
        (InvalidTaskError, "pass on_invalid='skip' to leave such tasks out, or a function that receives each error"),
        (ResponseTooLargeError, "raise `max_body_bytes`, or ask for smaller pages"),
        (DriftError, "continue with after=error.bookmark when the list is quieter, or with a larger page_size"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_message_ends_with_advice(kind: type[ApifyTasksError], advice: str) -> None:
    """The message is one line that ends with advice."""
    message = str(kind("it failed", **attributes(kind)))

    assert f"it failed (offset=1000, limit=500, desc=True, after 5 attempts); {advice}" == message
    assert message.isprintable()


def test_message_follows_the_attributes() -> None:
    """The message has the number of attempts, although it is set later."""
    error = ServerError("it failed", status=503, offset=0, limit=1000, desc=False)
    error.attempts = 5

    assert str(error).startswith("it failed (offset=0, limit=1000, desc=False, after 5 attempts); ")


def test_problems_are_a_tuple() -> None:
    """The problems of a task are immutable."""
    assert ("a", "b") == InvalidTaskError("it failed", problems=["a", "b"]).problems


@pytest.mark.parametrize("kind", [ResponseError, ServerError])
def test_response_errors_need_a_status(kind: type[ResponseError]) -> None:
    """A response error needs a status."""
    with pytest.raises(TypeError, match="status"):
        kind("it failed")  # type: ignore[call-arg]  # what the test checks


@given(st.text(), json_values)
@property_test
def test_any_raw_task_survives_a_pickle(problem: str, raw: Any) -> None:
    """A pickled error keeps any raw item."""
    error = InvalidTaskError(problem, raw=raw, **WHERE)

    assert vars(error) == vars(pickled(error, pickle.HIGHEST_PROTOCOL))
