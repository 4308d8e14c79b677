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
from apify_tasks_async.cli._token import source_of

__all__ = ["replace_argument_names", "to_failure"]

_TRY_LATER = "try again later"
_ADVICE: dict[type[ApifyTasksError], tuple[str, ...]] = {
    BadRequestError: ("check the options; if they are as documented, the API has changed",),
    DriftError: ("raise --page-size", "try again when the list changes less"),
    InvalidTaskError: ("pass --skip-invalid to skip such tasks",),
    RateLimitedError: ("lower --rate-limit", _TRY_LATER),
    RequestTimeoutError: ("raise --timeout", "lower --page-size", _TRY_LATER),
    ResponseTooLargeError: ("lower --page-size",),
}


def to_failure(error: ApifyTasksError) -> Failure:
    """Return the failure with which the command ends after this error."""
    if isinstance(error, AuthenticationError) and error.answered_by is None:
        return TokenFailure(error.problem + source_of(click.get_current_context().params.get("token_file")), error)
    if click.get_current_context().command.name == "count":
        error.offset = error.limit = error.desc = None  # The user asked for no page.
    message = str(error)
    if error.advice:
        message = message.removesuffix(f"; {error.advice}")
    advice = _advice(error)
    return Failure(replace_argument_names(f"{message}; {advice}" if advice else message), error, advice)


def _advice(error: ApifyTasksError) -> str:
    advice = error.advice
    if type(error) in _ADVICE and getattr(error, "answered_by", None) is None:
        available = list(filter(_is_available, _ADVICE[type(error)]))
        advice = " or ".join(filter(None, (", ".join(available[:-1]), *available[-1:])))
    wait = getattr(error, "retry_after", None)
    if not wait:
        return advice
    later = f"try again in {math.ceil(wait):,} s, as the server asks"
    return later if isinstance(error, RateLimitedError) else advice.replace(_TRY_LATER, later)


def replace_argument_names(message: str) -> str:
    """Return the library's message with options in place of arguments."""
    message = message.replace("allow_insecure=True", "--allow-insecure").replace("base_url", "the base URL")
    message = message.replace("`timeout`", "--timeout")
    return f"--{message}" if message.startswith("proxy ") else message


def _is_available(advice: str) -> bool:
    """Return whether the current command has every option that the advice names."""
    options = {name for parameter in click.get_current_context().command.params for name in parameter.opts}
    return all(word in options for word in advice.split() if word.startswith("--"))
