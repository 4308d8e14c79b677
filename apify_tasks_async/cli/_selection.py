"""The local filters: `--actor`, `--name` and, with them, `--limit`."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import attrs

from apify_tasks_async import Task

__all__ = ["Selection"]


@attrs.define
class Selection:
    """Selects the tasks to show."""

    actor: str | None
    """The Actor's name, user/name or id."""

    name: str | None
    """A glob for the task's name."""

    remaining: int | None
    """How many more tasks to show; `None` for all."""

    @property
    def is_filtered(self) -> bool:
        """Whether only some tasks match."""
        return self.actor is not None or self.name is not None

    def select(self, tasks: Sequence[Task]) -> tuple[list[Task], int]:
        """Return the tasks to show, and the number of tasks examined until the limit was reached."""
        selected: list[Task] = []
        examined = 0
        for task in tasks:
            if len(selected) == self.remaining:
                break
            examined += 1
            if self._matches(task):
                selected.append(task)
        if self.remaining is not None:
            self.remaining -= len(selected)
        return selected, examined

    def _matches(self, task: Task) -> bool:
        if self.name is not None and not fnmatchcase(task.name, self.name):
            return False
        return self.actor is None or self.actor in _actor_names(task)


def _actor_names(task: Task) -> list[str | None]:
    names = [task.act_id, task.act_name]
    if task.act_name is not None and task.act_username is not None:
        names += [f"{task.act_username}/{task.act_name}", f"{task.act_username}~{task.act_name}"]
    return names
