"""The proxy: which one, and what it is sent."""

import base64
import re
from collections.abc import Mapping
from typing import Any, Self

import attrs
from yarl import URL

from apify_tasks_async import _environment
from apify_tasks_async._arguments import shown_url
from apify_tasks_async._secret import Secret
from apify_tasks_async.errors import ConfigurationError


@attrs.frozen(eq=False, repr=False)
class Proxy:
    """A proxy. User and password are kept apart from its URL, which messages show."""

    url: URL
    """The URL, without user and password."""

    credentials: Secret | None = None
    """The value of `Proxy-Authorization`; `None` without a user."""

    secrets: tuple[Secret, ...] = ()
    """What a text that the proxy sent must not show."""

    @property
    def name(self) -> str:
        """The host and the port, for messages."""
        return str(self.url.host_port_subcomponent)

    def headers(self) -> Mapping[str, str | Secret]:
        """Return the headers that the proxy is sent."""
        return {"Proxy-Authorization": self.credentials} if self.credentials else {}

    @classmethod
    def parse(cls, name: str, text: Secret) -> Self:
        """Return the proxy with this URL. Without a scheme it is `http`, as for curl.

        Args:
            name: The argument or the variable that holds the URL.
            text: The URL.
        """
        if "://" not in text.get_secret_value():
            text = Secret(f"http://{text.get_secret_value()}")
        if problem := _problem_of(text):
            raise ConfigurationError(f"{name} {problem}")
        url = URL(text.get_secret_value())
        if url.user is None and url.password is None:
            return cls(url.origin())
        user, password = url.user or "", url.password or ""
        encoded = base64.b64encode(f"{user}:{password}".encode()).decode()
        return cls(url.origin(), Secret(f"Basic {encoded}"), (Secret(password), Secret(encoded)))


def _problem_of(text: Secret) -> str | None:
    """Return what makes the URL unusable. Not raised here, where a traceback with locals would show the password."""
    shown = shown_url(text.get_secret_value())
    try:
        url = URL(text.get_secret_value())
        usable = re.fullmatch(r"[\w.:%-]+", (url.host or "").encode("idna").decode(), re.ASCII)
    except (ValueError, IndexError):  # IndexError: yarl, of https://@[]@
        return f"is not a usable URL: {shown}"
    if url.scheme not in ("http", "https") or not usable:
        return f"must be http://host:port or https://host:port, got {shown}"
    if url.path not in ("", "/") or url.query_string or url.fragment:
        return f"must have neither path nor query, got {shown}"
    return None


def read_proxy(proxy: Any, url: URL) -> Proxy | None:
    """Return the proxy for the requests to a URL; `None` to send them directly.

    Args:
        proxy: The `Secret` URL of the proxy; `"env"` to read it from the environment.
        url: The URL of the API.
    """
    if proxy is None:
        return None
    if not isinstance(proxy, Secret):
        raise TypeError(f"proxy must be a string, got {type(proxy).__name__}")  # Its repr may show a password.
    if not proxy.get_secret_value():
        raise ConfigurationError("proxy must not be empty; None means no proxy")
    if proxy.get_secret_value() != "env":
        return Proxy.parse("proxy", proxy)
    name, value = _environment.proxy(url.scheme, url.host or "")
    return Proxy.parse(name, value) if value else None
