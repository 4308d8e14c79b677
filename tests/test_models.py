"""Tasks, pages of them, and bookmarks."""

import copy
import json
import math
import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Any

import attrs
import pytest
from helpers.documents import DOCUMENTED, json_values, moments, property_test, tasks
from hypothesis import given
from hypothesis import strategies as st

from apify_tasks_async import Bookmark, Task, TaskPage, TaskStats, converter, to_row

MOMENT = datetime(2018, 10, 26, 7, 23, 14, 855000, tzinfo=UTC)
LATER = MOMENT + timedelta(hours=6)

TASK = Task("a-task", "a-user", "an-actor", "my-task", MOMENT, LATER, stats=TaskStats(15), extra={"isPublic": True})
BOOKMARK = Bookmark(MOMENT, frozenset("hgfedcba"), 999, desc=False)
PAGE = TaskPage(2, 0, 1000, False, 1, (TASK,), BOOKMARK)
MODELS = [TASK, TaskStats(15, extra={"new": [1]}), PAGE, BOOKMARK]

BOOKMARK_DOCUMENT = json.loads(BOOKMARK.to_json())
BOOKMARK_JSON = (
    '{"version":1,"desc":false,"createdAt":"2018-10-26T07:23:14.855000+00:00",'
    '"ids":["a","b","c","d","e","f","g","h"],"offset":999}'
)


def pickled(model: Any, protocol: int) -> Any:
    """Return a pickled copy."""
    return pickle.loads(pickle.dumps(model, protocol))


COPIERS: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle{number}": partial(pickled, protocol=number) for number in range(6)},
}

bookmarks = st.builds(
    Bookmark, moments, st.frozensets(st.text(), min_size=1), st.integers(0, 2**63 - 1), desc=st.booleans()
)


def each_model() -> pytest.MarkDecorator:
    """Run the test with one of each model."""
    return pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)


@each_model()
@pytest.mark.parametrize("copier", COPIERS)
def test_models_survive_copies(model: Any, copier: str) -> None:
    """A copied or pickled model equals the original, including fields that `==` ignores."""
    copied = COPIERS[copier](model)

    assert model == copied
    assert attrs.asdict(model) == attrs.asdict(copied)
    assert hash(model) == hash(copied)


