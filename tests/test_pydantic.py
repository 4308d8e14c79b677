"""The models as pydantic sees them.

The last test takes almost one second: it starts a Python process.
"""

import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any, Literal

import attrs
import jsonschema
import pytest
from helpers.documents import DOCUMENTED, REQUIRED, example, page_document, property_test, task_document, tasks
from hypothesis import given
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import to_json

from apify_tasks_async import Attempt, Bookmark, ClientStats, Task, TaskPage, TaskStats, TransportError, converter
from apify_tasks_async._document import PydanticType

MODES: tuple[Literal["validation", "serialization"], ...] = ("validation", "serialization")

TASKS = converter.structure(example(200)["data"]["items"], list[Task])
BOOKMARK = Bookmark(datetime(2018, 10, 26, 7, 23, 14, 855000, tzinfo=UTC), frozenset({"a", "b"}), 2, desc=False)
PAGE = TaskPage(2, 0, 1000, False, 2, TASKS, BOOKMARK)

TEXT = {"type": "string"}
TIME = {"type": "string", "format": "date-time"}
INTEGER = {"type": "integer"}
NULL = {"type": "null"}
NULLABLE_TEXT = {"anyOf": [TEXT, NULL]}
PROPERTIES = {
    "TaskStats": {"totalRuns": {"anyOf": [INTEGER, NULL]}},
    "Task": {
        **dict.fromkeys(("id", "userId", "actId", "name"), TEXT),
        **dict.fromkeys(("createdAt", "modifiedAt"), TIME),
        **dict.fromkeys(("actName", "username", "actUsername"), NULLABLE_TEXT),
        "stats": {"anyOf": [{"$ref": "#/$defs/TaskStats"}, NULL]},
    },
    "TaskPage": {
        **dict.fromkeys(("total", "offset", "limit", "count"), INTEGER),
        "desc": {"type": "boolean"},
        "items": {"type": "array", "items": {"$ref": "#/$defs/Task"}},
    },
}
MAY_BE_ABSENT = {"totalRuns", *DOCUMENTED} - {*REQUIRED}

TASK = TypeAdapter(Task)
TASK_VALIDATORS = [jsonschema.Draft202012Validator(TASK.json_schema(mode=mode)) for mode in MODES]


class Listing(BaseModel):
    """What a user's own service may answer."""

    page: TaskPage
    newest: Task | None
    stats: TaskStats
    after: Bookmark


LISTING = Listing(page=PAGE, newest=None, stats=TaskStats(15), after=BOOKMARK)
LISTING_DOCUMENT = {
    "page": converter.unstructure(PAGE),
    "newest": None,
    "stats": {"totalRuns": 15},
    "after": BOOKMARK.to_json(),
}


@pytest.mark.parametrize("mode", MODES)
def test_json_schemas_of_documents(mode: Literal["validation", "serialization"]) -> None:
    """A schema has the wire's names and types; only what is read may lack the fields that have a default."""
    definitions = Listing.model_json_schema(mode=mode)["$defs"]

    for model, properties in PROPERTIES.items():
        schema = definitions[model]
        actual = {
            name: {key: value for key, value in field.items() if key not in ("title", "description")}
            for name, field in schema["properties"].items()
        }
        assert properties == actual
        assert ("object", model) == (schema["type"], schema["title"])
        required = {*properties} - (MAY_BE_ABSENT if mode == "validation" else set())
        assert required == {*schema.get("required", [])}
    task = definitions["Task"]
    assert "One Actor task, as the API lists it." == task["description"]
    assert "The identifier of the user who owns the task." == task["properties"]["userId"]["description"]
    assert all(field["description"] for model in PROPERTIES for field in definitions[model]["properties"].values())


@pytest.mark.parametrize("mode", MODES)
def test_json_schema_of_a_bookmark(mode: Literal["validation", "serialization"]) -> None:
    """A bookmark is a text, which its reader has no business in."""
    schema = TypeAdapter(Bookmark).json_schema(mode=mode)

    assert ("string", "Bookmark") == (schema["type"], schema["title"])


@given(tasks)
@property_test
def test_tasks_survive_pydantic(task: Task) -> None:
    """What pydantic writes is what the converter writes, is as the schema says, and is read as an equal task."""
    text = TASK.dump_json(task)
    document = json.loads(text)
    read = TASK.validate_json(text)

    assert converter.unstructure(task) == TASK.dump_python(task)
    for validator in TASK_VALIDATORS:
        validator.validate(document)
    assert TASK.dump_python(task) == TASK.dump_python(read)


def test_models_are_fields_of_pydantic_models() -> None:
    """A pydantic model that holds all of them is written to JSON of the wire's form, and read from it."""
    text = LISTING.model_dump_json()

    assert LISTING_DOCUMENT == json.loads(text)
    assert LISTING == Listing.model_validate_json(text)


@pytest.mark.parametrize("model", [TASKS[0], TaskStats(15), PAGE, BOOKMARK], ids=lambda model: type(model).__name__)
def test_instances_are_taken_as_they_are(model: Any) -> None:
    """A model is not made anew, nor does a page lose its bookmark."""
    assert TypeAdapter(type(model)).validate_python(model) is model


