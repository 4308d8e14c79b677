"""Finds what a run leaves open or complains of: tasks, descriptors, objects, warnings."""

import asyncio
import contextlib
import gc
import os
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from helpers.support import until

__all__ = ["census", "complaints", "descriptors", "left_over"]

PAUSE = 0.25
"""Seconds between two checks: each runs the garbage collector."""


def descriptors() -> set[str]:
    """Return the open descriptors of this process; empty where the system does not list them."""
    names = set()
    for entry in Path("/proc/self/fd").glob("*"):
        with contextlib.suppress(OSError):
            names.add(os.readlink(entry))  # noqa: PTH115  Path.readlink would make a path of socket:[123]
    return names


def census() -> Counter[str]:
    """Count the objects of the library's and aiohttp's classes."""
    gc.collect()
    kinds = Counter(type(thing) for thing in gc.get_objects())
    return Counter(
        {
            f"{kind.__module__}.{kind.__qualname__}": count
            for kind, count in kinds.items()
            if str(kind.__module__).partition(".")[0] in {"apify_tasks_async", "aiohttp"}
        }
    )


@contextlib.contextmanager
def complaints() -> Iterator[list[str]]:
    """Collect complaints that reach no caller: of the event loop, of destructors, and warnings."""
    loop = asyncio.get_running_loop()
    found: list[str] = []
    before = loop.get_exception_handler(), sys.unraisablehook
    loop.set_exception_handler(lambda _, context: found.append(f"event loop: {context}"))
    sys.unraisablehook = lambda failure: found.append(f"unraisable: {failure.exc_value!r} in {failure.object!r}")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            yield found
            gc.collect()
        finally:
            loop.set_exception_handler(before[0])
            sys.unraisablehook = before[1]
            found += [f"warning: {warning.message}" for warning in warned]


async def left_over(before: set[str]) -> list[str]:
    """Wait for tasks and descriptors to go, and return those that stay."""
    tasks: set[asyncio.Task[Any]] = set()
    opened: set[str] = set()

    def nothing() -> bool:
        nonlocal tasks, opened
        gc.collect()
        tasks, opened = asyncio.all_tasks() - {asyncio.current_task()}, descriptors() - before
        return not (tasks or opened)

    with contextlib.suppress(TimeoutError):
        await until(nothing, seconds=5, pause=PAUSE)
    return [*map(repr, tasks), *opened]
