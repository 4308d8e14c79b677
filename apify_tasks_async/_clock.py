"""Time and chance, in one object that tests replace."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import attrs


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


@attrs.frozen(eq=False, repr=False)
class Clock:
    """What retries, the pace and the fetcher measure, wait and draw with."""

    now: Callable[[], float] = _loop_time
    """Returns seconds. The loop's own time, so that a loop with virtual time needs nothing else."""

    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    """Waits for a number of seconds."""

    uniform: Callable[[float, float], float] = random.SystemRandom().uniform
    """Returns a random float in a range. Nobody can seed it, so workers that call `random.seed` wait differently."""
