"""Apify Actor: stores the tasks of the account that it runs for in its dataset.

Run it with `APIFY_TOKEN=... python recipes/apify_actor.py`, which stores them in ./storage, or on the platform, which
gives it a token and the address of the API: a private one, over plain http, which needs no permission there. The
client is closed before the Actor exits.
"""

import asyncio

from apify import Actor

from apify_tasks_async import TasksClient, converter


async def main() -> None:
    """Store the tasks, a page at a time."""
    async with (
        Actor,
        TasksClient(Actor.configuration.token, base_url=Actor.configuration.api_base_url) as client,
        client.iter_pages() as pages,
    ):
        async for page in pages:
            await Actor.push_data([converter.unstructure(task) for task in page])
            await Actor.set_status_message(f"{client.stats.tasks} of {page.total} tasks")


if __name__ == "__main__":
    asyncio.run(main())
