"""Failures of aiohttp, translated into errors of this library."""

import aiohttp
from aiohttp.http import HttpProcessingError

from apify_tasks_async import errors
from apify_tasks_async._page import PageRequest
from apify_tasks_async._secret import Redactor


class DisconnectedError(Exception):
    """The connection broke. Not an aiohttp error, so aiohttp does not resend the GET by itself."""


def translate(
    error: Exception, request: PageRequest, redactor: Redactor, *, timeout: float | None, session_closed: bool
) -> errors.ApifyTasksError:
    """Return the error of ours that stands for one of aiohttp's.

    Args:
        error: What was raised while the request was sent or its response was read.
        request: The request.
        redactor: Removes the token, in case the server repeated it.
        timeout: The seconds of the attempt, if they are over.
        session_closed: Whether the session is closed.
    """
    where = request.where()
    reason = redactor.redact(reason_of(error))[:300]
    for kinds, failure, problem in _FAILURES:
        if isinstance(error, kinds):
            return failure(f"{problem} {reason}", **where)
    if isinstance(error, TimeoutError):
        limit = f"{timeout:.3g} s" if timeout is not None else f"the session's own timeout: {reason}"
        return errors.RequestTimeoutError(f"no complete response within {limit}", **where)
    if isinstance(error, aiohttp.ClientError | OSError | DisconnectedError):
        return errors.TransportError(f"the connection broke: {reason}", **where)
    if session_closed:
        return errors.ClientClosedError("the session was closed", **where)
    if isinstance(error, RuntimeError):
        return errors.ConfigurationError(f"the session seems to belong to another event loop: {reason}", **where)
    return errors.ConfigurationError(f"a setting of the session prevents the request: {reason}", **where)


# The first match counts. A ClientResponseError has an invented status, which is not the server's.
_FAILURES: list[tuple[tuple[type[Exception], ...], type[errors.ApifyTasksError], str]] = [
    (
        (aiohttp.ClientConnectorCertificateError, aiohttp.ServerFingerprintMismatch),
        errors.CertificateError,
        "the server's certificate is not trusted:",
    ),
    ((aiohttp.InvalidURL, UnicodeError), errors.ConfigurationError, "base_url cannot be used:"),
    ((aiohttp.ClientConnectorError,), errors.TransportError, "cannot connect to"),
    ((aiohttp.ClientHttpProxyError,), errors.TransportError, "the proxy did not let the request through:"),
    ((aiohttp.ClientResponseError,), errors.TransportError, "the response cannot be read:"),
    ((aiohttp.ClientPayloadError,), errors.TransportError, "the response broke off or is garbled:"),
]


def reason_of(error: BaseException) -> str:
    """Return the message of an exception on one line; its name if it has no message."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            text = str(error)
        case aiohttp.ClientConnectorError():
            text = f"{error.host}:{error.port}: {error.os_error.strerror or error.os_error}"
        case aiohttp.ServerDisconnectedError():
            text = "the server closed it before its response began"
        case aiohttp.ClientResponseError():
            text = error.message
        case aiohttp.ClientPayloadError(__cause__=HttpProcessingError() as cause):
            text = cause.message
        case _:
            text = str(error)
    return " ".join(text.split()) or type(error).__name__
