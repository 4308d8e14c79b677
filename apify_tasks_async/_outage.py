"""An outage: one request failed for a reason that its neighbours share, so one probes and the others stand back."""

import asyncio

import attrs

from apify_tasks_async import errors

_SHARED = errors.TransportError, errors.ServerError
_ANSWERS = errors.ResponseError, errors.InvalidResponseError


def is_shared(error: object) -> bool:
    """Return True for a failure that the other requests of the client would probably meet as well."""
    return isinstance(error, _SHARED) and not isinstance(error, errors.CertificateError)


def is_answer(result: object) -> bool:
    """Return True if the result shows that the server answers, be it with a refusal of this one request."""
    return not isinstance(result, BaseException) or (isinstance(result, _ANSWERS) and not is_shared(result))


@attrs.define(eq=False, repr=False)
class Ticket:
    """A request of the client, from before its first attempt until after its last."""

    hopeless: bool = False
    """Whether an outage outlasted the attempts of another request meanwhile. Then this one is not tried again."""


class Outage:
    """Whether the server is away, and which request probes it.

    The first request that fails probes: it waits and is sent again, as the policy says. Requests that fail after it
    only tell the same, so they spend no attempt. When the server answers any request, all go on. When the probe gives
    up, so do all the others that were there: each has had the time of all the attempts.

    The reason may be the probe's own: a page that the server cannot make, not in time, or not before a `Retry-After`.
    So in these cases, and when the probe fails again, one of the others goes as a scout.
    """

    def __init__(self) -> None:
        self._requests: set[Ticket] = set()
        self._probe: Ticket | None = None
        self._scout: Ticket | None = None
        self._wants_scout = False
        self._waiting: dict[Ticket, asyncio.Future[None]] = {}

    def enter(self) -> Ticket:
        """Return the ticket of a new request."""
        ticket = Ticket()
        self._requests.add(ticket)
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Forget a request. If it was cancelled as the probe or the scout, others find out how the server is."""
        self._requests.discard(ticket)
        if ticket is self._probe:
            self._end()
        elif ticket is self._scout:
            self._scout, self._wants_scout = None, True
            self._send_scout()

    def holds(self, ticket: Ticket) -> bool:
        """Return True if the request has to stand back now."""
        return self._probe is not None and ticket not in (self._probe, self._scout)

    async def wait(self, ticket: Ticket) -> None:
        """Wait while the request has to stand back."""
        while self.holds(ticket):
            self._waiting[ticket] = asyncio.get_running_loop().create_future()
            self._send_scout()
            try:
                await self._waiting[ticket]
            finally:
                del self._waiting[ticket]

    def record_failure(self, ticket: Ticket, *, doubtful: bool = False) -> None:
        """Record a failure that others share: the request becomes the probe if there is none.

        Args:
            ticket: The request.
            doubtful: Whether the reason may well be its own.
        """
        if ticket is self._scout:
            self._scout = None
        self._wants_scout = doubtful if self._probe is None else self._wants_scout or ticket is self._probe
        if self._probe is None and not ticket.hopeless:
            self._probe = ticket
        self._send_scout()

    def record_answer(self) -> None:
        """Record that the server answers."""
        self._end()
        self._mark(hopeless=False)

    def give_up(self, ticket: Ticket) -> None:
        """Record that a request is not tried again."""
        if ticket is self._probe:
            self._mark(hopeless=True)
            self._end()

    def _send_scout(self) -> None:
        # Futures that are done belong to requests that were woken right now.
        waiting = (ticket for ticket, future in self._waiting.items() if not future.done())
        if self._wants_scout and (scout := next(waiting, None)) is not None:
            self._wants_scout = False
            self._scout = scout
            self._waiting[scout].set_result(None)

    def _mark(self, *, hopeless: bool) -> None:
        for request in self._requests:
            request.hopeless = hopeless

    def _end(self) -> None:
        self._probe = self._scout = None
        for future in self._waiting.values():
            if not future.done():
                future.set_result(None)