@each_model()
def test_models_are_frozen_and_slotted(model: Any) -> None:
    """You can set neither a field of a model nor another attribute."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(model, attrs.fields(type(model))[0].name, "other")
    assert not hasattr(model, "__dict__")


@pytest.mark.parametrize("name", ["id", "user_id", "act_id", "name", "created_at", "modified_at"])
def test_task_requires_its_required_fields(name: str) -> None:
    """A task needs each field that the API always sends."""
    fields = {field.name: getattr(TASK, field.name) for field in attrs.fields(Task)}
    del fields[name]

    with pytest.raises(TypeError, match=name):
        Task(**fields)


def test_task_needs_no_other_fields() -> None:
    """Optional fields are None by default, and `extra` is empty."""
    task = Task("a-task", "a-user", "an-actor", "my-task", MOMENT, LATER)

    assert (None, None, None, None, {}) == (task.act_name, task.username, task.act_username, task.stats, task.extra)


@given(tasks, json_values)
@property_test
def test_extra_is_no_part_of_equality_hash_and_repr(task: Task, value: Any) -> None:
    """`==`, `hash` and `repr` ignore the unknown fields in `extra`."""
    other = attrs.evolve(task, extra={"a field from the future": value})

    assert task == other
    assert hash(task) == hash(other)
    assert repr(task) == repr(other)
    assert "a field from the future" not in repr(other)


def test_extra_of_stats_is_no_part_of_equality_hash_and_repr() -> None:
    """`==`, `hash` and `repr` ignore the unknown fields in `extra`."""
    stats = TaskStats(15, extra={"new": [1]})

    assert TaskStats(15) == stats
    assert hash(TaskStats(15)) == hash(stats)
    assert "TaskStats(total_runs=15)" == repr(stats)


@pytest.mark.parametrize("field", attrs.fields(Task)[:-1], ids=lambda field: field.name)
def test_tasks_differ_by_every_documented_field(field: Any) -> None:
    """Two tasks are equal only if all documented fields are equal."""
    value = LATER + timedelta(1) if field.name.endswith("_at") else "other"

    changes: dict[str, Any] = {field.name: value}

    assert TASK != attrs.evolve(TASK, **changes)


@pytest.mark.parametrize("name", ["created_at", "modified_at"])
@given(moment=moments, hours=st.integers(-23, 23))
@property_test
def test_times_become_utc(name: str, moment: datetime, hours: int) -> None:
    """A time in any zone becomes the same moment in UTC; a moment outside of the years 1 to 9999 is an error."""
    zone = timezone(timedelta(hours=hours))
    elsewhere: dict[str, Any] = {name: moment.replace(tzinfo=zone)}

    try:
        expected = moment - timedelta(hours=hours)
    except OverflowError:
        with pytest.raises(ValueError, match="within the years 1 to 9999"):
            attrs.evolve(TASK, **elsewhere)
    else:
        actual = getattr(attrs.evolve(TASK, **elsewhere), name)
        assert (expected, UTC) == (actual, actual.tzinfo)


@pytest.mark.parametrize("name", ["created_at", "modified_at"])
@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (datetime(2018, 10, 26), ValueError, "expected an aware datetime"),  # noqa: DTZ001 - a naive time is the case
        ("2018-10-26T07:23:14.855Z", TypeError, "expected a datetime, got '2018-10-26T07:23:14.855Z'"),
        (None, TypeError, "expected a datetime, got None"),
        (1540538594, TypeError, "expected a datetime, got 1540538594"),
    ],
)
def test_times_must_be_aware_datetimes(name: str, value: Any, error: type[Exception], message: str) -> None:
    """A naive time is a ValueError; another type is a TypeError that shows the value."""
    with pytest.raises(error, match=message):
        attrs.evolve(TASK, **{name: value})


def test_page_is_a_sized_iterable_of_its_tasks() -> None:
    """A page has the length of its items, and you can iterate over it several times."""
    other = attrs.evolve(TASK, id="another-task")
    page = attrs.evolve(PAGE, items=[TASK, other], count=2)

    assert 2 == len(page)
    assert [TASK, other] == list(page) == list(page)
    assert (TASK, other) == page.items
    assert TASK in page


def test_indices_and_slices_of_a_page() -> None:
    """An index gives a task, a slice a tuple of tasks."""
    other = attrs.evolve(TASK, id="another-task")
    page = attrs.evolve(PAGE, items=[TASK, other], count=2)

    assert (TASK, other, (other,), (other, TASK)) == (page[0], page[-1], page[1:], page[::-1])
    with pytest.raises(IndexError):
        _ = page[2]


@given(tasks)
@property_test
def test_documents_round_trip(task: Task) -> None:
    """A model survives `to_dict` and `to_json`, with what this version does not know."""
    page = attrs.evolve(PAGE, items=[task])
    for model in [task, task.stats or TaskStats(), page]:
        text = model.to_json()
        again = [
            type(model).from_dict(model.to_dict()),
            type(model).from_json(text),
            type(model).from_json(text.encode()),
        ]
        assert [model] * 3 == again
        assert [model.to_dict()] * 3 == [other.to_dict() for other in again] == [converter.unstructure(model)] * 3
        assert text.isascii()
        assert text.isprintable()


def test_documented_fields_come_first() -> None:
    """The documented fields are first, `extra` follows, and a documented one wins over an equal name."""
    task = attrs.evolve(TASK, extra={"isPublic": True, "name": "other"})

    assert [*DOCUMENTED, "isPublic"] == sorted(task.to_dict(), key=[*DOCUMENTED, "isPublic"].index)
    assert "isPublic" == [*task.to_dict()][-1]
    assert "my-task" == task.to_dict()["name"]


def test_documents_are_copies() -> None:
    """Changing a document does not change the frozen model."""
    task = attrs.evolve(TASK, extra={"options": {"memory": [1]}})
    task.to_dict()["options"]["memory"].append(2)

    assert {"options": {"memory": [1]}} == task.extra


def test_any_structure_of_models_becomes_json() -> None:
    """`json` and `orjson` have one line for whatever holds models."""
    things = {"page": PAGE, "tasks": [TASK], "at": MOMENT, "bookmark": BOOKMARK}
    expected = {
        "page": PAGE.to_dict(),
        "tasks": [TASK.to_dict()],
        "at": "2018-10-26T07:23:14.855Z",
        "bookmark": BOOKMARK.to_json(),
    }

    assert expected == json.loads(json.dumps(things, default=converter.unstructure))
    assert BOOKMARK == converter.structure(expected["bookmark"], Bookmark)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("{}", ValueError, "id: required"),
        ("nonsense", ValueError, "not JSON"),
        ("\ud800", ValueError, "not JSON"),
        (None, TypeError, "text must be str or bytes, got None"),
        ({}, TypeError, "text must be str or bytes"),
    ],
)
def test_what_is_no_document_is_refused(text: Any, error: type[Exception], message: str) -> None:
    """The error names what is wrong."""
    with pytest.raises(error, match=message):
        Task.from_json(text)


@pytest.mark.parametrize(
    ("value", "error"), [(math.nan, ValueError), (math.inf, ValueError), (object(), TypeError), ({1, 2}, TypeError)]
)
def test_what_json_lacks_is_refused(value: Any, error: type[Exception]) -> None:
    """Someone's own `extra` may hold what JSON does not have."""
    with pytest.raises(error):
        attrs.evolve(TASK, extra={"x": value}).to_json()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "thing", [converter, converter.unstructure, Task.to_dict, Task.from_json, to_row], ids=range(5)
)
def test_functions_reach_other_processes(thing: Any, protocol: int) -> None:
    """The converter, and what is bound to it, pickle by name."""
    assert thing == pickle.loads(pickle.dumps(thing, protocol))


