"""Moments in options: an RFC 3339 time, a date, or an age such as `7d`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

__all__ = ["Moment", "parse_moment"]

_AGE = re.compile(r"(\d{1,9})([smhdw])")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DAY = timedelta(days=1)
_TICK = timedelta(microseconds=1)


def parse_moment(text: str, now: datetime, *, end_of_day: bool = False) -> datetime:
    """Return the moment that a text names, in UTC.

    Args:
        text: `2026-03-01T12:30:00Z`, `2026-03-01` or an age: a number of s, m, h, d or w.
        now: The moment that an age is counted from.
        end_of_day: Whether a date means the last moment of its day, and not the first. Days are those of UTC.

    Raises:
        ValueError: The text has another form, has no zone, or is outside the years 1 to 9999.
    """
    try:
        if age := _AGE.fullmatch(text):
            return now - timedelta(seconds=int(age[1]) * _SECONDS[age[2]])
        if _DATE.fullmatch(text):
            day = datetime.fromisoformat(text).replace(tzinfo=UTC)
            return day + (_DAY - _TICK) if end_of_day else day
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    else:
        raise ValueError(f"{text!r} has no time zone; add Z for UTC, or an offset such as +02:00")
    raise ValueError(
        f"{text!r} is neither a time such as 2026-03-01T12:30:00Z, nor a date, nor an age such as 7d or 36h"
    )


# In newer versions of click the base is generic.
class Moment(click.ParamType):  # type: ignore[type-arg]  # pyright: ignore[reportMissingTypeArgument]
    """A moment; an age is counted from the start of the command."""

    name = "TIME"

    def __init__(self, *, end_of_day: bool = False) -> None:
        self._end_of_day = end_of_day

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the moment."""
        try:
            return parse_moment(value, datetime.now(UTC), end_of_day=self._end_of_day)
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)
