"""The token: how it stays hidden, and how it is removed from what a server sends."""

import re
from typing import Self, SupportsIndex

from apify_tasks_async.errors import ApifyTasksError, InvalidTaskError

MINIMUM_LENGTH = 8
"""Characters of a token that is redacted. A shorter one may be a word of the API's own messages."""


class Secret(str):
    """A string whose repr is '***', also that of its slices: tracebacks with locals use `repr`."""

    __slots__ = ()

    def __getitem__(self, key: SupportsIndex | slice) -> Self:
        return type(self)(super().__getitem__(key))

    def __repr__(self) -> str:
        return "'***'"


def as_secret(token: str | None) -> Secret | None:
    """Wrap the token so that its repr is '***'; return anything that is not a string unchanged."""
    return Secret(token) if isinstance(token, str) else token


class Redactor:
    """Replaces the token with `***` in texts that a server sent, since a server may repeat the token."""

    def __init__(self, token: str) -> None:
        self._token = Secret(token)
        # A message shortens what it quotes, and the token with it.
        self._shortened = re.compile(f"{re.escape(token[:MINIMUM_LENGTH])}[!-~]*?\\.\\.\\.")

    def redact(self, text: str) -> str:
        """Return the text without the token."""
        if len(self._token) < MINIMUM_LENGTH:
            return text
        return self._shortened.sub("***...", text.replace(self._token, "***"))

    def redact_error(self, error: ApifyTasksError) -> None:
        """Remove the token from the texts of an error."""
        error.problem = self.redact(error.problem)
        error.args = (error.problem,)
        if isinstance(error, InvalidTaskError):
            error.problems = tuple(map(self.redact, error.problems))
