"""What the environment variables say: the token, the API's URL, and the Apify platform around the process.

https://docs.apify.com/platform/actors/development/programming-interface/environment-variables
"""

import ipaddress
import os

from apify_tasks_async._defaults import DEFAULT_BASE_URL
from apify_tasks_async._secret import Secret, as_secret

_PRIVATE_NETWORKS = [
    ipaddress.ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10")
]
"""RFC 1918, RFC 4193 and the link-local networks. `is_private` also includes networks that are no one's own."""


def token() -> str | None:
    """Return the token in `APIFY_TOKEN`."""
    return os.environ.get("APIFY_TOKEN")


def base_url() -> str:
    """Return the URL in `APIFY_API_BASE_URL`, else the public one."""
    return os.environ.get("APIFY_API_BASE_URL") or DEFAULT_BASE_URL


def workflow_key() -> str | None:
    """Return the platform's key in `APIFY_WORKFLOW_KEY`, which the official clients send as well."""
    return os.environ.get("APIFY_WORKFLOW_KEY") or None


def may_send_plainly(host: str) -> bool:
    """Return whether plain http to the host does not leave this machine, or the platform's own network.

    Inside an Actor, `APIFY_API_BASE_URL` is plain http to a private address.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or (_is_at_home() and any(address in network for network in _PRIVATE_NETWORKS))


def _is_at_home() -> bool:
    return os.environ.get("APIFY_IS_AT_HOME", "").strip().lower() not in ("", "0", "false")


def proxy(scheme: str, host: str) -> tuple[str, Secret | None]:
    """Return the name and the value of the variable with the proxy for a host, as curl reads them.

    https://curl.se/docs/manpage.html#ENVIRONMENT

    Returns:
        No value if no variable is set, or if `NO_PROXY` excludes the host.
    """
    names = [f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY"]
    if "REQUEST_METHOD" in os.environ:
        names.remove("HTTP_PROXY")  # A CGI server sets it from a header of the request: https://httpoxy.org
    name = next(filter(os.environ.get, names), "")
    excluded = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    return name, None if _excludes(excluded, host.rstrip(".")) else as_secret(os.environ.get(name))


def _excludes(hosts: str, host: str) -> bool:
    patterns = hosts.lower().replace(",", " ").split()
    return patterns == ["*"] or any(_matches(pattern.strip("[]."), host) for pattern in patterns)


def _matches(pattern: str, host: str) -> bool:
    """Return whether the pattern is the host, a domain above it, or a network that holds it."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return pattern != "" and f".{host}".endswith(f".{pattern}")
    try:
        return address in ipaddress.ip_network(pattern, strict=False)
    except ValueError:
        return False
