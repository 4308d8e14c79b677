"""When a request may be sent: as many at once as the concurrency allows, at the pace, one while the server is away."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from apify_tasks_async._clock import Clock
from apify_tasks_async._outage import Outage, Ticket
from apify_tasks_async._pace import Pace


class Limiter:
    """Gives each request of a client its turn, first come, first served, so that no walk starves."""

    def __init__(self, concurrency: int, pace: Pace, clock: Clock) -> None:
        self.pace = pace
        self.outage = Outage()
        self._slots = asyncio.Semaphore(concurrency)
        self._queue = asyncio.Lock()
        self._clock = clock

    @asynccontextmanager
    async def turn(self, ticket: Ticket) -> AsyncGenerator[float, None]:
        """Wait until a request may be sent, and hold its slot. The value is the seconds that it waited."""
        began = self._clock.now()
        while True:
            await self.outage.wait(ticket)
            async with self._slots:
                if await self._may_send(ticket):
                    yield self._clock.now() - began
                    return

    async def _may_send(self, ticket: Ticket) -> bool:
        """Wait for the pace. Return False if an outage began meanwhile."""
        async with self._queue:
            if not self.outage.holds(ticket):
                await self._wait_for_pace()
            if self.outage.holds(ticket):
                return False
            self.pace.record_request()
            return True

    async def _wait_for_pace(self) -> None:
        allowed_at = self.pace.next_allowed_at()
        while (seconds := allowed_at - self._clock.now()) > 0:
            await self._clock.sleep(seconds)
            # A refusal may have moved it meanwhile.
            slept_until, allowed_at = allowed_at, self.pace.next_allowed_at()
            if allowed_at <= slept_until:
                return
