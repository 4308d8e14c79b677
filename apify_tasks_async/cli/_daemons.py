"""An executor whose threads do not keep the process alive."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

__all__ = ["DaemonExecutor"]


class DaemonExecutor(ThreadPoolExecutor):
    """Runs each call in a daemon thread. Neither the end of the event loop nor that of the interpreter waits for one.

    asyncio's default executor would: a look-up of a name that takes 30 seconds then holds Ctrl-C for as long.
    """

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        """Call the function in a new thread."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()

        def work() -> None:
            try:
                future.set_result(function(*arguments, **options))
            except BaseException as error:  # noqa: BLE001 - as in any executor, the future raises it
                future.set_exception(error)

        threading.Thread(target=work, daemon=True).start()
        return future
