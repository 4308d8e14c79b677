"""The models as pydantic sees them.

The last test takes almost one second: it starts a Python process.
"""

import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any, Literal

import jsonschema
import pytest
from helpers.documents import DOCUMENTED, REQUIRED, example, page_document, property_test, task_document, tasks
from hypothesis import given
from pydantic import BaseModel, TypeAdapter, ValidationError

from apify_tasks_async import Bookmark, Task, TaskPage, TaskStats, converter

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
            name: {key: value for key, value in field.items() if key != "title"}
            for name, field in schema["properties"].items()
        }
        assert properties == actual
        assert ("object", model) == (schema["type"], schema["title"])
        required = {*properties} - (MAY_BE_ABSENT if mode == "validation" else set())
        assert required == {*schema.get("required", [])}
    assert "One Actor task, as the API lists it." == definitions["Task"]["description"]


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
    jsonschema.validate(document, TASK.json_schema(mode="serialization"))
    jsonschema.validate(document, TASK.json_schema(mode="validation"))
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


def test_pydantic_is_imported_when_it_asks() -> None:
    """The library does without pydantic, reading and writing included."""
    code = "import sys, apify_tasks_async as a; a.Task, a.TasksClient, a.converter; print('pydantic' in sys.modules)"

    assert b"False" == subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.strip()
