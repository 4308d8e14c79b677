"""Makes text safe for a terminal: names and messages from a server may hold control sequences."""

from __future__ import annotations

import re

__all__ = ["escape_json", "printable"]

# C0 and C1 control characters, and characters that reverse or break a line.
_UNSAFE = "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
# Characters without width: two names that look the same may differ by one, and a tag can hide a whole text.
_INVISIBLE = (
    "\xad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200d\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)

_CONTROLS = re.compile(f"[{_UNSAFE}]")
_HIDDEN = re.compile(f"[{_UNSAFE}{_INVISIBLE}]")


def printable(text: str, *, invisible: bool = True) -> str:
    r"""Return the text on one line, with its control characters as `\t`, `\x1b` or `\u202e`.

    Args:
        text: The text.
        invisible: Whether to show invisible characters the same way. Programs may need them: they join emoji.
    """
    unsafe = _HIDDEN if invisible else _CONTROLS
    return unsafe.sub(lambda match: match.group().encode("unicode_escape").decode(), text)


def escape_json(document: bytes, *, invisible: bool = False) -> str:
    """Return the JSON document as text, with the control characters escaped that JSON allows in a string."""
    unsafe = _HIDDEN if invisible else _CONTROLS
    return unsafe.sub(_escape_in_json, document.decode())


def _escape_in_json(match: re.Match[str]) -> str:
    units = match.group().encode("utf-16-be").hex()
    return f"\\u{units[:4]}" if len(units) == 4 else f"\\u{units[:4]}\\u{units[4:]}"
