"""The command line `apify-tasks`. It needs the extra `cli`, which installs click and rich."""

from __future__ import annotations

import importlib.util
import signal
import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line with the arguments of this process.

    Returns:
        The exit code: 0 success, 1 API or network error, 2 usage error, 4 authentication error, 130 Ctrl-C,
        141 closed pipe, 143 SIGTERM.

    Example:
        `apify-tasks list --limit 10` and `python -m apify_tasks_async list --limit 10` both call it.
    """
    if not all(map(_is_installed, ("click", "rich"))):
        message = "apify-tasks: the command line needs the extra: python -m pip install 'apify-tasks-async[cli]'"
        sys.stderr.write(f"{message}\n")
        return 1
    try:
        try:
            from apify_tasks_async.cli._commands import run  # noqa: PLC0415 - click may be missing

            return run(sys.argv[1:])
        finally:
            # Ctrl-C during the interpreter's shutdown would print a traceback.
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                signal.signal(signal.SIGINT, signal.SIG_DFL)
    except KeyboardInterrupt:
        return 130


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False
