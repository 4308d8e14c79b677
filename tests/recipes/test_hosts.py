"""The recipes for jobs, tools, metrics and files, each run by its host."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Annotated, Any

import aiohttp
import dask.bag
import duckdb
import mcp
import orjson
import pyarrow.parquet
import pytest
import pytest_asyncio
from aiohttp import web
from fastapi import Body, FastAPI, Response
from hosting import RECIPES, Recipe, asgi_server, web_server
from pydantic_core import to_json

from apify_tasks_async import Attempt, ClientStats, Task, TaskPage, converter, to_row
from apify_tasks_async.testing import FakeApify, Status, make_task

pytestmark = pytest.mark.fake_apify(tasks=30)


async def get(url: str, **options: Any) -> Any:
    """Return the JSON that is answered."""
    async with aiohttp.ClientSession(raise_for_status=True) as session, session.get(url, **options) as response:
        return await response.json()


@pytest.mark.asyncio
async def test_an_mcp_tool_answers_json(recipe: Recipe, account: FakeApify) -> None:
    """A client of MCP that starts the server gets the API's JSON."""
    variables = {"APIFY_TOKEN": account.token, "APIFY_API_BASE_URL": account.url}
    parameters = mcp.StdioServerParameters(
        command=sys.executable, args=["recipes/mcp_server.py"], env=variables, cwd=recipe.folder
    )
    async with mcp.stdio_client(parameters) as streams, mcp.ClientSession(*streams) as session:
        await session.initialize()
        result = await session.call_tool("find_tasks", {"word": "my-task-1", "limit": 2})

    assert result.structured_content is not None
    assert [account.tasks[19].to_dict(), account.tasks[18].to_dict()] == result.structured_content["result"]


def test_an_mcp_tool_without_annotation_answers_json() -> None:
    """What MCP writes of a result without a type is the API's JSON, by this call."""
    tasks = [make_task(1), make_task(2)]
    assert converter.unstructure(tasks) == json.loads(to_json(tasks, fallback=str, indent=2))


@pytest.mark.asyncio
async def test_django_answers_tasks(recipe: Recipe, account: FakeApify, monkeypatch: pytest.MonkeyPatch) -> None:
    """A WSGI worker answers, and Ctrl-C ends it without a complaint."""
    monkeypatch.setenv("PORT", "0")
    async with recipe.served("django_app") as url:
        # To the end of the connection: until then wsgiref would swallow Ctrl-C.
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"GET /newest HTTP/1.0\r\nHost: localhost\r\n\r\n")
        documents = json.loads((await reader.read()).partition(b"\r\n\r\n")[2])
        writer.close()

    assert [task.to_dict() for task in account.tasks[:-11:-1]] == documents


@pytest.mark.asyncio
async def test_celery_runs_jobs(recipe: Recipe, account: FakeApify) -> None:
    """Each account has a job, whose result Celery can write."""
    names = " ".join(task.name for task in account.tasks[:-4:-1])
    output = await recipe.run("celery_jobs")

    assert [f"ALICE {names}", f"BOB {names}"] == output.splitlines()


@pytest.mark.asyncio
async def test_prometheus_collects(recipe: Recipe, account: FakeApify) -> None:
    """Each number of the statistics is a counter."""
    account.fail(Status(503, retry_after=0))
    output = await recipe.run("prometheus_metrics")

    samples = {name: float(value) for name, value in (line.split() for line in output.splitlines() if line[:1] == "a")}
    assert (2, 1, 30) == tuple(samples[f"apify_tasks_{name}_total"] for name in ("requests", "retries", "tasks"))


@pytest.mark.asyncio
async def test_settings_hide_the_token(recipe: Recipe, account: FakeApify) -> None:
    """The token of the settings reaches the API, and no output."""
    output = await recipe.run("settings")

    assert output.endswith("30 tasks\n")
    assert account.token not in output


@pytest_asyncio.fixture
async def platform(account: FakeApify, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[str]]:
    """Give the paths of the runs that were started at an API that also starts runs."""
    started: list[str] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        if request.method == "GET":
            headers = {"Authorization": request.headers["Authorization"]}
            return web.json_response(await get(f"{account.url}{request.path_qs}", headers=headers))
        started.append(request.path)
        return web.json_response({"data": RUN | {"id": f"run-{len(started)}"}}, status=201)

    async with web_server(web.ServerRunner(web.Server(answer))) as url:
        monkeypatch.setenv("APIFY_API_BASE_URL", url)
        yield started


RUN = {
    "id": "",
    "actId": "actor",
    "userId": "user",
    "startedAt": "2026-03-01T12:30:00.000Z",
    "finishedAt": None,
    "status": "READY",
    "meta": {"origin": "API"},
    "stats": {"restartCount": 0, "resurrectCount": 0, "computeUnits": 0},
    "options": {"build": "latest", "timeoutSecs": 60, "memoryMbytes": 256, "diskMbytes": 512},
    "buildId": "build",
    "defaultKeyValueStoreId": "store",
    "defaultDatasetId": "dataset",
    "defaultRequestQueueId": "queue",
    "generalAccess": "RESTRICTED",
}


@pytest.mark.asyncio
async def test_matching_tasks_are_run(recipe: Recipe, account: FakeApify, platform: list[str]) -> None:
    """The official client starts each task that matches, once."""
    output = await recipe.run("run_matching")

    assert sorted(f"/v2/actor-tasks/{task.id}/runs" for task in account.tasks[10:20]) == sorted(platform)
    assert 10 == output.count("run-")


