"""A walk that is interrupted and resumed many times, and its result."""

from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import Any

from apify_tasks_async import Bookmark, InvalidTaskError, Task, TaskPage

__all__ = ["Journey", "Options"]

Options = dict[str, Any]


class Journey:
    """One walk from start to end, with all its resumptions."""

    def __init__(
        self, there: Iterable[Task], *, limit: int | None = None, endless: bool = False, **options: Any
    ) -> None:
        self.options = options
        self.limit = limit
        self.endless = endless
        self.promised = {task.id: task for task in there}
        """By id: the tasks that exist during the whole walk."""

        self.delivered: list[Task] = []
        self.left_out: list[str | None] = []
        """The ids of invalid items."""

        self.after: Bookmark | None = None
        self.stretches = 0

    def next_options(self) -> Options:
        """Return the arguments that continue the walk."""
        self.stretches += 1
        options = self.options
        if self.limit is not None:
            options = options | {"limit": self.limit - len(self.delivered) - len(self.left_out)}
        if self.after is not None:
            # As another process would continue.
            options = options | {"after": Bookmark.from_json(self.after.to_json())}
            options.pop("offset", None)
        return options

    async def read(self, pages: AsyncIterator[TaskPage], *, most: int | None = None) -> bool:
        """Read at most that many pages, and return whether the walk is complete."""
        if most == 0:
            return False
        count = 0
        async for page in pages:
            self.take(page)
            count += 1
            if count == most:
                return False
        return True

    def take(self, page: TaskPage) -> None:
        """Remember the tasks of a page."""
        self.delivered += page.items
        self.after = page.bookmark

    def report(self, error: InvalidTaskError) -> None:
        """Remember an invalid item."""
        self.left_out.append(error.task_id)

    @property
    def satisfied(self) -> bool:
        """Whether the walk has reached its limit."""
        return self.limit is not None and len(self.delivered) + len(self.left_out) >= self.limit

    @property
    def missing(self) -> list[Task]:
        """The tasks that were not delivered yet."""
        known = {task.id for task in self.delivered}.union(self.left_out)
        return [task for id_, task in self.promised.items() if id_ not in known]

    def verdict(self, *, complete: bool) -> tuple[int, int, bool]:
        """Return the number of lost tasks, of repeated ones, and whether they came in order."""
        moments = [task.created_at for task in self.delivered]
        lost = self.missing
        # Tasks created at the same moment as the first or the last one may be outside of the requested part.
        if self.options.get("offset"):
            lost = [task for task in lost if moments and self._before(moments[0], task.created_at)]
        if self.satisfied or not complete:
            lost = [task for task in lost if moments and self._before(task.created_at, moments[-1])]
        repeated = len(self.delivered) - len({task.id for task in self.delivered})
        return len(lost), repeated, moments == sorted(moments, reverse=bool(self.options.get("desc")))

    def _before(self, moment: datetime, place: datetime) -> bool:
        return moment > place if self.options.get("desc") else moment < place