def test_unknown_fields_are_kept() -> None:
    """What this version does not know passes through pydantic."""
    document = task_document(isPublic=True)

    assert {"isPublic": True} == TASK.validate_python(document).extra
    assert document == TASK.dump_python(TASK.validate_python(document))


@pytest.mark.parametrize(
    ("model", "document", "problem"),
    [
        (Task, task_document(name=None, createdAt="now"), "name: expected a string, got null; createdAt: expected"),
        (TaskStats, {"totalRuns": True}, "totalRuns: expected an integer, got true"),
        (TaskPage, page_document(task_document(id=1))["data"], "items[0].id: expected a string, got 1"),
        (Bookmark, "{}", "not a usable bookmark: its version is not 1"),
        (Bookmark, {"version": 1}, "not a usable bookmark: it is not a JSON object"),
    ],
)
def test_problems_are_validation_errors(model: Any, document: Any, problem: str) -> None:
    """What does not fit is a ValidationError that names the fields, at the place of the model."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(list[model]).validate_python([document])

    [error] = caught.value.errors()
    assert ("value_error", (0,)) == (error["type"], error["loc"])
    assert error["msg"].removeprefix("Value error, ").startswith(problem)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"include": {"id", "title"}}, {"id", "title"}),
        ({"exclude": {"stats", "title"}}, {*DOCUMENTED} - {"stats"}),
        ({"exclude_none": True}, {*DOCUMENTED, "title"} - {"actUsername"}),
    ],
)
def test_pydantic_leaves_fields_out(options: dict[str, Any], expected: set[str]) -> None:
    """`include`, `exclude` and `exclude_none` work as with pydantic's own models, under the API's names."""
    task = Task.from_dict(task_document(title="My task", actUsername=None))

    assert expected == {*TASK.dump_python(task, **options)}
    assert expected == {*json.loads(TASK.dump_json(task, **options))}


def test_pydantic_leaves_nested_fields_out() -> None:
    """So do they in a page within a model of pydantic's, and in the counters of its tasks."""
    document = LISTING.model_dump(include={"page": {"total": True, "items": {"__all__": {"id", "stats"}}}})
    bare = LISTING.model_dump(exclude={"page": {"items": {0: {"stats": {"totalRuns"}}}}})

    assert {
        "page": {"total": 2, "items": [{"id": task.id, "stats": task.stats.to_dict()} for task in PAGE if task.stats]}
    } == document
    assert [{}, PAGE[1].to_dict()["stats"]] == [item["stats"] for item in bare["page"]["items"]]


STATS = ClientStats(requests=3, bytes_received=10)
FAILED = Attempt(0, 1000, False, 1, None, TransportError("it broke"), 0.5, None)


def test_statistics_and_attempts_are_types() -> None:
    """They are written under Python's names, an error as its message, and read back."""
    text = TypeAdapter(tuple[ClientStats, Attempt]).dump_json((STATS, FAILED))
    stats, attempt = TypeAdapter(tuple[ClientStats, Attempt]).validate_json(text)

    assert (STATS, str(FAILED.error)) == (stats, str(attempt.error))
    assert 10 == json.loads(text)[0]["bytes_received"]
    schema = TypeAdapter(Attempt).json_schema()["properties"]
    assert [{"type": "number"}, NULLABLE_TEXT["anyOf"]] == [
        {"type": schema["elapsed"]["type"]},
        schema["error"]["anyOf"],
    ]


@pytest.mark.parametrize("elapsed", [True, "1", None])
def test_an_attempt_s_numbers_are_checked(elapsed: Any) -> None:
    """A text or a boolean is not a number."""
    document = json.loads(TypeAdapter(Attempt).dump_json(FAILED)) | {"elapsed": elapsed}
    with pytest.raises(ValidationError, match="elapsed: expected a number"):
        TypeAdapter(Attempt).validate_python(document)


def test_pydantic_core_writes_models_without_their_type() -> None:
    """What an MCP tool without an annotation returns becomes the API's JSON."""
    things = {"tasks": TASKS, "page": PAGE, "stats": STATS, "attempt": FAILED, "bookmark": BOOKMARK}

    assert json.loads(json.dumps(things, default=converter.unstructure)) == json.loads(to_json(things, fallback=repr))


def test_descriptions_need_the_source() -> None:
    """Without the source there are no descriptions, and everything else works."""
    namespace: dict[str, Any] = {"PydanticType": PydanticType, "attrs": attrs, "__name__": "made"}
    exec("@attrs.frozen\nclass Made(PydanticType):\n    number: int", namespace)

    assert "" == TypeAdapter(namespace["Made"]).json_schema()["properties"]["number"]["description"]


def test_without_pydantic_there_is_no_serializer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who looks for pydantic's serializer without pydantic finds none, and no ImportError."""
    monkeypatch.setitem(sys.modules, "apify_tasks_async._pydantic", None)

    assert not hasattr(TASKS[0], "__pydantic_serializer__")


def test_pydantic_is_imported_when_it_asks() -> None:
    """The library does without pydantic, reading and writing included."""
    code = "import sys, apify_tasks_async as a; a.Task, a.TasksClient, a.converter; print('pydantic' in sys.modules)"

    assert b"False" == subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.strip()
