"""A list that changes while it is walked, and walks that are known to be wrong."""

import random
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from apify_tasks_async import Task
from apify_tasks_async._protocol import PageRequest, Slice
from apify_tasks_async._walk import HERE, Step, Walk, distance

START = datetime(2024, 1, 1, tzinfo=UTC)

ENDLESS = 5000
"""More requests than any walk of these lists needs: a walk that goes round in circles is no walk."""


class TaskList:
    """What the server knows: tasks in the order of their creation, of which some share a moment."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []
        self._created = 0
        self._clock = 0

    def create(self, count: int = 1, *, tick: int = 1, age: int = 0) -> None:
        """Create tasks `tick` milliseconds apart: 0 makes them ties. `age` makes them older than they are."""
        for _ in range(count):
            self._created += 1
            self._clock += tick
            moment = START + timedelta(milliseconds=max(0, self._clock - age))
            self.tasks.append(Task(f"task-{self._created}", "user", "actor", "name", moment, moment))

    def delete(self, count: int, position: int) -> None:
        """Delete tasks from a place on."""
        if self.tasks:
            place = position % len(self.tasks)
            del self.tasks[place : place + count]

    def answer(self, request: PageRequest, *, ties: int = 0, limit: int = 1000, lie: int = 0) -> Slice:
        """Answer as the endpoint does.

        Tasks of one moment come in an order that depends on `ties`, and the total is that of another moment: it is
        off by `lie`.
        """
        shuffled = random.Random(ties).sample(self.tasks, len(self.tasks)) if ties else self.tasks
        ordered = sorted(shuffled, key=lambda task: task.created_at, reverse=request.desc)
        size = min(request.limit, limit)
        items = tuple(ordered[request.offset : request.offset + size])
        return Slice(max(0, len(ordered) + lie), request.offset, size, request.desc, items)


class Reader:
    """Drives a walk as the client does: a window of requests, answered in any order, received in the one asked."""

    def __init__(self, walk: Walk, *, window: int = 1) -> None:
        self.walk = walk
        self.delivered: list[Task] = []
        self.requests: list[PageRequest] = []
        self.steps: list[Step] = []
        self._window = window
        self._waiting: deque[tuple[PageRequest, list[Slice]]] = deque()
        self._fill()

    @property
    def unanswered(self) -> list[tuple[PageRequest, list[Slice]]]:
        """The requests in flight."""
        return [entry for entry in self._waiting if not entry[1]]

    def receive(self) -> None:
        """Take what has been answered, as far as its turn has come."""
        while self._waiting and self._waiting[0][1]:
            _, (response,) = self._waiting.popleft()
            step = self.walk.receive(response)
            self.steps.append(step)
            if step.restarted or self.walk.finished:
                self._waiting.clear()
            self.delivered += (item for item in step.items if isinstance(item, Task))
            self._fill()

    def finish(self, answer: Callable[[PageRequest], Slice]) -> None:
        """Walk to the end."""
        while self.unanswered:
            assert len(self.requests) < ENDLESS, "the walk does not end"
            for request, slot in self.unanswered:
                slot.append(answer(request))
            self.receive()

    def _fill(self) -> None:
        while len(self._waiting) < self._window and (request := self.walk.next_request()):
            self.requests.append(request)
            self._waiting.append((request, []))


def read_all(walk: Walk, tasks: TaskList, *, window: int = 1, limit: int = 1000, lie: int = 0) -> Reader:
    """Walk a list that stays as it is."""
    reader = Reader(walk, window=window)
    reader.finish(lambda request: tasks.answer(request, limit=limit, lie=lie))
    return reader


class PlainOffsets(Walk):
    """Believes that pages adjoin, as every client does that only counts."""

    def _overlap(self) -> int:
        return 0

    def _accepts(self, request: PageRequest, response: Slice, keys: list[datetime], *, repeats: bool) -> bool:
        return True

    def _fresh(self, items: Iterable[object], keys: list[datetime]) -> list[int]:
        return list(range(len(list(items))))


class ComparingTotals(Walk):
    """Believes that a list whose total is the same has not changed."""

    def _overlap(self) -> int:
        return 0

    def _accepts(self, request: PageRequest, response: Slice, keys: list[datetime], *, repeats: bool) -> bool:
        return self._total in (None, response.total) or super()._accepts(request, response, keys, repeats=repeats)


class OverlapOfOne(Walk):
    """Believes that a page carries on if it begins with the item that was last."""

    def _overlap(self) -> int:
        return 1

    def _accepts(self, request: PageRequest, response: Slice, keys: list[datetime], *, repeats: bool) -> bool:
        first = response.items[0] if response.items else None
        carries_on = self._frontier is None or (isinstance(first, Task) and first.id in self._frontier.ids)
        return carries_on or super()._accepts(request, response, keys, repeats=repeats)


class BracketedByEqual(Walk):
    """Believes that a page carries on if it begins at the frontier: `<=` in place of `<`."""

    def _accepts(self, request: PageRequest, response: Slice, keys: list[datetime], *, repeats: bool) -> bool:
        if self._frontier is None or not keys:
            return super()._accepts(request, response, keys, repeats=repeats)
        return request.offset == 0 or distance(keys[0], self._frontier.created_at, desc=self._desc) <= HERE


class BelievingTheTotal(Walk):
    """Believes that the list ends where the total says."""

    def _is_last(self, request: PageRequest, response: Slice, fresh: list[int]) -> bool:
        return request.offset + len(response.items) >= response.total


MUTANTS = [PlainOffsets, ComparingTotals, OverlapOfOne, BracketedByEqual, BelievingTheTotal]
