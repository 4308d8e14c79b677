"""JSON documents to models, and back."""

import json
import random
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from helpers.documents import (
    DOCUMENTED,
    REQUIRED,
    STRINGS,
    body_of,
    example,
    json_values,
    property_test,
    task_document,
    task_documents,
    tasks,
)
from hypothesis import given
from hypothesis import strategies as st

from apify_tasks_async import Task, TaskPage, TaskStats, converter
from apify_tasks_async._batch import FAILURES, MAXIMUM_UNKNOWN, SAMPLE, TaskReader, build_tasks
from apify_tasks_async._convert import InvalidDocumentError, load_json
from apify_tasks_async._envelope import read_envelope

CREATED_AT = datetime(2018, 10, 26, 7, 23, 14, 855000, tzinfo=UTC)
MODIFIED_AT = datetime(2018, 10, 26, 13, 30, 49, 578000, tzinfo=UTC)

STRANGE = {
    "null": None,
    "a number": 15,
    "a fraction": 1.5,
    "true": True,
    "an array": ["x"],
    "an object": {"x": 1},
    "a string": "x",
}
SHOWN: dict[Any, str] = {None: "null", 15: "15", 1.5: "1.5", True: "true", "x": "'x'"}


def shown(value: Any) -> str:
    """Return how a message shows a value of JSON."""
    if isinstance(value, list | dict):
        return "an array" if isinstance(value, list) else "an object"
    return SHOWN[value]


def every_kind_but(*kinds: str) -> pytest.MarkDecorator:
    """Run the test with a value of each kind that JSON has, except those."""
    values = {kind: value for kind, value in STRANGE.items() if kind not in kinds}
    return pytest.mark.parametrize("value", values.values(), ids=values)


damaged_tasks = json_values | st.builds(
    lambda document, name, value: document | {name: value},
    task_documents,
    st.sampled_from(DOCUMENTED),
    json_values | st.sampled_from(["2018-10-26t07:23:14z", "2018-10-26T24:00:00Z", "2018-02-30T00:00:00Z"]),
)


def page_body(items: list[Any]) -> bytes:
    """Return the JSON of a page."""
    data = {"total": 9, "offset": 0, "limit": 9, "desc": False, "count": len(items), "items": items}
    return json.dumps({"data": data}).encode()


def problem_of(document: Any, kind: Any = Task) -> str:
    """Return why the document is refused."""
    try:
        converter.structure(document, kind)
    except ValueError as error:
        return str(error)
    return "it is not refused"


def test_example_task() -> None:
    """The specification's example is read into the documented fields."""
    expected = Task(
        id="zdc3Pyhyz3m8vjDeM",
        user_id="wRsJZtadYvn4mBZmm",
        act_id="asADASadYvn4mBZmm",
        name="my-task",
        created_at=CREATED_AT,
        modified_at=MODIFIED_AT,
        act_name="my-actor",
        username="janedoe",
        act_username="janedoe",
        stats=TaskStats(total_runs=15),
    )

    actual = converter.structure(task_document(), Task)

    assert expected == actual
    assert {} == actual.extra


def test_example_page_round_trip() -> None:
    """The specification's example of a page is written as it was read."""
    document = example(200)["data"]
    page = converter.structure(document, TaskPage)

    assert (2, 0, 1000, False, 2) == (page.total, page.offset, page.limit, page.desc, page.count)
    assert ["my-task", "my-task-2"] == [task.name for task in page]
    assert page.bookmark is None
    assert document == converter.unstructure(page)


@given(task_documents)
@property_test
def test_wire_to_task_to_wire_is_the_identity(document: dict[str, Any]) -> None:
    """A task in the API's own form is written as it was read, by way of bytes too, and left as it was."""
    before = json.dumps(document)
    written = converter.unstructure(converter.structure(document, Task))

    assert before == json.dumps(document)
    assert document == written
    assert json.loads(msgspec.json.encode(document)) == json.loads(msgspec.json.encode(written))


@given(tasks)
@property_test
def test_task_to_wire_to_task_is_the_identity(task: Task) -> None:
    """Every task, with microseconds and unknown fields, comes back from its document as it was."""
    again = converter.structure(converter.unstructure(task), Task)

    assert task == again
    assert task.extra == again.extra
    assert (task.stats and task.stats.extra) == (again.stats and again.stats.extra)


@given(tasks)
@property_test
def test_tasks_are_written_as_json(task: Task) -> None:
    """A task's document is JSON, and is read from it as it was."""
    assert task == converter.structure(load_json(msgspec.json.encode(converter.unstructure(task))), Task)


