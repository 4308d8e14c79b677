"""Many tasks at once: the hand-written fast way against the models and the converter."""

import inspect
import linecache
import traceback
from typing import Any

import attrs
import pytest
from helpers.documents import body_of, example, task_document

from apify_tasks_async import Task, TaskStats, converter
from apify_tasks_async import _batch as batch
from apify_tasks_async._batch import TaskReader, build_tasks


def structs_of(*documents: dict[str, Any]) -> list[Any]:
    """Return the structs of task documents."""
    structs: list[Any] = TaskReader().convert(list(documents))
    return structs


@pytest.mark.parametrize(
    ("build", "variable", "model"), [(build_tasks, "task", Task), (batch._build_stats, "stats", TaskStats)]
)
def test_every_field_of_a_model_is_filled(build: Any, variable: str, model: Any) -> None:
    """The hand-written assignments are those of the model, one for each field and in the same order."""
    lines = [line.strip() for line in inspect.getsource(build).splitlines()]
    filled = [line.partition(" =")[0].removeprefix(f"{variable}.") for line in lines if line.startswith(f"{variable}.")]
    assert [field.name for field in attrs.fields(model)] == [name for name in filled if name != "__class__"]


def test_a_draft_becomes_the_model() -> None:
    """What is built is the model itself: of its class, equal, hashable as such, and frozen."""
    (task,) = build_tasks(structs_of(task_document()))
    assert (Task, TaskStats) == (type(task), type(task.stats))
    assert converter.structure(task_document(), Task) == task
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        task.name = "x"  # type: ignore[misc]  # that is the point


def test_unknown_fields_at_every_depth() -> None:
    """Each model keeps its own unknown fields, even where their names are the same."""
    first, last = build_tasks(
        structs_of(task_document(x=2, stats={"totalRuns": 1, "x": 1, "y": 3}), task_document(stats=None))
    )
    assert ({"x": 2}, {"x": 1, "y": 3}) == (first.extra, first.stats and first.stats.extra)
    assert ({}, None) == (last.extra, last.stats)


def test_compiled_code_can_be_read() -> None:
    """A traceback through the compiled part shows its source."""
    (struct,) = structs_of(task_document(title="x"))
    code = type(struct).read_extra.__code__
    assert "'title': struct.extra_0" in "".join(linecache.getlines(code.co_filename))
    with pytest.raises(AttributeError) as caught:
        type(struct).read_extra(object())
    assert "extra = {'title': struct.extra_0}" in "".join(traceback.format_tb(caught.tb))


def test_a_page_and_its_documents_are_read_alike() -> None:
    """The bytes of a page and its documents are decoded into the same tasks."""
    documents = example(200)["data"]["items"]
    reader = TaskReader()
    reader.convert(documents)  # so that its unknown fields are known
    assert converter.structure(documents, list[Task]) == build_tasks(reader.decode(body_of(200)).items)
