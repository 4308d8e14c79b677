"""What a response means: a page, or an error. Pure.

https://docs.apify.com/api/v2/actor-tasks-get
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any, cast

from apify_tasks_async import errors
from apify_tasks_async._batch import TaskReader
from apify_tasks_async._convert import InvalidDocumentError, NotJsonError, converter
from apify_tasks_async._envelope import Envelope, read_envelope
from apify_tasks_async._excerpt import describe_body, one_line
from apify_tasks_async._page import Entry, InvalidItem, Page, PageRequest
from apify_tasks_async._parts import UnreadableItem
from apify_tasks_async._refusal import Response, read_refusal
from apify_tasks_async._secret import Redactor
from apify_tasks_async.models import Task


class OtherAnswerError(InvalidDocumentError):
    """It answers another request, so the connection on which it came is out of step."""


def read_response(
    request: PageRequest, response: Response, attempts: int, redactor: Redactor, reader: TaskReader
) -> Page | errors.ApifyTasksError:
    """Return the page in a response, or the error that the response stands for."""
    error: errors.ApifyTasksError
    if response.status != 200:
        error = read_refusal(request, response, datetime.now(UTC))
    else:
        try:
            return _read_page(request, response, attempts, redactor, reader)
        except NotJsonError as invalid:
            error = _not_json(request, response, str(invalid).removeprefix("not JSON: "))
        except InvalidDocumentError as invalid:
            if isinstance(invalid, OtherAnswerError):
                response.discard()
            problem = f"the response of {response.origin} is not as documented: {one_line(invalid.summary)}"
            error = errors.InvalidResponseError(problem, **request.where())
    error.attempts = attempts
    redactor.redact_error(error)
    return error


def _not_json(request: PageRequest, response: Response, reason: str) -> errors.InvalidResponseError:
    body = describe_body(response.headers, response.body)
    is_json = response.body and "json" in response.headers.get("Content-Type", "json").lower()
    problem = f"{response.origin} sent {body}, in place of JSON" + (f" ({reason})" if is_json else "")
    error = errors.InvalidResponseError(problem, **request.where())
    if not is_json:
        error.advice = "check the base URL and the network: something else answers in place of the API"
    return error


def _read_page(request: PageRequest, response: Response, attempts: int, redactor: Redactor, reader: TaskReader) -> Page:
    envelope = _checked(request, read_envelope(response.body, reader, request.limit))
    entries = partial(_read_entries, request, envelope, attempts, redactor, response.origin)
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


def _read_entries(
    request: PageRequest, envelope: Envelope, attempts: int, redactor: Redactor, origin: str
) -> list[Entry]:
    if envelope.valid:
        return cast("list[Entry]", converter.structure(envelope.items, list[Task]))
    entries: list[Entry] = []
    for index, item in enumerate(envelope.items):
        try:
            entries.append(_read_task(item))
        except InvalidDocumentError as invalid:
            where = request.where() | {"offset": request.offset + index, "attempts": attempts}
            entries.append(_invalid_item(item, invalid.lines, origin, where, redactor))
    return entries


def _read_task(item: Any) -> Task:
    if isinstance(item, UnreadableItem):
        raise InvalidDocumentError(*item.problems)
    return converter.structure(item, Task)


def _invalid_item(
    item: Any, problems: Iterable[str], origin: str, where: dict[str, Any], redactor: Redactor
) -> InvalidItem:
    raw = item.document if isinstance(item, UnreadableItem) else item
    fields = raw if isinstance(raw, dict) else {}
    task_id = redactor.redact(fields["id"]) if isinstance(fields.get("id"), str) else None
    created_at = _created_at(fields)

    def describe() -> str:
        name = "a task without id" if task_id is None else f"task {one_line(task_id)!r}"
        problem = f"{name} from {origin} is not as documented: {'; '.join(map(one_line, problems))}"
        return redactor.redact(one_line(problem))

    @cache
    def build() -> errors.InvalidTaskError:
        lines = map(one_line, problems)
        error = errors.InvalidTaskError(
            describe(), task_id=task_id, created_at=created_at, problems=tuple(lines), raw=raw, **where
        )
        redactor.redact_error(error)
        return error

    return InvalidItem(task_id, created_at, describe, build)


def _created_at(fields: dict[str, Any]) -> datetime | None:
    try:
        return converter.structure(fields.get("createdAt"), datetime)
    except InvalidDocumentError:
        return None
