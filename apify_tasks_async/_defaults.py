"""Defaults and limits that the client and the command line share. It imports nothing, so that `--help` is fast."""

from __future__ import annotations

__all__ = [
    "CONCURRENCY",
    "DEFAULT_BASE_URL",
    "INTERVAL",
    "MAX_LIMIT",
    "MINIMUM_EXACT_PAGE_SIZE",
    "PAGE_SIZE",
    "RATE_LIMIT",
    "TIMEOUT",
]

DEFAULT_BASE_URL = "https://api.apify.com"
"""The URL of the API, without `/v2`."""

CONCURRENCY = 8
"""The most pages in flight at once."""

RATE_LIMIT = 60.0
"""The most requests per second."""

TIMEOUT = 30.0
"""Seconds that one attempt may take."""

INTERVAL = 30.0
"""Seconds between two checks for new tasks."""

MAX_LIMIT = 1000
"""The most tasks that the API puts into one page."""

PAGE_SIZE = MAX_LIMIT
"""The most tasks that one request asks for."""

MINIMUM_EXACT_PAGE_SIZE = 4
"""The fewest tasks per request with which an exact walk works."""
