"""The documented fields: their names in Python and in JSON, and their types. Derived from the models."""

from functools import cache
from typing import Any, get_args, get_type_hints

import attrs

from apify_tasks_async._document import Document
from apify_tasks_async._plain_time import is_time, plain_datetime

NOT_FIELDS = ("extra", "bookmark")
"""Attributes that do not stand for one field of a document."""


@attrs.frozen(eq=False, repr=False)
class Field:
    """A documented field: its name in Python, its name in JSON, and its type."""

    attribute: str
    wire: str
    kind: Any
    required: bool
    nullable: bool


@cache
def fields_of(model: type) -> tuple[Field, ...]:
    """Return the documented fields of a model. What is not the API's has the same names in JSON as in Python."""
    hints, on_wire = get_type_hints(model), issubclass(model, Document)
    return tuple(
        _field(attribute, hints[attribute.name], _wire_name(attribute.name) if on_wire else attribute.name)
        for attribute in attrs.fields(model)
        if attribute.name not in NOT_FIELDS
    )


def _wire_name(attribute: str) -> str:
    first, *rest = attribute.split("_")
    return first + "".join(map(str.capitalize, rest))


def _field(attribute: Any, hint: Any, wire: str) -> Field:
    nullable = type(None) in get_args(hint)
    kind = get_args(hint)[0] if nullable else hint
    if is_time(kind):  # The hint may have been read while a test had replaced the class.
        kind = plain_datetime()
    return Field(attribute.name, wire, kind, attribute.default is attrs.NOTHING, nullable)
