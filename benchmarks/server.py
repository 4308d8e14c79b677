"""A server whose answers are made beforehand, so that it is the client that is measured.

It prints its address, and serves until its standard input is closed.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import os
import sys

import orjson
from aiohttp import web

from apify_tasks_async import converter
from apify_tasks_async.testing import make_task

PAGE = 1000


def page(offset: int, limit: int, total: int) -> bytes:
    """Return a page as the API sends it, compressed."""
    items = [converter.unstructure(make_task(number)) for number in range(offset, min(offset + limit, total))]
    data = {"total": total, "offset": offset, "limit": limit, "desc": False, "count": len(items), "items": items}
    return gzip.compress(orjson.dumps({"data": data}), compresslevel=6)


class Pages:
    """Pages, each made when it is first asked for, and answered after the latency."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._made: dict[tuple[int, int], bytes] = {}
        for offset in range(0, max(total, 1), PAGE):
            self._made[offset, PAGE] = page(offset, PAGE, total)

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a request for a page; its path begins with the latency in milliseconds."""
        await asyncio.sleep(int(request.match_info["latency"]) / 1000)
        query = request.query
        key = int(query.get("offset") or 0), min(int(query.get("limit") or PAGE) or PAGE, PAGE)
        if key not in self._made:
            self._made[key] = page(*key, self._total)
        return web.Response(body=self._made[key], content_type="application/json", headers={"Content-Encoding": "gzip"})


async def serve(total: int) -> None:
    """Serve until standard input is closed."""
    app = web.Application()
    app.router.add_get("/{latency}/v2/actor-tasks", Pages(total).answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    print(f"http://{host}:{port}", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


def main() -> None:
    """Run the server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, required=True)
    parser.add_argument("--core", type=int)
    arguments = parser.parse_args()
    if arguments.core is not None:
        os.sched_setaffinity(0, {arguments.core})
    asyncio.run(serve(arguments.tasks))


if __name__ == "__main__":
    main()
