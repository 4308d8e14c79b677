"""The library beside the tools that people test with. Each case is a test session or a program of its own."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SECONDS = 60
"""The longest time that a program may take."""

BEARTYPE = """
from beartype import BeartypeConf
from beartype.claw import beartype_package
beartype_package("apify_tasks_async", conf=BeartypeConf(is_pep484_tower=True))
"""
"""As PEP 484 has it, an int is a float."""

USE = """
import aiohttp
import asyncio
from datetime import UTC, datetime, timedelta, timezone
from apify_tasks_async import TasksClient, converter, iter_tasks, map_accounts, Task, to_row
from apify_tasks_async.testing import FakeApify, MalformedItem, Status


async def walk(api, **options):
    async with TasksClient(api.token, base_url=api.url, **options) as client:
        return await client.all_tasks()
"""


def run(tmp_path: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a folder where nothing else is."""
    file = tmp_path / "test_program.py"
    file.write_text(textwrap.dedent(code))
    return subprocess.run(
        (sys.executable, "-W", "error::RuntimeWarning", *arguments, file),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )


FROZEN = {
    "freezegun": ("from freezegun import freeze_time", 'freeze_time("2026-03-01", real_asyncio=True)'),
    "time-machine": ("import time_machine", 'time_machine.travel("2026-03-01T00:00:00Z", tick=True)'),
}


@pytest.mark.parametrize("tool", FROZEN)
@pytest.mark.parametrize("early", [True, False], ids=["imported before", "imported frozen"])
def test_frozen_time(tmp_path: Path, tool: str, *, early: bool) -> None:
    """The library works while time is frozen, and the same way afterwards, wherever it was imported first."""
    tool_import, frozen = FROZEN[tool]
    body = textwrap.indent(
        (USE if not early else "")
        + """
with FakeApify() as api:
    now = datetime.now(UTC)
    api.create_task(created_at=now, extra={"new": 1})
    api.create_task(created_at=datetime(2026, 4, 1, tzinfo=timezone(timedelta(hours=2))))
    tasks = asyncio.run(walk(api))
    assert list(api.tasks) == tasks, tasks
    assert now == tasks[0].created_at
    assert all(task.created_at.tzinfo is UTC for task in tasks)
""",
        "    ",
    )
    after = """
naive = {**tasks[0].to_dict(), "createdAt": "2026-01-01T00:00:00", "new": 2}
try:
    converter.structure([naive], list[Task])
except ValueError as error:
    assert "expected an RFC 3339 time" in str(error)
else:
    raise AssertionError("a naive time was accepted")
assert type(tasks[0].created_at) is datetime
from datetime import datetime as real
assert type(tasks[0].created_at) is real
"""
    done = run(tmp_path, f"{tool_import}\n{USE if early else ''}\nwith {frozen}:\n{body}\n{after}")
    assert (0, "") == (done.returncode, done.stderr)


def test_pendulum(tmp_path: Path) -> None:
    """Its times are datetimes."""
    code = """
import pendulum
with FakeApify() as api:
    moment = pendulum.datetime(2026, 3, 1, 12, tz="Europe/Prague")
    task = api.create_task(created_at=moment)
    assert [task] == asyncio.run(walk(api))
    assert type(task.created_at) is datetime
    assert moment == task.created_at
"""
    done = run(tmp_path, USE + code)
    assert (0, "") == (done.returncode, done.stderr)


def test_vcrpy(tmp_path: Path) -> None:
    """It records with its default serializer, without the token, and replays without a request."""
    code = """
import pathlib, vcr
tape = vcr.VCR(filter_headers=["authorization"]).use_cassette
api = FakeApify(tasks=3)
with api:
    with tape("tape.yaml"):
        first = asyncio.run(walk(api))
    count = len(api.requests)
    with tape("tape.yaml"):
        assert first == asyncio.run(walk(api))
    assert count == len(api.requests) == 1
assert api.token not in pathlib.Path("tape.yaml").read_text()
"""
    done = run(tmp_path, USE + code)
    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.parametrize(
    ("serializer", "says"),
    [("yaml", "if vcrpy records the request, pass it filter_headers=['authorization']"), ("json", "serializer")],
)
def test_vcrpy_without_a_filter(tmp_path: Path, serializer: str, says: str) -> None:
    """It refuses to write the token to a cassette, and says what to pass."""
    code = f"""
import pathlib, vcr
api = FakeApify(tasks=3)
try:
    with api, vcr.VCR(serializer="{serializer}").use_cassette("tape"):
        assert 3 == len(asyncio.run(walk(api)))
except TypeError as error:
    print(error)
assert not pathlib.Path("tape").exists() or api.token not in pathlib.Path("tape").read_text()
"""
    done = run(tmp_path, USE + code)
    assert (0, "") == (done.returncode, done.stderr)
    assert says in done.stdout


