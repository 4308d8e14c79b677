"""The difference between a list and what was stored of it. Pure: no I/O, no asyncio.

A task that is missing from an answer may still live: the answer may be cut, or come from a replica that lags, or the
server may count tasks that it does not show. So a task counts as removed only if two whole walks did not show it. A
walk is *whole* if it showed as many tasks as the server counts.
"""

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any

import attrs

from apify_tasks_async._arguments import check_plain_function, short_repr
from apify_tasks_async.errors import DriftError
from apify_tasks_async.models import Task

Version = Callable[[Task], object]
"""Returns what changes when a task does."""

WHOLE_WALKS = 2
"""How many whole walks must not show a task that counts as removed."""

DOUBTFUL_WALKS = 3
"""After how many walks that were not whole to give up."""


@attrs.frozen
class Changes:
    """What `TasksClient.changes_since` returns.

    Example:
        >>> Changes(removed=frozenset({"a-task"})).added
        ()
    """

    added: tuple[Task, ...] = ()
    """The tasks that were not known, by `created_at`."""

    changed: tuple[Task, ...] = ()
    """The known tasks of another version, as they are now, by `created_at`."""

    removed: frozenset[str] = frozenset()
    """The ids of the known tasks that are gone."""


@attrs.define(eq=False, repr=False)
class Difference:
    """What walks have shown so far. It keeps the ids of missing tasks, and the tasks that are new or changed."""

    _known: Mapping[str, object]
    _version: Version
    _missing: set[str] = attrs.field(init=False)
    _differing: dict[str, Task] = attrs.field(init=False, factory=dict[str, Task])
    _invalid: set[str] = attrs.field(init=False, factory=set[str])
    _shown: int = attrs.field(init=False, default=0)
    _unreadable: int = attrs.field(init=False, default=0)
    _whole: int = attrs.field(init=False, default=0)
    _doubtful: int = attrs.field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        _check_known(self._known)
        check_plain_function("version", self._version)
        self._missing = set(self._known)

    def begin_walk(self) -> None:
        """Begin to count what a walk shows."""
        self._shown = self._unreadable = 0

    def see(self, tasks: Iterable[Task]) -> None:
        """Take tasks that a walk shows."""
        for task in tasks:
            self._shown += 1
            self._missing.discard(task.id)
            if task.id in self._known and self._known[task.id] == self._version(task):
                self._differing.pop(task.id, None)
            else:
                self._differing[task.id] = task

    def see_invalid(self, task_id: str | None) -> bool:
        """Take an item that is not a task as documented: it is not removed. Return whether it was not seen before."""
        if task_id is None:
            self._unreadable += 1
            return True
        self._shown += 1
        self._missing.discard(task_id)
        new = task_id not in self._invalid
        self._invalid.add(task_id)
        return new

    def end_walk(self, total: int) -> bool:
        """Return whether the difference is certain, after a walk in which the server counted `total` tasks at most.

        Raises:
            DriftError: It cannot become certain.
        """
        if not self._missing:
            return True
        whole = self._shown >= total and not self._unreadable
        self._whole += whole
        self._doubtful += not whole
        if self._doubtful >= DOUBTFUL_WALKS:
            raise DriftError(self._doubt(total))
        return self._whole >= WHOLE_WALKS

    def result(self) -> Changes:
        """Return the difference."""
        tasks = sorted(self._differing.values(), key=attrgetter("created_at"))
        added = tuple(task for task in tasks if task.id not in self._known)
        changed = tuple(task for task in tasks if task.id in self._known)
        return Changes(added, changed, frozenset(self._missing))

    def _doubt(self, total: int) -> str:
        without_id = f", {self._unreadable} more without a readable id" if self._unreadable else ""
        return (
            f"known tasks that were not shown: {len(self._missing)}; which of them were removed is uncertain, since "
            f"the server counts {total} tasks and shows {self._shown}{without_id}, in {DOUBTFUL_WALKS} walks"
        )


def _check_known(known: Any) -> None:
    if not isinstance(known, Mapping):
        raise TypeError(f"known must be a mapping of ids to versions, got {short_repr(known)}")
    for key in known:
        if not isinstance(key, str):
            raise TypeError(f"known must have strings as keys, got {short_repr(key)}")
