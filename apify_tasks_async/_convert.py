"""JSON documents to models and back: the one cattrs converter."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, cast, get_origin

import attrs
import cattrs
import msgspec

from apify_tasks_async._batch import FAILURES, Moment, TaskReader
from apify_tasks_async._fields import fields_of
from apify_tasks_async.models import Task, TaskPage, TaskStats

__all__ = ["InvalidDocumentError", "PageDocument", "converter", "load_json", "read_page"]


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
    """Return what the JSON text holds; raise `InvalidDocumentError` if it is none, or out of proportion."""
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        problem = f"not JSON: {error}"
    # msgspec refuses half a surrogate pair as well, which JavaScript writes for a text that was cut in the middle of
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


def _structure_datetime(value: Any, _: Any) -> datetime:
    try:
        return msgspec.convert(value, Moment).astimezone(UTC)
    except (
        ValueError,
        OverflowError,
        msgspec.MsgspecError,
    ):  # such as 30 February, or a zone that leads out of the years 1 to 9999
        pass
    raise _expected("an RFC 3339 time", value)


def _unstructure_datetime(value: datetime) -> str:
    precision = "microseconds" if value.microsecond % 1000 else "milliseconds"
    return value.isoformat(timespec=precision).removesuffix("+00:00") + "Z"


def _structure_model(model: type, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    """Make the hook that reads a model: names of the wire, strict types, every problem named, unknown fields kept."""
    fields = [(field, converter.get_structure_hook(field.kind)) for field in fields_of(model)]
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


_reader = TaskReader()


@attrs.frozen
class PageDocument:
    """What the document of a page holds."""

    total: int
    offset: int
    limit: int
    desc: bool
    count: int
    size: int
    """How many items there are."""
    tasks: Callable[[], list[Task | None]]
    """Makes the task of each item; `None` for one that is none."""
    invalid: Mapping[int, tuple[Any, InvalidDocumentError]]
    """The items that are none, and what is wrong with them."""


def read_page(body: bytes, reader: TaskReader = _reader) -> PageDocument:
    """Return what the document of a page holds; raise `InvalidDocumentError` if it, apart from its items, is none."""
    try:
        head, tasks = reader.decode(body)
    except FAILURES:
        pass  # with which of its fields, and why, takes a look at each
    else:
        return _page_document(head, len(head.items), cast("Callable[[], list[Task | None]]", tasks), {})
    return _read_page_thoroughly(body, reader)


def _read_page_thoroughly(body: bytes, reader: TaskReader) -> PageDocument:
    document = load_json(body)
    if not isinstance(document, dict):
        raise InvalidDocumentError(("", "expected an object"))
    data = document.get("data")
    if not isinstance(data, dict):
        raise InvalidDocumentError(("data", "expected an object" if "data" in document else "required"))
    items = data.get("items", [])
    # The converter sees to everything but the items, of which one that is no task must not fail the others.
    head = converter.structure(data | {"items": []} if items and isinstance(items, list) else data, TaskPage)
    tasks, errors = _read_tasks(items, reader)
    invalid = {index: (items[index], error) for index, error in errors.items()}
    return _page_document(head, len(items), lambda: tasks, invalid)


def _page_document(head: Any, *rest: Any) -> PageDocument:
    return PageDocument(head.total, head.offset, head.limit, head.desc, head.count, *rest)


def _read_tasks(items: list[Any], reader: TaskReader) -> tuple[list[Task | None], dict[int, InvalidDocumentError]]:
    """Return the task that each item holds, and what is wrong with those that hold none."""
    try:
        return cast("list[Task | None]", reader.convert(items)), {}
    except FAILURES:
        pass  # as above, with which of the items
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
    tasks, errors = _read_tasks(value, _reader)
    if errors:
        raise InvalidDocumentError(*(line for index, error in errors.items() for line in error.below(f"[{index}]")))
    return get_origin(kind)(tasks)


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, TaskStats | Task | TaskPage)


def _unstructure_model(model: type, converter: cattrs.Converter) -> Callable[[Any], dict[str, Any]]:
    """Make the hook that writes a model: every documented field, and whatever else it came with."""
    fields = [(field.attribute, field.wire) for field in fields_of(model)]
    keeps_extra = "extra" in attrs.fields_dict(model)

    def unstructure(instance: Any) -> dict[str, Any]:
        document = dict(instance.extra) if keeps_extra else {}
        for attribute, wire in fields:
            document[wire] = converter.unstructure(getattr(instance, attribute))
        return document

    return unstructure


converter: cattrs.Converter = cattrs.Converter(unstruct_collection_overrides={tuple: list})
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
converter.register_structure_hook_factory(_is_model, _structure_model)
converter.register_unstructure_hook_factory(_is_model, _unstructure_model)
