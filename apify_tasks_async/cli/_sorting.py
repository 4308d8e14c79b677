"""`--sort`: the order of the rows, once the whole list is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from apify_tasks_async import Task

__all__ = ["SORT_KEYS", "sort_tasks"]

_KEYS: dict[str, Callable[[Task], Any]] = {
    "name": lambda task: (task.name.casefold(), task.name),
    "runs": lambda task: task.stats and task.stats.total_runs,
    "modified": lambda task: task.modified_at,
}

SORT_KEYS = tuple(_KEYS)
"""What `--sort` takes."""


def sort_tasks(tasks: Iterable[Task], key: str, *, desc: bool) -> list[Task]:
    """Return the tasks in this order. Equal ones keep theirs, and those without a value come last."""
    known: list[Task] = []
    unknown: list[Task] = []
    for task in tasks:
        (unknown if _KEYS[key](task) is None else known).append(task)
    return [*sorted(known, key=_KEYS[key], reverse=desc), *unknown]
