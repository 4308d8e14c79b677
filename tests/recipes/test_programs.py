"""The recipes that are programs."""

import asyncio
import json
from pathlib import Path

import crawlee_crawler
import msgspec
import pytest
from at_home import platform
from helpers.support import until
from hosting import Recipe, website
from taskiq import BrokerMessage
from taskiq_jobs import broker, list_new_tasks

from apify_tasks_async import converter
from apify_tasks_async.testing import FakeApify, Hang, Status

pytestmark = pytest.mark.fake_apify(tasks=2500)


def stored(folder: Path) -> list[dict[str, object]]:
    """Return what is in the default dataset, in order."""
    files = sorted((folder / "storage" / "datasets" / "default").glob("0*.json"))
    return [json.loads(file.read_bytes()) for file in files]


def keep(account: FakeApify, count: int) -> None:
    """Leave the account only its oldest tasks."""
    for task in account.tasks[count:]:
        account.delete_task(task.id)


def hang_behind_the_first_page(account: FakeApify) -> None:
    """Let the pages behind the first one never come."""
    account.fail(Hang(), times=None, offset=1000)
    account.fail(Hang(), times=None, offset=2000)


@pytest.mark.asyncio
async def test_crawlee_crawls_every_task(recipe: Recipe, account: FakeApify, site: str) -> None:
    """Each task becomes a request, and what comes back is stored with its name."""
    keep(account, 50)
    await recipe.run("crawlee_crawler", site)

    assert {task.name for task in account.tasks} == {item["task"] for item in stored(recipe.folder)}


def test_crawlee_ends_before_the_list(account: FakeApify, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The crawler's limit leaves the generator as it stands: closing the client cancels the pages in flight."""
    hang_behind_the_first_page(account)
    monkeypatch.chdir(tmp_path)

    async def crawl() -> None:
        async with website() as site:
            await crawlee_crawler.main(site)
        await until(lambda: account.in_flight == 0)

    # A loop of its own, since crawlee keeps connections to the website for as long as the process lives.
    asyncio.run(crawl())
    assert 3 == len(account.requests)
    assert 100 <= len(stored(tmp_path)) < 200


@pytest.mark.asyncio
async def test_scrapy_crawls_every_task(recipe: Recipe, account: FakeApify, site: str) -> None:
    """Each task becomes a request, and what comes back is stored with its name."""
    keep(account, 50)
    await recipe.run("scrapy_spider", "-a", f"site={site}")

    lines = (recipe.folder / "pages.jsonl").read_bytes().splitlines()
    assert {task.name for task in account.tasks} == {msgspec.json.decode(line)["task"] for line in lines}
    assert 50 == len(lines)


@pytest.mark.asyncio
async def test_scrapy_closes_early(recipe: Recipe, account: FakeApify, site: str) -> None:
    """A spider that is closed while it waits for a page ends at once, and leaves nothing behind."""
    hang_behind_the_first_page(account)
    await recipe.run("scrapy_spider", "-a", f"site={site}", "-s", "CLOSESPIDER_ITEMCOUNT=10")

    await until(lambda: account.in_flight == 0)


@pytest.mark.asyncio
async def test_an_actor_stores_every_task(recipe: Recipe, account: FakeApify) -> None:
    """The dataset has every task in the API's form, in order."""
    await recipe.run("apify_actor")

    assert converter.unstructure([*account.tasks]) == stored(recipe.folder)


@pytest.mark.asyncio
async def test_an_actor_on_the_platform(recipe: Recipe, account: FakeApify, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the platform, whose API has a private address and plain http, the dataset has every task, in order."""
    async with platform(account, recipe.folder) as (running, variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        await recipe.run("apify_actor")
        assert converter.unstructure([*account.tasks]) == running.items


@pytest.mark.asyncio
async def test_jobs_carry_on(recipe: Recipe, account: FakeApify) -> None:
    """The second job of an account finds what was created since the first."""
    requests: list[object] = []

    def create(request: object) -> None:
        requests.append(request)
        if len(requests) == 7:  # after 3 pages of each account
            account.create_task(name="a-new-one")

    account.on_request = create
    output = await recipe.run("taskiq_jobs")

    assert ["ALICE 2500 new tasks", "BOB 2500 new tasks", "ALICE 1 new tasks", "BOB 1 new tasks"] == output.splitlines()


@pytest.mark.asyncio
async def test_tokens_do_not_travel(account: FakeApify, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent to a worker has the account and the bookmark, and no token."""
    sent: list[bytes] = []

    async def kick(message: BrokerMessage) -> None:
        sent.append(message.message)

    monkeypatch.setattr(broker, "kick", kick)
    await list_new_tasks.kiq("ALICE", "a bookmark")

    [message] = sent
    assert ["ALICE", "a bookmark"] == msgspec.json.decode(message)["args"]
    assert account.token.encode() not in message


@pytest.mark.asyncio
async def test_accounts_are_partitions(recipe: Recipe, account: FakeApify) -> None:
    """Each account is listed once, by a process of its own."""
    output = await recipe.run("dask_accounts")

    runs = sum(task.stats.total_runs or 0 for task in account.tasks if task.stats)
    assert [f"{name} 2500 tasks {runs} runs" for name in ("ALICE", "BOB")] == output.splitlines()
    assert 6 == len(account.requests)


@pytest.mark.asyncio
async def test_each_attempt_is_a_span(recipe: Recipe, account: FakeApify) -> None:
    """A request that is tried again gives two spans, below that of the walk, and none has the token."""
    account.fail(Status(503))
    output = await recipe.run("opentelemetry_spans")

    decoder = json.JSONDecoder()
    spans = []
    while output.strip():
        span, end = decoder.raw_decode(output.lstrip())
        spans.append(span)
        output = output.lstrip()[end:]
    *attempts, walk = spans
    assert ("list tasks", None, {"apify.tasks": 2500}) == (walk["name"], walk["parent_id"], walk["attributes"])
    assert [503, 200, 200, 200] == [span["attributes"]["http.status_code"] for span in attempts]
    assert {walk["context"]["span_id"]} == {span["parent_id"] for span in attempts}
    assert account.token not in json.dumps(spans)


@pytest.mark.asyncio
@pytest.mark.parametrize("count", [2500, 0])
async def test_data_frames_have_times_in_utc(count: int, recipe: Recipe, account: FakeApify) -> None:
    """Either data frame has times in UTC; an account without tasks is none to fail at."""
    keep(account, count)
    output = await recipe.run("data_frames")

    assert 2 == output.count("time_zone='UTC'")
    assert (", UTC]" in output) == bool(count)
