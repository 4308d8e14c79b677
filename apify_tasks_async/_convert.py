"""JSON documents to models and back: the one cattrs converter."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, get_origin

import attrs
import cattrs
import msgspec

from apify_tasks_async._arguments import check_instance
from apify_tasks_async._batch import FAILURES, Moment, TaskReader, TaskStruct, build_tasks
from apify_tasks_async._document import PydanticType
from apify_tasks_async._fields import fields_of
from apify_tasks_async._plain_time import plain_datetime
from apify_tasks_async.errors import ApifyTasksError
from apify_tasks_async.models import Bookmark, Task


class InvalidDocumentError(ValueError):
    """A JSON document is not as documented.

    Attributes:
        problems: The path and the problem of each field that is not as documented.
    """

    def __init__(self, *problems: tuple[str, str]) -> None:
        super().__init__(*problems)
        self.problems = problems

    @property
    def lines(self) -> tuple[str, ...]:
        """The problems, one a line: `stats.totalRuns: expected an integer, got 'x'`."""
        return tuple(f"{path}: {text}" if path else text for path, text in self.problems)

    def __str__(self) -> str:
        return "; ".join(self.lines)

    @property
    def summary(self) -> str:
        """The problems on one line, the same problem of several fields once: `total, offset: required`."""
        paths: dict[str, list[str]] = {}
        for path, text in self.problems:
            paths.setdefault(text, []).append(path)
        return "; ".join(f"{', '.join(each)}: {text}" if any(each) else text for text, each in paths.items())

    def below(self, name: str) -> list[tuple[str, str]]:
        """Return the problems with the paths that they have in a document whose field `name` this one is."""
        return [
            (f"{name}{path}" if path.startswith("[") or not path else f"{name}.{path}", text)
            for path, text in self.problems
        ]


class NotJsonError(InvalidDocumentError):
    """A document is not JSON, or nested too deeply."""


_SURROGATES = re.compile(
    rb"\\u[dD](?:[89abAB][\da-fA-F]{2}(?P<pair>\\u[dD][c-fC-F][\da-fA-F]{2})|[89a-fA-F][\da-fA-F]{2})"
)

_REPAIRED = 2**15
"""How many surrogates a body may have to be repaired: each is looked at in Python."""


def load_json(body: bytes) -> Any:
    """Decode JSON; raise `NotJsonError` if it is not JSON, or nested too deeply."""
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        problem = f"not JSON: {error}"
    # msgspec also refuses half a surrogate pair. JavaScript writes one if a text was cut in the middle of an emoji. One
    # such name must not fail a page.
    repaired = repair_surrogates(body)
    if repaired != body:
        return load_json(repaired)
    raise NotJsonError(("", problem))


def repair_surrogates(body: bytes) -> bytes:
    """Replace each half of a surrogate pair that stands alone; return bodies with very many of them as they are."""
    parts: list[bytes] = []
    position = 0
    while match := _SURROGATES.search(body, position):
        if len(parts) >= 2 * _REPAIRED:
            return body
        before = body[position : match.start()]
        parts.append(before)
        position = match.end()
        if (len(before) - len(before.rstrip(b"\\"))) % 2:  # It is the end of an escaped backslash.
            position = match.start() + 1
            parts.append(b"\\")
        else:
            parts.append(match[0] if match["pair"] else rb"\ufffd")
    parts.append(body[position:])
    return b"".join(parts)


def read_json(text: str | bytes) -> Any:
    """Decode JSON; raise `TypeError` or `InvalidDocumentError`."""
    check_instance("text", text, kinds=(str, bytes))
    # A lone surrogate of a text becomes a `?`, since UTF-8 has none.
    return load_json(text.encode(errors="replace") if isinstance(text, str) else text)


def write_json(document: Any) -> str:
    """Encode JSON as one line of ASCII."""
    return json.dumps(document, separators=(",", ":"), allow_nan=False)


_SHOWN = 60
"""How many characters of a value a problem shows."""


def _describe(value: Any) -> str:
    """Return a short description of a JSON value, on one line."""
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
            # The repr of a text may be four times as long.
            text = repr(value[: _SHOWN + 1] if isinstance(value, str) else value)
            return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _expected(what: str, value: Any) -> InvalidDocumentError:
    return InvalidDocumentError(("", f"expected {what}, got {_describe(value)}"))


def _strict(kind: type, name: str) -> Callable[[Any, Any], Any]:
    # Without this hook cattrs turns null into "None" and true into 1.
    def structure(value: Any, _: Any) -> Any:
        if type(value) is not kind:
            raise _expected(name, value)
        return value

    return structure


_EXACT = 2**53
"""Up to this size, a float holds every integer."""


def _structure_integer(value: Any, _: Any) -> int:
    # To JSON Schema, and to JavaScript, 15.0 is an integer.
    if type(value) is float and value.is_integer() and abs(value) <= _EXACT:
        return int(value)
    if type(value) is not int:
        raise _expected("an integer", value)
    return value


def _structure_datetime(value: Any, _: Any) -> datetime:
    try:
        moment: datetime = msgspec.convert(value, Moment)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError, msgspec.MsgspecError):
        pass  # Such as 30 February, or a time that is outside the years 1 to 9999 in UTC.
    raise _expected("an RFC 3339 time", value)


def _unstructure_datetime(value: datetime) -> str:
    precision = "microseconds" if value.microsecond % 1000 else "milliseconds"
    return value.isoformat(timespec=precision).removesuffix("+00:00") + "Z"


def _structure_model(model: type, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    """Return the hook that reads a model: strict types, every problem named, unknown fields kept."""
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
                values[field.attribute] = None
                continue
            try:
                values[field.attribute] = hook(value, field.kind)
            except InvalidDocumentError as error:
                problems += error.below(field.wire)
        if problems:
            raise InvalidDocumentError(*problems)
        return model(**values, extra=rest) if keeps_extra else model(**values)

    return structure


@cache
def _reader() -> TaskReader:
    """Return the reader of the public converter: for documents that users pass, not for those of servers."""
    return TaskReader()


def _structure_tasks(value: Any, kind: Any) -> Any:
    if not isinstance(value, list):
        raise _expected("an array", value)
    return get_origin(kind)(_read_tasks(value))


def _read_tasks(items: list[Any]) -> list[Task]:
    if not items or not isinstance(items[0], TaskStruct):
        try:
            items = _reader().convert(items)
        except FAILURES:
            return _read_each_task(items)
    return build_tasks(items)


def _read_each_task(items: list[Any]) -> list[Task]:
    """Read the tasks one by one: the way to the names of the fields that are wrong."""
    tasks: list[Task] = []
    problems: list[tuple[str, str]] = []
    for index, item in enumerate(items):
        try:
            tasks.append(converter.structure(item, Task))
        except InvalidDocumentError as error:
            problems += error.below(f"[{index}]")
    if problems:
        raise InvalidDocumentError(*problems)
    return tasks


def _structure_number(value: Any, _: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _expected("a number", value)
    return float(value)


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, PydanticType) and kind is not Bookmark


def unstructure_extra(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return unknown fields as JSON values."""
    fields = dict(extra)
    try:
        return converter.unstructure(fields)  # type: ignore[no-any-return]  # a dictionary becomes one
    except RecursionError:
        return fields  # So deep is only what a server nested, and that is JSON already.


