"""Walks a list until its difference from what was stored is certain."""

import logging

from apify_tasks_async._changes import Changes, Difference
from apify_tasks_async._fetch import Fetcher
from apify_tasks_async._pages import OnInvalid, PageIterator
from apify_tasks_async._walk import Walk
from apify_tasks_async.errors import ApifyTasksError, DriftError, InvalidTaskError


async def compare(fetcher: Fetcher, difference: Difference, page_size: int, on_invalid: OnInvalid) -> Changes:
    """Walk the list, and again while it is uncertain what was removed; return the difference."""

    def note(error: InvalidTaskError) -> None:
        if not difference.see_invalid(error.task_id):
            return
        if callable(on_invalid):
            on_invalid(error)
        else:
            fetcher.recorder.log(logging.WARNING, f"left out: {error.problem}", offset=error.offset)

    try:
        while True:
            walk = Walk(page_size=page_size, exact=True)
            difference.begin_walk()
            async with PageIterator(fetcher, walk, "raise" if on_invalid == "raise" else note) as pages:
                async for page in pages:
                    difference.see(page.items)
            if difference.end_walk(walk.total):
                return difference.result()
    except ApifyTasksError as error:
        # Half a list makes no difference, so there is no place to continue from.
        fetcher.recorder.name(error).bookmark = None
        if isinstance(error, DriftError):
            error.advice = "try again when the list changes less"
        raise
