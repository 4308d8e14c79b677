"""Walks that are known to be wrong: each leaves out one rule. The searches have to find them."""

from collections.abc import Sequence

import attrs

from apify_tasks_async._bookmarks import Reading
from apify_tasks_async._page import PageRequest
from apify_tasks_async._plan import Mode
from apify_tasks_async._walk import News, Walk


class NoBracket(Walk):
    """Accepts any page."""

    def _accepts(self, request: PageRequest, reading: Reading) -> bool:
        return True


class BracketedByEqual(Walk):
    """Accepts a page that begins at the frontier: `<=` in place of `<`."""

    def _accepts(self, request: PageRequest, reading: Reading) -> bool:
        tied = self.bookmark is not None and reading.count_through(self.bookmark.created_at) > 0
        return tied or super()._accepts(request, reading)


class EndsAtAnyShortPage(Walk):
    """Believes that a page with fewer items than its limit is the last one."""

    def _believes_end(self, reading: Reading, end: int) -> bool:
        return len(reading) < self._page_size.asked


class BelievesAnEqualTotal(Walk):
    """Believes a total that is the end of the page, in an exact walk too."""

    def _believes_end(self, reading: Reading, end: int) -> bool:
        return end == self._totals.last


class BelievesATotalThatIsTooLow(Walk):
    """Believes that the list ends where the total says, or before."""

    def _believes_end(self, reading: Reading, end: int) -> bool:
        return end >= self._totals.last


class OtherEndWithoutBracket(Walk):
    """Believes that nothing is missing if the other end shows the frontier itself."""

    def _reaches_frontier(self, reading: Reading) -> bool:
        tied = self.bookmark is not None and reading.count_through(self.bookmark.created_at) > 0
        return tied or super()._reaches_frontier(reading)


class OtherEndWithoutNews(Walk):
    """Believes that nothing is missing if the other end shows nothing new."""

    def _reaches_frontier(self, reading: Reading) -> bool:
        return not reading.news(self.bookmark) or super()._reaches_frontier(reading)


class ForgetsTies(Walk):
    """Remembers only the last id at the frontier."""

    def _deliver(self, reading: Reading, positions: Sequence[int]) -> News:
        news = super()._deliver(reading, positions)
        if self.bookmark and news.positions:
            last = frozenset([reading.identity(news.positions[-1])])
            self.bookmark = attrs.evolve(self.bookmark, ids=last)
        return news


class NeverBrackets(Walk):
    """Counts on its places, although the list changes."""

    exact = False

    def _notice_changes(self, request: PageRequest, reading: Reading, news: Sequence[int]) -> None:
        pass

    def _accepts(self, request: PageRequest, reading: Reading) -> bool:
        return self._mode is not Mode.BRACKET or super()._accepts(request, reading)


class IgnoresRepeats(Walk):
    """Does not take items that come again for a sign of a change."""

    exact = False

    def _notice_changes(self, request: PageRequest, reading: Reading, news: Sequence[int]) -> None:
        if not self._totals.steady:
            self._bracket()


MUTANTS: list[type[Walk]] = [
    NoBracket,
    BracketedByEqual,
    EndsAtAnyShortPage,
    BelievesAnEqualTotal,
    BelievesATotalThatIsTooLow,
    OtherEndWithoutBracket,
    OtherEndWithoutNews,
    ForgetsTies,
    NeverBrackets,
    IgnoresRepeats,
]
