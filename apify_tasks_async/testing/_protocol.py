"""The endpoint: what a request asks for, and the answer to it. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import attrs
import msgspec

from apify_tasks_async.testing._faults import (
    ABSENT,
    Fault,
    MalformedItem,
    MalformedJson,
    OtherRequest,
    RepeatedItem,
    ShortPage,
    Status,
)

__all__ = [
    "DEFAULT_LIMIT",
    "PATH",
    "Answer",
    "Query",
    "RecordedRequest",
    "accepts_gzip",
    "apply_fault",
    "error_answer",
    "page_answer",
    "read_token",
    "status_answer",
]

PATH = "/v2/actor-tasks"
DEFAULT_LIMIT = 1000
_JSON = "application/json; charset=utf-8"


@attrs.frozen
class RecordedRequest:
    """A request to the endpoint, in `FakeApify.requests`."""

    offset: int | None
    """The `offset` asked for; 0 if it was absent, `None` if it is invalid."""

    limit: int | None
    """The `limit` asked for; `None` if it was absent or is invalid."""

    desc: bool | None
    """The `desc` asked for; false if it was absent, `None` if it is invalid."""

    authorised: bool
    """Whether it had the right token."""

    at: float
    """When it arrived, in seconds of the monotonic clock. Only differences have a meaning."""


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


def _read_number(text: str) -> int | None:
    # float() alone accepts "nan", "infinity", "1_000" and the digits of every script.
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    return int(value) if 0 <= value < math.inf else None


def _read_boolean(text: str) -> bool | None:
    return {"1": True, "true": True, "0": False, "false": False}.get(text)


@attrs.frozen
class Query:
    """What a request asks for."""

    offset: int | None
    limit: int | None
    desc: bool | None
    problem: str | None
    """What is wrong with a parameter."""

    @classmethod
    def read(cls, parameters: Mapping[str, str]) -> Query:
        """Read the query parameters. Absent ones get their documented defaults; `limit` gets `None`."""
        values: dict[str, Any] = {"offset": 0, "limit": None, "desc": False}
        problem = None
        readers: tuple[tuple[str, Callable[[str], Any], str], ...] = (
            ("offset", _read_number, "a number >= 0"),
            ("limit", _read_number, "a number >= 0"),
            ("desc", _read_boolean, "1, true, 0 or false"),
        )
        for name, read, expected in readers:
            if name in parameters:
                values[name] = read(parameters[name])
                if values[name] is None:
                    given = f"{parameters[name]:.60}"
                    problem = problem or f'Invalid input: the parameter "{name}" must be {expected}, got "{given}".'
        return cls(**values, problem=problem)

    def instead(self, fault: Fault | None) -> Query:
        """Return the query that is answered in place of this one."""
        if not isinstance(fault, OtherRequest):
            return self
        return attrs.evolve(
            self,
            offset=self.offset if fault.offset is None else fault.offset,
            limit=self.limit if fault.limit is None else fault.limit,
            desc=self.desc if fault.desc is None else fault.desc,
        )


def read_token(headers: Mapping[str, str], parameters: Mapping[str, str]) -> str | None:
    """Return the bearer token, else the query parameter `token`, as the API does."""
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else parameters.get("token")


_REFUSED = re.compile(r"q=0(\.0*)?", re.ASCII)


def accepts_gzip(header: str) -> bool:
    """Return True if a client with this Accept-Encoding accepts gzip."""
    for part in header.lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() == "gzip":
            return not _REFUSED.fullmatch(weight.strip())
    return False


@attrs.frozen
class Answer:
    """A response before it is sent."""

    status: int
    body: bytes
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])


def page_answer(*, total: int, offset: int, limit: int, desc: bool, items: list[bytes]) -> Answer:
    """Answer with a page of encoded tasks."""
    # By hand: the items stay encoded, and a number of the query may be too large for the encoder.
    head = b'{"data":{"total":%d,"offset":%d,"limit":%d,"desc":%s,"count":%d,"items":[' % (
        total,
        offset,
        limit,
        b"true" if desc else b"false",
        len(items),
    )
    return Answer(200, b"".join((head, b",".join(items), b"]}}")), {"Content-Type": _JSON})


_ERRORS = {
    400: ("invalid-input", "Invalid input: the request contains invalid data."),
    401: ("user-or-token-not-found", "No user has this token: it is wrong, or was revoked."),
    403: ("insufficient-permissions", "The token does not have the permission to list tasks."),
    404: ("page-not-found", "There is no API endpoint at this URL."),
    405: ("method-not-allowed", "This endpoint can only be requested with GET."),
    429: ("rate-limit-exceeded", "Too many requests: the rate limit of this resource is exceeded."),
    500: ("internal-server-error", "The server failed unexpectedly, and the failure was logged."),
}


def _usual_error(status: int) -> tuple[str, str]:
    if status in _ERRORS:
        return _ERRORS[status]
    if status not in set(HTTPStatus):
        return "unknown-error", f"The request failed with status {status}."
    phrase = HTTPStatus(status).phrase
    return phrase.lower().replace(" ", "-"), f"The request failed: {phrase}."


def error_answer(status: int, *, error_type: str | None = None, message: str | None = None) -> Answer:
    """Answer with the API's error document."""
    usual_type, usual_message = _usual_error(status)
    error = {
        "type": usual_type if error_type is None else error_type,
        "message": usual_message if message is None else message,
    }
    # RFC 9110: a 405 names the allowed methods.
    allow = {"Allow": "GET"} if status == HTTPStatus.METHOD_NOT_ALLOWED else {}
    return Answer(status, msgspec.json.encode({"error": error}), {"Content-Type": _JSON, **allow})


def status_answer(fault: Status) -> Answer:
    """Answer with the status of a fault."""
    answer = error_answer(fault.status, error_type=fault.type, message=fault.message)
    headers = dict(answer.headers)
    body = answer.body
    if fault.body is not None:
        body = fault.body.encode() if isinstance(fault.body, str) else fault.body
        if body.lstrip().startswith(b"<"):
            headers["Content-Type"] = "text/html; charset=utf-8"
    if fault.retry_after is not None:
        headers["Retry-After"] = str(fault.retry_after)
    return attrs.evolve(answer, body=body, headers=headers)


def apply_fault(answer: Answer, fault: Fault | None) -> Answer:
    """Return the answer with the fault in its document, if it is a page and the fault is one of documents."""
    if answer.status != HTTPStatus.OK:
        return answer
    match fault:
        case MalformedJson():
            return attrs.evolve(answer, body=answer.body[: len(answer.body) // 2])
        case MalformedItem() | ShortPage() | RepeatedItem():
            document = msgspec.json.decode(answer.body)
            _change_page(document["data"], fault)
            return attrs.evolve(answer, body=msgspec.json.encode(document))
        case _:
            return answer


def _change_page(page: dict[str, Any], fault: MalformedItem | ShortPage | RepeatedItem) -> None:
    items = page["items"]
    match fault:
        case MalformedItem(index, field, value):
            for item in items[index : index + 1]:
                item.pop(field, None)
                if value is not ABSENT:
                    item[field] = value
        case ShortPage(items=number, total=total, count=count):
            del items[number:]
            page["count"] = len(items) if count is None else count
            page["total"] = page["total"] if total is None else total
        case RepeatedItem(index):  # pragma: no branch - these are all
            items[index : index + 1] *= 2
            page["count"] = len(items)
