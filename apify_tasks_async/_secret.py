"""The token: how it stays hidden, and how it is removed from what a server sends."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, Protocol, Self, SupportsIndex, runtime_checkable

from apify_tasks_async.errors import ApifyTasksError

MINIMUM_LENGTH = 8
"""Characters of a token that is redacted. A shorter one may be a word of the API's own messages."""


class Secret:
    """Holds a text that no report shows. Not a string: some reporters write the locals of each frame as JSON.

    The text is in a closure, which neither `vars` nor a search through the slots enters, and which cannot be pickled.
    """

    __slots__ = ("_reveal",)

    _reveal: Callable[[], str]

    def __init__(self, text: str) -> None:
        self._reveal = lambda: text

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        # Tests that replace aiohttp compare the headers that it was given.
        if isinstance(other, Secret):
            other = other.get_secret_value()
        return self._reveal() == other if isinstance(other, str) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._reveal())

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _: dict[int, Any]) -> Self:
        return self

    def __reduce_ex__(self, _: SupportsIndex) -> NoReturn:
        raise TypeError(
            "a secret is not pickled, nor written to a file; if vcrpy records the request, pass it "
            "filter_headers=['authorization']"
        )

    def get_secret_value(self) -> str:
        """Return the text."""
        return self._reveal()


class HeaderText(str):
    """The value of a header, for aiohttp. Its repr is '***', also that of its slices: aiohttp's own frames hold it."""

    __slots__ = ()

    def __getitem__(self, key: SupportsIndex | slice) -> Self:
        return type(self)(super().__getitem__(key))

    def __repr__(self) -> str:
        return "'***'"


def as_header(value: str | Secret) -> str:
    """Return the text of a header. Call it where the request is sent, so that no other frame holds the text."""
    return HeaderText(value.get_secret_value()) if isinstance(value, Secret) else value


def as_secrets(values: Any) -> Any:
    """Wrap the values of a mapping; return anything else unchanged."""
    return {name: as_secret(value) for name, value in values.items()} if isinstance(values, Mapping) else values


@runtime_checkable
class SecretText(Protocol):
    """What hides a token, such as `pydantic.SecretStr`."""

    def get_secret_value(self) -> str:
        """Return the token."""
        ...


def as_secret(value: Any) -> Any:
    """Return the `Secret` of a text, or of what hides one. Anything else is returned unchanged."""
    if isinstance(value, Secret):
        return value
    if isinstance(value, str):
        return Secret(value)
    reveal = getattr(value, "get_secret_value", None)
    return _wrap(reveal(), value) if callable(reveal) else value


def _wrap(text: Any, otherwise: Any) -> Any:
    return Secret(text) if isinstance(text, str) else otherwise


class Redactor:
    """Replaces secrets with `***` in texts that a server sent, since a server may repeat them."""

    def __init__(self, *secrets: str | Secret) -> None:
        # Messages also quote texts as Python and JSON write them, which doubles a backslash.
        self._secrets = [
            Secret(spelling)
            for text in (secret.get_secret_value() if isinstance(secret, Secret) else secret for secret in secrets)
            for spelling in dict.fromkeys([text, repr(text)[1:-1], json.dumps(text)[1:-1]])
            if len(text) >= MINIMUM_LENGTH
        ]

    def redact(self, text: str) -> str:
        """Return the text without the secrets."""
        for holder in self._secrets:
            secret = holder.get_secret_value()
            if secret[:MINIMUM_LENGTH] in text:  # Eight characters are found faster than fifty.
                text = _mask_cut(text.replace(secret, "***"), secret[:MINIMUM_LENGTH])
        return text

    def redact_error(self, error: ApifyTasksError) -> None:
        """Remove the secrets from all texts of an error, and from the document that it holds.

        Only here are the texts decoded: JSON has many spellings of one token.
        """
        for name, value in vars(error).items():
            try:
                vars(error)[name] = self._redact_value(value)
            except RecursionError:
                vars(error)[name] = None
        error.args = (error.problem,)

    def _redact_value(self, value: Any) -> Any:
        match value:
            case str():
                return self.redact(value)
            case list():
                return [self._redact_value(each) for each in value]
            case tuple():
                return tuple(map(self._redact_value, value))
            case dict():
                return {self._redact_value(name): self._redact_value(each) for name, each in value.items()}
            case _:
                return value


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
