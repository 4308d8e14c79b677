"""What the answers since the last new item have shown, and what to say when the walk gives up. Pure."""

from __future__ import annotations

from enum import Enum, auto

import attrs

from apify_tasks_async._bookmarks import Reading
from apify_tasks_async._search import Search
from apify_tasks_async.models import Bookmark

MAXIMUM_PAGES = 32
"""The maximum number of pages in a row without a new item."""


class OtherEnd(Enum):
    """What the other end of the list has shown."""

    UNSEEN = auto()
    NOTHING = auto()
    MORE = auto()


@attrs.frozen(repr=False)
class Standstill:
    """What the answers since the last new item have shown. A new one begins with each new item."""

    pages: int = 0
    """How many pages brought nothing new."""

    other_end: OtherEnd = OtherEnd.UNSEEN
    """Whether the other end shows more than the walk has delivered."""

    search: Search | None = None
    """The search for the frontier, once a page was beside it."""

    first: tuple[int, str] | None = None
    """The offset of the last page that had items, and the identity of its first item."""

    repeats: int = 0
    """How often in a row another offset brought the same first item."""

    def after(self, offset: int, reading: Reading) -> Standstill:
        """Return what is known after one more page without news."""
        first = (offset, reading.identity(0)) if reading else None
        repeats = 0
        if first and self.first and first[1] == self.first[1]:
            repeats = self.repeats + (first[0] != self.first[0])
        return attrs.evolve(self, pages=self.pages + 1, first=first, repeats=repeats)

    @property
    def offset_ignored(self) -> bool:
        """Whether the server seems to give the same page for each offset."""
        return self.repeats >= 2

    @property
    def hopeless(self) -> bool:
        """Whether more pages of the same kind would not help."""
        return self.offset_ignored or self.pages > MAXIMUM_PAGES

    def problem(self, frontier: Bookmark | None, total: int) -> str:
        """Say in one line why the walk cannot go on."""
        place = f"the task created at {frontier.created_at}" if frontier else "the beginning"
        if self.offset_ignored:
            return "the server ignores offset: different offsets bring the same tasks"
        if self.other_end is OtherEnd.NOTHING:
            return f"the list says it has {total} tasks but shows none after {place}: hidden rows, or an outage"
        if self.pages > MAXIMUM_PAGES:
            return f"{self.pages} pages in a row brought nothing new: the list changes faster than it can be read"
        return (
            f"no page reaches past {place}: more tasks share that time than fit into a page, "
            "pages have only one or two tasks, or a whole page is hidden"
        )
