"""The endpoint: request parameters, and what a response means. Pure.

https://docs.apify.com/api/v2/actor-tasks-get
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import attrs

from apify_tasks_async._convert import InvalidDocumentError, PageDocument, converter, load_json, read_page
from apify_tasks_async.errors import (
    AuthenticationError,
    BadRequestError,
    InvalidResponseError,
    InvalidTaskError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    ResponseError,
    ServerError,
)
from apify_tasks_async.models import Task

__all__ = ["MAX_LIMIT", "PATH", "CheckedPage", "Item", "PageRequest", "Slice", "check_response", "parse_retry_after"]

PATH = "/v2/actor-tasks"

MAX_LIMIT = 1000
"""The most records that the API puts into one page."""

Item = Task | InvalidTaskError
"""What stands at one place of the list: a task, or why it is none."""


@attrs.frozen
class PageRequest:
    """What is asked for."""

    offset: int
    limit: int
    desc: bool

    def query(self) -> dict[str, str]:
        """Return the query parameters."""
        query = {"offset": str(self.offset), "limit": str(self.limit)}
        return query | {"desc": "1"} if self.desc else query

    def where(self) -> dict[str, Any]:
        """Return what every error about this request says of it."""
        return attrs.asdict(self)


@attrs.frozen
class Slice:
    """What was answered: a contiguous part of the list, as it was at one moment."""

    total: int
    offset: int
    limit: int
    desc: bool
    items: tuple[Item, ...]
    invalid: tuple[InvalidTaskError, ...] = ()
    """Those of the items that are no tasks."""
    attempts: int | None = None
    """How many it took to get the answer."""


@attrs.frozen
class CheckedPage:
    """A response that was found to hold a page as documented.

    Its tasks are made when its turn comes. Until then it takes less room, and less time from the pages before it.
    """

    request: PageRequest
    document: PageDocument
    attempts: int | None = None
    """How many it took to get the response."""

    def read(self) -> Slice:
        """Return the part of the list that it holds.

        An item that is no task as documented does not fail the others: its error stands in its place.
        """
        page = self.document
        items: list[Any] = page.tasks()
        for index, problem in page.invalid.items():
            items[index] = _invalid_task(self.request, index, *problem, self.attempts)
        invalid = tuple(items[index] for index in page.invalid)
        return Slice(page.total, page.offset, page.limit, page.desc, tuple(items), invalid, self.attempts)


def check_response(
    request: PageRequest, status: int, headers: Mapping[str, str], body: bytes, *, now: datetime | None = None
) -> CheckedPage:
    """Return the page that the response holds, or raise the error that it stands for."""
    if status != 200:
        raise _refusal(request, status, headers, body, now or datetime.now(UTC))
    try:
        return CheckedPage(request, _checked(read_page(body)))
    except InvalidDocumentError as error:
        problem = f"the response is not as documented: {_one_line(str(error))}"
    raise InvalidResponseError(problem, status=status, **request.where())


def _checked(page: PageDocument) -> PageDocument:
    for name, least in (("total", 0), ("offset", 0), ("limit", 1)):
        if getattr(page, name) < least:
            raise InvalidDocumentError((name, f"expected at least {least}, got {getattr(page, name)}"))
    if page.count != page.size:
        # A page that says that it holds more than it does would make a walk skip the rest.
        raise InvalidDocumentError(("count", f"says {page.count}, but items has {page.size}"))
    return page


def _invalid_task(
    request: PageRequest, index: int, raw: Any, error: InvalidDocumentError, attempts: int | None
) -> InvalidTaskError:
    problems = tuple(map(_one_line, error.lines))
    fields = raw if isinstance(raw, dict) else {}
    task_id = fields.get("id")
    try:
        created_at = converter.structure(fields.get("createdAt"), datetime)
    except InvalidDocumentError:
        created_at = None
    name = f"task {task_id!r}" if isinstance(task_id, str) else "a task without id"
    where = request.where() | {"offset": request.offset + index}
    return InvalidTaskError(
        _one_line(f"{name} is not as documented: {'; '.join(problems)}"),
        task_id=task_id if isinstance(task_id, str) else None,
        created_at=created_at,
        problems=problems,
        raw=raw,
        attempts=attempts,
        **where,
    )


_KINDS: dict[int, type[ResponseError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    429: RateLimitedError,
}


def _refusal(
    request: PageRequest, status: int, headers: Mapping[str, str], body: bytes, now: datetime
) -> ResponseError | InvalidResponseError:
    if 200 <= status < 300:
        return InvalidResponseError(f"expected status 200, got {status}", status=status, **request.where())
    kind = _KINDS.get(status, ServerError if status >= 500 else ResponseError)
    type_, message = _error_document(body)
    said = ": ".join(part for part in (type_, message) if part).rstrip(".") or "no error document"
    if 300 <= status < 400:
        said = "redirects are not followed, so that the token goes nowhere else"
    return kind(
        f"the API answered {status} ({_one_line(said)})",
        status=status,
        type=type_,
        message=message,
        retry_after=parse_retry_after(headers.get("Retry-After"), now),
        **request.where(),
    )


def _error_document(body: bytes) -> tuple[str | None, str | None]:
    """Return type and message of the API's error document, `None` for what a gateway in front of it leaves out."""
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
    """Make a foreign text fit to stand in a message: one line, printable, of bounded length."""
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
    if moment.tzinfo is None:  # "-0000": UTC, of unknown local zone
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
