"""`FakeApify` answers as the specification says, and as the official clients understand it."""

import copy
import http.client
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jsonschema
import msgspec
import pytest
from apify_client import ApifyClient, ApifyClientAsync
from apify_client.errors import ApifyApiError
from hypothesis import given
from hypothesis import strategies as st

from apify_tasks_async import Task, TaskPage, TaskStats, converter
from apify_tasks_async.testing import (
    ERROR_SCHEMA,
    PAGE_SCHEMA,
    FakeApify,
    MalformedItem,
    RecordedRequest,
    Status,
    make_task,
)

DATA = Path(__file__).parent / "data"
EXAMPLES = {200: DATA / "example_200.json", 400: DATA / "example_400.json"}
TASKS = 40

formats = jsonschema.FormatChecker(formats=())


@formats.checks("date-time", raises=ValueError)
def is_time(value: object) -> bool:
    """Say whether a value is a time with its zone, if it is a string."""
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


validators = {
    schema: jsonschema.Draft202012Validator(document, format_checker=formats)
    for schema, document in (("page", PAGE_SCHEMA), ("error", ERROR_SCHEMA))
}


def problems(status: int, document: object) -> list[str]:
    """Return what the schema of answers with that status finds in a document."""
    validator = validators["page" if status == 200 else "error"]
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


def ask(api: FakeApify, *, method: str = "GET", token: str | None = None, **parameters: Any) -> tuple[int, Any]:
    """Return the status and the document of an answer."""
    connection = http.client.HTTPConnection(api.url.removeprefix("http://"), timeout=30)
    headers = {"Authorization": f"Bearer {api.token if token is None else token}"}
    try:
        connection.request(method, f"/v2/actor-tasks?{urlencode(parameters)}", headers=headers)
        response = connection.getresponse()
        return response.status, json.load(response)
    finally:
        connection.close()


