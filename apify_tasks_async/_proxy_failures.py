"""Failures on the way through a proxy: is the proxy at fault, or the API behind it?"""

import traceback
from collections.abc import Iterator

import aiohttp

from apify_tasks_async._failures import DisconnectedError, reason_of
from apify_tasks_async._page import PageRequest
from apify_tasks_async._proxy import Proxy
from apify_tasks_async._secret import Redactor
from apify_tasks_async.errors import ProxyError

_ADVICE = {
    403: "ask the owner of the proxy to let requests to the API through",
    407: "check the user and the password in the URL of the proxy",
}
_CANNOT_REACH = "the proxy works, but does not reach the API: try again later, or ask its owner"


def is_before_the_tunnel(error: BaseException) -> bool:
    """Return whether a request failed before the proxy had connected it to the API.

    aiohttp raises the same errors for both. Its frames show where it was; a timeout has them in its cause.
    """
    frames = set(_frames(error))
    return "_create_proxy_connection" in frames and "_start_tls_connection" not in frames


def _frames(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            yield frame.f_code.co_name
        error = error.__cause__


def read_proxy_failure(
    error: Exception, request: PageRequest, redactor: Redactor, proxy: Proxy | None, *, tunnel: bool
) -> ProxyError | None:
    """Return the error of the proxy itself; `None` if it is not at fault, or if that is unknown.

    Args:
        error: What aiohttp raised.
        request: The request.
        redactor: Removes the password, in case the proxy repeated it.
        proxy: The proxy; `None` for that of a borrowed session, if it has one.
        tunnel: Whether the proxy passes on a TLS connection. Otherwise it answers the request itself.
    """
    if not _blames_proxy(error, tunnel=tunnel):
        return None
    where, reason = request.where(), redactor.redact(reason_of(error))[:300]
    name = proxy.name if proxy else "of the session"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        problem = f"the proxy {name} answered {error.status} ({reason}), and did not connect to the API"
        failure = ProxyError(problem, status=error.status, **where)
        failure.advice = _ADVICE.get(error.status, _CANNOT_REACH)
        return failure
    if isinstance(error, aiohttp.ClientConnectorError):
        return ProxyError(f"cannot connect to the proxy {reason}", **where)
    return ProxyError(f"the proxy {name} gave no usable answer: {reason}", **where)


def _blames_proxy(error: Exception, *, tunnel: bool) -> bool:
    # A certificate error names the host itself. A timeout may be the fault of either.
    if isinstance(error, TimeoutError | aiohttp.ClientConnectorCertificateError):
        return False
    if isinstance(error, DisconnectedError):
        return error.is_before_the_tunnel or not tunnel
    return isinstance(error, aiohttp.ClientError | OSError) and is_before_the_tunnel(error)
