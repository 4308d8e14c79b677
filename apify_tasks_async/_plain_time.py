"""The class `datetime`, also while a test has replaced it by a subclass, as freezegun does."""

from datetime import UTC, datetime
from typing import Any

# In a tuple, since freezegun replaces the class wherever a module has it by name.
_CLASS: tuple[Any] = (next(kind for kind in datetime.__mro__ if (kind.__module__, kind.__name__) == ("datetime",) * 2),)


def plain_datetime() -> Any:
    """Return the class, whether time is frozen or not."""
    return _CLASS[0]


def is_time(kind: Any) -> bool:
    """Return whether a type is `datetime` or a subclass."""
    return isinstance(kind, type) and issubclass(kind, _CLASS[0])


def as_plain(moment: datetime) -> datetime:
    """Return a time in UTC as a `datetime`, and not as a subclass: msgspec refuses those, and they are slow."""
    if type(moment) is _CLASS[0]:
        return moment
    plain: datetime = _CLASS[0](
        moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second, moment.microsecond, UTC
    )
    return plain
