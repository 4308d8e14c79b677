"""What a follower has delivered, so that it delivers what becomes visible late, and nothing twice. Pure.

A list is eventually consistent: a task may appear in it after a younger one was delivered. A follower therefore looks
again at the last few tasks before its place.

It remembers the tasks delivered *recently*, and a *floor*: the largest key that it has ever forgotten. All tasks
delivered with a key after the floor are remembered. So a task after the floor that is not remembered was never
delivered, and what comes before the floor, or at it, is not asked about.

A look is an exact walk after `start`. For each new item, in order: leave it out unless `is_new`; else deliver it and
call `deliver`. To continue after any item, store `bookmark`.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Self

from apify_tasks_async._bookmarks import BEGINNING
from apify_tasks_async.models import Bookmark

INSTANT = timedelta(microseconds=1)


class Lookback:
    """The tasks delivered recently, and the floor before them.

    Attributes:
        floor: The largest key ever forgotten; `None` as long as every task counts as new.
        offset: A place in the list at or before the first task after the floor.
    """

    def __init__(
        self,
        size: int,
        *,
        desc: bool = False,
        from_start: bool = True,
        floor: datetime | None = None,
        recent: Iterable[tuple[datetime, str]] = (),
        offset: int = 0,
    ) -> None:
        """Begin, or continue from what was stored.

        Args:
            size: How many tasks to remember. Ties may add a few.
            desc: The direction of the looks.
            from_start: Whether the first look begins at the start of an ascending list. Any other one sets the floor
                right before the first task delivered, since what comes before it was not asked for.
            floor: As stored.
            recent: As stored.
            offset: As stored.
        """
        self.floor = floor
        self.offset = offset
        self._size = size
        self._desc = desc
        self._from_start = from_start
        self._ids: set[str] = set()
        self._sorted: list[tuple[timedelta, datetime, str]] = []  # in the walk's order
        for key, id_ in recent:
            self._remember(key, id_)

    @property
    def recent(self) -> tuple[tuple[datetime, str], ...]:
        """The tasks that are remembered, in the walk's order."""
        return tuple((key, id_) for _, key, id_ in self._sorted)

    @classmethod
    def after(cls, size: int, bookmark: Bookmark | None) -> Self:
        """Return what was delivered up to a bookmark, that of a follower or that of a walk."""
        if bookmark is None:
            return cls(size)
        if bookmark.recent:
            return cls(size, floor=bookmark.floor, recent=bookmark.recent, offset=bookmark.offset)
        moment = bookmark.created_at
        recent = [(moment, id_) for id_ in bookmark.ids]
        return cls(size, floor=_before(moment), recent=recent, offset=bookmark.offset)

    @property
    def start(self) -> Bookmark | None:
        """Where the next look begins; `None`: at the start of the list."""
        if self.floor is not None:
            return Bookmark(self.floor, frozenset(), self.offset, self._desc)
        # A short list, all of which is remembered: a look that begins before all times reads it from the other end.
        return Bookmark(BEGINNING, frozenset(), 0, self._desc) if self._sorted and self._from_start else None

    @property
    def bookmark(self) -> Bookmark | None:
        """The place after all that was delivered; `None` before the first task."""
        if not self._sorted:
            return None
        last = self._sorted[-1][1]
        ids = frozenset(id_ for _, key, id_ in self._sorted if key == last)
        return Bookmark(last, ids, self.offset, self._desc, self.floor, self.recent)

    def is_new(self, key: datetime, id_: str) -> bool:
        """Return True if the task was never delivered, and counts."""
        return id_ not in self._ids and (self.floor is None or self._distance(key) > self._distance(self.floor))

    def deliver(self, key: datetime, id_: str, offset: int) -> None:
        """Remember a task that was delivered.

        Args:
            key: Its `created_at`.
            id_: Its id.
            offset: Its place in the list.
        """
        self._remember(key, id_)
        self._forget(self._distance(key))
        begins_elsewhere = self.floor is None and not self._from_start and len(self._sorted) == 1
        if begins_elsewhere or not self._size:
            self.floor = _before(key, desc=self._desc)
        self.offset = max(0, offset - len(self._sorted))

    def _remember(self, key: datetime, id_: str) -> None:
        insort(self._sorted, (self._distance(key), key, id_))
        self._ids.add(id_)

    def _forget(self, here: timedelta) -> None:
        """Forget the first tasks, but none at or after the place of the look: what is beside them is still to come."""
        count = 0
        while len(self._sorted) - count > self._size and self._sorted[count][0] < here:
            _, self.floor, id_ = self._sorted[count]
            self._ids.remove(id_)
            count += 1
        del self._sorted[:count]

    def _distance(self, key: datetime) -> timedelta:
        """Return how far the key is from a fixed one, in the direction of the looks."""
        origin = datetime.min.replace(tzinfo=key.tzinfo)
        return origin - key if self._desc else key - origin


def _before(moment: datetime, *, desc: bool = False) -> datetime | None:
    """Return the instant before a time, in the direction of the looks; `None` if there is none."""
    try:
        return moment + INSTANT if desc else moment - INSTANT
    except OverflowError:
        return None
