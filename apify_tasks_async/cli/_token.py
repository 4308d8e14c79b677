"""The token: where it is read from, and whether it can be one."""

from __future__ import annotations

import codecs
import os
import re
import sys

import click

from apify_tasks_async.cli._exit import TokenFailure

__all__ = ["read_token", "source_of"]

_QUOTES = "\"'`\u2018\u2019\u201c\u201d"

_LONGEST = 2**16
"""The bytes that a token file may have."""

_TOKEN_LIKE = re.compile(r"\w{16,}")
"""Matches a token. The name of a token file usually holds a dot or a slash."""


def read_token(path: str | None) -> str:
    """Return the token in the file, or in the variable APIFY_TOKEN.

    Args:
        path: The file; `-` for standard input, `None` for the variable.

    Raises:
        TokenFailure: The token is missing or invalid.
    """
    if path is None:
        text, source, missing = os.environ.get("APIFY_TOKEN", ""), "APIFY_TOKEN", "no token"
    else:
        text, source, missing = _read_file(path), f"--token-file {path}", f"no token in --token-file {path}"
    token = text.strip()
    if not token:
        raise TokenFailure(missing)
    if token[0] in _QUOTES or token[-1] in _QUOTES:
        raise TokenFailure(f"{source} holds a token in quotes; remove them")
    if not (token.isascii() and token.isprintable()) or " " in token:
        # The message leaves the text out: it may be a real token with a typing error.
        raise TokenFailure(f"{source} does not hold a token: a token consists of letters, digits and underscores")
    return token


def source_of(path: str | None) -> str:
    """Return where the token came from, if it could have come from two places."""
    if path is None or not os.environ.get("APIFY_TOKEN"):
        return ""
    return f"; the token is that of --token-file {path}, not that of APIFY_TOKEN"


def _read_file(path: str) -> str:
    if path == "-" and sys.stdin is None:
        raise click.BadParameter("cannot read '-': standard input is closed.", param_hint="'--token-file'")
    try:
        with click.open_file(path, "rb") as file:
            content = file.read(_LONGEST + 1)
    except OSError as error:
        if _TOKEN_LIKE.fullmatch(path):
            message = "pass the name of a file that holds the token, not the token itself."
        else:
            message = f"cannot read {path!r}: {error.strerror}."
        raise click.BadParameter(message, param_hint="'--token-file'") from None
    if len(content) > _LONGEST:  # such as /dev/zero
        raise click.BadParameter(f"{path!r} is too large to hold a token.", param_hint="'--token-file'")
    return _decode(content)


def _decode(content: bytes) -> str:
    """Return the text. Editors and shells of Windows put a byte order mark before it."""
    utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if utf_16 else "utf-8-sig", errors="replace")