@pytest.mark.parametrize("name", ["actName", "username", "actUsername", "stats"])
def test_absent_nullable_field_counts_as_null(name: str) -> None:
    """A field that may be null may be absent as well, and is written as null."""
    document = task_document()
    del document[name]
    task = converter.structure(document, Task)

    assert task == converter.structure(task_document(**{name: None}), Task)
    assert task_document(**{name: None}) == converter.unstructure(task)


@pytest.mark.parametrize("name", REQUIRED)
def test_required_fields_are_required(name: str) -> None:
    """A document without a required field is refused by the name of the field."""
    document = task_document()
    del document[name]

    assert f"{name}: required" == problem_of(document)


def test_every_problem_is_named() -> None:
    """A document is refused for all that is wrong with it at once."""
    document = task_document(id=None, stats={"totalRuns": "x"}, createdAt="x")
    del document["name"]

    assert [
        "id: expected a string, got null",
        "name: required",
        "createdAt: expected an RFC 3339 time, got 'x'",
        "stats.totalRuns: expected an integer, got 'x'",
    ] == problem_of(document).split("; ")


@pytest.mark.parametrize("name", ["id", "userId", "actId", "name"])
@every_kind_but("a string")
def test_strings_are_strings(name: str, value: Any) -> None:
    """No other value is turned into a string."""
    assert f"{name}: expected a string, got {shown(value)}" == problem_of(task_document(**{name: value}))


@pytest.mark.parametrize("name", ["actName", "username", "actUsername"])
@every_kind_but("a string", "null")
def test_nullable_strings_are_strings_or_null(name: str, value: Any) -> None:
    """No other value is turned into a string where null is one of the choices."""
    assert f"{name}: expected a string, got {shown(value)}" == problem_of(task_document(**{name: value}))


@pytest.mark.parametrize("name", ["createdAt", "modifiedAt"])
@every_kind_but()
def test_times_are_times(name: str, value: Any) -> None:
    """No other value is turned into a time."""
    assert f"{name}: expected an RFC 3339 time, got {shown(value)}" == problem_of(task_document(**{name: value}))


@every_kind_but("an object", "null")
def test_stats_are_an_object(value: Any) -> None:
    """Stats are an object, null or absent."""
    assert f"stats: expected an object, got {shown(value)}" == problem_of(task_document(stats=value))


@every_kind_but("a number", "null")
def test_total_runs_are_an_integer(value: Any) -> None:
    """A count is no fraction, no truth and no text."""
    assert f"stats.totalRuns: expected an integer, got {shown(value)}" == problem_of(
        task_document(stats={"totalRuns": value})
    )


@every_kind_but("an object")
def test_a_task_is_an_object(value: Any) -> None:
    """What is no object is no task."""
    assert f"expected an object, got {shown(value)}" == problem_of(value)


@pytest.mark.parametrize(
    ("stats", "expected", "written"),
    [
        (None, None, None),
        ({}, TaskStats(), {"totalRuns": None}),
        ({"totalRuns": None}, TaskStats(), {"totalRuns": None}),
        ({"totalRuns": 0}, TaskStats(0), {"totalRuns": 0}),
        ({"totalRuns": 15.0}, TaskStats(15), {"totalRuns": 15}),
        ({"totalRuns": 15, "new": {"x": [1]}}, TaskStats(15), {"totalRuns": 15, "new": {"x": [1]}}),
    ],
)
def test_forms_of_stats(stats: Any, expected: TaskStats | None, written: Any) -> None:
    """Stats may be null, empty, or hold more than is documented."""
    task = converter.structure(task_document(stats=stats), Task)

    assert expected == task.stats
    assert written == converter.unstructure(task)["stats"]


@pytest.mark.parametrize(("wire", "attribute"), STRINGS.items())
def test_each_string_has_its_place(wire: str, attribute: str) -> None:
    """Each name of the wire is read into its own field, and written back from it."""
    task = converter.structure(task_document(**{wire: "Příliš žluťoučký kůň 🐎\x00"}), Task)

    assert "Příliš žluťoučký kůň 🐎\x00" == getattr(task, attribute)
    assert task_document(**{wire: "Příliš žluťoučký kůň 🐎\x00"}) == converter.unstructure(task)


def test_unknown_fields_are_kept_and_restored() -> None:
    """Fields outside the specification are kept, even if their names are those of Python's fields."""
    extra: dict[str, Any] = {
        "title": None,
        "isPublic": False,
        "user_id": "x",
        "extra": {"extra": []},
        "": 1,
        "bookmark": 1,
    }
    document = task_document(**extra)
    task = converter.structure(document, Task)

    assert extra == task.extra
    assert document == converter.unstructure(task)