@pytest.mark.asyncio
async def test_sentry_titles_events(recipe: Recipe, account: FakeApify, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Sentry receives is titled by the problem, has its place, and no token."""
    account.fail(Status(403, message="not yours"))
    received: list[bytes] = []

    async def receive(request: web.BaseRequest) -> web.Response:
        received.append(await request.read())
        return web.json_response({})

    async with web_server(web.ServerRunner(web.Server(receive))) as url:
        monkeypatch.setenv("SENTRY_DSN", f"{url.replace('//', '//key@')}/1")
        output = await recipe.run("sentry_events")

    assert output.startswith("reported: the API at http://127.0.0.1:")
    [event] = [json.loads(line) for body in received for line in body.splitlines() if b'"exception"' in line]
    assert output.removeprefix("reported: ").strip() == event["exception"]["values"][-1]["value"]
    assert ("PermissionDeniedError", 0, 1) == (
        event["fingerprint"][0],
        event["extra"]["offset"],
        event["extra"]["attempts"],
    )
    assert account.token.encode() not in b"".join(received)


@pytest.mark.asyncio
async def test_dlt_loads_new_tasks(recipe: Recipe, account: FakeApify, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each load has only what was created since the last one, also in another process."""
    monkeypatch.setenv("DLT_DATA_DIR", f"{recipe.folder}")
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    assert ["30 new tasks", "0 new tasks"] == (await recipe.run("dlt_resource")).splitlines()
    account.create_task(name="newer")
    assert ["1 new tasks", "0 new tasks"] == (await recipe.run("dlt_resource")).splitlines()

    with duckdb.connect(str(recipe.folder / "tasks.duckdb")) as database:
        rows = database.execute("SELECT id, name, total_runs FROM apify.tasks ORDER BY created_at").fetchall()
    assert [(task.id, task.name, task.stats and task.stats.total_runs) for task in account.tasks] == rows


@pytest.mark.asyncio
@pytest.mark.parametrize("count", [30, 0])
async def test_parquet_reads_back(count: int, recipe: Recipe, account: FakeApify) -> None:
    """The file holds the flat rows, with aware times and no structure."""
    for task in account.tasks[count:]:
        account.delete_task(task.id)
    await recipe.run("parquet_file")

    table = pyarrow.parquet.read_table(recipe.folder / "tasks.parquet")
    rows = [to_row(task) for task in account.tasks]
    assert rows == table.to_pylist()
    assert not any(pyarrow.types.is_nested(field.type) for field in table.schema)


def test_orjson_writes_models() -> None:
    """Orjson has the same line as the standard library."""
    things = {"tasks": [make_task(1)], "page": TaskPage(1, 0, 1000, False, 1, [make_task(1)])}
    assert json.loads(json.dumps(things, default=converter.unstructure)) == orjson.loads(
        orjson.dumps(things, default=converter.unstructure)
    )


def test_the_converter_reaches_dask() -> None:
    """`bag.map(converter.unstructure)` works in other processes."""
    tasks = [make_task(number) for number in range(4)]
    documents = dask.bag.from_sequence(tasks, npartitions=2).map(converter.unstructure).compute(scheduler="processes")

    assert [task.to_dict() for task in tasks] == documents


def make_api() -> FastAPI:
    """Return an application that takes and answers models."""
    app = FastAPI()

    @app.get("/some", response_model_include={"id", "name"})
    async def some() -> Task:
        return make_task(1)

    @app.get("/page", response_model_exclude={"items": {"__all__": {"stats", "createdAt"}}})
    async def page() -> TaskPage:
        return TaskPage(1, 0, 1000, False, 1, [make_task(1)])

    @app.post("/tasks")
    async def create(task: Annotated[Task, Body()]) -> Task:
        return task

    @app.get("/stats")
    async def stats() -> ClientStats:
        return ClientStats(requests=3)

    @app.get("/attempts")
    async def attempts() -> list[Attempt]:
        return [Attempt(0, 1000, False, 1, 200, None, 0.5, None)]

    @app.get("/raw")
    async def raw() -> Response:
        return Response(make_task(1).to_json(), media_type="application/json")

    return app


@pytest.mark.asyncio
async def test_fastapi_leaves_fields_out() -> None:
    """`response_model_include` and `response_model_exclude` are honoured, nested too."""
    task = make_task(1)
    async with asgi_server(make_api()) as url:
        assert {"id": task.id, "name": task.name} == await get(f"{url}/some")
        [item] = (await get(f"{url}/page"))["items"]
        assert {*task.to_dict()} - {"stats", "createdAt"} == {*item}
        assert task.to_dict() == await get(f"{url}/raw")


@pytest.mark.asyncio
async def test_fastapi_takes_tasks() -> None:
    """A task is a body; statistics and attempts are responses; descriptions are in the OpenAPI document."""
    task = make_task(1)
    async with asgi_server(make_api()) as url, aiohttp.ClientSession() as session:
        async with session.post(f"{url}/tasks", json=task.to_dict()) as response:
            assert task.to_dict() == await response.json()
        async with session.post(f"{url}/tasks", json={"id": 1}) as response:
            assert 422 == response.status
        assert 3 == (await get(f"{url}/stats"))["requests"]
        assert [0.5] == [attempt["elapsed"] for attempt in await get(f"{url}/attempts")]
        schemas = (await get(f"{url}/openapi.json"))["components"]["schemas"]
    described = [
        schemas[name]["properties"][field]["description"]
        for name, field in (("Task-Output", "actId"), ("ClientStats", "pages"))
    ]
    assert ["The identifier of the Actor that the task runs.", "Responses that contained a page."] == described


def test_every_recipe_says_how_to_run_it() -> None:
    """Each recipe names its command and who closes the client."""
    for path in RECIPES.glob("*.py"):
        assert "\n\nRun it with `" in path.read_text(), path.name
