"""A server whose answers are made once and kept, so that it is the client that is measured.

What it serves is said by the address: `/{tasks}/{latency in ms}/{requests allowed per second, 0 for any}`. `/counts`
tells how many requests there were since it was last asked. It prints its address, and serves until its standard input
is closed.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import attrs
from aiohttp import web
from bodies import PAGE, page_body

REFUSAL = {"error": {"type": "rate-limit-exceeded", "message": "You have exceeded the rate limit."}}


@attrs.frozen
class Counts:
    """What the server has seen."""

    requests: int
    refused: int


@attrs.frozen
class Server:
    """The server, as those see it who measure."""

    address: str

    def url(self, tasks: int, *, latency: int = 0, allowed: int = 0) -> str:
        """Return the base URL of a list.

        Args:
            tasks: How many there are.
            latency: Milliseconds from a request to its answer.
            allowed: The most requests per second that are not refused; 0 for any number.
        """
        return f"{self.address}/{tasks}/{latency}/{allowed}"

    def counts(self) -> Counts:
        """Return what came since the last call, and begin to count anew."""
        with urllib.request.urlopen(f"{self.address}/counts") as response:
            return Counts(**json.load(response))


@contextmanager
def running_server() -> Iterator[Server]:
    """Run the server on the second of the cores that this process may use, and keep this process on the first."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:1])
    command = [sys.executable, __file__, "--core", str(cores[:2][-1])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Server(process.stdout.readline().strip())
        finally:
            process.communicate()


@cache
def compressed(offset: int, limit: int, total: int) -> bytes:
    """Return a page as it goes over the wire."""
    return gzip.compress(page_body(offset, limit, total), compresslevel=6)


class Api:
    """Answers after the latency, and counts."""

    def __init__(self) -> None:
        self._requests = self._refused = 0
        self._admitted: deque[float] = deque()

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a request for a page."""
        tasks, latency, allowed = (int(request.match_info[name]) for name in ("tasks", "latency", "allowed"))
        self._requests += 1
        admitted = self._admit(allowed)
        await asyncio.sleep(latency / 1000)
        if not admitted:
            self._refused += 1
            return web.json_response(REFUSAL, status=429)
        query = request.query
        limit = min(int(query.get("limit") or PAGE) or PAGE, PAGE)
        body = compressed(int(query.get("offset") or 0), limit, tasks)
        return web.Response(body=body, content_type="application/json", headers={"Content-Encoding": "gzip"})

    async def counts(self, _: web.Request) -> web.Response:
        """Tell what was counted, and begin anew."""
        counts = Counts(self._requests, self._refused)
        self._requests = self._refused = 0
        self._admitted.clear()
        return web.json_response(attrs.asdict(counts))

    def _admit(self, allowed: int) -> bool:
        # A window that slides: in no second, wherever it begins, are more requests admitted. Of the usual ways to count
        # this is the strictest: both a window that begins with each second and a bucket that refills let through up
        # to twice as many in some second.
        now = time.monotonic()
        while self._admitted and self._admitted[0] <= now - 1:
            self._admitted.popleft()
        if allowed and len(self._admitted) >= allowed:
            return False
        self._admitted.append(now)
        return True


async def serve() -> None:
    """Serve until standard input is closed."""
    api = Api()
    app = web.Application()
    app.router.add_get("/counts", api.counts)
    app.router.add_get("/{tasks}/{latency}/{allowed}/v2/actor-tasks", api.answer)
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
    parser.add_argument("--core", type=int, required=True)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {arguments.core})
    asyncio.run(serve())


if __name__ == "__main__":
    main()
