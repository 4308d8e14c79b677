"""What the server answers: pages as the live API sends them, the fields that its documentation leaves out included."""

from __future__ import annotations

import orjson

from apify_tasks_async import converter
from apify_tasks_async.testing import make_task

PAGE = 1000
"""The most tasks of a page."""


def page_body(offset: int, limit: int, total: int) -> bytes:
    """Return a page of a list of `total` tasks: always the same for the same arguments."""
    items = [converter.unstructure(make_task(number)) for number in range(offset, min(offset + limit, total))]
    data = {"total": total, "offset": offset, "limit": limit, "desc": False, "count": len(items), "items": items}
    return orjson.dumps({"data": data})
