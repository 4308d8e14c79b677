"""How long the list is, and how long a page: what the server says, and what it shows. Pure."""

from __future__ import annotations

import attrs

from apify_tasks_async._page import Page

OVERLAP = 8
"""How many items a bracketed page repeats, so that small shifts cost no request."""

LEAST_OVERLAP = 2
"""An item before the frontier, and the frontier."""

REMEMBERED = 8
"""How many page sizes are kept."""


@attrs.frozen(repr=False)
class Totals:
    """What the answers of a walk say of the list's length."""

    last: int = 0
    """The total of the last answer."""

    largest: int = 0
    """The largest total so far."""

    steady: bool = True
    """Whether all totals were equal."""

    known: bool = False
    """Whether there was an answer."""

    def after(self, total: int) -> Totals:
        """Return the totals with that of one more answer."""
        steady = self.steady and (not self.known or total == self.last)
        return Totals(total, max(self.largest, total), steady, known=True)


@attrs.frozen(repr=False)
class PageSize:
    """What the pages of a walk have shown of the server's page size."""

    asked: int
    """The limit that the walk asks for, as long as it finds something new."""

    said: int
    """The smallest limit that the server named."""

    recent: tuple[int, ...] = ()
    """The sizes of the last pages that were not at the end of the list."""

    def after(self, page: Page, count: int) -> PageSize:
        """Return what is known after an accepted page with this count of distinct items."""
        said = min(self.said, page.limit) if page.limit < page.request.limit else self.said
        at_end = page.request.offset + count >= page.total
        limited = page.request.limit < self.asked and count >= page.request.limit
        if not count or at_end or limited:
            return attrs.evolve(self, said=said)
        # A page that was asked for more than usual says only that this much fits.
        return attrs.evolve(self, said=said, recent=(*self.recent, min(count, self.asked))[-REMEMBERED:])

    @property
    def common(self) -> int:
        """The second smallest of the recent sizes: one cut page changes nothing."""
        return sorted(self.recent)[:2][-1] if self.recent else min(self.asked, self.said)

    @property
    def size(self) -> int:
        """The size to plan with: not less than half of the largest page, so that a few small ones cost little."""
        return max(self.common, max(self.recent, default=0) // 2)

    @property
    def overlap(self) -> int:
        """How many items a bracketed page should repeat."""
        return max(LEAST_OVERLAP, min(OVERLAP, self.common // 2))
