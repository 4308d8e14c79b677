"""A server that makes each answer once and keeps it, so that the measurements show the client.

The path says what to serve: `/{tasks}/{latency in ms}/{requests allowed per second, 0 for any}`. `/counts` returns the
number of requests since its last call. The server prints its address, and that of a long wire to it over TLS. It
runs until its standard input is closed.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import attrs
import trustme
from aiohttp import web
from bodies import PAGE, page_body
from wire import long_wire

LATENCY = 50
"""The default latency: milliseconds from a request to its answer."""

REFUSAL = {"error": {"type": "rate-limit-exceeded", "message": "You have exceeded the rate limit."}}


@attrs.frozen
class Counts:
    """The requests that the server got."""

    requests: int
    refused: int


@attrs.frozen
class Server:
    """The addresses of the running server."""

    address: str
    secure: str
    """Over TLS, through a wire whose round trip takes `LATENCY` milliseconds."""
    authority: str
    """The file of the authority that vouches for it."""

    def url(self, tasks: int, *, latency: int = 0, allowed: int = 0, secure: bool = False) -> str:
        """Return the base URL of a list.

        Args:
            tasks: How many there are.
            latency: Milliseconds from a request to its answer.
            allowed: The most requests per second that the server accepts; 0 for any number.
            secure: Whether it is reached over TLS, through the long wire.
        """
        return f"{self.secure if secure else self.address}/{tasks}/{latency}/{allowed}"

    def counts(self) -> Counts:
        """Return the counts since the last call, and reset them."""
        with urllib.request.urlopen(f"{self.address}/counts") as response:
            return Counts(**json.load(response))


@contextmanager
def running_server() -> Iterator[Server]:
    """Run the server on the second available core, and keep this process on the first."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:1])
    with tempfile.TemporaryDirectory() as folder:
        authority = str(Path(folder, "authority.pem"))
        command = [sys.executable, __file__, "--core", str(cores[:2][-1]), "--authority", authority]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                plain, secure = process.stdout.readline().split()
                yield Server(plain, secure, authority)
            finally:
                process.communicate()


@cache
def compressed(offset: int, limit: int, total: int, *, desc: bool) -> bytes:
    """Return the compressed body of a page."""
    return gzip.compress(page_body(offset, limit, total, desc=desc), compresslevel=6)


class Api:
    """Answers after the latency, and counts requests."""

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
        body = compressed(int(query.get("offset") or 0), limit, tasks, desc=query.get("desc") == "1")
        return web.Response(body=body, content_type="application/json", headers={"Content-Encoding": "gzip"})

    async def counts(self, _: web.Request) -> web.Response:
        """Return the counts, and reset them."""
        counts = Counts(self._requests, self._refused)
        self._requests = self._refused = 0
        self._admitted.clear()
        return web.json_response(attrs.asdict(counts))

    def _admit(self, allowed: int) -> bool:
        # A sliding window admits at most that many requests within any second. It is the strictest of the usual limits:
        # a fixed window and a token bucket can admit up to twice as many within some second.
        now = time.monotonic()
        while self._admitted and self._admitted[0] <= now - 1:
            self._admitted.popleft()
        if allowed and len(self._admitted) >= allowed:
            return False
        self._admitted.append(now)
        return True


def certified(authority: str) -> ssl.SSLContext:
    """Return the TLS context of this machine, and write the authority that vouches for it to a file."""
    issuer = trustme.CA()
    issuer.cert_pem.write_to_path(authority)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    issuer.issue_cert("127.0.0.1").configure_cert(context)
    return context


async def serve(authority: str) -> None:
    """Serve until standard input is closed."""
    api = Api()
    app = web.Application()
    app.router.add_get("/counts", api.counts)
    app.router.add_get("/{tasks}/{latency}/{allowed}/v2/actor-tasks", api.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    for context in (None, certified(authority)):
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    plain, secure = (address[1] for address in runner.addresses)
    async with await long_wire(secure, LATENCY / 2000) as wire:
        print(f"http://127.0.0.1:{plain} https://127.0.0.1:{wire.sockets[0].getsockname()[1]}", flush=True)
        await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


def main() -> None:
    """Run the server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--core", type=int, required=True)
    parser.add_argument("--authority", required=True)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {arguments.core})
    asyncio.run(serve(arguments.authority))


if __name__ == "__main__":
    main()
