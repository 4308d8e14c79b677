"""Checks of arguments. Each error names the argument and the value."""

import inspect
import math
import re
import sys
from collections.abc import Callable
from typing import Any

from yarl import URL

from apify_tasks_async._environment import may_send_plainly
from apify_tasks_async._secret import Secret, as_secret
from apify_tasks_async.errors import ConfigurationError


def short_repr(value: object) -> str:
    """Return the repr of any value, on one line, of bounded length, and without raising."""
    if isinstance(value, int) and value.bit_length() > 64:
        return f"an integer of {value.bit_length()} bits"
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a foreign __repr__ may raise anything
        return f"an object of {type(value).__name__}"
    text = "".join(char if char.isprintable() else " " for char in text)
    return text if len(text) <= 200 else f"{text[:200]}..."


def check_integer(name: str, value: Any, *, minimum: int, maximum: int | None = None) -> None:
    """Raise unless the value is an int (not bool) in the range."""
    if type(value) is not int:
        raise TypeError(f"{name} must be an integer, got {short_repr(value)}")
    if value.bit_length() > 64:  # Python refuses to convert integers of thousands of digits to text.
        raise ValueError(f"{name} must fit into 64 bits, got {short_repr(value)}")
    if value < minimum or (maximum is not None and value > maximum):
        bounds = f"at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
        raise ValueError(f"{name} must be {bounds}, got {value}")


def check_number(
    name: str, value: Any, *, above: float | None = None, minimum: float | None = None, maximum: float | None = None
) -> None:
    """Raise unless the value is a finite int or float (not bool) in the range."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, got {short_repr(value)}")
    if abs(value) > sys.float_info.max or math.isnan(value):
        raise ValueError(f"{name} must be finite, got {short_repr(value)}")
    if above is not None and value <= above:
        raise ValueError(f"{name} must be greater than {above:g}, got {value}")
    if minimum is not None and value < minimum:
        raise ValueError(f"{name} must be at least {minimum:g}, got {value}")
    if maximum is not None and value > maximum:
        raise ValueError(f"{name} must be at most {maximum:g}, got {value}")


def check_boolean(name: str, value: Any) -> None:
    """Raise unless the value is `True` or `False`."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {short_repr(value)}")


def check_text(name: str, value: Any) -> None:
    """Raise unless the value is a non-empty string."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, got {short_repr(value)}")
    if not value:
        raise ValueError(f"{name} must not be empty")


def check_label(name: str, value: Any) -> None:
    """Raise unless the value is visible text on one line."""
    check_text(name, value)
    if not value.isprintable() or value.isspace():
        raise ValueError(f"{name} must be visible text on one line, got {short_repr(value)}")


def check_instance(name: str, value: Any, *, kinds: tuple[type, ...]) -> None:
    """Raise unless the value is an instance of one of the types. A bool is not an int here."""
    if isinstance(value, bool) or not isinstance(value, kinds):
        expected = " or ".join(kind.__name__ for kind in kinds)
        raise TypeError(f"{name} must be {expected}, got {short_repr(value)}")


def check_plain_function(name: str, value: Any) -> None:
    """Raise unless the value can be called without `await`."""
    if not callable(value) or any(map(inspect.iscoroutinefunction, (value, type(value).__call__))):
        raise TypeError(f"{name} must be a plain function, got {short_repr(value)}")


def validator(check: Callable[..., None], *, optional: bool = False, **bounds: Any) -> Callable[[Any, Any, Any], None]:
    """Return an attrs validator that runs one of the checks above; with `optional` it accepts `None` as well."""

    def validate(_: Any, attribute: Any, value: Any) -> None:
        if not (optional and value is None):
            check(attribute.alias, value, **bounds)

    return validate


def check_token(token: Any) -> Secret:
    """Return the `Secret` if it can be sent as a bearer token. Otherwise raise an error that does not show it."""
    token = as_secret(token)
    if not isinstance(token, Secret):
        raise TypeError(f"token must be a string, got {type(token).__name__}")
    if not token.get_secret_value():
        raise ConfigurationError("token is empty; set APIFY_TOKEN, or pass a token from Apify Console")
    if re.match("[\"']|.*[\"']$", token.get_secret_value(), re.DOTALL):
        raise ConfigurationError("token is in quotes; remove them")
    if not re.fullmatch(r"[!-~]+", token.get_secret_value()):
        raise ConfigurationError(
            "token must consist of visible ASCII characters; is there a space or a line break at its end?"
        )
    return token


def normalise_base_url(base_url: Any, *, allow_insecure: bool) -> URL:
    """Return the base URL without trailing slashes and `/v2`, or raise an error that says why it is unusable."""
    if not isinstance(base_url, str):
        raise TypeError(f"base_url must be a string, got {short_repr(base_url)}")
    try:
        url = URL(base_url)
        host = (url.host or "").encode("idna").decode()
    except (ValueError, IndexError) as error:  # IndexError: yarl, of https://@[]@
        # The reason may repeat the host, with the password before it.
        reason = f"; {error}" if base_url.isprintable() and "@" not in base_url else ""
        raise ConfigurationError(f"base_url is not a usable URL: {shown_url(base_url)}{reason}") from None
    if not base_url.strip().isprintable():  # yarl dropped some of them, so another host would be asked.
        raise ConfigurationError(f"base_url must not contain control characters, got {shown_url(base_url)}")
    if url.user is not None or url.password is not None:
        raise ConfigurationError("base_url must not contain a user or a password; the token is enough")
    if url.scheme not in ("http", "https") or not re.fullmatch(r"[\w.:%-]+", host, re.ASCII):
        raise ConfigurationError(f"base_url must begin with https:// and a host name, got {shown_url(base_url)}")
    if url.query_string or url.fragment:
        raise ConfigurationError(f"base_url must have neither query nor fragment, got {shown_url(base_url)}")
    if url.scheme == "http" and not allow_insecure and not may_send_plainly(host):
        raise ConfigurationError(
            f"base_url must begin with https:// unless the host is loopback, got {shown_url(base_url)}; "
            "allow_insecure=True sends the token in the clear"
        )
    return url.with_path(url.raw_path.rstrip("/").removesuffix("/v2").rstrip("/"), encoded=True)


def shown_url(base_url: str) -> str:
    """Return the repr of a URL without what may be secret."""
    # The text before an @ may be a password, with any characters in it. The text after ? or # may be a token. If an @
    # follows ? or #, the text before it may be either.
    text = re.sub(r"(?s)^(\w+://)?.*[?#].*@.*", r"\1...", base_url)
    text = re.sub(r"(?s)^(\w+://)?.*@", r"\1...@", text)
    return repr(re.sub(r"(?s)([?#]).*", r"\1...", text)[:200])
