"""What an answer with another status than 200 means: who gave it, and what to do about it. Pure.

The API explains each refusal in an error document. Without one, a server in front of it answered: a proxy, a load
balancer, a firewall. Its answer says nothing about the token or the arguments.

https://docs.apify.com/api/v2#errors
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import attrs
from yarl import URL

from apify_tasks_async import errors
from apify_tasks_async._convert import InvalidDocumentError, load_json
from apify_tasks_async._defaults import DEFAULT_BASE_URL
from apify_tasks_async._excerpt import VISIBLE, describe_body, one_line
from apify_tasks_async._page import PageRequest


@attrs.frozen(eq=False, repr=False)
class Response:
    """What arrived."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    discard: Callable[[], None] = lambda: None
    """Closes the connection that it came on."""
    origin: str = DEFAULT_BASE_URL
    """The scheme and the host of the API, for messages."""
    complete: bool = True
    """Whether the body of an error arrived."""


def is_foreign(response: Response | errors.ApifyTasksError) -> bool:
    """Return True for a final 4xx without the API's error document: something before the API sent it, maybe unasked."""
    if isinstance(response, errors.ApifyTasksError) or not 400 <= response.status < 500 or response.status == 429:
        return False
    return _error_document(response.body) == (None, None)


_KINDS: dict[int, type[errors.ResponseError]] = {
    400: errors.BadRequestError,
    401: errors.AuthenticationError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    429: errors.RateLimitedError,
}

_ADVICE: dict[int | str, str] = {
    402: "check the plan, the limits and the payments of the account: Apify Console, Billing",
    403: "see what the API's message asks for",
    "insufficient-permissions": errors.PermissionDeniedError.advice,
    "user-disabled": "the account is disabled: sign in to Apify Console, or ask support@apify.com",
}
"""What to do if the API refused, by status or by the type of its error document, which comes first."""

_OWNER = "ask the owner of the server in front of the API"
_ADVICE_IN_FRONT = {
    400: f"check the base URL, or {_OWNER}",
    401: "check the base URL, and what the server in front of the API wants; this says nothing about the token",
    403: f"{_OWNER} to let the request through; this says nothing about the token",
    404: errors.NotFoundError.advice,
    407: "check the user and the password in the URL of the proxy",
}
"""What to do if another server answered, by status."""


def read_refusal(
    request: PageRequest, response: Response, now: datetime
) -> errors.ResponseError | errors.InvalidResponseError:
    """Return the error that an answer with another status than 200 stands for."""
    status, where = response.status, request.where()
    if 200 <= status < 300:
        problem = f"{response.origin} answered {status} in place of 200 ({describe_body({}, response.body)})"
        return errors.InvalidResponseError(problem, status=status, **where)
    type_, message = _error_document(response.body)
    by_api = bool(type_ or message)
    answered_by = None if by_api or 300 <= status < 400 or not response.complete else _signature(response.headers)
    kind = _KINDS.get(status, errors.ServerError if status >= 500 else errors.ResponseError)
    error = kind(
        _problem(response, ": ".join(part for part in (type_, message) if part), answered_by),
        status=status,
        type=type_,
        message=message,
        retry_after=parse_retry_after(response.headers.get("Retry-After"), now),
        answered_by=answered_by,
        **where,
    )
    if advice := _advice(error, response.origin):
        error.advice = advice
    return error


def _error_document(body: bytes) -> tuple[str | None, str | None]:
    """Return type and message of the API's error document; `None` for what a gateway in front of the API leaves out."""
    try:
        document = load_json(body)
    except InvalidDocumentError:
        return None, None
    error = document.get("error") if isinstance(document, dict) else None
    if not isinstance(error, dict):
        return None, None
    type_, message = error.get("type"), error.get("message")
    return type_ if isinstance(type_, str) else None, message if isinstance(message, str) else None


_UNKNOWN = "unknown"


def _signature(headers: Mapping[str, str]) -> str:
    """Return who a server says that it is."""
    said = [(name, one_line(headers.get(name, ""), VISIBLE)) for name in ("Server", "Via")]
    return ", ".join(f"{name}: {text}" for name, text in said if text) or _UNKNOWN


def _problem(response: Response, reason: str, answered_by: str | None) -> str:
    origin, status = response.origin, response.status
    if 300 <= status < 400:
        target = _target(origin, response.headers.get("Location"))
        return f"{origin} answered {status}, a redirect{target} (not followed, so that the token goes nowhere else)"
    if reason:
        return f"the API at {origin} answered {status} ({one_line(reason.rstrip('.'))})"
    if answered_by is None:
        return f"{origin} answered {status} (without a complete body)"
    parts = [answered_by] if answered_by != _UNKNOWN else []
    came = "; ".join([*parts, describe_body(response.headers, response.body)])
    return f"a server in front of the API at {origin} answered {status} ({came})"


def _target(origin: str, location: str | None) -> str:
    """Return where a redirect leads to: the scheme and the host, since a path may hold a secret."""
    try:
        return f" to {URL(origin).join(URL(location or '')).origin()}" if location else ""
    except ValueError:
        return " to a place that is no URL"


def _advice(error: errors.ResponseError, origin: str) -> str | None:
    """Return what to do about it; `None` for the advice of the class."""
    wait = f"try again in {math.ceil(error.retry_after):,} s, as the server asks" if error.retry_after else None
    if error.status == 429:
        return wait
    if error.status >= 500:
        return wait or _later(error, origin)
    if error.answered_by is not None:
        return _ADVICE_IN_FRONT.get(error.status)
    if error.status in (402, 403) and (error.type or error.message):
        return _ADVICE.get(error.type or "") or _ADVICE[error.status]
    return None


def _later(error: errors.ResponseError, origin: str) -> str | None:
    if f".{URL(origin).host}".endswith(".apify.com"):
        return None
    return "try again later" if error.answered_by is None else f"try again later; if it stays so, {_OWNER}"


_SECONDS = re.compile(r"\d{1,18}(\.\d{1,9})?", re.ASCII)


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that `Retry-After` asks to wait; `None` if it is absent or neither seconds nor a date."""
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:  # "-0000" means UTC in an unknown local zone.
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
