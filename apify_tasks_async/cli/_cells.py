"""The cells of a task: its values for the columns. Apart from the columns, since the converter is slow to import."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apify_tasks_async import Task, to_row
from apify_tasks_async.cli._columns import Column

__all__ = ["read_cells"]


def read_cells(task: Task, columns: Sequence[Column]) -> list[Any]:
    """Return the value of each column."""
    row = to_row(task, extra=[column.extra for column in columns if column.extra is not None])
    return [column.value(row) for column in columns]
