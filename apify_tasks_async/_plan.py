"""Which page to ask for next. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto

from apify_tasks_async._defaults import MAX_LIMIT, MINIMUM_EXACT_PAGE_SIZE
from apify_tasks_async._page import PageRequest
from apify_tasks_async._sizes import PageSize, Totals
from apify_tasks_async._standstill import OtherEnd, Standstill
from apify_tasks_async.models import Bookmark


class Mode(Enum):
    """How a walk gets through the list."""

    ADJOIN = auto()
    """Page after page, without overlap: a default walk, as long as it sees no sign of a change."""

    BRACKET = auto()
    """With overlap, accepting only bracketed pages: all other walks."""

    CROSS = auto()
    """As ADJOIN, and over rows that the server counts but does not show: a default walk that cannot get further."""


class Plan:
    """The requests of a walk: those in flight, and the place to go on from."""

    def __init__(
        self,
        *,
        desc: bool,
        offset: int,
        limit: int | None,
        page_size: int,
        after: Bookmark | None,
        expected: int | None,
    ) -> None:
        self.desc = desc
        self.finished = False
        self.bookmark = after
        self._start = offset
        self._remaining = limit
        self._mode = Mode.ADJOIN
        self._queue: tuple[PageRequest, ...] = ()
        self._position = offset  # the place to ask for next
        self._expected = 0 if expected is None else expected  # how long the list seems to be, before the first answer
        self._one_at_a_time = expected is None  # whether nothing more is asked for before the next page with news
        self._cut = False  # whether the page before `_position` had fewer items than it could have
        self._page_size = PageSize(page_size, said=page_size)
        self._totals = Totals()
        self._standstill = Standstill()

    @property
    def total(self) -> int:
        """The largest number of tasks that the server counted during the walk."""
        return self._totals.largest

    def requests(self, width: int) -> Sequence[PageRequest]:
        """Return the requests to have in flight, in the order of their turn; none if the walk is finished.

        A request stays the same object until its page is received. There are at most `width` of them; one more if a
        page turns out to be needed before those in flight.
        """
        while not self.finished and (not self._queue or self._plans_ahead(width)):
            self._plan()
        return self._queue

    def _plans_ahead(self, width: int) -> bool:
        """Return True if another page is worth asking for while others are in flight."""
        if self._one_at_a_time or len(self._queue) >= width or self._is_other_end(self._queue[-1]):
            return False
        if self._standstill.other_end is not OtherEnd.UNSEEN:  # the next page with news may be the last but one
            return False
        # How a bracketed walk ends depends on the answer before.
        rest = self._page_size.size if self._mode is Mode.BRACKET and not self._totals.known else 0
        return self._wanted() > 0 and self._position + self._overlap + rest < self._length

    def _plan(self) -> None:
        """Ask for the page at the position, or in place of the last page for the other end."""
        if self._ends_near(self._position + self._overlap):
            self._queue = (*self._queue, self._other_end())
            return
        request = self._page_at(self._position, self._wanted())
        self._queue = (*self._queue, request)
        self._position += max(1, min(request.limit, self._page_size.size) - self._overlap)
        self._cut = False

    def _ends_near(self, end: int) -> bool:
        """Return True if what comes after `end` seems to fit into a page, and the other end was not asked yet."""
        rest = self._totals.last - end
        if self.bookmark is None or self._standstill.other_end is not OtherEnd.UNSEEN or rest > self._wanted():
            return False
        expected = self._cut or (self._mode is Mode.BRACKET and rest >= 0)
        return expected and rest < self._page_size.size - self._overlap

    def _page_at(self, offset: int, wanted: int) -> PageRequest:
        known = len(self.bookmark.ids) if self.bookmark and self._mode is Mode.BRACKET else 0
        limit = self._limit if self._standstill.pages else min(self._limit, max(1, wanted) + self._overlap + known)
        return PageRequest(offset, limit, self.desc)

    def _other_end(self, limit: int = MAX_LIMIT) -> PageRequest:
        return PageRequest(0, min(limit, self._limit), not self.desc)

    def _is_other_end(self, request: PageRequest) -> bool:
        return request.desc is not self.desc

    @property
    def pages_foreseen(self) -> int:
        """How many pages the walk may take, before anything is known of the list. After a bookmark: one."""
        tasks = MAX_LIMIT * MAX_LIMIT if self._remaining is None else self._remaining
        return 1 if self.bookmark else -(-tasks // self._page_size.asked)

    @property
    def _length(self) -> int:
        return self._totals.last if self._totals.known else self._expected

    @property
    def _limit(self) -> int:
        """The limit of a request: doubled by each page without news, to get past ties."""
        return min(MAX_LIMIT, self._page_size.asked << min(self._standstill.pages, 10))

    @property
    def _overlap(self) -> int:
        return self._page_size.overlap if self._mode is Mode.BRACKET else 0

    def _wanted(self) -> int:
        """Return how many items there are still to ask for."""
        if self._remaining is None:
            return MAX_LIMIT
        expected = (min(request.limit, self._page_size.size) - self._overlap for request in self._queue)
        return self._remaining - sum(expected)

    def _ask_first(self, request: PageRequest) -> None:
        """Put a request before those in flight."""
        self._queue = (request, *self._queue)

    def _ask_page_first(self, offset: int) -> None:
        self._ask_first(self._page_at(offset, MAX_LIMIT if self._remaining is None else self._remaining))

    def _ask_alone(self, offset: int) -> None:
        """Drop what is in flight, and ask for one page."""
        self._queue, self._one_at_a_time, self._position, self._cut = (), True, offset, False

    def _bracket(self) -> None:
        """Go on with brackets. What is in flight adjoins, so that it would leave gaps."""
        if self._mode is Mode.BRACKET:
            return
        self._mode = Mode.BRACKET
        self._queue = ()
        if self._page_size.asked < MINIMUM_EXACT_PAGE_SIZE:
            self._page_size = PageSize(MINIMUM_EXACT_PAGE_SIZE, said=MINIMUM_EXACT_PAGE_SIZE)

    @property
    def _hint(self) -> int:
        """The place where the item before the frontier should be."""
        place = self.bookmark.offset if self.bookmark else self._start
        return max(0, min(place, self._totals.last - 1))
