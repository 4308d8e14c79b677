"""Which items of a page are new, and where the list ends. Pure: no I/O, no clock, no asyncio.

The *frontier* is the place after the last item delivered. A page is *bracketed* if it begins with an item strictly
before the frontier, or at the start of the list. Each page is one gapless piece of the list. So a bracketed page holds
everything between the frontier and its own last item, however the list changed since the page before.

A walk whose pages adjoin (see `_plan.Mode`) believes a total that equals the end of the page exactly. Any other asks
for the *other end*: the first page in the opposite direction. If that reaches back to the frontier, nothing is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

import attrs

from apify_tasks_async._arguments import check_boolean, check_integer
from apify_tasks_async._bookmarks import BEGINNING, Reading, check_bookmark, read_page
from apify_tasks_async._defaults import MAX_LIMIT, MINIMUM_EXACT_PAGE_SIZE
from apify_tasks_async._page import Page, PageRequest
from apify_tasks_async._plan import Mode, Plan
from apify_tasks_async._search import Search
from apify_tasks_async._standstill import OtherEnd, Standstill
from apify_tasks_async.errors import DriftError, InvalidResponseError
from apify_tasks_async.models import Bookmark

ATTEMPTS = 5
"""How many answers in a row may be unusable."""

FIRST_LOOK = 200
"""How many items a resumed walk reads from the other end before anything else."""

HIDDEN = "the server counts tasks that it does not show: some may be missing; exact=True raises an error then"


@attrs.frozen(eq=False, repr=False)
class News:
    """What a page brought. The walk does not keep it, so that a page that was delivered is freed."""

    frontier: Bookmark | None
    """The frontier before the page."""

    reading: Reading | None = None
    positions: Sequence[int] = ()
    """Where in the reading the new items are."""

    indices: Sequence[int] = ()
    """Where in the page they are, in the order of delivery."""

    def identify(self, number: int) -> tuple[datetime, str]:
        """Return what the new entry of that number is sorted by, and what tells it from others of the same key."""
        reading, position = cast("Reading", self.reading), self.positions[number]
        return reading.keys[position], reading.identity(position)

    def bookmark_after(self, count: int) -> Bookmark | None:
        """Return the place after the first `count` new entries."""
        if not count or self.reading is None:
            return self.frontier
        return self.reading.bookmark_after(self.positions[count - 1], self.frontier)


class Walk(Plan):
    """The plan of one walk. Fetch what `requests` returns; give `receive` the answer to the first of them.

    All attributes are immutable values: a shallow copy is a snapshot of the walk.

    Args:
        desc: The direction.
        offset: How many tasks to skip.
        limit: The maximum number of tasks.
        page_size: The maximum number of tasks in one request.
        exact: Whether to prove that nothing is missing.
        after: The place to continue from.
        expected: How many tasks the list seems to have. Then several pages are asked for at once from the start. An
            expectation that is wrong costs requests, or time, and changes nothing in what is delivered.

    Attributes:
        desc: The direction.
        finished: Whether everything was delivered that the walk was asked for.
        bookmark: The frontier: the place after everything accepted so far.
        reseeks: How often the walk looked for its frontier again.
        warning: One sentence, once a default walk has found that rows are hidden.
    """

    def __init__(
        self,
        *,
        desc: bool = False,
        offset: int = 0,
        limit: int | None = None,
        page_size: int = MAX_LIMIT,
        exact: bool = False,
        after: Bookmark | None = None,
        expected: int | None = None,
    ) -> None:
        check_boolean("desc", desc)
        check_boolean("exact", exact)
        check_integer("offset", offset, minimum=0)
        check_integer("page_size", page_size, minimum=MINIMUM_EXACT_PAGE_SIZE if exact else 1, maximum=MAX_LIMIT)
        if limit is not None:
            check_integer("limit", limit, minimum=1)
        if after is not None:
            check_bookmark(after, offset=offset, desc=desc)
        super().__init__(desc=desc, offset=offset, limit=limit, page_size=page_size, after=after, expected=expected)
        self.reseeks = 0
        self.warning: str | None = None
        self._exact = exact
        self._reach = offset  # ADJOIN and CROSS: the place up to which all pages were looked at
        self._unusable = 0  # answers in a row
        self._first_key: datetime | None = None  # of a walk with an offset: tasks before the offset may have it too
        if exact or after:
            self._bracket()
        if after:
            self._resume(after)

    def _resume(self, after: Bookmark) -> None:
        self._position = max(0, after.offset + 1 - self._overlap)
        if self._remaining is None:  # often there is little new
            self._queue = (self._other_end(FIRST_LOOK),)

    # What an answer brings

    def receive(self, page: Page) -> News:
        """Take the answer to the first request, and return what is new in it.

        Raises:
            InvalidResponseError: Several answers in a row were unusable.
            DriftError: The walk cannot show that it missed nothing.
        """
        request, *queue = self._queue
        self._queue = tuple(queue)
        reading = read_page(page, desc=self.desc)
        problem = self._problem(page, reading)
        if reading is None or problem:
            self._try_again(page, problem)
            return News(self.bookmark)
        self._unusable = 0
        shrunk = max(0, self._totals.last - page.total)
        self._totals = self._totals.after(page.total)
        news = self._news(request, reading)
        if self._is_other_end(request):
            return self._receive_other_end(reading, news)
        self._notice_changes(request, reading, news)
        if self._accepts(request, reading):
            return self._accept(page, reading, news)
        self._receive_unbracketed(page, reading, news, shrunk)
        return News(self.bookmark)

    def _problem(self, page: Page, reading: Reading | None) -> str | None:
        """Say why the answer is unusable; `None` if it is usable."""
        asked = page.request
        if (page.offset, page.desc) != (asked.offset, asked.desc):
            return f"asked for offset={asked.offset} desc={asked.desc}, got offset={page.offset} desc={page.desc}"
        if reading is None:
            return f"the page is not sorted by createdAt in {'descending' if asked.desc else 'ascending'} order"
        if reading and not reading.keys and self._mode is Mode.BRACKET:
            return "no item of the page has a readable createdAt to find the place by"
        return None

    def _try_again(self, page: Page, problem: str | None) -> None:
        self._unusable += 1
        where: dict[str, Any] = {"attempts": page.attempts, "bookmark": self.bookmark, **page.request.where()}
        if self._unusable >= ATTEMPTS:
            raise InvalidResponseError(f"{problem}, {ATTEMPTS} times in a row", **where)
        self._ask_first(attrs.evolve(page.request))

    def _news(self, request: PageRequest, reading: Reading) -> Sequence[int]:
        """Return the positions of the items that were not delivered before."""
        news = reading.news(self.bookmark)
        if self._first_key is None or request.offset >= self._start:
            return news
        return [position for position in news if reading.keys[position] != self._first_key]

    def _notice_changes(self, request: PageRequest, reading: Reading, news: Sequence[int]) -> None:
        """Go on with brackets once a total differs, or other items come again than the request overlaps."""
        again = len(reading) - len(news)
        overlapped = min(max(0, self._reach - request.offset), len(reading))
        if not self._totals.steady or (self._mode is Mode.ADJOIN and again != overlapped):
            self._bracket()

    def _accepts(self, request: PageRequest, reading: Reading) -> bool:
        """Return True if nothing can be missing between the frontier and the news of the page."""
        if self._mode is not Mode.BRACKET and request.offset <= self._reach:
            return True
        if self.bookmark is None:
            return request.offset <= self._start
        return request.offset == 0 or reading.count_before(self.bookmark.created_at) > 0

    def _accept(self, page: Page, reading: Reading, news: Sequence[int]) -> News:
        end = page.request.offset + len(reading)
        cut = len(page.entries) < min(page.request.limit, page.limit)
        self._page_size = self._page_size.after(page, len(reading))
        delivered = self._deliver(reading, news)
        if self._remaining == 0 or self._believes_end(reading, end):
            self._finish()
        elif delivered.positions:
            self._go_on(end, cut=cut)
        else:
            self._receive_nothing_new(page, reading, end, cut=cut)
        return delivered

    def _deliver(self, reading: Reading, positions: Sequence[int]) -> News:
        """Move the frontier after the news, as far as they are wanted."""
        positions = positions[: self._remaining]
        if self._start and not self.bookmark and reading.keys:
            self._first_key = reading.keys[0]
        frontier = self.bookmark and reading.seen_again(self.bookmark)
        news = News(frontier, reading, positions, reading.indices_of(positions))
        self.bookmark = news.bookmark_after(len(positions))
        if positions:
            self._standstill = Standstill()
        if self._remaining is not None:
            self._remaining -= len(positions)
        return news

    def _go_on(self, end: int, *, cut: bool) -> None:
        """Plan on from the end of a page with news, without a gap to what is in flight."""
        self._reach = max(self._reach, end)
        self._one_at_a_time = (
            cut and len(self._page_size.recent) == 1
        )  # the next page shows whether this is the usual size
        place = end
        if self._mode is Mode.BRACKET and self.bookmark:
            # A page that begins between ties at the frontier would not be bracketed.
            place = max(0, min(end - self._overlap, self.bookmark.offset))
        if not self._queue or self._is_other_end(self._queue[0]):
            self._position, self._cut = place, cut
        elif self._queue[0].offset > place:
            self._ask_page_first(place)

    # The end

    def _believes_end(self, reading: Reading, end: int) -> bool:
        """Return True if the page's own total shows that nothing comes after it."""
        if not self.bookmark and not reading and self._start:
            return self._totals.largest <= self._start  # there is nothing to prove it by
        return self._mode is not Mode.BRACKET and end == self._totals.largest

    def _receive_other_end(self, reading: Reading, news: Sequence[int]) -> News:
        """Finish if the page reaches back to the frontier; else take note of what it shows."""
        if self._reaches_frontier(reading):
            self._finish()
            return self._deliver(reading, news)
        self._cut = False
        if reading or self._totals.last:  # that the list was emptied needs another page, and then this one again
            other_end = OtherEnd.MORE if news else OtherEnd.NOTHING
            self._standstill = attrs.evolve(self._standstill, other_end=other_end)
        return News(self.bookmark)

    def _reaches_frontier(self, reading: Reading) -> bool:
        """Return True if the page from the other end shows that nothing else comes after the frontier."""
        whole = len(reading) == self._totals.last == self._totals.largest  # by its total, the page is the whole list
        if not self.bookmark or self.bookmark.created_at == BEGINNING:
            return whole and not self._start
        if reading.count_before(self.bookmark.created_at):
            return True
        # Nothing comes before the frontier: it is the first moment of the list, or the list was emptied.
        confirmed = self._standstill.pages > 0
        return whole and (reading.count_through(self.bookmark.created_at) > 0 or (confirmed and not reading))

    def _finish(self) -> None:
        self.finished, self._queue = True, ()

    # Pages without news

    def _receive_nothing_new(self, page: Page, reading: Reading, end: int, *, cut: bool) -> None:
        """Go on after an accepted page that brought nothing new: is it the end, cut, or does the list shift?"""
        place = page.request.offset
        self._standstill = self._standstill.after(place, reading)
        if self._standstill.hopeless:
            self._give_up(page)
        elif self._mode is Mode.CROSS:
            self._step_over(place + max(len(reading), self._page_size.size))
        elif cut and self._is_time_for_the_other_end(page, end):
            self._position = self._position if self._queue else place
            self._ask_first(self._other_end())
        elif cut and self._standstill.pages == 1:
            self._ask_page_first(place)
        else:
            self._search_on(page, reading, keep=bool(self._queue))

    def _is_time_for_the_other_end(self, page: Page, end: int) -> bool:
        near = page.total - end < self._page_size.size or self._standstill.pages > 1
        return near and self._standstill.other_end is OtherEnd.UNSEEN

    def _receive_unbracketed(self, page: Page, reading: Reading, news: Sequence[int], shrunk: int) -> None:
        """Search for the frontier after a page that is not bracketed."""
        self._bracket()
        self._standstill = self._standstill.after(page.request.offset, reading)
        if news:
            self._standstill = attrs.evolve(self._standstill, other_end=OtherEnd.MORE)
        if self.bookmark:
            self.bookmark = attrs.evolve(self.bookmark, offset=max(0, self.bookmark.offset - shrunk))
        if self._standstill.hopeless:
            self._give_up(page)
        elif not reading and self._queue:
            self._ask_page_first(self._hint)  # an empty page says nothing of the others
        else:
            self._search_on(page, reading, keep=False)

    def _search_on(self, page: Page, reading: Reading, *, keep: bool) -> None:
        """Note whether the page is before the frontier or after it. Then look elsewhere, unless pages are in flight."""
        offset, search = page.request.offset, self._standstill.search or Search(self._hint)
        before = reading.count_before(self.bookmark.created_at) if self.bookmark else 0
        if before or offset == 0:
            after = offset + before if before < len(reading) else None
            search = search.seen(before=max(0, offset + before - 1), after=after)
        else:
            search = search.seen(after=offset)
        self._standstill = attrs.evolve(self._standstill, search=search)
        if not keep:
            self._look(page, search)

    def _look(self, page: Page, search: Search) -> None:
        """Ask for the next place of the search; give up if no page spans the frontier."""
        self._bracket()
        size = self._page_size.size
        place, search = search.look(size, self._limit)
        if place is None and not search.again:
            place, search = Search(max(0, self._hint - size // 2), again=True).look(size, self._limit)
        if place is None or not self.bookmark:
            self._give_up(page)
            return
        self._standstill = attrs.evolve(self._standstill, search=search)
        self.reseeks += 1
        self._ask_alone(place)

    def _give_up(self, page: Page) -> None:
        """End the walk with an error. A default walk may end, or step over what is hidden, with a warning."""
        hidden = self._standstill.other_end is OtherEnd.NOTHING
        crossable = self._totals.steady and self._mode is not Mode.CROSS
        if self._exact or self._standstill.offset_ignored or not (hidden or crossable):
            problem = self._standstill.problem(self.bookmark, self._totals.last)
            where: dict[str, Any] = {"attempts": page.attempts, "bookmark": self.bookmark, **page.request.where()}
            raise DriftError(problem, **where)
        self.warning = HIDDEN
        if hidden:
            self._finish()
        else:
            self._cross()

    def _cross(self) -> None:
        search = self._standstill.search
        place = self._hint if search is None or search.before is None else search.before
        self._mode, self._standstill = Mode.CROSS, Standstill()
        self._step_over(place + self._page_size.size)

    def _step_over(self, place: int) -> None:
        """Go on from a place without a bracket, up to the total."""
        self._reach = place
        self._ask_alone(place)
        if place >= self._totals.last:
            self._finish()
