"""The measurements. CPU and wall times are in seconds; the result of several rounds is their median."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import attrs
import pyperf
from contenders import CONTENDERS, FLOOR, TOKEN, UNTYPED, Contender
from server import Counts, Server
from watch import Watch

from apify_tasks_async import TasksClient

HERE = Path(__file__).parent


@attrs.frozen
class Sample:
    """The times of a walk, in seconds."""

    cpu: float
    wall: float


async def _drain(items: AsyncIterator[Any]) -> None:
    async for _ in items:
        pass


async def _walk(contender: Contender, url: str) -> Sample:
    async with contender(url) as walk:
        gc.collect()  # the garbage of the previous contender
        cpu, wall = time.process_time(), time.perf_counter()
        await _drain(walk())
        return Sample(time.process_time() - cpu, time.perf_counter() - wall)


async def _keys(contender: Contender, url: str) -> list[Any]:
    async with contender(url) as walk:
        return [(task.id, task.created_at) async for task in walk()]


def _medians(samples: list[Sample]) -> Sample:
    return Sample(median(sample.cpu for sample in samples), median(sample.wall for sample in samples))


def race(contenders: Mapping[str, Contender], url: str, rounds: int) -> dict[str, Sample]:
    """Let contenders list the same tasks in turn, after one round to warm up, and return the times of each.

    Raises:
        SystemExit: They did not list the same tasks with the same creation times.
    """
    samples: dict[str, list[Sample]] = {name: [] for name in contenders}
    typed = [name for name in contenders if name not in UNTYPED]
    expected = asyncio.run(_keys(contenders[typed[0]], url))
    for name in typed[1:]:
        if asyncio.run(_keys(contenders[name], url)) != expected:
            raise SystemExit(f"{name} did not list the same tasks as {typed[0]}")
    for round_ in range(rounds + 1):
        for name, taken in samples.items():
            sample = asyncio.run(_walk(contenders[name], url))
            if round_:
                taken.append(sample)
    return {name: _medians(taken) for name, taken in samples.items()}


def limited(server: Server, pages: int, allowed: int, rounds: int) -> tuple[float, Counts]:
    """Measure this library with a server that allows `allowed` requests per second.

    Returns:
        The wall time, and the requests of all rounds together.
    """
    asyncio.run(_walk(CONTENDERS[FLOOR], server.url(pages * 1000)))  # lets the server make the pages
    walls, counts = [], []
    for _ in range(rounds):
        server.counts()
        url = server.url(pages * 1000, latency=100, allowed=allowed)
        sample = asyncio.run(_walk(CONTENDERS["ours"], url))
        walls.append(sample.wall)
        counts.append(server.counts())
    return median(walls), Counts(sum(each.requests for each in counts), sum(each.refused for each in counts))


async def first_task(url: str, rounds: int, *, known: bool) -> tuple[float, float]:
    """Return the time to the first task of a walk, and of a single page, both on an open connection.

    Args:
        url: Where the list is.
        rounds: How many times to measure.
        known: Whether the client has walked through the list before, and so asks for several pages at once.
    """
    firsts, pages = [], []
    for _ in range(rounds + 1):
        async with TasksClient(TOKEN, base_url=url, rate_limit=None) as client:
            if known:
                await _drain(client.iter_tasks())
            await client.list_tasks()
            start = time.perf_counter()
            await client.list_tasks()
            pages.append(time.perf_counter() - start)
            start = time.perf_counter()
            tasks = client.iter_tasks()
            await anext(tasks)
            firsts.append(time.perf_counter() - start)
            await tasks.aclose()
    return median(firsts[1:]), median(pages[1:])


def secure_walks(contenders: Iterable[str], server: Server, tasks: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Return the wall times over TLS of the first walk of each contender's client, and of its second."""
    samples: dict[str, list[list[float]]] = {name: [] for name in contenders}
    environment = os.environ | {"SSL_CERT_FILE": server.authority}
    for _ in range(rounds + 1):
        for name, taken in samples.items():
            command = [sys.executable, str(HERE / "handshakes.py"), name, server.url(tasks, secure=True)]
            output = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, env=environment).stdout
            taken.append([float(line) for line in output.split()])
    return {
        name: (median(first), median(second))
        for name, taken in samples.items()
        for first, second in [zip(*taken[1:], strict=True)]
    }


