"""A page in the walk's order, and the bookmark after any of its items. Pure."""

from __future__ import annotations

import hashlib
import operator
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import cast

import attrs

from apify_tasks_async._arguments import check_boolean, check_integer, short_repr
from apify_tasks_async._page import Entry, Page
from apify_tasks_async.models import Bookmark, Task

BEGINNING = datetime.min.replace(tzinfo=UTC)
"""The key of a frontier before all tasks. With it a short list is read from its other end, by one request."""


@attrs.frozen(eq=False, repr=False)
class Reading:
    """The items of a page in the walk's order, each id once.

    An item's key is its `created_at`. An unreadable one takes the key of its neighbour.
    """

    entries: Sequence[Entry]
    """The items as the server gave them."""

    indices: Sequence[int]
    """Where in `entries` each item is."""

    keys: Sequence[datetime]
    """The key of each item; empty if no item has a readable one."""

    offset: int
    """The place of the first item in the list, counted in the walk's direction."""

    desc: bool
    """The walk's direction."""

    def __len__(self) -> int:
        return len(self.indices)

    def count_before(self, key: datetime) -> int:
        """Return how many items come strictly before the key."""
        if self.desc:
            return len(self.keys) - bisect_right(self.keys[::-1], key)
        return bisect_left(self.keys, key)

    def count_through(self, key: datetime) -> int:
        """Return how many items come before the key or at it."""
        if self.desc:
            return len(self.keys) - bisect_left(self.keys[::-1], key)
        return bisect_right(self.keys, key)

    def identity(self, position: int) -> str:
        """Return what tells an item from others of the same key."""
        return _identity(self.entries[self.indices[position]])

    def news(self, frontier: Bookmark | None) -> Sequence[int]:
        """Return the positions of the items that come after the frontier, or at its key without being known."""
        if frontier is None or not self.keys:
            return range(len(self))
        start, stop = self.count_before(frontier.created_at), self.count_through(frontier.created_at)
        ties = [position for position in range(start, stop) if self.identity(position) not in frontier.ids]
        return [*ties, *range(stop, len(self))] if ties else range(stop, len(self))

    def indices_of(self, positions: Sequence[int]) -> Sequence[int]:
        """Return where in `entries` the items at these positions are."""
        if isinstance(positions, range):  # as usual: fast
            return self.indices[positions.start : positions.stop]
        return [self.indices[position] for position in positions]

    def bookmark_after(self, position: int, frontier: Bookmark | None) -> Bookmark | None:
        """Return the place after the item at this position, where the walk comes from the frontier."""
        if not self.keys:
            return frontier
        key = self.keys[position]
        start = self.count_before(key)
        tied = frontier if frontier and frontier.created_at == key else None
        ids = frozenset(map(self.identity, range(start, position + 1)))
        return Bookmark(key, ids | tied.ids if tied else ids, self._place_before(start, tied), self.desc)

    def _place_before(self, start: int, tied: Bookmark | None) -> int:
        """Return a place that is before the item at `start`, and not after the last item with another key."""
        if start == 0 and tied:
            return tied.offset
        return max(0, self.offset + start - 1)

    def seen_again(self, frontier: Bookmark) -> Bookmark:
        """Return the frontier with its place as this page shows it, if it does."""
        start = self.count_before(frontier.created_at)
        if not self.keys or (start == 0 < self.offset):
            return frontier
        return attrs.evolve(frontier, offset=max(0, self.offset + start - 1))


def read_page(page: Page, *, desc: bool) -> Reading | None:
    """Return the page in the order of a walk in this direction; `None` if it is not sorted."""
    entries, keys = page.entries, _keys(page.entries)
    indices: Sequence[int] = range(len(entries))
    offset = page.request.offset
    if page.request.desc is not desc:
        indices, keys = indices[::-1], keys[::-1]
        offset = max(0, page.total - len(entries) - offset)
    strictly, loosely = (operator.gt, operator.ge) if desc else (operator.lt, operator.le)
    if not all(map(strictly, keys, islice(keys, 1, None))):  # usually there are no ties, so nothing can be there twice
        if not all(map(loosely, keys, islice(keys, 1, None))):
            return None
        positions = _first_occurrences(entries, indices)
        indices, keys = [indices[position] for position in positions], [keys[position] for position in positions]
    return Reading(entries, indices, keys, offset, desc)


def page_bookmark(page: Page) -> Bookmark | None:
    """Return the place after the last item of a page; `None` if the page is empty or not sorted.

    If tasks before the page have the same `created_at` as its first task and its last one, a walk from here delivers
    them too.
    """
    reading = read_page(page, desc=page.request.desc)
    return reading.bookmark_after(len(reading) - 1, None) if reading else None


def check_bookmark(after: Bookmark, *, offset: int, desc: bool) -> None:
    """Raise unless a walk with this offset and direction can continue after the bookmark."""
    if not isinstance(after, Bookmark):
        raise TypeError(f"after must be a Bookmark, got {short_repr(after)}")
    check_integer("after.offset", after.offset, minimum=0)
    check_boolean("after.desc", after.desc)
    if offset:
        raise ValueError(f"offset must be 0 with after, which sets the start itself, got {offset}")
    if after.desc is not desc:
        raise ValueError(f"desc must be {after.desc}, the direction of after, got {desc}")


def _keys(entries: Sequence[Entry]) -> list[datetime]:
    keys = [entry.created_at for entry in entries]
    if all(keys):
        return cast("list[datetime]", keys)  # As usual: each item has a readable time.
    last = next((key for key in keys if key is not None), None)
    if last is None:
        return []
    return [last := last if key is None else key for key in keys]


def _first_occurrences(entries: Sequence[Entry], indices: Sequence[int]) -> list[int]:
    seen: dict[object, int] = {}
    for position, index in enumerate(indices):
        seen.setdefault(_id(entries[index]) or position, position)  # what has no id is never the same item
    return list(seen.values())


def _id(entry: Entry) -> str | None:
    return entry.id if isinstance(entry, Task) else entry.task_id


def _identity(entry: Entry) -> str:
    if isinstance(entry, Task):
        return entry.id
    return entry.task_id or hashlib.sha256(repr(entry.raw).encode("utf-8", "backslashreplace")).hexdigest()
