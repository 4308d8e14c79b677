"""Many tasks at once, from JSON to `Task`: the fast way, for documents that are as documented.

msgspec decodes a page into structs and checks types and times; a loop copies their fields into tasks. Milliseconds for
a page of 1,000 tasks on CPython 3.11: the converter's hook a thousand times 5.5, stock cattrs 6.3, this 1.4.

The tasks are filled as drafts. The `__init__` of a frozen attrs class calls `object.__setattr__` for each field, which
takes 1.6 ms a page. A draft is an unfrozen subclass without fields of its own, so it has the layout of the model.
Assigning its `__class__` turns it into the model.
"""

import linecache
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC
from functools import cache
from itertools import chain, count
from operator import attrgetter, countOf
from typing import Annotated, Any, ClassVar
from weakref import WeakValueDictionary

import attrs
import msgspec
from msgspec import UNSET

from apify_tasks_async._fields import Field, fields_of
from apify_tasks_async._plain_time import is_time, plain_datetime
from apify_tasks_async.models import Task, TaskPage, TaskStats

FAILURES = (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError)
"""What decoding raises if a document is not as documented. Before msgspec 0.21 its errors were not `ValueError`s."""

MAXIMUM_UNKNOWN = 20
"""How many undocumented fields of a model are remembered. With three times as many this way would not be fast."""

SAMPLE = 10
"""How many items of a page are looked at for undocumented fields before all are."""

MAXIMUM_LENGTH = 100
"""How many characters the name of a remembered field has at most."""

Moment: Any = Annotated[plain_datetime(), msgspec.Meta(tz=True)]
"""A time on the wire: RFC 3339, with a zone."""

_Unknown = Mapping[type, Sequence[str]]
"""The undocumented fields of each model that were seen so far."""


class _ModelStruct(msgspec.Struct, gc=False):
    """The base of the structs that JSON objects are decoded into."""

    read_extra: ClassVar[Callable[[Any], dict[str, Any]]]
    """Returns the undocumented fields of a struct."""


class TaskStruct(_ModelStruct, gc=False):
    """The base of the structs that tasks are decoded into: fields are named as those of `Task`."""


def _draft(model: type) -> Any:
    plain = {name: getattr(object, name) for name in ("__init__", "__setattr__", "__delattr__")}
    return type(model.__name__, (model,), {"__slots__": (), **plain})


_TaskDraft = _draft(Task)
_TaskStatsDraft = _draft(TaskStats)


def build_tasks(structs: Sequence[Any]) -> list[Task]:
    """Return the tasks that structs of one type contain. Their times must be in UTC."""
    tasks: list[Any] = []
    for struct in structs:
        task = _TaskDraft()
        task.id = struct.id
        task.user_id = struct.user_id
        task.act_id = struct.act_id
        task.name = struct.name
        task.created_at = struct.created_at
        task.modified_at = struct.modified_at
        task.act_name = struct.act_name
        task.username = struct.username
        task.act_username = struct.act_username
        task.stats = None if struct.stats is None else _build_stats(struct.stats)
        task.extra = struct.read_extra()
        task.__class__ = Task
        tasks.append(task)
    return tasks


def _build_stats(struct: Any) -> Any:
    stats = _TaskStatsDraft()
    stats.total_runs = struct.total_runs
    stats.extra = struct.read_extra()
    stats.__class__ = TaskStats
    return stats


class TaskReader:
    """Decodes many tasks at once. It remembers the undocumented fields that it saw, to expect them the next time.

    Each client has its own, so that what one server sends makes no other client slow, and is forgotten with the client.
    Event loops in several threads may share one.
    """

    def __init__(self) -> None:
        self._unknown = _unknown_fields(Task, (), {})
        self._learning = threading.Lock()
        self._decoders = _decoders_for(self._unknown)

    def decode(self, body: bytes) -> Any:
        """Return the page, with structs as its items; raise one of `FAILURES` if it is not as documented."""
        try:
            page = self._decoders.decode(body).data
        except FAILURES:
            if not self._learn(_first_items(body)):
                raise
            page = self._decoders.decode(body).data
        _bring_to_utc(page.items)
        return page

    def convert(self, documents: list[Any]) -> list[TaskStruct]:
        """Return the structs that the documents contain; raise one of `FAILURES` if any is not as documented."""
        if not {dict}.issuperset(map(type, documents)):
            raise TypeError("expected objects")
        self._learn(documents)
        structs: list[TaskStruct] = msgspec.convert(documents, self._decoders.task_list)
        _bring_to_utc(structs)
        return structs

    def _learn(self, documents: Iterable[Any]) -> bool:
        """Expect the undocumented fields of the documents from now on; return False if there is no new one."""
        with self._learning:
            unknown = _unknown_fields(Task, documents, self._unknown)
            if unknown == self._unknown:
                return False
            self._decoders, self._unknown = _decoders_for(unknown), unknown
            return True


class _Decoders:
    """What msgspec decodes into, given the undocumented fields that are expected."""

    def __init__(self, unknown: _Unknown) -> None:
        stats = _struct(TaskStats, _ModelStruct, unknown, {})
        self.task_list: Any = list.__class_getitem__(_struct(Task, TaskStruct, unknown, {TaskStats: stats}))
        fields = {field.wire: field.kind for field in fields_of(TaskPage)} | {"items": self.task_list}
        page = msgspec.defstruct("Page", fields.items(), gc=False)
        envelope: Any = msgspec.defstruct("Envelope", [("data", page)], gc=False)
        self.decode = msgspec.json.Decoder(envelope).decode