async def many_walks(url: str, walks: int) -> tuple[float, float]:
    """Walk a list as many times at once with one client; return the seconds to the end of the first and the last."""
    async with TasksClient(TOKEN, base_url=url, rate_limit=None) as client:
        start = time.perf_counter()

        async def walk() -> float:
            await _drain(client.iter_tasks())
            return time.perf_counter() - start

        ends = await asyncio.gather(*(walk() for _ in range(walks)))
    return min(ends), max(ends)


def javascript(url: str, rounds: int) -> Sample | None:
    """Return the times of the official client for JavaScript; `None` where it is missing."""
    if not (shutil.which("node") and "NODE_PATH" in os.environ):
        return None
    command = ["node", str(HERE / "javascript.cjs"), url, TOKEN, str(rounds + 1)]
    output = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    return _medians([Sample(*map(float, line.split())) for line in output.splitlines()[1:]])


def longest_block(contenders: Mapping[str, Contender], url: str, rounds: int) -> dict[str, float]:
    """Return how long each contender blocked the event loop at most during a walk."""

    async def longest(contender: Contender, watch: Watch) -> float:
        async with contender(url) as walk:
            await asyncio.sleep(0)
            watch.longest = 0.0  # opening a client is not part of the walk
            await _drain(walk())
            return watch.longest

    blocks: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds + 1):
        for name, taken in blocks.items():
            gc.collect()
            watch = Watch()
            with asyncio.Runner(loop_factory=partial(asyncio.SelectorEventLoop, watch)) as runner:
                taken.append(runner.run(longest(contenders[name], watch)))
    return {name: median(taken[1:]) for name, taken in blocks.items()}


def peak_memory(url: str, rounds: int) -> float:
    """Return the peak memory in bytes of a process that walks through a list."""
    command = [sys.executable, str(HERE / "peak.py"), url]
    return median(int(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout) for _ in range(rounds))


async def cpu_times(urls: tuple[str, ...], repetitions: tuple[int, ...], rounds: int) -> list[float]:
    """Return the CPU time of walking through each list with one client, as many times as `repetitions` says."""
    taken: dict[str, list[float]] = {url: [] for url in urls}
    for _ in range(rounds + 1):
        for url, times in zip(urls, repetitions, strict=True):
            async with TasksClient(TOKEN, base_url=url, rate_limit=None) as client:
                gc.collect()
                start = time.process_time()
                for _ in range(times):
                    await _drain(client.iter_tasks())
                taken[url].append(time.process_time() - start)
    return [median(times[1:]) for times in taken.values()]


def requests(server: Server, sizes: Iterable[int]) -> list[int]:
    """Return how many requests lists of these sizes take."""
    counts = []
    for size in sizes:
        server.counts()
        asyncio.run(_walk(CONTENDERS["ours"], server.url(size)))
        counts.append(server.counts().requests)
    return counts


def start_times(arguments: Iterable[tuple[str, ...]], rounds: int) -> list[float]:
    """Return the CPU time of a Python process for each tuple of arguments, after one round to fill the caches."""
    taken: dict[tuple[str, ...], list[float]] = {each: [] for each in arguments}
    for _ in range(rounds + 1):
        for each, times in taken.items():
            start = _cpu_of_children()
            subprocess.run([sys.executable, *each], stdout=subprocess.DEVNULL, check=True)
            times.append(_cpu_of_children() - start)
    return [median(times[1:]) for times in taken.values()]


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def decode_times(thoroughness: str) -> dict[str, float]:
    """Return the time that each decoder takes for a page of 1,000 tasks, measured by pyperf."""
    with tempfile.TemporaryDirectory() as folder:
        output = str(Path(folder, "decode.json"))
        command = [sys.executable, str(HERE / "decode.py"), "--quiet", thoroughness, "--output", output]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        suite = pyperf.BenchmarkSuite.load(output)
    return {benchmark.get_name(): benchmark.median() for benchmark in suite.get_benchmarks()}
