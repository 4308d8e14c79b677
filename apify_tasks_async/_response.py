"""What a response means: a page, or an error. Pure.

https://docs.apify.com/api/v2/actor-tasks-get
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, cast

import attrs

from apify_tasks_async import errors
from apify_tasks_async._convert import InvalidDocumentError, converter, load_json
from apify_tasks_async._envelope import Envelope, read_envelope
from apify_tasks_async._page import Entry, Page, PageRequest
from apify_tasks_async._secret import Redactor
from apify_tasks_async.models import Task


@attrs.frozen
class Response:
    """What arrived."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    discard: Callable[[], None] = attrs.field(default=lambda: None, eq=False)
    """Closes the connection that it came on."""


def is_foreign(response: Response | errors.ApifyTasksError) -> bool:
    """Return True for a final 4xx without the API's error document: something before the API sent it, maybe unasked."""
    if isinstance(response, errors.ApifyTasksError) or not 400 <= response.status < 500 or response.status == 429:
        return False
    return _error_document(response.body) == (None, None)


class OtherAnswerError(InvalidDocumentError):
    """It answers another request, so the connection on which it came is out of step."""


def read_response(
    request: PageRequest, response: Response, attempts: int, redactor: Redactor
) -> Page | errors.ApifyTasksError:
    """Return the page in a response, or the error that the response stands for."""
    error: errors.ApifyTasksError
    if response.status != 200:
        error = _refusal(request, response, datetime.now(UTC))
    else:
        try:
            return _read_page(request, response.body, attempts, redactor)
        except InvalidDocumentError as invalid:
            if isinstance(invalid, OtherAnswerError):
                response.discard()
            problem = f"the response is not as documented: {_one_line(str(invalid))}"
        error = errors.InvalidResponseError(problem, **request.where())
    error.attempts = attempts
    redactor.redact_error(error)
    return error


def _read_page(request: PageRequest, body: bytes, attempts: int, redactor: Redactor) -> Page:
    envelope = _checked(request, read_envelope(body))
    entries = partial(_read_entries, request, envelope, attempts, redactor)
    head = envelope.total, envelope.offset, envelope.limit, envelope.desc, envelope.count
    return Page(request, *head, entries, attempts)


def _checked(request: PageRequest, envelope: Envelope) -> Envelope:
    """Return the envelope if its numbers make sense and it answers this request; raise otherwise."""
    problems = [
        (name, f"expected at least {minimum}, got {getattr(envelope, name)}")
        for name, minimum in (("total", 0), ("offset", 0), ("limit", 1))
        if getattr(envelope, name) < minimum
    ]
    # On other lists of this API the count may exceed the items: it counts the rows scanned.
    if envelope.count < len(envelope.items):
        problems.append(("count", f"says {envelope.count}, but items has {len(envelope.items)}"))
    # Caches and gateways may send another page. An empty one is let through: for a walk it is evidence of nothing.
    other = [
        (name, f"asked for {getattr(request, name)}, got {getattr(envelope, name)}")
        for name in ("offset", "desc")
        if envelope.items and getattr(request, name) != getattr(envelope, name)
    ]
    if other:
        raise OtherAnswerError(*problems, *other)
    if problems:
        raise InvalidDocumentError(*problems)
    return envelope


def _read_entries(request: PageRequest, envelope: Envelope, attempts: int, redactor: Redactor) -> list[Entry]:
    if envelope.valid:
        return cast("list[Entry]", converter.structure(envelope.items, list[Task]))
    entries: list[Entry] = []
    for index, item in enumerate(envelope.items):
        try:
            entries.append(converter.structure(item, Task))
        except InvalidDocumentError as invalid:
            error = _invalid_task(request, index, item, invalid.lines, attempts)
            redactor.redact_error(error)
            entries.append(error)
    return entries


def _invalid_task(
    request: PageRequest, index: int, raw: Any, problems: Iterable[str], attempts: int
) -> errors.InvalidTaskError:
    problems = tuple(map(_one_line, problems))
    fields = raw if isinstance(raw, dict) else {}
    task_id = fields["id"] if isinstance(fields.get("id"), str) else None
    name = "a task without id" if task_id is None else f"task {task_id!r}"
    where = request.where() | {"offset": request.offset + index}
    return errors.InvalidTaskError(
        _one_line(f"{name} is not as documented: {'; '.join(problems)}"),
        task_id=task_id,
        created_at=_created_at(fields),
        problems=problems,
        raw=raw,
        attempts=attempts,
        **where,
    )


def _created_at(fields: dict[str, Any]) -> datetime | None:
    try:
        return converter.structure(fields.get("createdAt"), datetime)
    except InvalidDocumentError:
        return None


_KINDS: dict[int, type[errors.ResponseError]] = {
    400: errors.BadRequestError,
    401: errors.AuthenticationError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    429: errors.RateLimitedError,
}


def _refusal(
    request: PageRequest, response: Response, now: datetime
) -> errors.ResponseError | errors.InvalidResponseError:
    status = response.status
    if 200 <= status < 300:
        return errors.InvalidResponseError(f"expected status 200, got {status}", status=status, **request.where())
    kind = _KINDS.get(status, errors.ServerError if status >= 500 else errors.ResponseError)
    type_, message = _error_document(response.body)
    reason = ": ".join(part for part in (type_, message) if part).rstrip(".") or "no error document"
    if 300 <= status < 400:
        reason = "redirects are not followed, so that the token goes nowhere else"
    return kind(
        f"the API answered {status} ({_one_line(reason)})",
        status=status,
        type=type_,
        message=message,
        retry_after=parse_retry_after(response.headers.get("Retry-After"), now),
        **request.where(),
    )


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


def _one_line(text: str) -> str:
    """Return a server's text as one printable line of bounded length."""
    line = "".join(char if char.isprintable() else " " for char in text[:1000])
    line = " ".join(line.split())
    return line if len(line) <= 300 else f"{line[:300]}..."


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
