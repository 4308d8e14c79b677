"""Many tasks at once: the hand-written fast way against the models and the converter."""

import gc
import inspect
import linecache
import traceback
from typing import Any

import attrs
import pytest
from helpers.documents import body_of, example, task_document

from apify_tasks_async import Task, TasksClient, TaskStats, converter
from apify_tasks_async import _batch as batch
from apify_tasks_async._batch import (
    FAILURES,
    MAXIMUM_LENGTH,
    MAXIMUM_UNKNOWN,
    TaskReader,
    TaskStruct,
    build_tasks,
)
from apify_tasks_async.testing import FakeApify, make_task


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


@pytest.mark.asyncio
async def test_what_was_learned_is_forgotten() -> None:
    """Names that a server sent belong to its client: no other client expects them, and they go when it goes."""
    async with FakeApify(tasks=[make_task(0, extra={"planted": 1})]) as api:
        client = TasksClient(api.token, base_url=api.url)
        await client.all_tasks()
        assert remembered("planted")
        await client.close()
        del client
    assert not remembered("planted")


def remembered(name: str) -> list[object]:
    """Return the structs, and the sources of compiled code, that know a field."""
    gc.collect()
    structs = [struct for struct in TaskStruct.__subclasses__() if name in struct.__struct_encode_fields__]
    return [
        *structs,
        *(entry for entry in linecache.cache.values() if len(entry) == 4 and repr(name) in "".join(entry[2])),
    ]


def test_readers_share_what_they_decode_with() -> None:
    """Clients that meet the same fields do not compile them again."""
    one, other = TaskReader(), TaskReader()
    (first,) = one.convert([task_document(title="x")])
    (second,) = other.convert([task_document(title="x")])
    assert type(first) is type(second)


def test_one_odd_page_does_not_spoil_the_next() -> None:
    """After a page with as many unknown fields as are remembered, others are learned in their place."""
    reader = TaskReader()
    reader.convert([task_document(**{f"odd{number}": 1 for number in range(MAXIMUM_UNKNOWN)})])
    (struct,) = reader.convert([task_document(title="x")])
    assert {"title": "x"} == struct.read_extra()
    with pytest.raises(FAILURES, match="unknown field"):
        reader.convert([task_document(**{f"odd{number}": 1 for number in range(MAXIMUM_UNKNOWN + 1)})])
    assert type(struct) is type(reader.convert([task_document(title="x")])[0])


def test_documented_fields_teach_nothing() -> None:
    """So a page that is invalid, and has no other field, is not decoded again."""
    assert not TaskReader()._learn([task_document(id=1)])


def test_long_names_are_not_remembered() -> None:
    """A name longer than a name is read the slow way, so that no memory keeps it."""
    with pytest.raises(FAILURES, match="unknown field"):
        TaskReader().convert([task_document(**{"x" * (MAXIMUM_LENGTH + 1): 1})])
    assert TaskReader().convert([task_document(**{"x" * MAXIMUM_LENGTH: 1})])


def test_a_page_and_its_documents_are_read_alike() -> None:
    """The bytes of a page and its documents are decoded into the same tasks."""
    documents = example(200)["data"]["items"]
    reader = TaskReader()
    reader.convert(documents)  # so that its unknown fields are known
    assert converter.structure(documents, list[Task]) == build_tasks(reader.decode(body_of(200)).items)