def test_documented_fields_are_not_overwritten() -> None:
    """What `extra` holds under the name of a documented field does not replace the field."""
    task = converter.structure(task_document(), Task)
    task = Task(task.id, task.user_id, task.act_id, task.name, task.created_at, task.modified_at, extra={"id": "x"})

    assert task.id == converter.unstructure(task)["id"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2018-10-26T07:23:14.855Z", CREATED_AT),
        ("2018-10-26T07:23:14.855000Z", CREATED_AT),
        ("2018-10-26T09:23:14.855+02:00", CREATED_AT),
        ("2018-10-25T19:53:14.855-11:30", CREATED_AT),
        ("2018-10-26T07:23:14.855-00:00", CREATED_AT),
        ("2018-10-26t07:23:14.855z", CREATED_AT),
        ("2018-10-26T07:23:14Z", CREATED_AT.replace(microsecond=0)),
        ("2018-10-26T07:23:14.8Z", CREATED_AT.replace(microsecond=800000)),
        ("2018-10-26T07:23:14.123456Z", CREATED_AT.replace(microsecond=123456)),
        ("2018-10-26T07:23:14.123456999Z", CREATED_AT.replace(microsecond=123457)),
        ("2018-10-26 07:23:14.855Z", CREATED_AT),
        ("2018-10-26T09:23:14.855+0200", CREATED_AT),
        ("2016-02-29T00:00:00Z", datetime(2016, 2, 29, tzinfo=UTC)),
        ("0001-01-01T00:00:00.000Z", datetime.min.replace(tzinfo=UTC)),
        ("9999-12-31T23:59:59.999999Z", datetime.max.replace(tzinfo=UTC)),
    ],
)
def test_rfc_3339_times(text: str, expected: datetime) -> None:
    """Every form that RFC 3339 has is read, and a zone without its colon, as an aware time in UTC."""
    actual = converter.structure(text, datetime)

    assert (expected, UTC) == (actual, actual.tzinfo)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2018-10-26",
        "2018-10-26T07:23:14",
        "2018-10-26T07:23Z",
        "20181026T072314Z",
        "2018-W43-5T07:23:14Z",
        "2018-10-26T07:23:14,855Z",
        "2018-10-26T07:23:14.Z",
        "2018-10-26T07:23:14+02",
        "2018-10-26T07:23:14+02:99",
        "2018-10-26T07:23:14+24:00",
        "2018-10-26T07:23:14+02:00:30",
        "2018-10-26T07:23:14Z ",
        "2018-10-26T07:23:14Z\n",
        "٢٠١٨-10-26T07:23:14Z",
        "2018-02-30T07:23:14Z",
        "2017-02-29T07:23:14Z",
        "2018-13-01T07:23:14Z",
        "2018-10-26T24:00:00Z",
        "2018-10-26T07:60:00Z",
        "2016-12-31T23:59:60Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+05:00",
        "9999-12-31T23:59:59-05:00",
        "12018-10-26T07:23:14Z",
        "1540538594",
    ],
)
def test_other_times_are_refused(text: str) -> None:
    """What RFC 3339 does not have, or a datetime cannot hold, is refused as such."""
    assert f"expected an RFC 3339 time, got {text!r}" == problem_of(text, datetime)


@pytest.mark.parametrize(
    ("microsecond", "expected"),
    [
        (0, "2018-10-26T07:23:14.000Z"),
        (855000, "2018-10-26T07:23:14.855Z"),
        (855001, "2018-10-26T07:23:14.855001Z"),
    ],
)
def test_times_are_written_with_milliseconds(microsecond: int, expected: str) -> None:
    """Times are written with milliseconds and Z, and with microseconds only where these would be lost."""
    assert expected == converter.unstructure(CREATED_AT.replace(microsecond=microsecond))


def test_list_of_tasks() -> None:
    """A list of tasks is read as such."""
    items = example(200)["data"]["items"]
    read: list[Task] = converter.structure(items, list[Task])

    assert [converter.structure(item, Task) for item in items] == read
    assert tuple(read) == converter.structure(items, tuple[Task, ...])
    assert items == converter.unstructure(read)


def in_full(item: Any) -> Any:
    """Return all that can be told of a task, or what is wrong with it."""
    if not isinstance(item, Task):
        return item.problems
    extras = [item.extra, item.stats.extra if item.stats else {}]
    return repr(item), [{name: repr(value) for name, value in extra.items()} for extra in extras]


