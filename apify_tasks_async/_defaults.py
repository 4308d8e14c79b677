"""Defaults and limits that the client and the command line share. It imports nothing, so that `--help` is fast."""

DEFAULT_BASE_URL = "https://api.apify.com"
"""The URL of the API, without `/v2`."""

CONCURRENCY = 8
"""The maximum number of pages in flight, of all walks of a client together."""

AT_ONCE = 50
"""The maximum number of accounts at work."""

RATE_LIMIT = 60.0
"""The maximum number of requests in any second."""

MINIMUM_RATE = 1e-6
"""Requests per second: one in eleven days. The interval of a much lower rate is too long for a clock."""

TIMEOUT = 30.0
"""Seconds that the first attempt may take."""

INTERVAL = 30.0
"""Seconds between two checks for new tasks."""

LOOKBACK = 100
"""How many of the tasks delivered last a follower looks at again."""

MAX_LIMIT = 1000
"""The maximum number of tasks that the API returns in one page."""

PAGE_SIZE = MAX_LIMIT
"""The maximum number of tasks that one request asks for."""

MINIMUM_EXACT_PAGE_SIZE = 4
"""The smallest page with room for an overlap, a tie and something new."""
