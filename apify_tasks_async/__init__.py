"""List a user's Apify tasks from asyncio: concurrent pages, nothing missed or repeated, typed failures.

Example:
    >>> async def names() -> list[str]:
    ...     async with TasksClient() as client:
    ...         return [task.name async for task in client.iter_tasks(desc=True)]
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from apify_tasks_async._lazy import lazy_getattr
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
    ProxyError,
    RateLimitedError,
    RequestTimeoutError,
    ResponseError,
    ResponseTooLargeError,
    ServerError,
    TransportError,
)
from apify_tasks_async.models import Bookmark, Task, TaskPage, TaskStats

if TYPE_CHECKING:
    from apify_tasks_async._accounts import AccountResult, ClientOptions, map_accounts
    from apify_tasks_async._changes import Changes
    from apify_tasks_async._convert import converter
    from apify_tasks_async._follow import PageFollower
    from apify_tasks_async._pages import OnInvalid, PageIterator
    from apify_tasks_async._recorder import Attempt, ClientStats
    from apify_tasks_async._retry import RetryPolicy
    from apify_tasks_async._rows import to_row
    from apify_tasks_async.client import FollowOptions, TasksClient, WalkOptions, iter_tasks

__all__ = [
    "AccountResult",
    "ApifyTasksError",
    "Attempt",
    "AuthenticationError",
    "BadRequestError",
    "Bookmark",
    "CertificateError",
    "Changes",
    "ClientClosedError",
    "ClientOptions",
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
    "ProxyError",
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
    "map_accounts",
    "to_row",
]

# These import aiohttp or cattrs. pytest loads our plugin in every session of every user, and `apify-tasks --help` needs
# no client, so they are imported when first used.
__getattr__: Callable[[str], Any] = lazy_getattr(
    __name__,
    {
        "AccountResult": "_accounts",
        "Attempt": "_recorder",
        "Changes": "_changes",
        "ClientOptions": "_accounts",
        "ClientStats": "_recorder",
        "FollowOptions": "client",
        "OnInvalid": "_pages",
        "PageFollower": "_follow",
        "PageIterator": "_pages",
        "RetryPolicy": "_retry",
        "TasksClient": "client",
        "WalkOptions": "client",
        "converter": "_convert",
        "iter_tasks": "client",
        "map_accounts": "_accounts",
        "to_row": "_rows",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
