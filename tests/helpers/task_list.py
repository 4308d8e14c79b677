"""A list that changes while it is walked, and a reader that drives the plan of a walk as the client does."""

import operator
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import attrs

from apify_tasks_async import Task
from apify_tasks_async._page import Entry, Page, PageRequest
from apify_tasks_async._walk import Walk

START = datetime(2024, 1, 1, tzinfo=UTC)

ENDLESS = 5000
"""More requests than any walk of these lists needs."""

BY_TIME = operator.attrgetter("created_at")

Answer = Callable[[PageRequest], Page]


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

    def answer(
        self,
        request: PageRequest,
        *,
        ties: int = 0,
        limit: int = 1000,
        lie: int = 0,
        unsaid: int = 1000,
        hidden: Callable[[Task], bool] = lambda task: False,
    ) -> Page:
        """Answer as the endpoint does.

        Args:
            request: What is asked for.
            ties: A seed for the order of the tasks of one moment.
            limit: The most that the server gives, and says so.
            lie: How much the total is off.
            unsaid: The most that the server gives without saying so.
            hidden: Which tasks the server counts but does not show.
        """
        shuffled = random.Random(ties).sample(self.tasks, len(self.tasks)) if ties else self.tasks
        ordered = sorted(shuffled, key=BY_TIME, reverse=request.desc)
        size = min(request.limit, limit)
        window = ordered[request.offset : request.offset + min(size, unsaid)]
        return make_page(request, [task for task in window if not hidden(task)], max(0, len(ordered) + lie), limit=size)


def make_page(request: PageRequest, entries: list[Entry] | list[Task], total: int, *, limit: int = 1000) -> Page:
    """Return a page that says what it was asked for."""
    size = min(request.limit, limit)
    return Page(request, total, request.offset, size, request.desc, len(entries), tuple(entries))


def cut(page: Page, count: int) -> Page:
    """Return the page with its first items only."""
    return attrs.evolve(page, count=count, entries=page.entries[:count])


class Reader:
    """Drives a walk as the client does: a window of requests, answered in any order, received in the one asked."""

    def __init__(self, walk: Walk, *, window: int = 1) -> None:
        self.walk = walk
        self.entries: list[Entry] = []
        self.requests: list[PageRequest] = []
        self._window = window
        self._flying: list[PageRequest] = []
        self._answers: dict[int, Page] = {}
        self._fill()

    @property
    def delivered(self) -> list[Task]:
        """The tasks delivered so far."""
        return [entry for entry in self.entries if isinstance(entry, Task)]

    @property
    def offsets(self) -> list[int | str]:
        """Where the pages were asked for; `end` is the other end of the list."""
        desc = self.walk.desc
        return [request.offset if request.desc is desc else "end" for request in self.requests]

    @property
    def unanswered(self) -> list[PageRequest]:
        """The requests in flight."""
        return [request for request in self._flying if id(request) not in self._answers]

    def answer(self, request: PageRequest, page: Page) -> None:
        """Take the answer to a request, and all that have waited for it."""
        self._answers[id(request)] = page
        while self._flying and id(self._flying[0]) in self._answers:
            page = self._answers.pop(id(self._flying[0]))
            self.entries += [page.entries[index] for index in self.walk.receive(page).indices]
            self._fill()

    def finish(self, answer: Answer) -> None:
        """Walk to the end. All requests in flight are answered at the same time."""
        while self.unanswered:
            assert len(self.requests) < ENDLESS, "the walk does not end"
            for request, page in [(request, answer(request)) for request in self.unanswered]:
                if self._is_flying(request):
                    self.answer(request, page)

    def _is_flying(self, request: PageRequest) -> bool:
        return any(request is flying for flying in self._flying)

    def _fill(self) -> None:
        requests = list(self.walk.requests(self._window))
        assert len(requests) <= self._window + 1
        self.requests += [request for request in requests if not self._is_flying(request)]
        self._answers = {
            id(request): self._answers[id(request)] for request in requests if id(request) in self._answers
        }
        self._flying = requests


def read_all(
    walk: Walk, tasks: TaskList, *, window: int = 1, limit: int = 1000, lie: int = 0, unsaid: int = 1000
) -> Reader:
    """Walk a list that stays as it is."""
    reader = Reader(walk, window=window)
    reader.finish(lambda request: tasks.answer(request, limit=limit, lie=lie, unsaid=unsaid))
    return reader
