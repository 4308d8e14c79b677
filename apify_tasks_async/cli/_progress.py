"""A progress bar on stderr, which disappears at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
from rich.text import Text

__all__ = ["progress_bar"]

_MINIMUM_WIDTH_FOR_BAR = 72
"""A narrower terminal shows the numbers only."""


class _CountColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        if task.total is None:
            return Text("waiting for the first page", no_wrap=True)
        rate = task.completed / task.elapsed if task.elapsed else 0
        return Text(f"{task.completed:,.0f} of {task.total:,.0f} tasks  {rate:,.0f}/s", no_wrap=True)


@contextlib.contextmanager
def progress_bar() -> Generator[Callable[[int, int], None], None, None]:
    """Show the bar, and yield its update function, which takes the tasks read so far and their total."""
    console = Console(stderr=True)
    if console.is_dumb_terminal:
        # A dumb terminal cannot erase a line.
        yield lambda _read, _total: None
        return
    bar: list[ProgressColumn] = [BarColumn(bar_width=20), TimeRemainingColumn()]
    columns = [_CountColumn(), *(bar if console.width >= _MINIMUM_WIDTH_FOR_BAR else [])]
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda read, total: progress.update(task, completed=read, total=max(read, total))
