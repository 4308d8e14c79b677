"""A bar on stderr that says how far the list is, and goes away at its end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

__all__ = ["progress_bar"]


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "", style="progress.data.speed")


@contextlib.contextmanager
def progress_bar() -> Generator[Callable[[int, int], None], None, None]:
    """Show the bar, and yield the function that moves it: it takes the tasks read so far, and those there are."""
    columns = (TextColumn("Listing tasks"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("", total=None)
        yield lambda read, total: progress.update(bar, completed=read, total=max(read, total))
