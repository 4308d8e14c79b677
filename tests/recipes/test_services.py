"""The recipes for services."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import aiohttp
import attrs
import msgspec
import pytest
from aiohttp import web
from aiohttp_app import make_app
from fastapi import FastAPI
from helpers.support import until
from hosting import Recipe, asgi_server, web_server

from apify_tasks_async import Bookmark, Task, TaskPage, converter
from apify_tasks_async.testing import FakeApify, Hang

pytestmark = pytest.mark.fake_apify(tasks=2500)

ASGI = ["fastapi_app:app", "litestar_app:app"]


async def get(url: str) -> Any:
    """Return the JSON that is answered."""
    async with aiohttp.ClientSession(raise_for_status=True) as session, session.get(url) as response:
        return await response.json()


@pytest.mark.asyncio
@pytest.mark.parametrize("application", ASGI)
async def test_all_tasks_are_streamed(application: str, account: FakeApify) -> None:
    """Each task is a line in the API's form, in order."""
    async with asgi_server(application) as url, aiohttp.ClientSession() as session:
        async with session.get(f"{url}/tasks.ndjson") as response:
            lines = (await response.read()).splitlines()

        assert "application/x-ndjson" == response.content_type
    assert account.tasks == tuple(converter.structure(msgspec.json.decode(line), Task) for line in lines)


@pytest.mark.asyncio
@pytest.mark.parametrize("application", ASGI)
async def test_pages_are_responses(application: str, account: FakeApify) -> None:
    """A page is answered in the API's form, with what the library does not know."""
    async with asgi_server(application) as url:
        document = await get(f"{url}/page?offset=2499")

    assert TaskPage(2500, 2499, 1000, False, 1, account.tasks[-1:]) == converter.structure(document, TaskPage)
    assert account.tasks[-1].extra.items() <= document["items"][0].items()


@pytest.mark.asyncio
async def test_fastapi_answers_tasks(account: FakeApify) -> None:
    """FastAPI writes a list of tasks in the API's form."""
    async with asgi_server("fastapi_app:app") as url:
        document = await get(f"{url}/newest?limit=2")

    assert converter.unstructure([*account.tasks[:-3:-1]]) == document


@pytest.mark.asyncio
async def test_litestar_answers_tasks(account: FakeApify) -> None:
    """Litestar writes the classes as they are: Python's names, and what the library does not know apart."""
    async with asgi_server("litestar_app:app") as url:
        [document] = await get(f"{url}/newest?limit=1")

    newest = account.tasks[-1]
    assert {field.name for field in attrs.fields(Task)} == {*document}
    assert (newest.user_id, dict(newest.extra)) == (document["user_id"], document["extra"])
    assert newest.created_at.isoformat().replace("+00:00", "Z") == document["created_at"]


@pytest.mark.asyncio
async def test_fastapi_describes_tasks(account: FakeApify) -> None:
    """The OpenAPI document has the models, under the wire's names."""
    async with asgi_server("fastapi_app:app") as url:
        document = await get(f"{url}/openapi.json")

    responses = {
        path: operations["get"]["responses"]["200"]["content"].get("application/json", {}).get("schema", {})
        for path, operations in document["paths"].items()
    }
    schemas = document["components"]["schemas"]
    assert {"$ref": "#/components/schemas/Task"} == responses["/newest"]["items"]
    assert {"$ref": "#/components/schemas/TaskPage"} == responses["/page"]
    assert {"$ref": "#/components/schemas/Task"} == schemas["TaskPage"]["properties"]["items"]["items"]
    assert "date-time" == schemas["Task"]["properties"]["createdAt"]["format"]


@pytest.mark.asyncio
async def test_fastapi_takes_bookmarks() -> None:
    """A bookmark is a parameter as it is a response: the text that it was written to; a damaged one is refused."""
    app = FastAPI()

    @app.get("/")
    async def echo(after: Bookmark) -> Bookmark:
        return after

    text = Bookmark(datetime(2024, 1, 1, tzinfo=UTC), {"a"}, 0, desc=False).to_json()
    async with asgi_server(app) as url, aiohttp.ClientSession() as session:
        async with session.get(url, params={"after": text}) as response:
            assert text == await response.json()
        async with session.get(url, params={"after": "{}"}) as response:
            assert 422 == response.status
            assert "not a usable bookmark" in (await response.json())["detail"][0]["msg"]


@pytest.mark.asyncio
async def test_litestar_describes_tasks(account: FakeApify) -> None:
    """The OpenAPI document has the class, under Python's names."""
    async with asgi_server("litestar_app:app") as url:
        document = await get(f"{url}/schema/openapi.json")

    schemas = document["components"]["schemas"]
    assert "date-time" == schemas["Task"]["properties"]["created_at"]["format"]


@pytest.mark.asyncio
@pytest.mark.parametrize("application", ASGI)
async def test_a_reader_who_hangs_up_ends_the_walk(application: str, account: FakeApify) -> None:
    """The pages in flight are cancelled when the reader of the stream goes away, and the service goes on."""
    account.fail(Hang(), times=None, offset=1000)
    async with asgi_server(application) as url:
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /tasks.ndjson HTTP/1.1\r\nHost: here\r\n\r\n")
        await reader.readuntil(b'"createdAt"')
        await until(lambda: [0, 1000, 2000] == sorted(request.offset or 0 for request in account.requests))
        await until(lambda: account.in_flight == 1)
        writer.transport.abort()

        await until(lambda: account.in_flight == 0)
        assert 2500 == (await get(f"{url}/page?offset=2499"))["total"]


@pytest.mark.asyncio
async def test_aiohttp_answers_tasks(account: FakeApify) -> None:
    """The application answers, and leaves neither the session nor the client open."""
    async with web_server(web.AppRunner(make_app())) as url:
        names = await get(f"{url}/newest")

    assert [task.name for task in account.tasks[:-6:-1]] == names


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("name", "arguments"), [("fastapi_app", ["--port=0"]), ("litestar_app", ["--port=0"]), ("aiohttp_app", [])]
)
async def test_commands_start_services(
    name: str, arguments: list[str], recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command that the recipe names starts the service, and Ctrl-C ends it without a complaint."""
    monkeypatch.setenv("PORT", "0")

    async with recipe.served(name, *arguments) as url:
        assert await get(f"{url}/newest")
