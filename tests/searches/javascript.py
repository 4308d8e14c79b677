"""List from `FakeApify` with Apify's client for JavaScript: `nox -s javascript`, which needs node."""

import json
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import pytest

from apify_tasks_async import Task, converter
from apify_tasks_async.testing import FakeApify, Status, make_task

SCRIPT = Path(__file__).parents[1] / "data" / "list_tasks.cjs"
TASKS = 2500


def run(url: str, token: str) -> dict[str, Any]:
    """Run the script, and return its output."""
    ended = subprocess.run(["node", SCRIPT, url, token], capture_output=True, text=True, check=True, timeout=60)
    result: dict[str, Any] = json.loads(ended.stdout)
    return result


def read(result: dict[str, Any]) -> tuple[list[int], list[Task]]:
    """Return the size of each page, and all tasks."""
    return result["counts"], converter.structure(result["listed"], list[Task])


def test_lists_from_the_process() -> None:
    """It gets all tasks that `python -m apify_tasks_async.testing` serves, unchanged."""
    with Popen([sys.executable, "-m", "apify_tasks_async.testing"], stdout=PIPE, text=True) as server:
        try:
            assert server.stdout
            listed = read(run(*server.stdout.readline().split()))
        finally:
            server.terminate()

    assert ([1000, 1000, 500], list(map(make_task, range(TASKS)))) == listed
    assert 0 == server.returncode


def test_knows_the_error_of_a_wrong_token(fake_apify: FakeApify) -> None:
    """A wrong token raises the client's error for it."""
    assert {"error": {"statusCode": 401, "type": "user-or-token-not-found"}} == run(fake_apify.url, "wrong")


@pytest.mark.fake_apify(tasks=TASKS)
def test_survives_a_429(fake_apify: FakeApify) -> None:
    """After a 429, it retries and misses nothing."""
    fake_apify.fail(Status(429), offset=1000)

    assert ([1000, 1000, 500], list(fake_apify.tasks)) == read(run(fake_apify.url, fake_apify.token))
    assert [0, 1000, 1000, 2000] == [request.offset for request in fake_apify.requests]
