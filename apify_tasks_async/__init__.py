"""List a user's Apify tasks from asyncio: concurrent pages, nothing missed or repeated, typed failures.

Example:
    >>> async def names() -> list[str]:
    ...     async with TasksClient() as client:
    ...         return [task.name async for task in client.iter_tasks(desc=True)]
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from apify_tasks_async._version import __version__
from apify_tasks_async.errors import (
    ApifyTasksError,
    AuthenticationError,
    BadRequestError,
    CertificateError,
    ClientClosedError,
    ConfigurationError,
    DriftError,
    InvalidResponseError,
    InvalidTaskError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    RequestTimeoutError,
    ResponseError,
    ResponseTooLargeError,
    ServerError,
    TransportError,
)
from apify_tasks_async.models import Bookmark, Task, TaskPage, TaskStats

if TYPE_CHECKING:
    from apify_tasks_async._convert import converter
    from apify_tasks_async._fetch import ClientStats
    from apify_tasks_async._pages import OnInvalid, PageFollower, PageIterator
    from apify_tasks_async._retry import Attempt, RetryPolicy
    from apify_tasks_async.client import FollowOptions, TasksClient, WalkOptions, iter_tasks

__all__ = [
    "ApifyTasksError",
    "Attempt",
    "AuthenticationError",
    "BadRequestError",
    "Bookmark",
    "CertificateError",
    "ClientClosedError",
    "ClientStats",
    "ConfigurationError",
    "DriftError",
    "FollowOptions",
    "InvalidResponseError",
    "InvalidTaskError",
    "NotFoundError",
    "OnInvalid",
    "PageFollower",
    "PageIterator",
    "PermissionDeniedError",
    "RateLimitedError",
    "RequestTimeoutError",
    "ResponseError",
    "ResponseTooLargeError",
    "RetryPolicy",
    "ServerError",
    "Task",
    "TaskPage",
    "TaskStats",
    "TasksClient",
    "TransportError",
    "WalkOptions",
    "__version__",
    "converter",
    "iter_tasks",
]

# What needs aiohttp or cattrs is imported when it is first asked for: pytest loads our plugin in each of its sessions,
# and `apify-tasks --help` has no use for a client.
_HOMES = {
    "Attempt": "_retry",
    "ClientStats": "_fetch",
    "FollowOptions": "client",
    "OnInvalid": "_pages",
    "PageFollower": "_pages",
    "PageIterator": "_pages",
    "RetryPolicy": "_retry",
    "TasksClient": "client",
    "WalkOptions": "client",
    "converter": "_convert",
    "iter_tasks": "client",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
