"""JSON documents to models and back: the one cattrs converter."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from operator import itemgetter
from typing import Any, get_args, get_origin, get_type_hints

import attrs
import cattrs
import orjson

from apify_tasks_async.models import Task, TaskPage, TaskStats

__all__ = ["InvalidDocumentError", "converter", "load_json", "read_tasks"]


class InvalidDocumentError(ValueError):
    """A document is not as the specification has it.

    Attributes:
        problems: The path and the problem of each field that is not as documented.
    """

    def __init__(self, *problems: tuple[str, str]) -> None:
        super().__init__(*problems)
        self.problems = problems

    @property
    def lines(self) -> tuple[str, ...]:
        """The problems, each on a line of its own: `stats.totalRuns: expected an integer, got 'x'`."""
        return tuple(f"{path}: {text}" if path else text for path, text in self.problems)

    def __str__(self) -> str:
        return "; ".join(self.lines)

    def below(self, name: str) -> list[tuple[str, str]]:
        """Return the problems as the document sees them that holds this one as its field `name`."""
        return [
            (f"{name}{path}" if path.startswith("[") or not path else f"{name}.{path}", text)
            for path, text in self.problems
        ]


_SURROGATES = re.compile(rb"\\ud[89ab][\da-f]{2}\\ud[c-f][\da-f]{2}|(?P<lone>\\ud[89a-f][\da-f]{2})|\\.", re.IGNORECASE)


def load_json(body: bytes) -> Any:
    """Return what the JSON text holds; raise `InvalidDocumentError` if it is none.

    orjson refuses NaN, invalid UTF-8, numbers out of range and deep nesting, all with the same error.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        problem = f"not JSON: {error}"
    # orjson refuses half a surrogate pair as well, which JavaScript writes for a text that was cut in the middle of
    # an emoji. One such name must not fail a page.
    repaired = _SURROGATES.sub(lambda match: rb"\ufffd" if match["lone"] else match[0], body)
    if repaired != body:
        return load_json(repaired)
    raise InvalidDocumentError(("", problem))


def _describe(value: Any) -> str:
    """Say what a JSON value is, briefly and on one line."""
    match value:
        case None:
            return "null"
        case list() | tuple():
            return "an array"
        case dict():
            return "an object"
        case bool():
            return str(value).lower()
        case _:
            text = repr(value)
            return text if len(text) <= 60 else f"{text[:60]}..."


def _expected(what: str, value: Any) -> InvalidDocumentError:
    return InvalidDocumentError(("", f"expected {what}, got {_describe(value)}"))


def _strict(kind: type, name: str) -> Callable[[Any, Any], Any]:
    # cattrs by itself would turn null into "None" and true into 1.
    def structure(value: Any, _: Any) -> Any:
        if type(value) is not kind:
            raise _expected(name, value)
        return value

    return structure


# Letters of either case, as its section 5.6 has it.
_RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\dT([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)",
    re.ASCII | re.IGNORECASE,
)


def _structure_datetime(value: Any, _: Any) -> datetime:
    # fromisoformat takes all of ISO 8601 and a zone of 99 minutes, the pattern only what RFC 3339 allows of it.
    if type(value) is str and _RFC_3339.fullmatch(value):
        try:
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            pass  # such as 30 February, or a zone that leads out of the years 1 to 9999
    raise _expected("an RFC 3339 time", value)


def _unstructure_datetime(value: datetime) -> str:
    precision = "microseconds" if value.microsecond % 1000 else "milliseconds"
    return value.isoformat(timespec=precision).removesuffix("+00:00") + "Z"


@attrs.frozen
class _Field:
    """A documented field: what Python calls it, what the wire calls it, and what it holds."""

    attribute: str
    wire: str
    kind: Any
    required: bool
    nullable: bool


@cache
def _fields(model: type) -> list[_Field]:
    hints = get_type_hints(model)
    fields = []
    for field in attrs.fields(model):
        if field.name in ("extra", "bookmark"):
            continue
        first, *rest = field.name.split("_")
        wire = first + "".join(map(str.capitalize, rest))
        hint = hints[field.name]
        nullable = type(None) in get_args(hint)
        kind = get_args(hint)[0] if nullable else hint
        fields.append(_Field(field.name, wire, kind, field.default is attrs.NOTHING, nullable))
    return fields


