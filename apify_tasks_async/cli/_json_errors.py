"""`--errors json`: an error as one JSON line on stderr, for scripts."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import click

from apify_tasks_async.cli._exit import Failure, mask_tokens, print_line

__all__ = ["print_json_error", "wants_json"]


def wants_json(arguments: Sequence[str]) -> bool:
    """Return whether errors are to be JSON. The arguments may be wrong, so click cannot say."""
    chosen = [value for name, value in pairwise(arguments) if name == "--errors"]
    chosen += [text.partition("=")[2] for text in arguments if text.startswith("--errors=")]
    return (chosen or [os.environ.get("APIFY_TASKS_ERRORS", "")])[-1] == "json"


def print_json_error(error: click.ClickException) -> None:
    """Write the error as one line of JSON."""
    print_line(mask_tokens(json.dumps(_describe(error))))


def _describe(error: click.ClickException) -> dict[str, Any]:
    cause = error.cause if isinstance(error, Failure) else None
    bookmark = cause and cause.bookmark
    return {
        "type": type(cause or error).__name__,
        "message": error.format_message().removesuffix("."),
        "status": getattr(cause, "status", None),
        "offset": getattr(cause, "offset", None),
        "attempts": getattr(cause, "attempts", None),
        "advice": error.advice if isinstance(error, Failure) else None,
        "bookmark": bookmark.to_json() if bookmark else None,
        "exitCode": error.exit_code,
    }
