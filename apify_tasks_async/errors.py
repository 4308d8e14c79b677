"""The errors of this library.

::

    ApifyTasksError
     +-- ClientClosedError
     +-- ConfigurationError (also ValueError)
     +-- TransportError
     |    +-- CertificateError
     |    +-- ProxyError
     |    +-- RequestTimeoutError (also TimeoutError)
     +-- ResponseError
     |    +-- BadRequestError          400
     |    +-- AuthenticationError      401
     |    +-- PermissionDeniedError    403
     |    +-- NotFoundError            404
     |    +-- RateLimitedError         429
     |    +-- ServerError              5xx
     +-- InvalidResponseError
     |    +-- InvalidTaskError
     |    +-- ResponseTooLargeError
     +-- DriftError

Every message says in one line what failed, where in the list, after how many attempts, and what to do about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from apify_tasks_async.models import Bookmark

__all__ = [
    "ApifyTasksError",
    "AuthenticationError",
    "BadRequestError",
    "CertificateError",
    "ClientClosedError",
    "ConfigurationError",
    "DriftError",
    "InvalidResponseError",
    "InvalidTaskError",
    "NotFoundError",
    "PermissionDeniedError",
    "ProxyError",
    "RateLimitedError",
    "RequestTimeoutError",
    "ResponseError",
    "ResponseTooLargeError",
    "ServerError",
    "TransportError",
]


class ApifyTasksError(Exception):
    """The base of all errors of this library.

    Attributes:
        problem: What failed, without where and how often.
        offset: The `offset` of the request that failed, or `None` if no request was involved.
        limit: The `limit` of that request.
        desc: Whether that request asked for descending order.
        attempts: How many attempts were made.
        label: The `label` of the client that failed: whose account it is. `None` if it has none.
        bookmark: Where to continue the walk: pass it as `after`. `None` if nothing was delivered yet, or if no walk
            failed.

    Example:
        >>> try:
        ...     raise ServerError("boom", status=503, offset=1000, limit=1000, desc=False, attempts=5)
        ... except ApifyTasksError as error:
        ...     print(error.offset, error.attempts)
        1000 5
    """

    advice: str = ""
    """What to do about it, as the end of the message."""

    def __init__(
        self,
        problem: str,
        *,
        offset: int | None = None,
        limit: int | None = None,
        desc: bool | None = None,
        attempts: int | None = None,
        bookmark: Bookmark | None = None,
        label: str | None = None,
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.offset = offset
        self.limit = limit
        self.desc = desc
        self.attempts = attempts
        self.bookmark = bookmark
        self.label = label

    def __str__(self) -> str:
        where = self._where()
        message = f"{self.problem} ({where})" if where else self.problem
        return f"{message}; {self.advice}" if self.advice else message

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.args), self.__dict__

    def _where(self) -> str:
        parts = [] if self.label is None else [f"account {self.label}"]
        parts += [
            f"{name}={value}"
            for name, value in (("offset", self.offset), ("limit", self.limit), ("desc", self.desc))
            if value is not None
        ]
        if self.attempts is not None:
            parts.append(f"after {self.attempts} attempt{'' if self.attempts == 1 else 's'}")
        return ", ".join(parts)


def _restore(kind: type[ApifyTasksError], arguments: tuple[Any, ...]) -> ApifyTasksError:
    # Exceptions are copied and pickled as kind(*args), which fails with keyword-only arguments.
    error = kind.__new__(kind)
    error.args = arguments
    return error


class ClientClosedError(ApifyTasksError):
    """The client, or the session that it borrowed, was closed before or during the call."""

    advice = "create a new TasksClient, or keep this one open while you use it"


class ConfigurationError(ApifyTasksError, ValueError):
    """The client cannot work as it was set up: no token, an unusable base URL, or another event loop."""


class TransportError(ApifyTasksError):
    """No complete response arrived: DNS, connection, TLS, a disconnect, or a truncated or garbled message."""

    advice = "check the network, the host name and any proxy, then try again"


class CertificateError(TransportError):
    """The server's TLS certificate is not trusted. The request is never tried again."""

    advice = "check the base URL, the clock and the trusted certificates of this machine"


class ProxyError(TransportError):
    """The proxy cannot be reached, or did not connect to the API. After a 4xx the request is never tried again.

    Attributes:
        status: The HTTP status with which the proxy refused; `None` if it did not answer.
    """

    advice = "check the address of the proxy, and whether it is running"

    def __init__(self, problem: str, *, status: int | None = None, **where: Any) -> None:
        super().__init__(problem, **where)
        self.status = status