def test_a_copy_of_the_converter_does_not_pass_for_it() -> None:
    """A copy with hooks of its own would be another one elsewhere, so it does not pickle."""
    with pytest.raises(pickle.PicklingError, match="not the same object"):
        pickle.dumps(converter.copy())


ROW = {
    "id": "a-task",
    "user_id": "a-user",
    "act_id": "an-actor",
    "name": "my-task",
    "created_at": MOMENT,
    "modified_at": LATER,
    "act_name": None,
    "username": None,
    "act_username": None,
    "total_runs": 15,
}


def test_rows_are_flat() -> None:
    """A row has aware times, the number of runs, and the unknown fields as JSON text."""
    bare = attrs.evolve(TASK, stats=None, extra={})
    counted = attrs.evolve(TASK, stats=TaskStats(15, extra={"new": [1]}))

    assert ROW | {"extra": '{"isPublic":true}'} == to_row(TASK)
    assert ROW | {"total_runs": None, "extra": "{}"} == to_row(bare)
    assert '{"isPublic":true,"stats.new":[1]}' == to_row(counted)["extra"]


def test_chosen_fields_are_columns() -> None:
    """A chosen field is a column, empty if the task lacks it; an array or an object is JSON text."""
    task = attrs.evolve(TASK, stats=TaskStats(15, extra={"new": [1]}))
    chosen = {"extra.isPublic": True, "extra.stats.new": "[1]", "extra.none": None}

    assert ROW | chosen == to_row(task, extra=["isPublic", "stats.new", "none"])
    assert ROW == to_row(task, extra=())


def test_a_row_takes_no_single_name() -> None:
    """A text would be read as a list of its letters."""
    with pytest.raises(TypeError, match="extra must be a list of names, got 'title'"):
        to_row(TASK, extra="title")


@given(tasks)
@property_test
def test_rows_hold_no_structures(task: Task) -> None:
    """No value of a row is an array, an object or a model."""
    row = to_row(task)

    assert {str, int, datetime, type(None)}.issuperset(map(type, row.values()))


def test_notebooks_show_a_task() -> None:
    """A task is a table of its fields, with every text escaped."""
    shown = attrs.evolve(TASK, name="<script>&")._repr_html_()

    assert "<tr><td>name</td><td>&lt;script&gt;&amp;</td></tr>" in shown
    assert "<tr><td>created_at</td><td>2018-10-26 07:23 UTC</td></tr>" in shown
    assert "<tr><td>act_name</td><td></td></tr>" in shown
    assert "<script" not in shown


def test_notebooks_show_a_page() -> None:
    """A page is a table of its first tasks, and says how many there are."""
    shown = TaskPage(2500, 0, 1000, False, 30, [TASK] * 30)._repr_html_()

    assert 20 == shown.count("<td>a-task</td>")
    assert shown.endswith("<p>20 of 30 tasks of this page; 2,500 in all</p>")


def test_empty_page() -> None:
    """A page without tasks has the length zero, and no bookmark."""
    page = TaskPage(total=0, offset=0, limit=1000, desc=True, count=0, items=())

    assert (0, [], None) == (len(page), list(page), page.bookmark)


def test_bookmark_is_no_part_of_a_page_s_equality() -> None:
    """Pages are equal if the server sent the same, even with different bookmarks."""
    assert PAGE == attrs.evolve(PAGE, bookmark=None)
    assert PAGE != attrs.evolve(PAGE, total=3)


def test_bookmark_s_json() -> None:
    """The JSON of a bookmark does not depend on the order of its ids, and stays readable in later versions."""
    assert BOOKMARK_JSON == BOOKMARK.to_json()
    assert BOOKMARK == Bookmark.from_json(BOOKMARK_JSON)


def test_bookmark_is_small() -> None:
    """A bookmark of one task is no longer than a line."""
    bookmark = Bookmark(MOMENT, frozenset({"zdc3Pyhyz3m8vjDeM"}), 2499, desc=True)

    assert len(bookmark.to_json()) < 120


@given(bookmarks)
@property_test
def test_bookmark_round_trip(bookmark: Bookmark) -> None:
    """The JSON of a bookmark, one line of ASCII, gives an equal bookmark, as text and as bytes."""
    text = bookmark.to_json()

    assert bookmark == Bookmark.from_json(text) == Bookmark.from_json(text.encode())
    assert text.isascii()
    assert text.isprintable()


