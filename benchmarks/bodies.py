"""The pages that the server sends: like those of the live API, including undocumented fields."""

from __future__ import annotations

import orjson

from apify_tasks_async import converter
from apify_tasks_async.testing import make_task

PAGE = 1000
"""The most tasks of a page."""


def page_body(offset: int, limit: int, total: int, *, desc: bool = False) -> bytes:
    """Return a page of a list of `total` tasks. The same arguments give the same page."""
    numbers = range(total)[::-1] if desc else range(total)
    items = [converter.unstructure(make_task(number)) for number in numbers[offset : offset + limit]]
    data = {"total": total, "offset": offset, "limit": limit, "desc": desc, "count": len(items), "items": items}
    return orjson.dumps({"data": data})
