"""Scrapy: tasks become requests while they are being listed, for example to the page of each task's Actor.

Run it with `APIFY_TOKEN=... scrapy runspider recipes/scrapy_spider.py -O pages.jsonl`. The asyncio reactor is Scrapy's
default. `start` opens the client and closes it, also when the spider is closed early.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import scrapy
from scrapy.http import Response

from apify_tasks_async import TasksClient


class ActorPagesSpider(scrapy.Spider):
    """Crawls the page of each task's Actor."""

    name = "actor-pages"
    site = "https://apify.com"

    async def start(self) -> AsyncIterator[scrapy.Request]:
        """Make a request of each task."""
        async with TasksClient() as client:
            async for task in client.iter_tasks():
                url = f"{self.site}/{task.act_username}/{task.act_name}"
                yield scrapy.Request(url, cb_kwargs={"task": task.name}, dont_filter=True)

    def parse(self, response: Response, task: str) -> Iterator[dict[str, Any]]:
        """Store what came."""
        yield {"task": task, "bytes": len(response.body)}
