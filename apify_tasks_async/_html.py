"""Models as HTML, for notebooks."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from typing import Any

from apify_tasks_async._rows import to_row
from apify_tasks_async.models import Task, TaskPage

_COLUMNS = ("id", "name", "act_name", "total_runs", "created_at", "modified_at")
_MAXIMUM_ROWS = 20
"""A notebook keeps what it shows, so a page of 1,000 tasks is cut."""


def show_task(task: Task) -> str:
    """Return a table with a line for each field."""
    return _table(("field", "value"), to_row(task).items())


def show_page(page: TaskPage) -> str:
    """Return a table of the first tasks, and how many there are."""
    rows = ([to_row(task)[name] for name in _COLUMNS] for task in page[:_MAXIMUM_ROWS])
    shown = min(len(page), _MAXIMUM_ROWS)
    return f"{_table(_COLUMNS, rows)}<p>{shown:,} of {len(page):,} tasks of this page; {page.total:,} in all</p>"


def _table(names: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    return f"<table>{_line('th', names)}{''.join(_line('td', row) for row in rows)}</table>"


def _line(tag: str, cells: Iterable[Any]) -> str:
    return f"<tr>{''.join(f'<{tag}>{_text(cell)}</{tag}>' for cell in cells)}</tr>"


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return f"{value:%Y-%m-%d %H:%M} UTC"
        case _:
            return escape(str(value))
