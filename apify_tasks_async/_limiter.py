"""When a request may be sent: as many at once as the link carries, at the pace, one while the server is away."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from apify_tasks_async._clock import Clock
from apify_tasks_async._congestion import Congestion
from apify_tasks_async._outage import Outage, Ticket
from apify_tasks_async._pace import Pace
from apify_tasks_async._places import Places


class Slots:
    """As many slots as are allowed at the moment, first come, first served."""

    def __init__(self, allowed: Callable[[], int]) -> None:
        self._allowed = allowed
        self._held = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._give()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # It was given a slot in the same moment.
                await self.__aexit__()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._held -= 1
        self._give()

    def _give(self) -> None:
        while self._waiting and self._held < self._allowed():
            turn = self._waiting.popleft()
            if not turn.cancelled():
                turn.set_result(None)
                self._held += 1


class Limiter:
    """Gives each request of a client its turn, first come, first served, so that no walk starves.

    Args:
        congestion: How many requests may be in flight.
        pace: How soon the next request may be sent.
        clock: The clock.
        places: Returns the places on the connections that other clients use, too; `None` if nobody need wait for one.
    """

    def __init__(
        self, congestion: Congestion, pace: Pace, clock: Clock, places: Callable[[], Places | None] = lambda: None
    ) -> None:
        self.congestion = congestion
        self.pace = pace
        self.outage = Outage()
        self._slots = Slots(lambda: congestion.allowed)
        self._queue = asyncio.Lock()
        self._clock = clock
        self._places = places
        self._stuck_since: float | None = None
        """Since when the first in the queue waits for a connection. All behind it wait for the same."""

    @asynccontextmanager
    async def turn(self, ticket: Ticket, seconds: float) -> AsyncGenerator[float | None, None]:
        """Wait until a request may be sent, and hold its slot.

        The value is the seconds that it waited; `None` if it must not be sent.

        Args:
            ticket: The request.
            seconds: How long it may wait for a connection that other clients use.
        """
        began = self._clock.now()
        sendable: bool | None = False
        while sendable is False:
            await self.outage.wait(ticket)
            async with self._slots, AsyncExitStack() as place:
                sendable = await self._may_send(ticket, place, began, seconds)
                if sendable is not False:
                    yield self._clock.now() - began if sendable else None

    async def _may_send(self, ticket: Ticket, place: AsyncExitStack, began: float, seconds: float) -> bool | None:
        """Wait for the pace and for a connection.

        Return False if something happened meanwhile that it has to wait for, `None` if no connection became free.
        """
        async with self._queue:
            if self.outage.holds(ticket):
                return False
            allowed_at = await self._wait_for_pace()
            places = self._places()
            if places is not None:
                now = self._clock.now()
                self._stuck_since = now if self._stuck_since is None else self._stuck_since
                try:
                    async with asyncio.timeout(seconds - (now - max(began, self._stuck_since))):
                        await place.enter_async_context(places)
                except TimeoutError:
                    return None
                self._stuck_since = None
            if self.outage.holds(ticket) or self.pace.next_allowed_at() > allowed_at:
                return False
            self.pace.record_request()
            return True

    async def _wait_for_pace(self) -> float:
        """Wait for the pace, and return from when on it allows the request."""
        allowed_at = self.pace.next_allowed_at()
        while (seconds := allowed_at - self._clock.now()) > 0:
            await self._clock.sleep(seconds)
            # A refusal may have moved it meanwhile.
            slept_until, allowed_at = allowed_at, self.pace.next_allowed_at()
            if allowed_at <= slept_until:
                break
        return allowed_at
