"""Failures of aiohttp and of what is below it, translated into errors of this library."""

import errno
import re
import ssl
from types import TracebackType

import aiohttp
from aiohttp.http import HttpProcessingError

from apify_tasks_async import errors
from apify_tasks_async._excerpt import escape
from apify_tasks_async._page import PageRequest
from apify_tasks_async._secret import Redactor


class DisconnectedError(Exception):
    """The connection broke. Not an aiohttp error, so aiohttp does not resend the GET by itself.

    Attributes:
        is_before_the_tunnel: Whether the proxy had not connected to the API yet.
    """

    is_before_the_tunnel = False


def translate(
    error: Exception,
    request: PageRequest,
    redactor: Redactor,
    *,
    timeout: float | None,
    session_closed: bool,
    origin: str,
) -> errors.ApifyTasksError | None:
    """Return the error of ours that stands for what was raised below; `None` if it came from the user's own code.

    Args:
        error: What was raised while the request was sent or its response was read.
        request: The request.
        redactor: Removes the token, in case the server repeated it.
        timeout: The seconds of the attempt, if they are over.
        session_closed: Whether the session is closed.
        origin: The scheme and the host of the API, and the proxy on the way, for messages.
    """
    where = request.where()
    reason = redactor.redact(reason_of(error))[:300]
    for kinds, failure, problem in _FAILURES:
        if isinstance(error, kinds):
            return _advised(failure(f"{problem.format(origin)} {reason}", **where), error)
    if isinstance(error, TimeoutError):
        limit = f"{timeout:.3g} s" if timeout is not None else f"the session's own timeout: {reason}"
        return errors.RequestTimeoutError(
            f"no complete response from {origin} within {limit}", timeout=timeout, **where
        )
    if isinstance(error, aiohttp.ClientError | OSError | DisconnectedError):
        return errors.TransportError(f"the connection to {origin} broke: {reason}", **where)
    if session_closed:
        return errors.ClientClosedError("the session was closed", **where)
    return _of_runtime(reason, request) if isinstance(error, RuntimeError) else _of_value(error, reason, request)


# The first match counts. A ClientResponseError has an invented status, which is not the server's.
_FAILURES: list[tuple[tuple[type[Exception], ...], type[errors.ApifyTasksError], str]] = [
    (
        (aiohttp.ClientConnectorCertificateError, aiohttp.ServerFingerprintMismatch),
        errors.CertificateError,
        "the server's certificate is not trusted:",
    ),
    ((aiohttp.InvalidURL,), errors.ConfigurationError, "base_url cannot be used:"),
    ((aiohttp.ClientConnectorError,), errors.TransportError, "cannot connect to"),
    ((aiohttp.ClientResponseError,), errors.TransportError, "the response of {} cannot be read:"),
    ((aiohttp.ClientPayloadError,), errors.TransportError, "the response of {} broke off or is garbled:"),
]


def _of_runtime(reason: str, request: PageRequest) -> errors.ApifyTasksError | None:
    """Return the error for a RuntimeError, which many layers raise: only its message says which one did."""
    where = request.where()
    if "can't start new thread" in reason:
        error = errors.TransportError(f"the host name cannot be looked up: {reason}", **where)
        error.advice = "raise the limit of threads and processes, or run fewer; a session with aiodns needs no threads"
        return error
    if re.search("[Ee]xecutor shutdown|after (interpreter )?shutdown", reason):
        return errors.ConfigurationError(f"the event loop is shutting down: {reason}", **where)
    return None


def _of_value(error: Exception, reason: str, request: PageRequest) -> errors.ApifyTasksError | None:
    """Return the error for a ValueError of aiohttp, or of what it calls with the URL."""
    if not _raised_in(error.__traceback__, "aiohttp", "yarl", "encodings", "socket", "uvloop"):
        return None
    culprit = (
        "base_url cannot be used"
        if isinstance(error, UnicodeError)
        else "a setting of the session prevents the request"
    )
    return errors.ConfigurationError(f"{culprit}: {reason}", **request.where())


def _advised(failure: errors.ApifyTasksError, error: Exception) -> errors.ApifyTasksError:
    """Return the error with the advice that fits its cause."""
    if isinstance(error, aiohttp.ClientConnectorError):
        if error.os_error.errno in (errno.EMFILE, errno.ENFILE):
            failure.advice = "raise the limit of open files (ulimit -n), or let many clients share one session"
        elif _is_handshake(error):
            failure.advice = "compare the TLS versions, ciphers and client certificates of both sides"
    return failure


def _is_handshake(error: aiohttp.ClientConnectorError) -> bool:
    # Without TLS nothing is sent before the connection is made, so nothing can break.
    return isinstance(error.os_error, ssl.SSLError | ConnectionResetError | ConnectionAbortedError | BrokenPipeError)


def _raised_in(traceback: TracebackType | None, *packages: str) -> bool:
    """Return True if the innermost frame belongs to one of these packages."""
    package = ""
    while traceback is not None:
        package = traceback.tb_frame.f_globals.get("__name__", "").partition(".")[0]
        traceback = traceback.tb_next
    return package in packages


def reason_of(error: BaseException) -> str:
    """Return the message of an exception on one line; its name if it has no message."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            text = str(error)
        case aiohttp.ClientConnectorError():
            text = f"{host_of(error.host)}:{error.port}: {_connecting(error)}"
        case aiohttp.ServerDisconnectedError():
            text = "the server closed it before its response began"
        case aiohttp.ClientResponseError():
            text = error.message
        case aiohttp.ClientPayloadError(__cause__=HttpProcessingError() as cause):
            text = cause.message
        case _:
            text = str(error)
    return escape(" ".join(text.split())) or type(error).__name__


def host_of(host: str) -> str:
    """Return the host as a URL has it: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def _connecting(error: aiohttp.ClientConnectorError) -> str:
    """Return why there is no connection."""
    cause = error.os_error
    if not _is_handshake(error):
        return cause.strerror or str(cause)
    if isinstance(cause, ssl.SSLError):  # its reason is such as TLSV1_ALERT_PROTOCOL_VERSION
        reason = (cause.reason or str(cause)).replace("_", " ").lower()
    else:
        reason = cause.strerror or "the other side closed the connection"
    return f"the TLS handshake failed: {reason}"