def tasks_with_ties() -> list[Task]:
    """Return tasks of which some were created at the same time, and some lack what may be lacking."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return [
        make_task(
            number,
            created_at=start + timedelta(seconds=number * 7 % 11),
            act_name=None if number % 3 else "my-actor",
            username=None if number % 4 else "janedoe",
            act_username=None if number % 5 else "apify",
            stats=None if number % 2 else TaskStats(number or None, extra={"lastRunStartedAt": None}),
        )
        for number in range(TASKS)
    ]


@pytest.fixture(scope="module")
def served() -> Iterator[FakeApify]:
    """A server for all examples that Hypothesis makes."""
    with FakeApify(tasks_with_ties()) as api:
        yield api


class TestSchemas:
    """The schemas themselves."""

    @pytest.mark.parametrize("schema", [PAGE_SCHEMA, ERROR_SCHEMA])
    def test_are_schemas(self, schema: dict[str, Any]) -> None:
        """Both are valid in the dialect that they name."""
        jsonschema.Draft202012Validator.check_schema(schema)

        assert jsonschema.Draft202012Validator is jsonschema.validators.validator_for(schema)

    @pytest.mark.parametrize("status", EXAMPLES)
    def test_take_the_examples_of_the_specification(self, status: int) -> None:
        """The documents that the specification shows are as its schema has them."""
        assert problems(status, json.loads(EXAMPLES[status].read_bytes())) == []

    @pytest.mark.parametrize("name", ["total", "offset", "limit", "desc", "count", "items"])
    def test_refuse_pages_without_a_field(self, name: str) -> None:
        """Every field of a page is required."""
        document = json.loads(EXAMPLES[200].read_bytes())
        del document["data"][name]

        assert [f"$.data: '{name}' is a required property"] == problems(200, document)

    @pytest.mark.parametrize("name", ["id", "userId", "actId", "name", "createdAt", "modifiedAt"])
    @pytest.mark.parametrize("value", [None, 1, ["x"]])
    def test_refuse_items_without_a_field(self, name: str, value: object) -> None:
        """The fields of an item that are required are neither absent nor of another type."""
        document = json.loads(EXAMPLES[200].read_bytes())
        other = copy.deepcopy(document)
        del document["data"]["items"][1][name]
        other["data"]["items"][1][name] = value

        assert [f"$.data.items[1]: '{name}' is a required property"] == problems(200, document)
        assert [f"$.data.items[1].{name}: {value!r} is not of type 'string'"] == problems(200, other)

    @pytest.mark.parametrize(
        "change",
        [
            {"createdAt": "yesterday"},
            {"modifiedAt": "2018-10-26T07:23:14.855"},
            {"actName": 1},
            {"username": []},
            {"actUsername": False},
            {"stats": []},
            {"stats": {"totalRuns": None}},
            {"stats": {"totalRuns": "15"}},
            {"stats": {"totalRuns": 1.5}},
        ],
    )
    def test_refuse_items_with_other_values(self, change: dict[str, Any]) -> None:
        """A value that the specification does not allow is found."""
        document = json.loads(EXAMPLES[200].read_bytes())
        document["data"]["items"][0] |= change

        assert len(problems(200, document)) == 1

    @pytest.mark.parametrize(
        "change",
        [
            {"actName": None, "username": None, "actUsername": None, "stats": None},
            {"stats": {}},
            {"stats": {"totalRuns": 0, "new": 1}},
            {"title": "My task", "isPublic": False},
        ],
    )
    def test_take_items_with_fewer_and_with_more(self, change: dict[str, Any]) -> None:
        """Nullable fields may be null, and fields that are not described are allowed."""
        document = json.loads(EXAMPLES[200].read_bytes())
        document["data"]["items"][0] |= change

        assert problems(200, document) == []

    @pytest.mark.parametrize(
        "document", [{}, {"error": {}}, {"error": {"type": "x"}}, {"error": {"type": 1, "message": "x"}}, []]
    )
    def test_refuse_other_errors(self, document: object) -> None:
        """An error has a type and a message, both of them text."""
        assert problems(400, document)


class TestAnswers:
    """Everything that `FakeApify` answers."""

    @given(
        offset=st.none() | st.integers(0, TASKS + 5) | st.sampled_from(["1e1", "2.0", "7.9"]),
        limit=st.none() | st.integers(0, TASKS + 5) | st.sampled_from([1000, 1001, 10**20, "1e1", "0.5"]),
        desc=st.sampled_from([None, "1", "true", "0", "false"]),
    )
    def test_are_the_pages_of_the_specification(
        self, served: FakeApify, offset: int | str | None, limit: int | str | None, desc: str | None
    ) -> None:
        """Every answer is valid and holds the requested slice in the requested order."""
        parameters = {"offset": offset, "limit": limit, "desc": desc}
        given_parameters: dict[str, Any] = {name: value for name, value in parameters.items() if value is not None}

        status, document = ask(served, **given_parameters)

        start = int(float(offset or 0))
        effective = min(int(float(limit or 0)) or 1000, 1000)
        walked = served.tasks[::-1] if desc in ("1", "true") else served.tasks
        expected = TaskPage(
            total=TASKS,
            offset=start,
            limit=effective,
            desc=desc in ("1", "true"),
            count=len(walked[start : start + effective]),
            items=walked[start : start + effective],
        )
        assert status == 200
        assert problems(status, document) == []
        assert expected == converter.structure(document["data"], TaskPage)

    @given(
        name=st.sampled_from(["offset", "limit", "desc"]),
        value=st.text() | st.floats().map(str) | st.integers(max_value=-1).map(str),
    )
    def test_are_the_errors_of_the_specification(self, served: FakeApify, name: str, value: str) -> None:
        """Whatever a parameter holds, the answer is a valid page or a valid 400 that names the parameter."""
        status, document = ask(served, **{name: value})

        assert status in (200, 400)
        assert problems(status, document) == []
        if status == 400:
            assert document["error"]["type"] == "invalid-input"
            assert f'"{name}"' in document["error"]["message"]

    @pytest.mark.parametrize(
        ("status", "type_", "request_"),
        [
            (401, "user-or-token-not-found", {"token": "wrong"}),
            (401, "token-not-provided", {"token": ""}),
            (405, "method-not-allowed", {"method": "DELETE"}),
            (400, "invalid-input", {"limit": "x"}),
        ],
    )
    def test_are_errors_of_the_api(self, served: FakeApify, status: int, type_: str, request_: dict[str, Any]) -> None:
        """A refused request gets a valid error document."""
        answered, document = ask(served, **request_)

        assert (status, type_) == (answered, document["error"]["type"])
        assert problems(status, document) == []

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 429, 500, 502, 503, 504, 520])
    def test_are_valid_when_they_fail_as_told(self, status: int) -> None:
        """The errors of scripted faults are as documented too."""
        with FakeApify() as api:
            api.fail(Status(status))
            answered, document = ask(api)

        assert status == answered
        assert problems(status, document) == []

    def test_are_valid_when_there_are_too_many_requests(self) -> None:
        """So is the error of the rate limit."""
        with FakeApify(rate_limit=0.001) as api:
            ask(api)
            status, document = ask(api)

        assert (status, document["error"]["type"]) == (429, "rate-limit-exceeded")
        assert problems(status, document) == []

    def test_are_invalid_only_when_told(self) -> None:
        """A malformed item is what the schema finds."""
        with FakeApify(tasks=3) as api:
            api.fail(MalformedItem(1, "createdAt", None))
            status, document = ask(api)

        assert problems(status, document) == ["$.data.items[1].createdAt: None is not of type 'string'"]

    def test_are_of_the_form_of_the_example(self) -> None:
        """The specification's own tasks come back as the specification shows them."""
        example = json.loads(EXAMPLES[200].read_bytes())
        tasks = converter.structure(example["data"], TaskPage).items
        with FakeApify(tasks) as api:
            answered = ask(api)

        assert (200, example) == answered


