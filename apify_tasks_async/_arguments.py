"""What makes an argument acceptable. Every refusal names the argument and the value."""

from __future__ import annotations

import inspect
import ipaddress
import math
import re
import sys
from typing import Any, SupportsIndex

from yarl import URL

from apify_tasks_async.errors import ConfigurationError

__all__ = [
    "Secret",
    "check_boolean",
    "check_integer",
    "check_number",
    "check_plain_function",
    "check_token",
    "conceal",
    "normalise_base_url",
    "shown",
]


def shown(value: object) -> str:
    """Return how a message shows a value, whatever it is: on one line of bounded length."""
    if isinstance(value, int) and value.bit_length() > 64:
        return f"an integer of {value.bit_length()} bits"
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001  such as that of a list with a number of thousands of digits
        return f"an object of {type(value).__name__}"
    text = "".join(char if char.isprintable() else " " for char in text)
    return text if len(text) <= 200 else f"{text[:200]}..."


def check_integer(name: str, value: Any, *, least: int, most: int | None = None) -> None:
    """Refuse what is no whole number within the bounds; `True` and `2.0` are none."""
    if type(value) is not int:
        raise TypeError(f"{name} must be an integer, got {shown(value)}")
    if value.bit_length() > 64:  # Python would refuse to write thousands of digits into a request
        raise ValueError(f"{name} must fit into 64 bits, got {shown(value)}")
    if value < least or (most is not None and value > most):
        bounds = f"at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"{name} must be {bounds}, got {value}")


def check_number(name: str, value: Any, *, above: float | None = None, least: float | None = None) -> None:
    """Refuse what is no finite number within the bound; `True` is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, got {shown(value)}")
    if abs(value) > sys.float_info.max or math.isnan(value):
        raise ValueError(f"{name} must be finite, got {shown(value)}")
    if above is not None and value <= above:
        raise ValueError(f"{name} must be greater than {above:g}, got {value}")
    if least is not None and value < least:
        raise ValueError(f"{name} must be at least {least:g}, got {value}")


def check_boolean(name: str, value: Any) -> None:
    """Refuse what is neither `True` nor `False`."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {shown(value)}")


def check_plain_function(name: str, value: Any) -> None:
    """Refuse what cannot be called, or would return a coroutine that nobody awaits."""
    if not callable(value) or any(map(inspect.iscoroutinefunction, (value, type(value).__call__))):
        raise TypeError(f"{name} must be a plain function, got {shown(value)}")


class Secret(str):
    """A text that does not show in tracebacks with locals, which use `repr`, some of them that of the first letters."""

    __slots__ = ()

    def __getitem__(self, key: SupportsIndex | slice) -> Secret:
        return Secret(super().__getitem__(key))

    def __repr__(self) -> str:
        return "'***'"


def conceal(token: str | None) -> Secret | None:
    """Return the token such that no traceback shows it; `None` if there is none."""
    return Secret(token) if isinstance(token, str) else token


def check_token(token: Any) -> None:
    """Refuse what cannot be sent as a bearer token, without showing it."""
    if not isinstance(token, str):
        raise TypeError(f"token must be a string, got {type(token).__name__}")
    if not token:
        raise ConfigurationError("token is empty; set APIFY_TOKEN, or pass a token from Apify Console")
    if not re.fullmatch(r"[!-~]+", token):
        raise ConfigurationError(
            "token must consist of visible ASCII characters; is there a space or a line break at its end?"
        )


def normalise_base_url(base_url: Any, *, allow_insecure: bool) -> URL:
    """Return the base URL without trailing slashes and `/v2`, or say what makes it unusable."""
    if not isinstance(base_url, str):
        raise TypeError(f"base_url must be a string, got {shown(base_url)}")
    try:
        url = URL(base_url)
        host = (url.host or "").encode("idna").decode()
    except (ValueError, IndexError) as error:  # IndexError: yarl, of https://@[]@
        # The reason may repeat the host, with the password before it.
        reason = f"; {error}" if base_url.isprintable() and "@" not in base_url else ""
        raise ConfigurationError(f"base_url is no usable URL: {_shown_url(base_url)}{reason}") from None
    if url.user is not None or url.password is not None:
        raise ConfigurationError("base_url must not hold a user or a password; the token is all that is needed")
    if url.scheme not in ("http", "https") or not re.fullmatch(r"[\w.:%-]+", host, re.ASCII):
        raise ConfigurationError(f"base_url must begin with https:// and a host name, got {_shown_url(base_url)}")
    if url.query_string or url.fragment:
        raise ConfigurationError(f"base_url must have neither query nor fragment, got {_shown_url(base_url)}")
    if url.scheme == "http" and not allow_insecure and not _is_loopback(host):
        raise ConfigurationError(
            f"base_url must begin with https:// unless the host is loopback, got {_shown_url(base_url)}; "
            "allow_insecure=True sends the token in the clear"
        )
    return url.with_path(url.raw_path.rstrip("/").removesuffix("/v2").rstrip("/"), encoded=True)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _shown_url(base_url: str) -> str:
    # What stands before an @ may be a password, with anything in it, and what stands behind ? or # a token. With an @
    # behind them it may be either.
    text = re.sub(r"(?s)^(\w+://)?.*[?#].*@.*", r"\1...", base_url)
    text = re.sub(r"(?s)^(\w+://)?.*@", r"\1...@", text)
    return repr(re.sub(r"(?s)([?#]).*", r"\1...", text)[:200])
