"""Decoders of a page: of this library, of the official client, and two that one would write oneself."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import attrs
import msgspec
import orjson
from apify_client._models import ListOfTasksResponse
from cattrs.gen import make_dict_structure_fn, override
from cattrs.preconf.orjson import make_converter

from apify_tasks_async._batch import TaskReader
from apify_tasks_async._page import Page, PageRequest
from apify_tasks_async._refusal import Response
from apify_tasks_async._response import read_response
from apify_tasks_async._secret import Redactor

Decoder = Callable[[bytes], Sequence[Any]]
"""Takes the body of a page, and returns its tasks. Each has an `id` and an aware datetime `created_at`."""


READER = TaskReader()
"""What a client keeps from page to page."""


def decode_ours(body: bytes) -> Sequence[Any]:
    """Decode as this library does: types checked, unknown fields kept."""
    page = read_response(PageRequest(0, 1000, desc=False), Response(200, {}, body), 1, Redactor("token"), READER)
    if not isinstance(page, Page):
        raise page
    return page.entries


def decode_official(body: bytes) -> Sequence[Any]:
    """Decode as the official client does: the standard library's json, then pydantic; unknown fields kept."""
    return ListOfTasksResponse.model_validate(json.loads(body.decode())).data.items


@attrs.frozen
class PlainStats:
    """The statistics of a task, in plain attrs."""

    total_runs: int | None = None


@attrs.frozen
class PlainTask:
    """A task in plain attrs, without unknown fields."""

    id: str
    user_id: str
    act_id: str
    name: str
    created_at: datetime
    modified_at: datetime
    act_name: str | None = None
    username: str | None = None
    act_username: str | None = None
    stats: PlainStats | None = None


@attrs.frozen
class PlainData:
    """A page in plain attrs."""

    total: int
    items: list[PlainTask]


@attrs.frozen
class PlainEnvelope:
    """The document around a page."""

    data: PlainData


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


# An afternoon's work: the converter of cattrs for orjson, with the field names of the API. It is not tuned; its errors
# name the field, as ours do.
_converter = make_converter()
for _model in (PlainStats, PlainTask):
    _renamed: Any = {field.name: override(rename=_camel(field.name)) for field in attrs.fields(_model)}
    _converter.register_structure_hook(_model, make_dict_structure_fn(_model, _converter, **_renamed))


def decode_plain(body: bytes) -> Sequence[Any]:
    """Decode with orjson and a stock cattrs converter; unknown fields dropped."""
    return _converter.loads(body, PlainEnvelope).data.items


def decode_dictionaries(body: bytes) -> Sequence[Any]:
    """Decode with orjson only."""
    items: list[Any] = orjson.loads(body)["data"]["items"]
    return items


class StructStats(msgspec.Struct, rename="camel"):
    """The statistics of a task, as a msgspec struct."""

    total_runs: int | None = None


class StructTask(msgspec.Struct, rename="camel"):
    """A task as a msgspec struct, with the documented fields only."""

    id: str
    user_id: str
    act_id: str
    name: str
    created_at: datetime
    modified_at: datetime
    act_name: str | None = None
    username: str | None = None
    act_username: str | None = None
    stats: StructStats | None = None


class StructData(msgspec.Struct):
    """A page as a msgspec struct."""

    total: int
    items: list[StructTask]


class StructEnvelope(msgspec.Struct):
    """The document around a page."""

    data: StructData


_struct_decoder = msgspec.json.Decoder(StructEnvelope)


def decode_structs(body: bytes) -> Sequence[Any]:
    """Decode into msgspec structs, all in C: the lower bound for typed tasks; unknown fields dropped."""
    return _struct_decoder.decode(body).data.items


DECODERS: dict[str, Decoder] = {
    "ours": decode_ours,
    "official client": decode_official,
    "stock cattrs": decode_plain,
    "typed floor": decode_structs,
}