texts = st.text(st.characters(codec="utf-8"))
moments = st.datetimes(timezones=st.just(UTC))


@given(
    task=st.builds(
        Task,
        id=texts,
        user_id=texts,
        act_id=texts,
        name=texts,
        created_at=moments,
        modified_at=moments,
        act_name=st.none() | texts,
        username=st.none() | texts,
        act_username=st.none() | texts,
        stats=st.none() | st.builds(TaskStats, st.integers(0, 2**53), extra=st.dictionaries(texts, st.integers(0, 9))),
        extra=st.dictionaries(texts, st.booleans() | texts),
    )
)
def test_items_are_what_the_converter_writes(served: FakeApify, task: Task) -> None:
    """The server writes any task exactly as the library's converter does, though it does not ask it."""
    created = {name: getattr(task, name) for name in Task.__match_args__}
    served.create_task(**created, extra=task.extra)
    try:
        _, document = ask(served, limit=1, offset=served.tasks.index(task))
    finally:
        served.delete_task(task.id)

    assert [msgspec.json.decode(msgspec.json.encode(converter.unstructure(task)))] == document["data"]["items"]


class TestOfficialClients:
    """apify-client lists the same tasks."""

    @pytest.fixture
    def api(self) -> Iterator[FakeApify]:
        """A server with more tasks than fit into a page."""
        with FakeApify(tasks=1200) as api:
            yield api

    @pytest.mark.parametrize(
        ("arguments", "recorded"),
        [
            ({}, (0, None, False)),
            ({"desc": True}, (0, None, True)),
            ({"desc": False, "offset": 3, "limit": 4}, (3, 4, False)),
            ({"desc": True, "offset": 1190, "limit": 100}, (1190, 100, True)),
            ({"limit": 0}, (0, 0, False)),
        ],
    )
    def test_list(self, api: FakeApify, arguments: dict[str, Any], recorded: tuple[int, int | None, bool]) -> None:
        """One page of the synchronous client is that slice of the list; what it sends is understood."""
        page = ApifyClient(api.token, api_url=api.url).tasks().list(**arguments)

        offset, limit, desc = recorded
        expected = (api.tasks[::-1] if desc else api.tasks)[offset:][: limit or 1000]
        assert [(task.id, task.created_at, task.modified_at) for task in expected] == [
            (item.id, item.created_at, item.modified_at) for item in page.items
        ]
        assert (1200, len(expected), offset, limit or 1000, desc) == (
            page.total,
            page.count,
            page.offset,
            page.limit,
            page.desc,
        )
        assert [RecordedRequest(offset, limit, desc, authorised=True, at=api.requests[0].at)] == api.requests

    def test_iterate(self, api: FakeApify) -> None:
        """The synchronous client walks the whole list."""
        names = [item.name for item in ApifyClient(api.token, api_url=api.url).tasks().iterate()]

        assert [task.name for task in api.tasks] == names

    @pytest.mark.asyncio
    async def test_asynchronous(self) -> None:
        """The asynchronous client lists and walks the same, in the loop of the server."""
        async with FakeApify(tasks=1200) as api:
            tasks = ApifyClientAsync(api.token, api_url=api.url).tasks()
            page = await tasks.list(desc=True, offset=2, limit=3)
            walked = [item.id async for item in tasks.iterate(desc=True)]

        assert [task.id for task in api.tasks[-3:-6:-1]] == [item.id for item in page.items]
        assert [task.id for task in api.tasks[::-1]] == walked

    def test_errors(self, api: FakeApify) -> None:
        """A wrong token is the error that the official client knows."""
        with pytest.raises(ApifyApiError) as caught:
            ApifyClient("wrong", api_url=api.url).tasks().list()

        assert (caught.value.status_code, caught.value.type) == (401, "user-or-token-not-found")
