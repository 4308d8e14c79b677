"""A stand-in for the Apify API, for the tests of those who use this library.

`FakeApify` is a real HTTP server on loopback that serves `GET /v2/actor-tasks` as documented, and fails in every way
that a network does when told to. The pytest plugin offers it, running, as the fixture `fake_apify`.

Example:
    >>> from apify_tasks_async.testing import FakeApify, Status
    >>> with FakeApify(tasks=3) as api:
    ...     api.fail(Status(503), times=2)
    ...     newest = api.create_task(name="the-newest")
    ...     print(len(api.tasks), api.tasks[-1].name)
    4 the-newest
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from apify_tasks_async.testing._faults import (
        ABSENT,
        Disconnect,
        Fault,
        Hang,
        MalformedItem,
        MalformedJson,
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
    "RecordedRequest",
    "SlowBody",
    "Status",
    "TruncatedBody",
    "make_task",
]

_HOMES = {
    "ERROR_SCHEMA": "_schema",
    "FakeApify": "_server",
    "OPENAPI": "_openapi",
    "PAGE_SCHEMA": "_schema",
    "RecordedRequest": "_protocol",
    "make_task": "_tasks",
}


def __getattr__(name: str) -> Any:
    # pytest imports the plugin of this package in every session of everyone who installed it, tests of ours or not:
    # a web server is imported by those who ask for one.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, '_faults')}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
