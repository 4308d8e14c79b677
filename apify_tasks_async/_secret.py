"""The token: how it stays hidden, and how it is removed from what a server sends."""

import re
from collections.abc import Mapping
from typing import Any, Protocol, Self, SupportsIndex

from apify_tasks_async.errors import ApifyTasksError, InvalidTaskError, ResponseError

MINIMUM_LENGTH = 8
"""Characters of a token that is redacted. A shorter one may be a word of the API's own messages."""


class Secret(str):
    """A string whose repr is '***', also that of its slices: tracebacks with locals use `repr`."""

    __slots__ = ()

    def __getitem__(self, key: SupportsIndex | slice) -> Self:
        return type(self)(super().__getitem__(key))

    def __repr__(self) -> str:
        return "'***'"


def as_secrets(values: Any) -> Any:
    """Wrap the values of a mapping; return anything else unchanged."""
    return {name: as_secret(value) for name, value in values.items()} if isinstance(values, Mapping) else values


class SecretText(Protocol):
    """What hides a token, such as `pydantic.SecretStr`."""

    def get_secret_value(self) -> str:
        """Return the token."""
        ...


def as_secret(token: str | SecretText | None) -> Secret | None:
    """Wrap the token so that its repr is '***'. What is not a text, and does not hide one, is returned unchanged."""
    reveal = getattr(token, "get_secret_value", None)
    secret = _wrap(reveal()) if callable(reveal) else _wrap(token)
    return token if secret is None else secret  # type: ignore[return-value]  # check_token refuses another type


def _wrap(text: Any) -> Secret | None:
    return Secret(text) if isinstance(text, str) else None


class Redactor:
    """Replaces secrets with `***` in texts that a server sent, since a server may repeat them."""

    def __init__(self, *secrets: str) -> None:
        self._secrets = [Secret(secret) for secret in secrets if len(secret) >= MINIMUM_LENGTH]

    def redact(self, text: str) -> str:
        """Return the text without the secrets."""
        for secret in self._secrets:
            text = _mask_cut(text.replace(secret, "***"), secret[:MINIMUM_LENGTH])
        return text

    def redact_error(self, error: ApifyTasksError) -> None:
        """Remove the secrets from the texts of an error."""
        error.problem = self.redact(error.problem)
        error.args = (error.problem,)
        if isinstance(error, ResponseError) and error.answered_by is not None:
            error.answered_by = self.redact(error.answered_by)
        if isinstance(error, InvalidTaskError):
            error.problems = tuple(map(self.redact, error.problems))


_GAP = re.compile("[^!-~]")


def _mask_cut(text: str, start: str) -> str:
    """Mask the secret where it is cut: a message shortens what it quotes, and the secret with it.

    A server may repeat the start of the secret thousands of times, so nothing is searched twice.
    """
    parts: list[str] = []
    done = position = gap = 0
    while (begin := text.find(start, position)) >= 0:
        after = begin + len(start)
        if gap < after:
            found = _GAP.search(text, after)
            gap = found.start() if found else len(text)
        cut = text.find("...", after, gap)
        if cut < 0:
            # Nor is one cut that begins later, before the gap. A start with a space in it may lie across the gap.
            position = max(begin + 1, gap - len(start) + 1)
        else:
            parts += text[done:begin], "***..."
            done = position = cut + len("...")
    return "".join(parts) + text[done:]
