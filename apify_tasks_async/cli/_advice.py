"""What to do about an error of the library, in the words of the command line: options, not arguments."""

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

__all__ = ["failure", "in_options"]

_LATER = "try again later"
_ADVICE: dict[type[ApifyTasksError], tuple[str, ...]] = {
    BadRequestError: ("check the options; if they are as documented, the API has changed",),
    DriftError: ("raise --page-size", "try again when the list is quieter"),
    InvalidTaskError: ("pass --skip-invalid to leave such tasks out",),
    RateLimitedError: ("lower --concurrency", _LATER),
    RequestTimeoutError: ("raise --timeout", "lower --page-size", _LATER),
    ResponseTooLargeError: ("lower --page-size",),
}


def failure(error: ApifyTasksError) -> Failure:
    """Return how the command ends after this error."""
    if isinstance(error, AuthenticationError):
        return TokenFailure(error.problem)
    message, advice = str(error), error.advice
    if advice:
        message = message.removesuffix(f"; {advice}")
    if type(error) in _ADVICE:
        possible = list(filter(_is_possible, _ADVICE[type(error)]))
        advice = " or ".join(filter(None, (", ".join(possible[:-1]), *possible[-1:])))
    wait = getattr(error, "retry_after", None)
    if wait:
        advice = advice.replace(_LATER, f"try again in {math.ceil(wait):,} s, as the server asks")
    return Failure(in_options(f"{message}; {advice}" if advice else message))


def in_options(message: str) -> str:
    """Return what the library says of the base URL such that it fits the option and the variable."""
    return message.partition("; allow_insecure=True")[0].replace("base_url", "the base URL")


def _is_possible(advice: str) -> bool:
    """Tell whether the command has the option that the advice is about."""
    options = {name for parameter in click.get_current_context().command.params for name in parameter.opts}
    return all(word in options for word in advice.split() if word.startswith("--"))
