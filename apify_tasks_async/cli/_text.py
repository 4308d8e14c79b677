"""Makes text safe for a terminal: names and messages from a server may hold control sequences."""

from __future__ import annotations

import re

__all__ = ["escape_json", "printable"]

# C0 and C1 control characters, and characters that reverse or break a line.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    r"""Return the text on one line, with its control characters as `\t`, `\x1b` or `\u202e`."""
    return _UNSAFE.sub(lambda match: match.group().encode("unicode_escape").decode(), text)


def escape_json(document: bytes) -> str:
    """Return the JSON document as text, with the control characters escaped that JSON allows in a string."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match.group()):04x}", document.decode())
