"""Which page next, and which of its tasks are new. Pure: no I/O, no clock, no tasks.

The walk keeps a frontier: the place behind the last item that was accepted, which is a `Bookmark`. A page is
*bracketed* if it begins at the start of the list, or with an item strictly before the frontier. A response is one
contiguous part of the list, so whatever lives between that item and the page's last one is in the page: everything
behind the frontier, up to there, is now known, however often the list changed since the page before.

On a quiet list the plain walk needs no bracket: its pages adjoin. As soon as it sees a change it goes on with brackets.
"""

from __future__ import annotations

import hashlib
import operator
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta

import attrs

from apify_tasks_async._arguments import check_boolean, check_integer, short_repr
from apify_tasks_async._protocol import MAX_LIMIT, Item, PageRequest, Slice
from apify_tasks_async.errors import DriftError, InvalidResponseError
from apify_tasks_async.models import Bookmark, Task

__all__ = ["LEAST_EXACT_PAGE_SIZE", "Step", "Walk", "bookmark_behind"]

OVERLAP = 8
"""How many items a bracketed page repeats of the page before, so that small shifts cost no request."""

LEAST_EXACT_PAGE_SIZE = 4
"""The smallest page that can hold an overlap, a tie and something new."""

PATIENCE = 32
"""How many responses without a new item end a walk that does not merely walk forward again."""

HERE = timedelta(0)

_created_at = operator.attrgetter("created_at")


@attrs.frozen
class Step:
    """What a response brought."""

    request: PageRequest
    response: Slice
    keys: list[datetime]
    """What the items of the response are sorted by."""

    fresh: list[int]
    """The places in the response of the items that are new."""

    before: Bookmark | None
    """The frontier before the response."""

    restarted: bool
    """Whether the requests that were planned behind this one are void."""

    @property
    def items(self) -> tuple[Item, ...]:
        """The new items, in order."""
        items = self.response.items
        return items if len(self.fresh) == len(items) else tuple(items[index] for index in self.fresh)

    @property
    def offset(self) -> int:
        """The place of the first new item in the list."""
        return self.request.offset + (self.fresh[0] if self.fresh else 0)

    def bookmark_behind(self, count: int) -> Bookmark | None:
        """Return the place behind the first `count` new items."""
        old, keys = self.before, self.keys
        if not count or not keys:
            return self._seen_again(old) if old else None
        stop = self.fresh[count - 1] + 1
        key = keys[stop - 1]
        start, _ = span(keys, key, stop, desc=self.request.desc)
        tied = old if old and old.created_at == key else None
        ids = frozenset(map(_identity, self.response.items[start:stop]))
        if start > 0:
            before = self.request.offset + start - 1
        else:
            before = tied.offset if tied else max(0, self.request.offset - 1)
        return Bookmark(key, ids | tied.ids if tied else ids, before, self.request.desc)

    def _seen_again(self, old: Bookmark) -> Bookmark:
        """Return the frontier with its place in the list as this response shows it, if it does."""
        start, _ = span(self.keys, old.created_at, len(self.keys), desc=self.request.desc)
        if start == 0 < self.request.offset:
            return old
        return attrs.evolve(old, offset=max(0, self.request.offset + start - 1))


