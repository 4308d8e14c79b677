"""Texts of a server, short and on one line, for messages. Pure."""

import re
from collections.abc import Mapping

VISIBLE = 60
"""How many characters of an unexpected body a message shows."""

_EXAMINED = 4096
"""How many bytes of a body are searched for them."""

_INVISIBLE = r"(?is)<(script|style)\b.*?</\1\s*>|<!--.*?-->|<[^>]*>"
"""What HTML does not show. Compiled when it is first needed, since that takes longer than the other imports."""


def one_line(text: str, maximum: int = 300) -> str:
    """Return a server's text as one printable line of bounded length."""
    line = text[: 4 * maximum]
    if not line.isprintable():  # Most are, and a page may have a thousand problems.
        line = "".join(char if char.isprintable() else " " for char in line)
    line = " ".join(line.split())
    return line if len(line) <= maximum else f"{line[:maximum]}..."


def escape(text: str) -> str:
    """Return the text with its control characters, and all that is invisible, as Python writes them."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def describe_body(headers: Mapping[str, str], body: bytes) -> str:
    """Return the type of an unexpected body, and the text that a reader of it would see first."""
    if not body:
        return "an empty body"
    kind = one_line(headers.get("Content-Type", "").partition(";")[0], VISIBLE)
    shown = one_line(_visible_text(_text(body[:_EXAMINED])), VISIBLE)
    text = repr(shown) if shown else f"{len(body):,} bytes without text"
    return f"{kind}: {text}" if kind else text


def _text(data: bytes) -> str:
    """Return the text that the data may be; nothing if a tenth of it is unreadable."""
    text = data.decode(errors="replace")
    readable = [char for char in text if char.isprintable() or char.isspace() if char != "\ufffd"]
    return "".join(readable) if 10 * len(readable) > 9 * len(text) else ""


def _visible_text(text: str) -> str:
    """Return the text without the tags, scripts and comments of HTML; if nothing is left, all of it."""
    if not text.lstrip().startswith("<"):
        return text
    import html  # noqa: PLC0415 - its table of characters is only needed for a page in place of JSON

    visible = html.unescape(re.sub(_INVISIBLE, " ", text))
    return visible if visible.strip() else text


def describe_size(size: int) -> str:
    """Return a number of bytes in the largest unit that divides it."""
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if size % unit == 0:
            return f"{size // unit:,} {name}"
    return f"{size:,} bytes"
