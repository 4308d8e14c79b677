"""crawlee: tasks become requests while they are being listed, for example to the page of each task's Actor.

Run it with `APIFY_TOKEN=... python recipes/crawlee_crawler.py`. A crawler that ends early, as at
`max_requests_per_crawl`, leaves the generator as it stands: closing the client cancels the pages in flight.
"""

import asyncio
import sys
from collections.abc import AsyncIterator

from crawlee import Request
from crawlee.crawlers import HttpCrawler, HttpCrawlingContext
from crawlee.request_loaders import RequestList

from apify_tasks_async import TasksClient


async def requests(client: TasksClient, site: str) -> AsyncIterator[Request]:
    """Make a request of each task, oldest first, so that a named list can be resumed when tasks were added."""
    async for task in client.iter_tasks():
        url = f"{site}/{task.act_username}/{task.act_name}"
        yield Request.from_url(url, unique_key=task.id, user_data={"task": task.name})


async def main(site: str = "https://apify.com") -> None:
    """Crawl about a hundred of them."""
    async with TasksClient() as client:
        manager = await RequestList(requests(client, site)).to_tandem()
        crawler = HttpCrawler(request_manager=manager, max_requests_per_crawl=100)

        @crawler.router.default_handler
        async def store(context: HttpCrawlingContext) -> None:
            body = await context.http_response.read()
            await context.push_data({"task": context.request.user_data["task"], "bytes": len(body)})

        await crawler.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