def _structure_model(model: type, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    """Make the hook that reads a model: names of the wire, strict types, every problem named, unknown fields kept."""
    fields = [(field, converter.get_structure_hook(field.kind)) for field in _fields(model)]
    keeps_extra = "extra" in attrs.fields_dict(model)

    def structure(document: Any, _: Any) -> Any:
        if not isinstance(document, dict):
            raise _expected("an object", document)
        rest = dict(document)
        values: dict[str, Any] = {}
        problems: list[tuple[str, str]] = []
        for field, hook in fields:
            if field.wire not in rest:
                if field.required:
                    problems.append((field.wire, "required"))
                continue
            value = rest.pop(field.wire)
            if value is None and field.nullable:
                continue
            try:
                values[field.attribute] = hook(value, field.kind)
            except InvalidDocumentError as error:
                problems += error.below(field.wire)
        if problems:
            raise InvalidDocumentError(*problems)
        return model(**values, extra=rest) if keeps_extra else model(**values)

    return structure


def read_tasks(items: list[Any]) -> tuple[list[Task | None], dict[int, InvalidDocumentError]]:
    """Return the task that each item holds, and what is wrong with those that hold none."""
    try:
        return _read_models(Task, items), {}
    except (KeyError, TypeError, ValueError):
        pass  # with which of them, and why, takes a look at each
    tasks: list[Task | None] = []
    errors: dict[int, InvalidDocumentError] = {}
    for index, item in enumerate(items):
        try:
            tasks.append(converter.structure(item, Task))
        except InvalidDocumentError as error:
            tasks.append(None)
            errors[index] = error.with_traceback(None)  # which leads here: a cycle
    return tasks, errors


def _structure_tasks(value: Any, kind: Any) -> Any:
    if not isinstance(value, list):
        raise _expected("an array", value)
    tasks, errors = read_tasks(value)
    if errors:
        raise InvalidDocumentError(*(line for index, error in errors.items() for line in error.below(f"[{index}]")))
    return get_origin(kind)(tasks)


# A page is read field by field, not task by task: each loop below runs in C, which takes a column of values, looks at
# their types, and fills the slots. A page of 1,000 tasks takes a third of the time that it takes to call the hook for
# one task a thousand times. What does not fit raises something, whatever it is: the hook then finds out what is wrong.


def _read_models(model: type, documents: list[Any]) -> list[Any]:
    """Return the models that the documents hold, without a look at each of them."""
    _check_types(documents, dict)
    models: list[Any] = [object.__new__(model) for _ in documents]
    fields = _fields(model)
    for field in fields:
        if field.required:
            column = list(map(itemgetter(field.wire), documents))
        else:
            column = [document.get(field.wire) for document in documents]
        _fill(models, field.attribute, _read_column(field, column))
    unknown = set().union(*documents).difference(field.wire for field in fields)
    if unknown:
        extras = [{name: value for name, value in document.items() if name in unknown} for document in documents]
    else:
        extras = [{} for _ in documents]
    _fill(models, "extra", extras)
    return models


def _read_column(field: _Field, column: list[Any]) -> list[Any]:
    if not field.nullable:
        return _read_values(field.kind, column)
    present = [value for value in column if value is not None]
    read = _read_values(field.kind, present)
    if len(present) == len(column):
        return read
    values = iter(read)
    return [None if value is None else next(values) for value in column]


def _read_values(kind: Any, values: list[Any]) -> list[Any]:
    if kind is datetime:
        _check_types(values, str)
        if not all(map(_UTC_TIME.fullmatch, values)):
            raise ValueError
        return list(map(datetime.fromisoformat, values))
    if attrs.has(kind):
        return _read_models(kind, values)
    _check_types(values, kind)
    return values


_UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT([01]\d|2[0-3]):\d\d:\d\d(\.\d+)?Z", re.ASCII)


def _check_types(values: list[Any], kind: type) -> None:
    if not {kind}.issuperset(map(type, values)):
        raise TypeError


def _fill(models: list[Any], attribute: str, values: list[Any]) -> None:
    """Set an attribute of frozen models that are not yet known to anybody, through the descriptor of its slot."""
    if models:
        deque(map(getattr(type(models[0]), attribute).__set__, models, values), maxlen=0)


def _unstructure_model(model: type, converter: cattrs.Converter) -> Callable[[Any], dict[str, Any]]:
    """Make the hook that writes a model: every documented field, and whatever else it came with."""
    fields = [(field.attribute, field.wire) for field in _fields(model)]
    keeps_extra = "extra" in attrs.fields_dict(model)

    def unstructure(instance: Any) -> dict[str, Any]:
        document = dict(instance.extra) if keeps_extra else {}
        for attribute, wire in fields:
            document[wire] = converter.unstructure(getattr(instance, attribute))
        return document

    return unstructure


converter = cattrs.Converter(unstruct_collection_overrides={tuple: list})
"""Structures the API's JSON documents into `Task`, `TaskStats` and `TaskPage`, and unstructures them back.

The wire's form: camelCase names, RFC 3339 times in UTC with milliseconds and `Z`, every documented field present,
unknown fields as they came. A document that is not as the specification has it is a `ValueError` that names every
field at fault.

Example:
    >>> converter.structure({"totalRuns": 15, "new": True}, TaskStats).extra
    {'new': True}
    >>> converter.unstructure(TaskStats(total_runs=15))
    {'totalRuns': 15}
"""

for _kind, _name in ((str, "a string"), (int, "an integer"), (bool, "a boolean")):
    converter.register_structure_hook(_kind, _strict(_kind, _name))
converter.register_structure_hook(datetime, _structure_datetime)
converter.register_unstructure_hook(datetime, _unstructure_datetime)
converter.register_structure_hook_func(lambda kind: kind in (list[Task], tuple[Task, ...]), _structure_tasks)
for _model in (TaskStats, Task, TaskPage):
    converter.register_structure_hook(_model, _structure_model(_model, converter))
    converter.register_unstructure_hook(_model, _unstructure_model(_model, converter))
