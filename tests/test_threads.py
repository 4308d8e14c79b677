"""Event loops in several threads, with a client each."""

import asyncio
import sys
import threading
from collections.abc import Iterator

import pytest

from apify_tasks_async import Task, TasksClient, converter
from apify_tasks_async.testing import FakeApify

WALKS = 100
TASKS = 30


@pytest.fixture
def eager() -> Iterator[None]:
    """Let Python switch between threads as often as it can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.fixture
def api() -> Iterator[FakeApify]:
    """Return a server in a thread of its own."""
    with FakeApify(tasks=TASKS) as api:
        yield api


async def walk(api: FakeApify, number: int) -> None:
    """List everything, and read it again as documents, with fields that no other thread has."""
    async with TasksClient(api.token, base_url=api.url, rate_limit=None) as client:
        for turn in range(WALKS):
            tasks = await client.all_tasks(page_size=7, exact=turn % 2 == 0)
            assert list(api.tasks) == tasks
            documents = [task.to_dict() | {f"field-{number}-{turn}": turn} for task in tasks]
            again = converter.structure(documents, list[Task])
            assert [turn] * TASKS == [task.extra[f"field-{number}-{turn}"] for task in again]


@pytest.mark.usefixtures("eager")
def test_a_loop_in_each_thread(api: FakeApify) -> None:
    """A hundred walks in each of two threads deliver everything: what the threads share does not mind.

    Takes some seconds.
    """
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            asyncio.run(walk(api, number))
        except BaseException as error:  # noqa: BLE001 - the thread would only print it
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == failures
