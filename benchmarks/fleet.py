"""The measurements of many accounts. All accounts have the same list."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import time
import tracemalloc
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack

import dask_accounts
from contenders import TOKEN
from dask import bag

from apify_tasks_async import Task, TasksClient
from apify_tasks_async._defaults import INTERVAL

__all__ = ["accounts_per_second", "client_memory", "followers_load"]

HASTE = 10
"""How many times as often as by default the followers look, so that the measurement takes less time."""


def accounts_per_second(url: str, accounts: int, processes: int) -> float:
    """Return how many accounts the Dask recipe reads per second, once its processes have started."""
    names = [f"A{number}" for number in range(accounts)]
    os.environ |= {"APIFY_API_BASE_URL": url} | {f"APIFY_TOKEN_{name}": TOKEN for name in names}
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(dask_accounts.read_accounts, [names[:1]] * processes))  # imports
        partitions = bag.from_sequence(names, npartitions=processes).map_partitions(dask_accounts.read_accounts)
        start = time.perf_counter()
        rows = partitions.compute(scheduler="processes", pool=pool)
        taken = time.perf_counter() - start
    if any(row.problem for row in rows) or len(rows) != accounts:
        raise SystemExit("some accounts could not be read")
    return accounts / taken


async def client_memory(url: str, clients: int) -> tuple[float, float]:
    """Return the bytes of a client that was never used, and of one that holds a connection."""
    async with AsyncExitStack() as stack:
        await (await stack.enter_async_context(TasksClient(TOKEN, base_url=url))).count()  # imports
        tracemalloc.start()
        try:
            begin = _traced()
            opened = [
                await stack.enter_async_context(TasksClient(TOKEN, base_url=url, rate_limit=None))
                for _ in range(clients)
            ]
            idle = _traced() - begin
            for client in opened:
                await client.count()
            return idle / clients, (_traced() - begin) / clients
        finally:
            tracemalloc.stop()


def _traced() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


async def followers_load(url: str, followers: int, tasks: int) -> float:
    """Return the part of a core that so many followers take, each with a client of its own."""
    caught_up: asyncio.Queue[None] = asyncio.Queue()

    async def follow(client: TasksClient) -> None:
        seen: list[Task] = []
        async for task in client.follow_tasks(interval=INTERVAL / HASTE):
            seen.append(task)
            if len(seen) == tasks:
                caught_up.put_nowait(None)

    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(TasksClient(TOKEN, base_url=url)) for _ in range(followers)]
        following = [asyncio.create_task(follow(client)) for client in clients]
        for _ in following:
            await caught_up.get()
        cpu, wall = time.process_time(), time.perf_counter()
        await asyncio.sleep(2 * INTERVAL / HASTE)
        load = (time.process_time() - cpu) / (time.perf_counter() - wall) / HASTE
        for task in following:
            task.cancel()
        await asyncio.wait(following)
    return load
