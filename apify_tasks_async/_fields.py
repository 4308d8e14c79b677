"""What the wire calls the fields of the models, and what it holds in them. The models themselves are the definition."""

from __future__ import annotations

from functools import cache
from typing import Any, get_args, get_type_hints

import attrs

__all__ = ["Field", "fields_of"]

NOT_OF_THE_WIRE = ("extra", "bookmark")
"""Attributes that hold what no single field of a document does."""


@attrs.frozen
class Field:
    """A documented field: what Python calls it, what the wire calls it, and what it holds."""

    attribute: str
    wire: str
    kind: Any
    required: bool
    nullable: bool


@cache
def fields_of(model: type) -> tuple[Field, ...]:
    """Return the documented fields of a model."""
    hints = get_type_hints(model)
    return tuple(
        _field(attribute, hints[attribute.name])
        for attribute in attrs.fields(model)
        if attribute.name not in NOT_OF_THE_WIRE
    )


def _field(attribute: attrs.Attribute[Any], hint: Any) -> Field:
    first, *rest = attribute.name.split("_")
    wire = first + "".join(map(str.capitalize, rest))
    nullable = type(None) in get_args(hint)
    kind = get_args(hint)[0] if nullable else hint
    return Field(attribute.name, wire, kind, attribute.default is attrs.NOTHING, nullable)