class Walk:
    """The plan of one walk. Ask `next_request` what to fetch; give the responses to `receive`, in the order asked."""

    def __init__(
        self,
        *,
        desc: bool = False,
        offset: int = 0,
        limit: int | None = None,
        page_size: int = MAX_LIMIT,
        exact: bool = False,
        after: Bookmark | None = None,
    ) -> None:
        check_boolean("desc", desc)
        check_boolean("exact", exact)
        check_integer("offset", offset, minimum=0)
        check_integer("page_size", page_size, minimum=LEAST_EXACT_PAGE_SIZE if exact else 1, maximum=MAX_LIMIT)
        if limit is not None:
            check_integer("limit", limit, minimum=1)
        if after is not None:
            _check_bookmark(after, offset=offset, desc=desc)
        self._desc = desc
        self._page_size = page_size
        self._remaining = limit
        self._bracketed = exact or after is not None
        self._frontier = after
        self._planned: deque[PageRequest] = deque()
        self._most = MAX_LIMIT  # records that the server puts into a page
        self._total: int | None = None
        self._alone = True  # the first page, and each re-read: more is planned only once it was accepted
        self._rereads = 0  # since the last new item
        self._vanished = 0  # items of the list, as far as the totals tell, during those
        self._fruitless = 0  # responses since the last new item
        self._pages_to_cross = 0  # in the list, when the first of them came
        self._position = offset if after is None else self._before_frontier()
        self.finished: bool = False

    @property
    def bookmark(self) -> Bookmark | None:
        """The place behind the last item that was accepted."""
        return self._frontier

    @property
    def awaited(self) -> PageRequest:
        """The request whose response is to be received next."""
        return self._planned[0]

    def next_request(self) -> PageRequest | None:
        """Return the next page to fetch, or `None` if that depends on a response still to come."""
        if self.finished or not self._worth_planning():
            return None
        request = PageRequest(self._position, self._limit(), self._desc)
        self._planned.append(request)
        self._position += request.limit - self._overlap()
        return request

    def plan_again(self) -> None:
        """Forget the requests that are planned, since there will be no response to the oldest of them."""
        self._position = self._planned[0].offset
        self._planned.clear()

    def _worth_planning(self) -> bool:
        if not self._planned:
            return True
        if self._alone or self._wanted() == 0:
            return False
        return self._position + self._overlap() < (self._total or 0)

    def _limit(self) -> int:
        wanted = self._wanted()
        if self._fruitless or wanted is None:
            return self._page_limit()
        # A walk that is resumed meets the frontier itself again, behind the overlap.
        known = len(self._frontier.ids) if self._total is None and self._frontier else 0
        return min(self._page_limit(), wanted + self._overlap() + known)

    def _page_limit(self) -> int:
        """Return how many records a page is to have: ever more while nothing new comes, to get past what is there."""
        size = max(self._page_size, LEAST_EXACT_PAGE_SIZE) if self._bracketed else self._page_size
        return min(size << min(self._fruitless, 10), self._most)

    def _overlap(self) -> int:
        if not self._bracketed:
            return 0
        # A re-read begins right before the frontier, to leave all the room there is for ties.
        return 1 if self._rereads else min(OVERLAP, self._page_limit() // 2)

    def _wanted(self) -> int | None:
        """Return how many items are still to be planned for; `None` if all that there are."""
        if self._remaining is None:
            return None
        overlap = self._overlap()
        return max(0, self._remaining - sum(request.limit - overlap for request in self._planned))

    def receive(self, response: Slice) -> Step:
        """Take the response to the oldest planned request, and say what is new in it.

        Raises:
            InvalidResponseError: The response is not sorted as asked.
            DriftError: Too many responses in a row brought nothing new, and yet the walk is not at its end.
        """
        request = self._planned.popleft()
        keys = _keys(response)
        self._check_sorted(request, response, keys)
        fresh = self._fresh(response.items, keys)
        accepted = self._accepts(request, response, keys, repeats=len(fresh) < len(response.items))
        if self._bracketed and response.items and not keys:
            raise self._useless(request, response, "no item of the page has a readable createdAt to find the place by")
        # A bookmark knows of the tasks up to its own place.
        expected = self._frontier.offset + 2 if self._total is None and self._frontier else self._total or 0
        vanished = max(0, expected - response.total)
        self._total = response.total
        self._most = min(self._most, max(response.limit, 1)) if response.limit < request.limit else self._most
        if accepted:
            return self._accept(request, response, keys, fresh)
        self._reread(request, response, vanished)
        return Step(request, response, keys, [], self._frontier, restarted=True)

    def _accepts(self, request: PageRequest, response: Slice, keys: list[datetime], *, repeats: bool) -> bool:
        """Tell whether nothing can hide between the frontier and what is new in the response."""
        first = self._total is None and self._frontier is None
        if repeats or self._total not in (None, response.total):
            self._bracketed = True
        if not self._bracketed:
            return True
        if first or request.offset == 0:
            return True
        if not keys or self._frontier is None:
            return False
        return distance(keys[0], self._frontier.created_at, desc=self._desc) < HERE

    def _useless(self, request: PageRequest, response: Slice, problem: str) -> InvalidResponseError:
        return InvalidResponseError(problem, attempts=response.attempts, bookmark=self._frontier, **request.where())

    def _check_sorted(self, request: PageRequest, response: Slice, keys: list[datetime]) -> None:
        if keys != sorted(keys, reverse=self._desc):
            order = "descending" if self._desc else "ascending"
            raise self._useless(request, response, f"the page is not sorted by createdAt in {order} order")

    def _fresh(self, items: Sequence[Item], keys: list[datetime]) -> list[int]:
        """Return the places in the page of the items that were not accepted before."""
        frontier = self._frontier
        if frontier is None or not keys:
            return list(range(len(items)))
        start, end = span(keys, frontier.created_at, len(keys), desc=self._desc)
        ties = [index for index in range(start, end) if _identity(items[index]) not in frontier.ids]
        return [*ties, *range(end, len(items))]

    def _accept(self, request: PageRequest, response: Slice, keys: list[datetime], fresh: list[int]) -> Step:
        if self._remaining is not None:
            del fresh[self._remaining :]
            self._remaining -= len(fresh)
        self._alone = False
        self.finished = self._is_last(request, response, fresh) or self._remaining == 0
        if fresh:
            self._rereads = self._fruitless = self._vanished = 0
        elif not self.finished:
            self._endure(request, response)
        step = Step(request, response, keys, fresh, self._frontier, restarted=False)
        self._frontier = step.bookmark_behind(len(fresh))
        return attrs.evolve(step, restarted=self._adjoin(request, response))

    def _is_last(self, request: PageRequest, response: Slice, fresh: list[int]) -> bool:
        """Tell whether nothing can come behind the response."""
        end = request.offset + len(response.items)
        if len(response.items) < min(request.limit, response.limit):
            # A short page is the last one; if the total says otherwise, what comes behind it is looked at once more.
            return not fresh or end >= response.total
        # Without brackets the pages adjoin, and a total that never changed may be believed if it fits exactly.
        return not self._bracketed and end == response.total

    def _adjoin(self, request: PageRequest, response: Slice) -> bool:
        """Plan on from the end of the response; tell whether what was planned would leave a gap, and is void."""
        position = max(0, request.offset + len(response.items) - self._overlap())
        if self._bracketed and self._frontier:
            # Of ties at the end of the page the next one could not begin with one, and be bracketed.
            position = min(position, max(request.offset, self._frontier.offset))
        gap = bool(self._planned) and self._planned[0].offset > position
        if gap:
            self._planned.clear()
        if not self._planned:
            self._position = position
        return gap

    def _reread(self, request: PageRequest, response: Slice, vanished: int) -> None:
        """Give up what was planned, and look for the frontier where it should be by now, then further back."""
        self._endure(request, response)
        self._vanished += vanished
        back = self._page_size << (self._rereads - 1) if self._rereads else 0
        self._rereads += 1
        self._position = self._before_frontier(self._vanished + back)
        self._alone = True
        self._planned.clear()

    def _before_frontier(self, back: int = 0) -> int:
        """Return where to read from in order to meet the frontier, and so much before it."""
        seen_at = self._frontier.offset if self._frontier else 0
        return max(0, seen_at + 1 - back - self._overlap())

    def _endure(self, request: PageRequest, response: Slice) -> None:
        """Count a response that brought nothing new, and give up after too many of them."""
        self._fruitless += 1
        if self._fruitless == 1:
            self._pages_to_cross = (self._total or 0) // max(1, self._page_limit() - self._overlap())
        if self._fruitless > PATIENCE + self._pages_to_cross:
            self.finished = True
            raise DriftError(
                f"{self._fruitless} responses in a row held nothing new: the list changes faster than it can be read, "
                f"or more tasks than fit into a page were created at {self._frontier and self._frontier.created_at}",
                bookmark=self._frontier,
                attempts=response.attempts,
                **request.where(),
            )


def bookmark_behind(request: PageRequest, response: Slice) -> Bookmark | None:
    """Return the place behind the last item of a page that is no part of a walk; `None` if there is none."""
    walk = Walk(desc=request.desc, offset=request.offset, limit=request.limit, page_size=request.limit)
    walk.next_request()
    try:
        walk.receive(response)
    except InvalidResponseError:
        return None  # without an order there is nothing to be behind of
    return walk.bookmark


def distance(key: datetime, place: datetime, *, desc: bool) -> timedelta:
    """Return how far behind the place the key comes in the order of the walk: negative if it comes before."""
    return place - key if desc else key - place


def span(keys: list[datetime], place: datetime, stop: int, *, desc: bool) -> tuple[int, int]:
    """Return from where up to where, among the first `stop`, the keys are equal to the place."""

    def behind(key: datetime) -> timedelta:
        return distance(key, place, desc=desc)

    return bisect_left(keys, HERE, hi=stop, key=behind), bisect_right(keys, HERE, hi=stop, key=behind)


def _check_bookmark(after: Bookmark, *, offset: int, desc: bool) -> None:
    if not isinstance(after, Bookmark):
        raise TypeError(f"after must be a Bookmark, got {short_repr(after)}")
    check_integer("after.offset", after.offset, minimum=0)
    check_boolean("after.desc", after.desc)
    if offset:
        raise ValueError(f"offset must be 0 with after, which says itself where to carry on, got {offset}")
    if after.desc is not desc:
        raise ValueError(f"desc must be {after.desc}, the direction of after, got {desc}")


def _keys(response: Slice) -> list[datetime]:
    """Return what the items are sorted by. An item whose `createdAt` is unreadable takes that of its neighbour."""
    keys = list(map(_created_at, response.items))
    if not response.invalid:
        return keys
    readable = [key for key in keys if key is not None]
    if not readable:
        return []
    last = readable[0]  # at the start of the page there is only the neighbour behind
    return [last := last if key is None else key for key in keys]


def _identity(item: Item) -> str:
    """Return what tells an item from others created at the same moment."""
    if isinstance(item, Task):
        return item.id
    return item.task_id or hashlib.sha256(repr(item.raw).encode("utf-8", "backslashreplace")).hexdigest()
