"""Sentry: events that are titled by what failed, and grouped by it and not by the place in the list.

Run it with `APIFY_TOKEN=... SENTRY_DSN=... python recipes/sentry_events.py`. The client is closed by `async with`.
"""

import asyncio

import sentry_sdk
from sentry_sdk.types import Event, Hint

from apify_tasks_async import ApifyTasksError, TasksClient


def before_send(event: Event, hint: Hint) -> Event:
    """Title the event of one of our errors by its problem, and tag it with where it failed."""
    _, error, _ = hint.get("exc_info", (None, None, None))
    if isinstance(error, ApifyTasksError):
        event["exception"]["values"][-1]["value"] = error.problem
        event["fingerprint"] = [type(error).__name__, error.problem]
        event["extra"] = {"offset": error.offset, "attempts": error.attempts, "advice": error.advice}
    return event


async def main() -> None:
    """List the tasks, and report a failure."""
    async with TasksClient() as client:
        try:
            print(len(await client.all_tasks()), "tasks")
        except ApifyTasksError as error:
            sentry_sdk.capture_exception(error)
            print("reported:", error.problem)


if __name__ == "__main__":
    sentry_sdk.init(before_send=before_send)  # the address is in SENTRY_DSN
    asyncio.run(main())
    sentry_sdk.flush()