@pytest.mark.parametrize(
    ("created_at", "expected"),
    [
        ("2018-10-26T09:23:14.855+02:00", MOMENT),
        ("2018-10-26T07:23:14.855Z", MOMENT),
        ("9999-12-31T23:59:59.999999+00:00", datetime.max.replace(tzinfo=UTC)),
        ("0001-01-01T00:00:00+00:00", datetime.min.replace(tzinfo=UTC)),
    ],
)
def test_bookmark_s_time_is_in_utc(created_at: str, expected: datetime) -> None:
    """A time in another zone is converted to UTC."""
    actual = Bookmark.from_json(json.dumps(BOOKMARK_DOCUMENT | {"createdAt": created_at})).created_at

    assert (expected, UTC) == (actual, actual.tzinfo)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it is not a JSON object"),
        ("bookmark", "it is not a JSON object"),
        ("null", "it is not a JSON object"),
        ("[1]", "it is not a JSON object"),
        pytest.param("1" * 5000, "it is not a JSON object", id="huge"),
        pytest.param("[" * 100_000, "it is not a JSON object", id="deep"),
        (BOOKMARK_JSON[:-1], "it is not a JSON object"),
        (BOOKMARK_JSON * 2, "it is not a JSON object"),
        (b"\xff\xfe{", "it is not a JSON object"),
        (None, "it is not a JSON object"),
        (BOOKMARK, "it is not a JSON object"),
        ("{}", "its version is not 1"),
    ],
)
def test_damaged_bookmark_text_is_refused(text: Any, problem: str) -> None:
    """A text that is not a JSON object is a ValueError."""
    with pytest.raises(ValueError, match=f"^not a usable bookmark: {problem}"):
        Bookmark.from_json(text)


NOT_TIMES = [
    None,
    1540538594,
    "",
    "yesterday",
    "2018-10-26T07:23:14",
    "2018-02-30T00:00:00Z",
    "0001-01-01T00:00:00+05:00",
    "9999-12-31T23:59:59-05:00",
    "2018-10-26T07:23:14\ud800Z",
]


def each(name: str, problem: str, values: list[Any]) -> list[tuple[dict[str, Any], str]]:
    """Return a case for each value of a field."""
    return [({name: value}, problem) for value in values]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        *each("version", "its version is not 1", [None, 2, "1", True, 1.0, []]),
        *each("desc", "desc is not a boolean", [None, 0, "false", []]),
        *each("offset", "offset is not a non-negative integer", [None, -1, True, 1.0, "1", math.nan, 10**4000]),
        *each("ids", "ids is not a list of strings", [None, [], "ab", ["a", 1], {"a": 1}, [["a"]]]),
        *each("createdAt", "createdAt is not a time with its zone", NOT_TIMES),
    ],
)
def test_damaged_bookmark_field_is_refused(changes: dict[str, Any], problem: str) -> None:
    """A damaged field is a ValueError that names it."""
    with pytest.raises(ValueError, match=f"^not a usable bookmark: {problem}"):
        Bookmark.from_json(json.dumps(BOOKMARK_DOCUMENT | changes))


@pytest.mark.parametrize("name", BOOKMARK_DOCUMENT)
def test_lost_bookmark_field_is_refused(name: str) -> None:
    """A bookmark without one of its fields is a ValueError."""
    document = {other: value for other, value in BOOKMARK_DOCUMENT.items() if other != name}

    with pytest.raises(ValueError, match=r"^not a usable bookmark: "):
        Bookmark.from_json(json.dumps(document))


def nested(depth: int) -> Any:
    """Return nested arrays."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@given(
    st.text()
    | st.binary()
    | json_values.map(json.dumps)
    | st.builds(
        lambda name, value: json.dumps(BOOKMARK_DOCUMENT | {name: value}),
        st.sampled_from(list(BOOKMARK_DOCUMENT)),
        json_values | st.integers() | st.datetimes().map(str) | st.integers(1, 900).map(nested),
    )
    | st.builds(
        lambda start, length: BOOKMARK_JSON[:start] + BOOKMARK_JSON[start + length :],
        st.integers(0, len(BOOKMARK_JSON)),
        st.integers(1, 20),
    )
)
@property_test
def test_bookmark_is_usable_or_a_value_error(text: str | bytes) -> None:
    """Any text is a bookmark that can be written again, or a ValueError of one short line."""
    try:
        bookmark = Bookmark.from_json(text)
    except ValueError as error:
        problem = str(error)
    else:
        problem = ""
        assert bookmark == Bookmark.from_json(bookmark.to_json())
    assert problem.isprintable()
    assert len(problem) < 100
