"""The JSON document of a page: what it says of itself, and its items."""

from typing import Any

import attrs

from apify_tasks_async._batch import FAILURES, TaskReader
from apify_tasks_async._convert import InvalidDocumentError, converter, load_json
from apify_tasks_async.models import TaskPage


@attrs.frozen
class Envelope:
    """What the document of a page says of itself, and its items."""

    total: int
    offset: int
    limit: int
    desc: bool
    count: int
    items: list[Any]
    """Decoded and checked, for `converter.structure(items, list[Task])`; or plain documents, if any is invalid."""
    valid: bool
    """Whether the items were checked."""


def read_envelope(body: bytes, reader: TaskReader) -> Envelope:
    """Decode a page; raise `InvalidDocumentError` if anything but its items is not as documented."""
    try:
        page = reader.decode(body)
    except FAILURES:
        return _read_envelope_slowly(body, reader)  # It finds the field that is wrong.
    return Envelope(page.total, page.offset, page.limit, page.desc, page.count, page.items, valid=True)


def _read_envelope_slowly(body: bytes, reader: TaskReader) -> Envelope:
    document = load_json(body)
    if not isinstance(document, dict):
        raise InvalidDocumentError(("", "expected an object"))
    data = document.get("data")
    if not isinstance(data, dict):
        raise InvalidDocumentError(("data", "expected an object" if "data" in document else "required"))
    items: Any = data.get("items")
    # Without the items: an invalid one must not fail the others.
    page = converter.structure(data | {"items": []} if isinstance(items, list) else data, TaskPage)
    head = page.total, page.offset, page.limit, page.desc, page.count
    try:
        return Envelope(*head, reader.convert(items), valid=True)
    except FAILURES:
        return Envelope(*head, items, valid=False)
