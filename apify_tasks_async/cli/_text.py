"""What may reach a terminal: names and messages come from a server, and could hold sequences that steer one."""

from __future__ import annotations

import re

__all__ = ["as_json_text", "printable"]

# The C0 and C1 controls, and the characters that reverse or break a line.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    r"""Return the text on one line, its control characters as `\t`, `\x1b` or `\u202e`."""
    return _UNSAFE.sub(lambda match: match.group().encode("unicode_escape").decode(), text)


def as_json_text(document: bytes) -> str:
    """Return a JSON document as text, with those control characters escaped that JSON itself would let through."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match.group()):04x}", document.decode())
