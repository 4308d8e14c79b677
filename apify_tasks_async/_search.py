"""The search for the frontier in a list that has shifted: by doubled steps, then by halves. Pure."""

from __future__ import annotations

import attrs


@attrs.frozen(repr=False)
class Search:
    """What the pages since the last new item have shown of where the frontier is."""

    start: int
    """The place to look at first."""

    before: int | None = None
    """The last place that was seen to hold an item strictly before the frontier."""

    after: int | None = None
    """The first place that was seen to hold no such item."""

    asked: tuple[int | None, int] | None = None
    """The place that was looked at last, and the limit."""

    steps: int = 0
    """How often the search went on in one direction."""

    again: bool = False
    """Whether it is the second search: one page that was wrong, or is always cut, may have misled the first."""

    def seen(self, *, before: int | None = None, after: int | None = None) -> Search:
        """Return the search after a page that showed one of these places, or both.

        What is seen now counts more than what was seen before the list changed.
        """
        if before is None:
            kept = self.before if self.before is not None and after is not None and self.before < after else None
            return attrs.evolve(self, before=kept, after=after)
        if after is None and self.after is not None and before < self.after:
            after = self.after
        return attrs.evolve(self, before=before, after=after)

    def look(self, size: int, limit: int) -> tuple[int | None, Search]:
        """Return the next place, and the search after it.

        The place is `None` if no page can span the frontier.

        Args:
            size: How many items a page usually has.
            limit: How many are asked for.
        """
        place = self._next_place(size, limit)
        return place, attrs.evolve(self, asked=(place, limit), steps=self.steps + 1)

    def _next_place(self, size: int, limit: int) -> int | None:
        reach = (size << self.steps) - size
        if self.before is None:
            last = self.start if self.after is None else self.after - 1
            return max(0, min(self.start - reach, last))
        if self.after is None:
            return self.before + reach
        if self.after - self.before <= size and self.asked != (self.before, limit):
            return self.before
        middle = (self.before + self.after) // 2
        return middle if middle > self.before else None