class RequestTimeoutError(TransportError, TimeoutError):
    """An attempt took too long: the first one longer than `timeout` seconds, body included.

    Attributes:
        timeout: The seconds that the attempt had; `None` if a timeout of a borrowed session ended it.
    """

    advice = "raise `timeout`, ask for smaller pages, or try again later"

    def __init__(self, problem: str, *, timeout: float | None = None, **where: Any) -> None:
        super().__init__(problem, **where)
        self.timeout = timeout


class ResponseError(ApifyTasksError):
    """The API, or a server in front of it, answered with a status other than 200.

    Attributes:
        status: The HTTP status.
        type: The `type` in the API's error document, such as `rate-limit-exceeded`; `None` if there was none.
        message: The API's own message; `None` if there was none.
        retry_after: Seconds that the server asked to wait, from `Retry-After`; `None` if it did not.
        answered_by: Who answered in front of the API, such as a proxy, by its headers Server and Via; `unknown` if it
            has neither; `None` if the API answered, or if that is not known.
    """

    advice = "check the base URL, and whether a proxy or gateway answers in place of the API"

    def __init__(
        self,
        problem: str,
        *,
        status: int,
        type: str | None = None,  # noqa: A002 - the API's name for it
        message: str | None = None,
        retry_after: float | None = None,
        answered_by: str | None = None,
        **where: Any,
    ) -> None:
        super().__init__(problem, **where)
        self.status = status
        self.type = type
        self.message = message
        self.retry_after = retry_after
        self.answered_by = answered_by


class BadRequestError(ResponseError):
    """400: the API did not accept a parameter."""

    advice = "check the arguments; if they are as documented, the API has changed"


class AuthenticationError(ResponseError):
    """401: the token is missing, wrong or revoked."""

    advice = "check the token: Apify Console, Settings, API & Integrations shows the valid ones"


class PermissionDeniedError(ResponseError):
    """403: the token is valid, but may not list the tasks."""

    advice = "use a token whose scope includes reading tasks"


class NotFoundError(ResponseError):
    """404: the base URL has no such endpoint."""

    advice = "check the base URL: it has no /v2/actor-tasks"


class RateLimitedError(ResponseError):
    """429: too many requests, after all the waits that the retry policy allows."""

    advice = "lower `rate_limit`, or try again later"


class ServerError(ResponseError):
    """5xx: the API, or a gateway in front of it, failed."""

    advice = "try again later; https://status.apify.com shows the state of the platform"


class InvalidResponseError(ApifyTasksError):
    """A 200 that is not the documented JSON document, or one that is too large.

    Attributes:
        status: The HTTP status: 200, or another 2xx that has no page.
    """

    advice = "check the base URL and any proxy; if they are right, the API has changed"

    def __init__(self, problem: str, *, status: int = 200, **where: Any) -> None:
        super().__init__(problem, **where)
        self.status = status


class ResponseTooLargeError(InvalidResponseError):
    """A body is larger than `max_body_bytes`, or would be huge once decoded. The request is never tried again."""

    advice = "raise `max_body_bytes`, or ask for smaller pages"


class InvalidTaskError(InvalidResponseError):
    """One item of a page is not a task as documented.

    Attributes:
        offset: The place of the item in the list, counted as `offset` is.
        task_id: The item's `id` if it has one.
        created_at: The item's `createdAt` if it can be read.
        problems: What is wrong with it, one problem a line: `createdAt: required`.
        raw: The JSON document of the item. A token in it is hidden. `None` if it is nested too
            deeply to search it.
    """

    advice = "pass on_invalid='skip' to leave such tasks out, or a function that receives each error"

    def __init__(
        self,
        problem: str,
        *,
        task_id: str | None = None,
        created_at: datetime | None = None,
        problems: Sequence[str] = (),
        raw: Any = None,
        **where: Any,
    ) -> None:
        super().__init__(problem, **where)
        self.task_id = task_id
        self.created_at = created_at
        self.problems: tuple[str, ...] = tuple(problems)
        self.raw = raw


class DriftError(ApifyTasksError):
    """The list changed faster than it could be read, or more tasks share one `createdAt` than fit into a page.

    Or known tasks are missing, while the server counts more tasks than it shows: see `changes_since`.
    """

    advice = "continue with after=error.bookmark when the list is quieter, or with a larger page_size"
