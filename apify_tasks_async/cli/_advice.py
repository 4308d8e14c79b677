"""Turns the library's errors into failures of the command, with advice about options in place of arguments."""

from __future__ import annotations

import math

import click

from apify_tasks_async import (
    ApifyTasksError,
    AuthenticationError,
    BadRequestError,
    DriftError,
    InvalidTaskError,
    RateLimitedError,
    RequestTimeoutError,
    ResponseTooLargeError,
)
from apify_tasks_async.cli._exit import Failure, TokenFailure

__all__ = ["replace_argument_names", "to_failure"]

_TRY_LATER = "try again later"
_ADVICE: dict[type[ApifyTasksError], tuple[str, ...]] = {
    BadRequestError: ("check the options; if they are as documented, the API has changed",),
    DriftError: ("raise --page-size", "try again when the list changes less"),
    InvalidTaskError: ("pass --skip-invalid to skip such tasks",),
    RateLimitedError: ("lower --concurrency", _TRY_LATER),
    RequestTimeoutError: ("raise --timeout", "lower --page-size", _TRY_LATER),
    ResponseTooLargeError: ("lower --page-size",),
}


def to_failure(error: ApifyTasksError) -> Failure:
    """Return the failure with which the command ends after this error."""
    if isinstance(error, AuthenticationError):
        return TokenFailure(error.problem)
    message = str(error)
    if error.advice:
        message = message.removesuffix(f"; {error.advice}")
    advice = _advice(error)
    return Failure(replace_argument_names(f"{message}; {advice}" if advice else message))


def _advice(error: ApifyTasksError) -> str:
    advice = error.advice
    if type(error) in _ADVICE:
        available = list(filter(_is_available, _ADVICE[type(error)]))
        advice = " or ".join(filter(None, (", ".join(available[:-1]), *available[-1:])))
    wait = getattr(error, "retry_after", None)
    return advice.replace(_TRY_LATER, f"try again in {math.ceil(wait):,} s, as the server asks") if wait else advice


def replace_argument_names(message: str) -> str:
    """Return the library's message about `base_url` without the names of its arguments."""
    return message.partition("; allow_insecure=True")[0].replace("base_url", "the base URL")


def _is_available(advice: str) -> bool:
    """Return whether the current command has every option that the advice names."""
    options = {name for parameter in click.get_current_context().command.params for name in parameter.opts}
    return all(word in options for word in advice.split() if word.startswith("--"))
