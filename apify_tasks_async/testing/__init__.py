"""A fake Apify API for your tests.

`FakeApify` is a real HTTP server on loopback. It serves `GET /v2/actor-tasks` as documented, and it can fail in the
ways that a network fails. The pytest fixture `fake_apify` is a running server.

Example:
    >>> from apify_tasks_async.testing import FakeApify, Status
    >>> with FakeApify(tasks=3) as api:
    ...     api.fail(Status(503), times=2)
    ...     newest = api.create_task(name="the-newest")
    ...     print(len(api.tasks), api.tasks[-1].name)
    4 the-newest
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from apify_tasks_async._lazy import lazy_getattr

if TYPE_CHECKING:
    from apify_tasks_async.testing._faults import (
        ABSENT,
        Disconnect,
        Fault,
        Hang,
        MalformedItem,
        MalformedJson,
        OtherRequest,
        RepeatedItem,
        ShortPage,
        SlowBody,
        Status,
        TruncatedBody,
    )
    from apify_tasks_async.testing._openapi import OPENAPI
    from apify_tasks_async.testing._protocol import RecordedRequest
    from apify_tasks_async.testing._schema import ERROR_SCHEMA, PAGE_SCHEMA
    from apify_tasks_async.testing._server import FakeApify
    from apify_tasks_async.testing._tasks import make_task

__all__ = [
    "ABSENT",
    "ERROR_SCHEMA",
    "OPENAPI",
    "PAGE_SCHEMA",
    "Disconnect",
    "FakeApify",
    "Fault",
    "Hang",
    "MalformedItem",
    "MalformedJson",
    "OtherRequest",
    "RecordedRequest",
    "RepeatedItem",
    "ShortPage",
    "SlowBody",
    "Status",
    "TruncatedBody",
    "make_task",
]

# pytest loads the plugin of this package in every session. The web server is imported only when a name is used.
__getattr__: Callable[[str], Any] = lazy_getattr(
    __name__,
    {
        "ABSENT": "_faults",
        "Disconnect": "_faults",
        "ERROR_SCHEMA": "_schema",
        "FakeApify": "_server",
        "Fault": "_faults",
        "Hang": "_faults",
        "MalformedItem": "_faults",
        "MalformedJson": "_faults",
        "OPENAPI": "_openapi",
        "OtherRequest": "_faults",
        "RepeatedItem": "_faults",
        "ShortPage": "_faults",
        "PAGE_SCHEMA": "_schema",
        "RecordedRequest": "_protocol",
        "SlowBody": "_faults",
        "Status": "_faults",
        "TruncatedBody": "_faults",
        "make_task": "_tasks",
    },
)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
