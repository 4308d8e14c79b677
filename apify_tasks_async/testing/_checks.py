"""What arguments are taken: attrs validators that name the argument and the value."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs

__all__ = ["Validator", "integer", "number", "one_of", "text"]

Validator = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def _refuse(kind: type[Exception], attribute: attrs.Attribute[Any], expected: str, value: Any) -> Exception:
    return kind(f"{attribute.alias} must be {expected}, got {value!r}")


def integer(minimum: int, maximum: int | None = None) -> Validator:
    """Return a validator that takes an integer of that range, and no boolean."""
    expected = f"an integer >= {minimum}" if maximum is None else f"an integer from {minimum} to {maximum}"

    def validate(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if type(value) is not int:
            raise _refuse(TypeError, attribute, expected, value)
        if value < minimum or (maximum is not None and value > maximum):
            raise _refuse(ValueError, attribute, expected, value)

    return validate


def number(*, positive: bool = False, maximum: float = math.inf) -> Validator:
    """Return a validator that takes a finite number that is not negative, and no boolean."""
    expected = f"a number {'>' if positive else '>='} 0" + ("" if maximum == math.inf else f" and <= {maximum:g}")

    def validate(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _refuse(TypeError, attribute, expected, value)
        if not math.isfinite(value) or value < 0 or value > maximum or (positive and value == 0):
            raise _refuse(ValueError, attribute, expected, value)

    return validate


def one_of(*kinds: type | None) -> Validator:
    """Return a validator that takes an instance of one of the types, and a boolean only if asked for."""
    expected = " or ".join("None" if kind is None else kind.__name__ for kind in kinds)
    types = tuple(type(None) if kind is None else kind for kind in kinds)

    def validate(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in kinds):
            raise _refuse(TypeError, attribute, expected, value)

    return validate


def text(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    """Take a text that is not empty."""
    if not isinstance(value, str):
        raise _refuse(TypeError, attribute, "a text", value)
    if not value:
        raise _refuse(ValueError, attribute, "a text that is not empty", value)