def read_together(body: bytes, reader: TaskReader) -> list[Any]:
    """Return the tasks of a page; what is wrong with an item in the place of an invalid one."""
    envelope = read_envelope(body, reader)
    if envelope.valid:
        return converter.structure(envelope.items, list[Task])
    return [read_alone(item) for item in envelope.items]


def read_alone(item: Any) -> Any:
    """Return a task as it is read by itself, or what is wrong with it."""
    try:
        return converter.structure(item, Task)
    except InvalidDocumentError as error:
        return error


@given(st.lists(task_documents, max_size=5), st.lists(damaged_tasks, max_size=2), st.randoms(use_true_random=False))
@property_test
def test_tasks_are_read_together_as_they_are_alone(
    sound: list[Any], damaged: list[Any], generator: random.Random
) -> None:
    """A page is read at once, and yet each task, its unknown fields and its problems are as if it were alone.

    Takes about a second: it tries many lists of tasks.
    """
    items = sound + damaged
    generator.shuffle(items)

    body = page_body(items)
    reader = TaskReader()
    for _ in range(2):  # the second time it knows of the undocumented fields
        together = read_together(body, reader)
        assert [in_full(read_alone(item)) for item in items] == [in_full(item) for item in together]


def test_list_of_tasks_with_times_of_other_zones() -> None:
    """Times in a list are in UTC, whatever zone they came in."""
    (task,) = converter.structure([task_document(createdAt="2018-10-26T09:23:14.855+02:00")], list[Task])

    assert (CREATED_AT, UTC) == (task.created_at, task.created_at.tzinfo)


@pytest.mark.parametrize("count", [1, MAXIMUM_UNKNOWN, MAXIMUM_UNKNOWN + 1])
def test_unknown_fields_of_some_tasks_only(count: int) -> None:
    """However many unknown fields there are, each task has those that it came with."""
    names = [f"field {number}" for number in range(count)]
    items = [task_document(stats={name: 1, "totalRuns": 2}) | {name: 0} for name in names] + [task_document()]
    reader = TaskReader()
    body = page_body(items)

    for _ in range(2):
        tasks = read_together(body, reader)
        assert [{name: 0} for name in names] + [{}] == [task.extra for task in tasks]
        assert [{name: 1} for name in names] + [{}] == [task.stats.extra for task in tasks if task.stats]


@pytest.mark.parametrize("name", ['"', "\\", "\n", "\u2028", ""])
def test_unknown_fields_of_any_name(name: str) -> None:
    """A field whose name is odd is kept, and does not keep others from being read at once."""
    reader = TaskReader()
    body = page_body([task_document(**{name: 1}), task_document(title="x")])
    assert [{name: 1}, {"title": "x"}] == [task.extra for task in read_together(body, reader)]

    tasks = build_tasks(reader.decode(page_body([task_document(title="x")])).items)
    assert [{"title": "x"}] == [task.extra for task in tasks]


def test_names_that_are_no_names() -> None:
    """A document that cannot come from JSON does not spoil those that do."""
    document: Any = task_document() | {1: 2}
    converter.structure([document], list[Task])
    (task,) = converter.structure([task_document(unheard="of")], list[Task])

    assert {"unheard": "of"} == task.extra


class Titled(Task):
    """A model of the user's own."""

    __slots__ = ()


def test_models_of_others() -> None:
    """A class that is derived from a model is read as such, and written like the model."""
    task = converter.structure(task_document(title="x"), Titled)

    assert Titled is type(task)
    assert task_document(title="x") == converter.unstructure(task)


def test_unknown_fields_of_the_first_items() -> None:
    """The first page with unknown fields is read at once, if its first items have them."""
    titled = [task_document(title="x", stats={"y": 1})]
    page = TaskReader().decode(page_body([task_document()] * (SAMPLE - 1) + 2 * titled))

    task = build_tasks(page.items)[-1]
    assert ({"title": "x"}, TaskStats(), {"y": 1}) == (task.extra, task.stats, task.stats and task.stats.extra)


def test_unknown_fields_are_remembered() -> None:
    """The second page whose last items have unknown fields is read at once, which the first could not be."""
    reader = TaskReader()
    body = page_body([task_document()] * SAMPLE + [task_document(title="x")])
    with pytest.raises(FAILURES, match="unknown field"):
        reader.decode(body)
    read_envelope(body, reader)

    assert {"title": "x"} == build_tasks(reader.decode(body).items)[-1].extra


def test_unknown_fields_have_an_order() -> None:
    """Unknown fields come in the order in which they were met first, so that what is written varies little."""
    names = [f"field{number}" for number in range(MAXIMUM_UNKNOWN)]
    items = [task_document(**dict.fromkeys(names)), task_document(**dict.fromkeys(reversed(names)))]
    tasks = read_together(page_body(items), TaskReader())

    assert [names, names] == [list(task.extra) for task in tasks]


