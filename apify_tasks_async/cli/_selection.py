"""The local filters and, with them, `--limit`: which tasks to show, and when no more can come."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any
from unicodedata import normalize

import attrs

from apify_tasks_async import Task

__all__ = ["Filters", "Selection"]


@attrs.frozen
class Filters:
    """Which tasks match. `None` matches all."""

    actor: str | None = None
    """The Actor's name, user/name or id."""

    name: str | None = None
    """A glob for the task's name."""

    title: str | None = None
    """A glob for the task's title, a field that not every task has."""

    ignore_case: bool = False
    """Whether actor, name and title ignore case."""

    since: datetime | None = None
    """The earliest `created_at`."""

    until: datetime | None = None
    """The latest `created_at`."""

    modified_since: datetime | None = None
    """The earliest `modified_at`."""

    @classmethod
    def of(cls, options: Any) -> Filters:
        """Return those among the options of a command."""
        return cls(**{field.name: getattr(options, field.name) for field in attrs.fields(cls)})

    @property
    def are_set(self) -> bool:
        """Whether only some tasks may match."""
        return attrs.evolve(self, ignore_case=False) != Filters()

    def match(self, task: Task) -> bool:
        """Return whether the task matches."""
        return (
            self._match_times(task)
            and self._match_glob(task.name, self.name)
            and self._match_glob(task.extra.get("title"), self.title)
            and (self.actor is None or self._fold(self.actor) in map(self._fold, _actor_names(task)))
        )

    def are_past(self, task: Task, *, desc: bool) -> bool:
        """Return whether neither this task nor one after it can match: the list is sorted by `created_at`."""
        if desc:
            return self.since is not None and task.created_at < self.since
        return self.until is not None and task.created_at > self.until

    def _match_times(self, task: Task) -> bool:
        return (
            (self.since is None or task.created_at >= self.since)
            and (self.until is None or task.created_at <= self.until)
            and (self.modified_since is None or task.modified_at >= self.modified_since)
        )

    def _match_glob(self, text: Any, glob: str | None) -> bool:
        return glob is None or (isinstance(text, str) and fnmatchcase(self._fold(text), self._fold(glob)))

    def _fold(self, text: str) -> str:
        # macOS writes an accent as a character of its own.
        return normalize("NFC", text.casefold() if self.ignore_case else text)


@attrs.define
class Selection:
    """Selects the tasks to show from a list in this order."""

    filters: Filters

    remaining: int | None
    """How many more tasks to show; `None` for all."""

    desc: bool = False
    """Whether the newest task comes first."""

    stopped_early: bool = attrs.field(default=False, init=False)
    """Whether no further task can match."""

    @property
    def is_complete(self) -> bool:
        """Whether nothing more is to be shown."""
        return self.stopped_early or self.remaining == 0

    def select(self, tasks: Sequence[Task]) -> tuple[list[Task], int]:
        """Return the tasks to show, and the number of tasks examined until the selection was complete."""
        selected: list[Task] = []
        examined = 0
        for task in tasks:
            self.stopped_early = self.filters.are_past(task, desc=self.desc)
            if len(selected) == self.remaining or self.stopped_early:
                break
            examined += 1
            if self.filters.match(task):
                selected.append(task)
        if self.remaining is not None:
            self.remaining -= len(selected)
        return selected, examined


def _actor_names(task: Task) -> list[str]:
    names = [task.act_id]
    if task.act_name is not None:
        names.append(task.act_name)
        if task.act_username is not None:
            names += [f"{task.act_username}/{task.act_name}", f"{task.act_username}~{task.act_name}"]
    return names