_in_use: WeakValueDictionary[object, _Decoders] = WeakValueDictionary()
"""The decoders of all readers. It takes milliseconds to make them, and the clients of a fleet meet the same fields."""


def _decoders_for(unknown: _Unknown) -> _Decoders:
    key = tuple((model, tuple(names)) for model, names in unknown.items() if names)
    decoders = _in_use.get(key)
    if decoders is None:
        _in_use[key] = decoders = _Decoders(unknown)
    return decoders


def _struct(model: type, base: type, unknown: _Unknown, structs: Mapping[type, type]) -> type:
    """Return the struct of a model: its documented fields, and the undocumented ones that are expected."""
    extra = {f"extra_{number}": name for number, name in enumerate(unknown.get(model, ()))}
    undocumented = [(name, Any, msgspec.field(name=wire, default=UNSET)) for name, wire in extra.items()]
    return msgspec.defstruct(
        model.__name__,
        [*(_struct_field(field, structs) for field in fields_of(model)), *undocumented],
        bases=(base,),
        namespace={"read_extra": _compile_read_extra(model, extra)},
        # Otherwise msgspec would drop in silence what `extra` has to keep.
        forbid_unknown_fields=True,
        gc=False,
    )


def _struct_field(field: Field, structs: Mapping[type, type]) -> tuple[str, Any, Any]:
    kind: Any = Moment if is_time(field.kind) else structs.get(field.kind, field.kind)
    default = msgspec.NODEFAULT if field.required else None
    return field.attribute, kind | None if field.nullable else kind, msgspec.field(name=field.wire, default=default)


_numbers = count()


def _compile_read_extra(model: type, extra: Mapping[str, str]) -> Callable[[Any], dict[str, Any]]:
    """Return a method that makes the dictionary of the undocumented fields: a literal, a third of a loop's time."""
    items = ", ".join(f"{wire!r}: struct.{name}" for name, wire in extra.items())
    source = f"def read_extra(struct):\n    extra = {{{items}}}\n"
    if extra:
        absent = " or ".join(f"struct.{name} is UNSET" for name in extra)
        source += f"    if {absent}:\n        return {{k: v for k, v in extra.items() if v is not UNSET}}\n"
    source += "    return extra\n"
    # As attrs and cattrs do, so that tracebacks and debuggers show the source.
    filename = f"<apify_tasks_async: extra of {model.__name__} {next(_numbers)}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    namespace: dict[str, Any] = {"UNSET": UNSET}
    exec(compile(source, filename, "exec"), namespace)  # noqa: S102 - a server's names are only in it as string literals
    read_extra: Callable[[Any], dict[str, Any]] = namespace["read_extra"]
    weakref.finalize(read_extra, linecache.cache.pop, filename, None).atexit = False
    return read_extra


def _first_items(body: bytes) -> Iterable[Any]:
    """Return the first items of a page; raise one of `FAILURES` if it is not as documented."""
    return msgspec.structs.astuple(_sampler()(body).data.items)


@cache
def _sampler() -> Callable[[bytes], Any]:
    # msgspec builds nothing for the elements of an array that are beyond the fields of its struct.
    numbered = [(f"item_{number}", Any, None) for number in range(SAMPLE)]
    items = msgspec.defstruct("Items", numbered, array_like=True)
    page = msgspec.defstruct("Page", [("items", items)])
    return msgspec.json.Decoder(msgspec.defstruct("Envelope", [("data", page)])).decode


def _bring_to_utc(structs: Sequence[Any]) -> None:
    for attribute in ("created_at", "modified_at"):
        # As a rule all times are in UTC. Counting them runs in C.
        if countOf(map(attrgetter(f"{attribute}.tzinfo"), structs), UTC) < len(structs):
            for struct in structs:
                setattr(struct, attribute, getattr(struct, attribute).astimezone(UTC))


def _unknown_fields(model: type, documents: Iterable[Any], known: _Unknown) -> _Unknown:
    """Return the undocumented fields that are known, and those of the documents; without the known if they are many."""
    objects = [document for document in documents if isinstance(document, dict)]
    fields = fields_of(model)
    documented = {field.wire for field in fields}
    names = dict.fromkeys(chain.from_iterable(objects))
    fresh = [name for name in names if name not in documented and _is_field_name(name)]
    unknown = list(dict.fromkeys([*known.get(model, ()), *fresh]))
    if len(unknown) > MAXIMUM_UNKNOWN:  # One odd page must not make all later ones slow.
        unknown = fresh
    for field in fields:
        if attrs.has(field.kind):
            known = _unknown_fields(field.kind, [document.get(field.wire) for document in objects], known)
    return {**known, model: unknown} if len(unknown) <= MAXIMUM_UNKNOWN else known


def _is_field_name(name: Any) -> bool:
    """Return True if msgspec accepts it as the name of a field, and if it is no burden to remember."""
    return (
        isinstance(name, str)
        and len(name) <= MAXIMUM_LENGTH
        and name.isprintable()
        and not {'"', "\\"}.intersection(name)
    )
