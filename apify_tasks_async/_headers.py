"""The headers of every request."""

import re
import sys
from collections.abc import Mapping
from typing import Any

from apify_tasks_async import _environment
from apify_tasks_async._arguments import short_repr
from apify_tasks_async._secret import Secret, as_secret
from apify_tasks_async._version import __version__

USER_AGENT = f"apify-tasks-async/{__version__} (Python {sys.version_info.major}.{sys.version_info.minor})"

_OURS = {
    "authorization": "pass token",
    "proxy-authorization": "pass proxy, with user and password in its URL",
    "user-agent": "pass user_agent_suffix",
    "accept": "the client sets it",
    "accept-encoding": "the client sets it",
    "connection": "the client sets it",
    "content-length": "the client sets it",
    "host": "the client sets it",
    "transfer-encoding": "the client sets it",
}
"""Headers that `headers` must not contain, and what to do instead."""


def read_headers(headers: Any, user_agent_suffix: Any) -> dict[str, str | Secret]:
    """Check the arguments; return the headers that they and the environment add to a request."""
    added: dict[str, str | Secret] = {} if headers is None else _checked(headers)
    key = _environment.workflow_key()
    if key is not None and "x-apify-workflow-key" not in map(str.lower, added):
        added["X-Apify-Workflow-Key"] = _checked_value("APIFY_WORKFLOW_KEY", as_secret(key))
    if user_agent_suffix is not None:
        suffix = _checked_value("user_agent_suffix", as_secret(user_agent_suffix))
        added["User-Agent"] = f"{USER_AGENT} {suffix.get_secret_value()}"
    return added


def _checked(headers: Any) -> dict[str, str | Secret]:
    if not isinstance(headers, Mapping):
        raise TypeError(f"headers must be a mapping, got {type(headers).__name__}")
    return {_checked_name(name): _checked_value(f"headers[{name!r}]", value) for name, value in headers.items()}


def _checked_name(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(f"headers must have strings as names, got {short_repr(name)}")
    if not re.fullmatch(r"[!#$%&'*+.^_`|~\w-]+", name, re.ASCII):
        raise ValueError(f"headers must have names of letters, digits and hyphens, got {short_repr(name)}")
    if name.lower() in _OURS:
        raise ValueError(f"headers must not contain {name!r}; {_OURS[name.lower()]}")
    return name


def _checked_value(name: str, value: Any) -> Secret:
    # No error and no repr shows it: it may be a key.
    if not isinstance(value, Secret):
        raise TypeError(f"{name} must be a string, got {type(value).__name__}")
    if not re.fullmatch(r"[!-~]([ \t!-~]*[!-~])?", value.get_secret_value()):
        raise ValueError(f"{name} must consist of visible ASCII characters, and spaces between them")
    return value