@pytest.mark.parametrize("kind", [list[Task], tuple[Task, ...]])
@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (None, "expected an array, got null"),
        ("ab", "expected an array, got 'ab'"),
        ({"a": 1}, "expected an array, got an object"),
        ([1], "[0]: expected an object, got 1"),
        ([task_document(createdAt="yesterday")], "[0].createdAt: expected an RFC 3339 time, got 'yesterday'"),
        (
            [task_document(), task_document(name=1), []],
            "[1].name: expected a string, got 1; [2]: expected an object, got an array",
        ),
    ],
)
def test_problems_in_a_list_of_tasks(kind: Any, document: Any, expected: str) -> None:
    """Problems of a list of tasks are named by their places."""
    assert expected == problem_of(document, kind)


@pytest.mark.parametrize(("document", "expected"), [(None, None), (task_document(), "my-task")])
def test_optional_task(document: Any, expected: str | None) -> None:
    """A task that may be null is None then."""
    task: Task | None = converter.structure(document, Task | None)  # type: ignore[arg-type]  # cattrs: type[T] only

    assert expected == (task and task.name)


def test_problems_of_an_optional_task() -> None:
    """A task that may be null is checked if it is not."""
    assert "name: expected a string, got null" == problem_of(task_document(name=None), Task | None)


@pytest.mark.parametrize("name", ["total", "offset", "limit", "desc", "count", "items"])
def test_required_fields_of_a_page(name: str) -> None:
    """Every field of a page is required."""
    document = example(200)["data"]
    del document[name]

    assert f"{name}: required" == problem_of(document, TaskPage)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"items": [task_document(), task_document(stats=1)]}, "items[1].stats: expected an object, got 1"),
        ({"items": ["x"]}, "items[0]: expected an object, got 'x'"),
        ({"items": {}}, "items: expected an array, got an object"),
        ({"total": True}, "total: expected an integer, got true"),
        ({"desc": 0}, "desc: expected a boolean, got 0"),
        ({"total": None, "count": "2"}, "total: expected an integer, got null; count: expected an integer, got '2'"),
    ],
)
def test_problems_of_a_page(changes: dict[str, Any], expected: str) -> None:
    """Problems of a page are named by the way to them."""
    assert expected == problem_of(example(200)["data"] | changes, TaskPage)


def test_long_values_are_cut() -> None:
    """A message does not repeat a text of any length."""
    assert f"expected an RFC 3339 time, got '{'x' * 59}..." == problem_of("x" * 10_000, datetime)


@given(json_values)
@property_test
def test_refusals_are_of_one_line(value: Any) -> None:
    """Whatever came instead of a task or a time, the message is one short line."""
    for kind in (Task, datetime):
        problem = problem_of(value, kind)

        assert problem.isprintable()
        assert len(problem) < 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"\xff",
        b"NaN",
        b'{"x":Infinity}',
        b"[" * 100_000 + b"]" * 100_000,
        b"9" * 5000,
        b"1e999",
        b"{}{}",
        b'"\n"',
        rb'"\ud8"',
        rb'"\ud83d\x"',
        body_of(200)[:-3],
    ],
    ids=lambda body: repr(body[:12]),
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    """Whatever the reason is, it is the same error, of one line."""
    with pytest.raises(InvalidDocumentError, match=r"\Anot JSON: .*\Z"):
        load_json(body)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (rb'"cut \ud83d"', "cut \N{REPLACEMENT CHARACTER}"),
        (rb'"cut \uDE00"', "cut \N{REPLACEMENT CHARACTER}"),
        (rb'"\ud83d\ud83d\ude00\ude00"', "\N{REPLACEMENT CHARACTER}\N{GRINNING FACE}\N{REPLACEMENT CHARACTER}"),
        (rb'"\\ud83d \ud83d"', "\\ud83d \N{REPLACEMENT CHARACTER}"),
        (rb'{"\udfff": "\n\u00e9"}', {"\N{REPLACEMENT CHARACTER}": "\né"}),
    ],
)
def test_half_surrogate_pairs_are_replaced(body: bytes, expected: Any) -> None:
    """A text that JavaScript cut in the middle of an emoji does not make a document unreadable."""
    assert expected == load_json(body)


@given(st.binary() | st.text(st.sampled_from('\\ud83eDfC0"[]{}:, ')).map(str.encode))
@property_test
def test_bytes_are_json_or_refused(body: bytes) -> None:
    """No bytes raise another error."""
    with suppress(InvalidDocumentError):
        load_json(body)