def _unstructure_model(model: type, converter: cattrs.Converter) -> Callable[[Any], dict[str, Any]]:
    """Return the hook that writes a model: every documented field, and the unknown fields that came with it."""
    fields = [(field.attribute, field.wire) for field in fields_of(model)]
    keeps_extra = "extra" in attrs.fields_dict(model)

    def unstructure(instance: Any) -> dict[str, Any]:
        document = {wire: converter.unstructure(getattr(instance, attribute)) for attribute, wire in fields}
        # The documented fields come first, and win over one of the same name.
        return {**document, **unstructure_extra(instance.extra), **document} if keeps_extra else document

    return unstructure


class _NamedConverter(cattrs.Converter):
    """A converter that pickles by its name, and with it what is bound to it, so that both reach worker processes."""

    def __reduce__(self) -> str:
        return "converter"


converter: cattrs.Converter = _NamedConverter(unstruct_collection_overrides={tuple: list})
"""Structures the API's JSON documents into `Task`, `TaskStats` and `TaskPage`, and unstructures them back.

The API's form: camelCase names, RFC 3339 times in UTC with milliseconds and `Z`, every documented field present,
unknown fields as they came. A document that is not as documented raises a `ValueError` that names every wrong field.

`json.dumps(x, default=converter.unstructure)`, and the same with `orjson.dumps`, writes whatever holds models.
`converter`, and `converter.unstructure`, can be pickled.

Example:
    >>> converter.structure({"totalRuns": 15, "new": True}, TaskStats).extra
    {'new': True}
    >>> converter.unstructure(TaskStats(total_runs=15))
    {'totalRuns': 15}
"""

for _kind, _name in ((str, "a string"), (bool, "a boolean")):
    converter.register_structure_hook(_kind, _strict(_kind, _name))
converter.register_structure_hook(int, _structure_integer)
converter.register_structure_hook(float, _structure_number)
converter.register_structure_hook(ApifyTasksError, lambda text, _: ApifyTasksError(converter.structure(text, str)))
converter.register_unstructure_hook(ApifyTasksError, str)
converter.register_structure_hook(plain_datetime(), _structure_datetime)
converter.register_unstructure_hook(plain_datetime(), _unstructure_datetime)
converter.register_structure_hook_func(lambda kind: kind in (list[Task], tuple[Task, ...]), _structure_tasks)
converter.register_structure_hook(Bookmark, lambda text, _: Bookmark.from_json(text))
converter.register_unstructure_hook(Bookmark, Bookmark.to_json)
converter.register_structure_hook_factory(_is_model, _structure_model)
converter.register_unstructure_hook_factory(_is_model, _unstructure_model)
