"""The JSON document of a page: what it says of itself, and its items."""

from typing import Any

import attrs

from apify_tasks_async._batch import FAILURES, TaskReader
from apify_tasks_async._convert import InvalidDocumentError, NotJsonError, converter, load_json
from apify_tasks_async._defaults import MAX_LIMIT
from apify_tasks_async._parts import split
from apify_tasks_async._weight import LONG
from apify_tasks_async.models import TaskPage


@attrs.frozen(eq=False, repr=False)
class Envelope:
    """What the document of a page says of itself, and its items."""

    total: int
    offset: int
    limit: int
    desc: bool
    count: int
    items: list[Any]
    """Decoded and checked, for `converter.structure(items, list[Task])`.

    If any is invalid: plain documents, and an `UnreadableItem` for what cannot be one.
    """
    valid: bool
    """Whether the items were checked."""


def read_envelope(body: bytes, reader: TaskReader, limit: int = MAX_LIMIT) -> Envelope:
    """Decode a page; raise `InvalidDocumentError` if anything but its items is not as documented.

    Args:
        body: The JSON document.
        reader: Decodes the items.
        limit: How many items were asked for. More are not looked at, unless the page says so and no page may have more.
    """
    if len(body) > LONG:
        return _read_envelope_slowly(body, reader, limit)
    try:
        page = reader.decode(body)
    except FAILURES:
        return _read_envelope_slowly(body, reader, limit)  # It finds the field that is wrong.
    _check_count(page.items, limit, page.limit)
    return Envelope(page.total, page.offset, page.limit, page.desc, page.count, page.items, valid=True)


def _check_count(items: list[Any], asked: int, said: int) -> None:
    most = max(asked, min(said, MAX_LIMIT))
    if len(items) > most:
        raise InvalidDocumentError(("items", f"expected at most {most:,}, got {len(items):,}"))


def _read_envelope_slowly(body: bytes, reader: TaskReader, limit: int) -> Envelope:
    document = _load(body)
    if not isinstance(document, dict):
        raise InvalidDocumentError(("", "expected an object"))
    data = document.get("data")
    if not isinstance(data, dict):
        raise InvalidDocumentError(("data", "expected an object" if "data" in document else "required"))
    items: Any = data.get("items")
    # Without the items: an invalid one must not fail the others.
    page = converter.structure(data | {"items": []} if isinstance(items, list) else data, TaskPage)
    _check_count(items, limit, page.limit)
    head = page.total, page.offset, page.limit, page.desc, page.count
    try:
        return Envelope(*head, reader.convert(items), valid=True)
    except FAILURES:
        return Envelope(*head, items, valid=False)


def _load(body: bytes) -> Any:
    _check_tiny_items(body)
    try:
        return load_json(body)
    except NotJsonError:
        parts = split(body) if len(body) <= LONG else None
        if parts is None:
            raise
    return parts.load()


def _check_tiny_items(body: bytes) -> None:
    """Raise if there are more items than a page may have, before one is built: it may take forty times its size."""
    # A task has two objects and a dozen values, so a usual page is not looked at twice.
    if len(body) > LONG or (body.count(b"{") <= 4 * MAX_LIMIT and body.count(b",") <= 32 * MAX_LIMIT):
        return
    parts = split(body)
    if parts and len(parts.items) > MAX_LIMIT:
        raise InvalidDocumentError(("items", f"expected at most {MAX_LIMIT:,}, got {len(parts.items):,} or more"))
