"""How the recipes are run: as programs by the commands that they name, and as services in the loop of a test."""

import asyncio
import os
import re
import shlex
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import uvicorn
from aiohttp import web
from helpers.support import until

__all__ = ["RECIPES", "Recipe", "asgi_server", "web_server", "website"]

RECIPES = Path(__file__).parents[2] / "recipes"

COMPLAINTS = re.compile("Traceback|Unclosed|was never|was destroyed|Exception ignored")
"""What Python, asyncio and aiohttp say of what was left behind."""


@attrs.frozen
class Recipe:
    """Runs recipes in a folder, by the commands that their docstrings name."""

    folder: Path

    async def run(self, name: str, *arguments: str) -> str:
        """Run it to its end, which must be a good one, and return what it prints."""
        process = await self._start(name, *arguments, stderr=PIPE)
        async with asyncio.timeout(60):
            output, log = await process.communicate()
        assert process.returncode == 0, log.decode()
        assert not COMPLAINTS.search(log.decode()), log.decode()
        return output.decode()

    @asynccontextmanager
    async def served(self, name: str, *arguments: str) -> AsyncIterator[str]:
        """Run it until the block ends, then press Ctrl-C; give the address that it says."""
        process = await self._start(name, *arguments, stderr=STDOUT)
        assert process.stdout
        log = ""
        async with asyncio.timeout(60):
            try:
                while not (address := re.search(r"unning on (http://[\d.:]+)", log)):
                    line = await process.stdout.readline()
                    assert line, log
                    log += line.decode()
                yield address[1]
            finally:
                output = await _press_ctrl_c(process)
        assert not COMPLAINTS.search(log + output.decode()), log + output.decode()

    async def _start(self, name: str, *arguments: str, stderr: int) -> Process:
        source = (RECIPES / f"{name}.py").read_text()
        shown = re.search(r"^Run it with `(?:\w+=\.\.\. )+(.+?)`", source, re.MULTILINE)
        assert shown
        tool, *options = shlex.split(shown[1])
        command = [sys.executable, *([] if tool == "python" else ["-m", tool]), *options, *arguments]
        # A safe path is what keeps the tests from this folder; a user has none.
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONSAFEPATH"}
        environment["PYTHONUNBUFFERED"] = "1"
        return await asyncio.create_subprocess_exec(
            *command, stdout=PIPE, stderr=stderr, cwd=self.folder, env=environment
        )


@asynccontextmanager
async def asgi_server(application: Any) -> AsyncIterator[str]:
    """Run an ASGI application in this loop, as the command uvicorn does in one of its own; give its address."""
    server = uvicorn.Server(uvicorn.Config(application, port=0, lifespan="on", ws="none", log_config=None))
    serving = asyncio.create_task(server.serve())
    await until(lambda: server.started or serving.done())
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def web_server(runner: web.BaseRunner) -> AsyncIterator[str]:
    """Run an aiohttp server in this loop; give its address."""
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def website() -> AsyncIterator[str]:
    """Run a website that has every page; give its address."""

    async def page(request: web.BaseRequest) -> web.Response:
        return web.Response(text=request.path)

    async with web_server(web.ServerRunner(web.Server(page))) as url:
        yield url


async def _press_ctrl_c(process: Process) -> bytes:
    """Press Ctrl-C until the process ends, and return the rest of its output.

    Python drops the exception if it comes while an object is finalized. You would press again.
    """
    reading = asyncio.create_task(process.communicate())
    while not reading.done():
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await asyncio.wait([reading], timeout=15)
    output, _ = await reading
    return output
