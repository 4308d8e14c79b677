"""The faults that a test can ask for, and the script that decides which request gets which fault."""

from __future__ import annotations

import enum
import json
from random import Random
from threading import Lock
from typing import Any, Final, get_args

import attrs

from apify_tasks_async._arguments import (
    check_boolean,
    check_instance,
    check_integer,
    check_number,
    check_text,
    validator,
)

__all__ = [
    "ABSENT",
    "Disconnect",
    "Fault",
    "FaultScript",
    "Hang",
    "MalformedItem",
    "MalformedJson",
    "OtherRequest",
    "RepeatedItem",
    "ShortPage",
    "SlowBody",
    "Status",
    "TruncatedBody",
]


class _Absent(enum.Enum):
    ABSENT = "absent"

    def __repr__(self) -> str:
        return self.name


ABSENT: Final = _Absent.ABSENT
"""As the value of a `MalformedItem`: the field is absent."""


def _json_value(_: Any, attribute: Any, value: Any) -> None:
    try:
        json.dumps(None if value is ABSENT else value, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        raise TypeError(f"{attribute.alias} must be ABSENT or fit into JSON, got {value!r}") from None


_optional_text = validator(check_instance, optional=True, kinds=(str,))


@attrs.frozen
class Status:
    """A status other than 200, with the API's error document, or with another body.

    Example:
        >>> Status(429, retry_after=2).status
        429
    """

    status: int = attrs.field(validator=validator(check_integer, minimum=200, maximum=599))
    """The HTTP status, 200 to 599."""

    retry_after: str | float | None = attrs.field(
        default=None,
        kw_only=True,
        validator=validator(check_instance, optional=True, kinds=(str, int, float)),
    )
    """The header Retry-After: seconds, an HTTP date, or nonsense. `None`: no header."""

    type: str | None = attrs.field(default=None, kw_only=True, validator=_optional_text)
    """The `type` in the error document; `None`: the API's type for the status."""

    message: str | None = attrs.field(default=None, kw_only=True, validator=_optional_text)
    """The `message` in the error document; `None`: one that fits the status."""

    body: str | bytes | None = attrs.field(
        default=None,
        kw_only=True,
        validator=validator(check_instance, optional=True, kinds=(str, bytes)),
    )
    """The body in place of the error document, such as a gateway's HTML. `""`: an empty body."""


@attrs.frozen
class Disconnect:
    """The connection is closed before the first byte of an answer.

    After that, aiohttp's client resends a GET by itself. So it takes `times=2` to fail one of its requests.
    """


@attrs.frozen
class TruncatedBody:
    """The connection is closed before all the bytes of Content-Length have arrived."""


@attrs.frozen
class Hang:
    """No answer until `FakeApify.clear_faults()`. Then the request is answered."""


@attrs.frozen
class SlowBody:
    """The head of the answer arrives at once, the body slowly.

    Example:
        >>> SlowBody(0.5).seconds
        0.5
    """

    seconds: float = attrs.field(validator=validator(check_number, minimum=0))
    """Seconds that the whole body takes."""


@attrs.frozen
class MalformedJson:
    """A complete 200 whose body is truncated JSON."""


@attrs.frozen
class MalformedItem:
    """A page with one item that is not as documented. A page without an item at that index is not changed.

    Example:
        >>> MalformedItem(index=3, field="createdAt", value=ABSENT).value
        ABSENT
    """

    index: int = attrs.field(default=0, validator=validator(check_integer, minimum=0))
    """The index of the item in its page, from 0."""

    field: str = attrs.field(default="name", validator=validator(check_text))
    """The name of the field in JSON, such as `createdAt`."""

    value: Any = attrs.field(default=None, validator=_json_value)
    """The value of the field: anything that JSON can express, or `ABSENT`."""


@attrs.frozen
class ShortPage:
    """A page that stops early. By default it is empty.

    Example:
        >>> ShortPage(3, total=3)
        ShortPage(items=3, total=3, count=None)
    """

    items: int = attrs.field(default=0, validator=validator(check_integer, minimum=0))
    """The maximum number of items in the page."""

    total: int | None = attrs.field(
        default=None, kw_only=True, validator=validator(check_integer, optional=True, minimum=0)
    )
    """The `total` of the answer. `None`: as without the fault."""

    count: int | None = attrs.field(
        default=None, kw_only=True, validator=validator(check_integer, optional=True, minimum=0)
    )
    """The `count` of the answer. `None`: the number of its items."""


@attrs.frozen
class OtherRequest:
    """The answer to another request, as a cache that ignores the query gives it.

    Example:
        >>> OtherRequest(offset=0, desc=False)
        OtherRequest(offset=0, limit=None, desc=False, admits=True)
    """

    offset: int | None = attrs.field(default=None, validator=validator(check_integer, optional=True, minimum=0))
    """The offset that is answered. `None`: the one asked for."""

    limit: int | None = attrs.field(default=None, validator=validator(check_integer, optional=True, minimum=0))
    """The limit that is answered. `None`: the one asked for."""

    desc: bool | None = attrs.field(default=None, validator=validator(check_boolean, optional=True))
    """The direction that is answered. `None`: the one asked for."""

    admits: bool = attrs.field(default=True, kw_only=True, validator=validator(check_boolean))
    """Whether the answer says what it answers. `False`: it repeats what was asked for."""


@attrs.frozen
class RepeatedItem:
    """A page with one item twice in a row. A page without an item at that place stays as it is.

    Example:
        >>> RepeatedItem(2)
        RepeatedItem(index=2)
    """

    index: int = attrs.field(default=0, validator=validator(check_integer, minimum=0))
    """The index of the item in its page, from 0."""


Fault = (
    Status
    | Disconnect
    | TruncatedBody
    | Hang
    | SlowBody
    | MalformedJson
    | MalformedItem
    | ShortPage
    | OtherRequest
    | RepeatedItem
)
"""Everything that `FakeApify.fail` takes."""


def _fault(_: Any, attribute: Any, value: Any) -> None:
    if not isinstance(value, Fault):
        names = ", ".join(kind.__name__ for kind in get_args(Fault))
        raise TypeError(f"{attribute.alias} must be one of {names}, got {value!r}")


@attrs.define(on_setattr=attrs.setters.NO_OP)
class _Rule:
    """Which requests get a fault, and how many more."""

    fault: Fault = attrs.field(validator=_fault)
    times: int | None = attrs.field(validator=validator(check_integer, optional=True, minimum=1))
    probability: float = attrs.field(validator=validator(check_number, minimum=0, maximum=1))
    offset: int | None = attrs.field(validator=validator(check_integer, optional=True, minimum=0))

    def strikes(self, offset: int | None, random: Random) -> bool:
        """Return True if a request with this offset gets the fault, and count it if so."""
        if self.times == 0 or (self.offset is not None and self.offset != offset):
            return False
        if random.random() >= self.probability:
            return False
        if self.times is not None:
            self.times -= 1
        return True


class FaultScript:
    """The planned faults. Any thread may use it."""

    def __init__(self, *, seed: int) -> None:
        self._lock = Lock()
        self._random = Random(seed)  # noqa: S311 - it picks requests to fail, reproducibly
        self._rules: list[_Rule] = []

    def add(self, fault: Fault, *, times: int | None, probability: float, offset: int | None) -> None:
        """Add a fault."""
        rule = _Rule(fault, times, probability, offset)
        with self._lock:
            self._rules = [rule for rule in self._rules if rule.times != 0] + [rule]

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._rules = []

    def next(self, offset: int | None) -> Fault | None:
        """Return the fault for a request with this offset: the first one added that applies."""
        with self._lock:
            return next((rule.fault for rule in self._rules if rule.strikes(offset, self._random)), None)
