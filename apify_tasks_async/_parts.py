"""The items of a page, apart from each other and not decoded: to count them first, and to lose one in place of all."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import attrs
import msgspec
from msgspec import UNSET

from apify_tasks_async._batch import FAILURES
from apify_tasks_async._convert import NotJsonError, load_json, repair_surrogates
from apify_tasks_async._defaults import MAX_LIMIT
from apify_tasks_async._fields import fields_of
from apify_tasks_async.models import TaskPage

_HEAD = [field.wire for field in fields_of(TaskPage) if field.wire != "items"]


@attrs.frozen(eq=False, repr=False)
class UnreadableItem:
    """An item that is well-formed, but holds what cannot be decoded: a number or a text beyond all bounds."""

    document: dict[str, Any] | None
    """Its fields that can be read; `None` if it is not an object."""

    problems: tuple[tuple[str, str], ...]
    """The path and the problem of each field that cannot be read."""


@attrs.frozen(eq=False, repr=False)
class Parts:
    """A page that is not decoded."""

    _head: dict[str, bytes]
    items: list[bytes]
    """The JSON of each item: one more than a page may have, at most."""

    def load(self) -> Any:
        """Return the document of the page. Its items are documents, or an `UnreadableItem` each.

        Raises:
            NotJsonError: Anything but an item cannot be read.
        """
        head = {name: load_json(text) for name, text in self._head.items()}
        return {"data": head | {"items": [_load_item(text) for text in self.items]}}


def split(body: bytes) -> Parts | None:
    """Return the parts of a page; `None` if it is not JSON, or not as documented."""
    try:
        page = _decoder()(repair_surrogates(body)).data
    except FAILURES:
        return None
    head = {name: bytes(getattr(page, name)) for name in _HEAD}
    return Parts(head, [bytes(text) for text in msgspec.structs.astuple(page.items) if text is not UNSET])


@cache
def _decoder() -> Callable[[bytes], Any]:
    # msgspec builds nothing for the elements of an array that are beyond the fields of its struct.
    numbered = [(f"item_{number}", msgspec.Raw, msgspec.field(default=UNSET)) for number in range(MAX_LIMIT + 1)]
    items = msgspec.defstruct("Items", numbered, array_like=True)
    page = msgspec.defstruct("Page", [("items", items), *((name, msgspec.Raw) for name in _HEAD)])
    return msgspec.json.Decoder(msgspec.defstruct("Envelope", [("data", page)])).decode


def _load_item(text: bytes) -> Any:
    try:
        return load_json(text)
    except NotJsonError as error:
        problem = _describe(error)
    try:
        return _load_fields(msgspec.json.decode(text, type=dict[str, msgspec.Raw]))
    except FAILURES:
        return UnreadableItem(None, (("", problem),))


def _load_fields(fields: dict[str, msgspec.Raw]) -> UnreadableItem:
    document: dict[str, Any] = {}
    problems: list[tuple[str, str]] = []
    for name, text in fields.items():
        try:
            document[name] = load_json(bytes(text))
        except NotJsonError as error:
            problems.append((name, _describe(error)))
    return UnreadableItem(document, tuple(problems))


def _describe(error: NotJsonError) -> str:
    return f"cannot be read: {str(error).removeprefix('not JSON: ')}"
