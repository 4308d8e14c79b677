"""Text that must not be shown."""

from __future__ import annotations

from typing import SupportsIndex

__all__ = ["Secret", "as_secret"]


class Secret(str):
    """A string whose repr is '***', also that of its slices: tracebacks with locals use `repr`."""

    __slots__ = ()

    def __getitem__(self, key: SupportsIndex | slice) -> Secret:
        return Secret(super().__getitem__(key))

    def __repr__(self) -> str:
        return "'***'"


def as_secret(token: str | None) -> Secret | None:
    """Wrap the token so that its repr is '***'; return anything that is not a string unchanged."""
    return Secret(token) if isinstance(token, str) else token
