"""`python -m apify_tasks_async` runs the command `apify-tasks`."""

import sys

from apify_tasks_async.cli import main

if __name__ == "__main__":
    sys.exit(main())