def test_pytest_socket(tmp_path: Path) -> None:
    """Its refusal comes through as what it is, at once."""
    code = """
    import asyncio
    import pytest
    from pytest_socket import SocketBlockedError
    from apify_tasks_async import TasksClient

    async def count():
        async with TasksClient("a-token-of-nobody", base_url="http://127.0.0.1:9") as client:
            await client.count()

    def test_refused():
        loop = asyncio.new_event_loop()
        from pytest_socket import disable_socket, enable_socket
        disable_socket(allow_unix_socket=True)
        try:
            with pytest.raises(SocketBlockedError):
                loop.run_until_complete(count())
        finally:
            enable_socket()
            loop.close()
    """
    done = run(tmp_path, code, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert 0 == done.returncode, done.stdout


def test_blockbuster(tmp_path: Path) -> None:
    """Its refusal comes through, and nothing of the library blocks."""
    code = """
import time
from blockbuster import BlockingError, blockbuster_ctx
with FakeApify(tasks=3) as api, blockbuster_ctx():
    assert 3 == len(asyncio.run(walk(api)))
    try:
        asyncio.run(walk(api, on_attempt=lambda _: time.sleep(0.001)))
    except BlockingError as error:
        print(error)
"""
    done = run(tmp_path, USE + code)
    assert (0, "Blocking call to time.sleep\n", "") == (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    "hook",
    [
        "from typeguard import install_import_hook; install_import_hook('apify_tasks_async')",
        BEARTYPE,
    ],
    ids=["typeguard", "beartype"],
)
def test_types_checked_at_run_time(tmp_path: Path, hook: str) -> None:
    """Every annotation that a walk meets is true."""
    code = """
async def more(api):
    async with TasksClient(api.token, base_url=api.url) as client:
        assert 30 == await client.count()
        async for page in client.iter_pages(exact=True, page_size=10):
            assert page.bookmark == type(page.bookmark).from_json(page.bookmark.to_json())
        assert 30 == len((await client.changes_since({})).added)
        api.fail(Status(429, retry_after=0))
        api.fail(MalformedItem())
        assert 29 == len(await client.all_tasks(on_invalid="skip"))
        async for task in client.follow_tasks(interval=0.01):
            if task == api.tasks[-1]:
                break
        assert "my-task-29" == to_row(task)["name"]


async def fleet(api, **options):
    async def count(client, account):
        return await client.count()

    tokens = {"alice": api.token, "bob": "a-token-of-nobody"}
    results = [each async for each in map_accounts(tokens, count, base_url=api.url, deadline=60, **options)]
    assert {("alice", 30, "NoneType"), ("bob", None, "AuthenticationError")} == {
        (each.account, each.value, type(each.error).__name__) for each in results
    }


async def accounts(api):
    await fleet(api)
    await fleet(api, headers={"X-Key": "a-key"}, proxy=None)
    async with aiohttp.ClientSession() as session:
        await fleet(api, session=session)
    assert 30 == len([task async for task in iter_tasks(api.token, base_url=api.url)])

with FakeApify(tasks=30) as api:
    assert 30 == len(asyncio.run(walk(api)))
    asyncio.run(more(api))
    asyncio.run(accounts(api))
"""
    done = run(tmp_path, f"{hook}\n{USE}{code}")
    assert 0 == done.returncode, done.stderr  # beartype warns of protocols that it cannot check


def test_trio(tmp_path: Path) -> None:
    """Under trio, each call says that asyncio is not running. In a thread, it does."""
    code = """
import trio
from apify_tasks_async import ConfigurationError


async def refused(work):
    try:
        await work()
    except ConfigurationError as error:
        assert "no event loop of asyncio is running here" in str(error), error
        assert "trio" in str(error), error
    else:
        raise AssertionError("it worked")


async def nothing(client, account):
    pass


async def first(iterator):
    async for each in iterator:
        return each


async def main(api):
    client = TasksClient(api.token, base_url=api.url)
    await refused(client.count)
    await refused(client.list_tasks)
    await refused(lambda: client.changes_since({}))
    await refused(lambda: first(client.iter_pages()))
    await refused(lambda: first(client.iter_tasks()))
    await refused(lambda: first(client.follow_tasks()))
    await refused(lambda: first(iter_tasks(api.token, base_url=api.url)))
    await refused(lambda: first(map_accounts({"alice": api.token}, nothing, base_url=api.url)))
    await client.close()
    assert 3 == len(await trio.to_thread.run_sync(lambda: asyncio.run(walk(api))))


with FakeApify(tasks=3) as api:
    trio.run(main, api)
"""
    done = run(tmp_path, USE + code)
    assert (0, "") == (done.returncode, done.stderr)
