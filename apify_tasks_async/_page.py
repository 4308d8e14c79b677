"""A page request, and the decoded page that answers it.

https://docs.apify.com/api/v2/actor-tasks-get
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, cast

import attrs

from apify_tasks_async.errors import InvalidTaskError
from apify_tasks_async.models import Bookmark, Task, TaskPage

PATH = "/v2/actor-tasks"


@attrs.frozen(eq=False, repr=False)
class InvalidItem:
    """An item that is not a task as documented.

    Its error is built when it is used, since that masks the whole item: a page may have a thousand of them.
    """

    task_id: str | None
    """The item's `id`, if it has one."""

    created_at: datetime | None
    """The item's `createdAt`, if it can be read."""

    _describe: Callable[[], str]
    _build: Callable[[], InvalidTaskError]

    @property
    def problem(self) -> str:
        """The problem of the error."""
        return self._describe()

    @property
    def error(self) -> InvalidTaskError:
        """The error: the same one each time."""
        return self._build()

    @property
    def raw(self) -> Any:
        """The document of the item, masked."""
        return self.error.raw


Entry = Task | InvalidItem
"""A list entry: a task, or an item that is not a task as documented."""


@attrs.frozen(repr=False)
class PageRequest:
    """What is asked for."""

    offset: int
    limit: int
    desc: bool

    def query(self) -> dict[str, str]:
        """Return the query parameters."""
        query = {"offset": str(self.offset), "limit": str(self.limit)}
        return query | {"desc": "1"} if self.desc else query

    def where(self) -> dict[str, Any]:
        """Return the arguments that place an error at this request."""
        return attrs.asdict(self)


@attrs.define(eq=False, repr=False)
class Page:
    """A decoded page: a contiguous part of the list, as it was at one moment.

    Its entries are built when they are first used. Until then a page that waits for its turn takes less memory, and
    less time from the pages before it.
    """

    request: PageRequest
    total: int
    offset: int
    limit: int
    desc: bool
    count: int
    _entries: Sequence[Entry] | Callable[[], Sequence[Entry]] = attrs.field(alias="entries")
    attempts: int = 1
    """How many attempts it took."""

    def build(self) -> None:
        """Build the entries now."""
        if callable(self._entries):
            self._entries = self._entries()

    @property
    def entries(self) -> Sequence[Entry]:
        """The items of the page, in order."""
        self.build()
        return cast("Sequence[Entry]", self._entries)

    @property
    def is_as_asked(self) -> bool:
        """Whether it has as many items as the request and the total let expect."""
        return len(self.entries) == min(self.request.limit, max(0, self.total - self.request.offset))

    def position(self, index: int, *, desc: bool) -> int:
        """Return the offset, in the list of that direction, of the entry at this index."""
        return self.request.offset + index if desc is self.request.desc else max(0, self.total - 1 - index)

    def deliver(self, tasks: Sequence[Task], *, offset: int, desc: bool, bookmark: Bookmark | None) -> TaskPage:
        """Return the page that the user gets, with some of the tasks."""
        return TaskPage(self.total, offset, self.limit, desc, len(tasks), tuple(tasks), bookmark)
