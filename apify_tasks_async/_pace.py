"""How soon the next request may be sent: the rate limit of a client, and the pace that refusals teach. Pure.

In any one second at most as many requests start as the limit says, whether the server's second slides or follows the
clock. For a limit with a fraction it is the time of a whole number: 2 in 1.07 seconds are 1.875 a second. A leaky
bucket does not promise that: its burst comes on top of what drips in the same second.

The server may accept less: since its limiter spaces requests, or since other processes use the same account. Only its
refusals tell. If the first one comes in the first second of a process, what was accepted until then is about its share:
others that began with it had as much. Otherwise every process starts over slowly, whatever it sent before, and doubles
its rate until it is refused again: so all reach their shares at about the same rate. From then on each refusal cuts the
rate. A process that sends more is refused more often once the second is full, so its rate is cut deeper. The rate comes
back to a little below the one that was refused, stays there, and then grows faster and faster, as the window of TCP
does with CUBIC: so the share of a process that is done is soon taken. It grows by as much in all of them, so that the
slow ones catch up.
"""

import math
import re
from collections import deque
from collections.abc import Callable

WINDOW = 1.04
"""Seconds that the requests of one second are spread over. More than 1, since some reach the server faster."""

SHARE = 8.0
"""The fewest requests per second that are taken for a share. Below, chance alone may halve or double the figure."""

FIRST = 4.0
"""Requests per second, after the first refusal."""

DOUBLING = 0.35
"""Seconds in which the rate doubles after the first refusal, until the next one."""

OVERSHOOT = 1.8
"""How many times the requests of the last second the rate may be while it doubles: the last second began slower."""

CUT = 0.8
"""The factor of the rate at each further refusal."""

CUTS = 3
"""How many refused requests of one full second cut the rate."""

PLATEAU = 0.88
"""The factor of the rate that was refused, to which the rate comes back after a cut."""

RECOVERY = 5.0
"""Seconds until it is back there."""

GROWTH = 1.2
"""Requests per second that are added after a second more, four times as many after two seconds, and so on."""

BREATHER = 0.2
"""Seconds without requests after a refusal: more of them would be refused for the same reason."""

FLOOR = 0.5
"""Requests per second that are tried even if all are refused."""

CALM = 10.0
"""Seconds without a refusal after which a client that sends as fast as its limit allows is no longer slow."""

FORGIVEN = 60.0
"""Seconds without a refusal after which the learned rate is forgotten."""

MOST = 10_000.0
"""Requests per second that no guess exceeds."""

SUSPICION = 3.0
"""How many 503s make a limiter of a server that answers by turns with a page and a 503. Four pages undo one 503."""

MEMORY = 30.0
"""Seconds for which requests are remembered: a refusal may come that late."""

_NUMBER = re.compile(r"\s*(\d{1,9})(\.\d{0,9})?\s*($|;|,\s)", re.ASCII)
"""A plain number, perhaps with parameters or further limits after it. `1e9` and `1,000` do not match."""


class Pace:
    """When the next request may be sent.

    Args:
        rate: Requests per second; `None`: unlimited until one is refused.
        now: Returns seconds.
    """

    def __init__(self, rate: float | None, now: Callable[[], float]) -> None:
        self._limit = math.inf if rate is None else rate
        self._server_limit: float = math.inf
        self._honours_server = rate is not None
        self._now = now
        self._sent: deque[float] = deque()
        self._accepted = 0  # since the client began to send, or went on after a long silence
        self._learned = math.inf
        self._doubling = True
        self._refused_at = -math.inf
        self._plateau = self._low = self._recovered = 0.0
        self.is_slow = False
        """Whether the client sends more slowly than its limit allows, since the server refused requests."""
        self._is_limited = False
        self._suspicion = 0.0
        self._accepts_again = False
        self.refusals_in_a_row = 0
        """How often the rate was lowered since the server accepted a request."""
        self._slowed_at = -math.inf
        self._tried_since = math.inf
        """Since when the rate was tried that the last cut lowered."""
        self._cuts = 0
        self._raised_at = -math.inf
        self._paused_until = -math.inf

    def next_allowed_at(self) -> float:
        """Return the time from which the next request may be sent."""
        limit = self._limit_in_force()
        # As many as a second holds, rounded up, in the time that they take at this rate.
        maximum = math.ceil(limit) if limit < math.inf else len(self._sent) + 1
        allowed_at = self._paused_until
        if len(self._sent) >= maximum:
            allowed_at = max(allowed_at, self._sent[-maximum] + maximum / limit * WINDOW)
        if self._learned < math.inf and self._sent:
            allowed_at = max(allowed_at, self._sent[-1] + 1 / min(self._learned, limit))
        return allowed_at

    def record_request(self) -> None:
        """Record a request that is sent now."""
        now = self._now()
        self._raise(now)
        self._sent.append(now)
        while self._sent[0] < now - MEMORY and len(self._sent) > 1:
            self._sent.popleft()
        if len(self._sent) == 1:
            self._accepted = 0

    def set_server_limit(self, header: str | None) -> None:
        """Record the server's limit in requests per second; the lower one applies.

        For a client without a limit it applies once the server refused a request.
        """
        number = _NUMBER.match(header or "")
        if number and int(number[1]) > 0:
            self._server_limit = int(number[1])

    def record_acceptance(self) -> None:
        """Record that the server accepted a request."""
        self.refusals_in_a_row = 0
        self._accepted += 1
        if self._suspicion:
            self._suspicion = max(0.0, self._suspicion - 0.25)
            self._accepts_again = True

    def record_pause(self, seconds: float) -> None:
        """Record that the server asked to wait."""
        self._paused_until = max(self._paused_until, self._now() + seconds)

    def record_refusal(self, sent_at: float, pause: float) -> None:
        """Record a refusal: lower the rate, and pause for the seconds that the server asked for.

        Args:
            sent_at: When the refused request was sent.
            pause: Seconds.
        """
        self.record_pause(pause)
        self._is_limited = True
        self._lower(sent_at)

    def _lower(self, sent_at: float) -> None:
        self._honours_server = True
        if sent_at <= self._slowed_at:
            self._deepen(sent_at)
            return
        self._tried_since = math.inf
        if self._learned == math.inf:
            self._start_over(sent_at)
        elif self._doubling and (self.refusals_in_a_row or sent_at < self._refused_at + WINDOW):
            # The second that was full is not over, or others have filled it again: this rate was not tried yet.
            self._learned = max(FLOOR, CUT * min(self._learned, FIRST))
        else:
            if not self._doubling:  # A rate that doubles is tried for a moment only.
                self._tried_since = self._slowed_at
            self._cut(self._rate_used(sent_at))
        self._slowed_at = self._raised_at = self._now()
        self.record_pause(BREATHER)
        self.refusals_in_a_row += 1
        self.is_slow = True

    def record_unavailable(self, sent_at: float, *, asks_to_wait: bool) -> bool:
        """Record a 503, and lower the rate if it looks like a refusal. Return True if a limiter sent it.

        A limiter accepts some requests and refuses others, again and again. In an outage everything fails, so there are
        turns at its beginning and its end alone.

        Args:
            sent_at: When the request was sent.
            asks_to_wait: Whether the answer says when to try again. It holds for that request alone: the server may be
                unable to answer just that one. So it is no pause for the others.
        """
        by_turns = self._accepts_again and self._suspicion >= SUSPICION
        self._suspicion = min(self._suspicion + 1, 2 * SUSPICION)
        self._accepts_again = False
        # While the server accepts nothing, not even at the lower rate, it tells of an outage, not of a pace.
        serves = not self.refusals_in_a_row
        is_limiter = (by_turns or self._is_limited) and (serves or sent_at <= self._slowed_at)
        self._is_limited = self._is_limited or is_limiter
        if is_limiter or (asks_to_wait and serves):
            self._lower(sent_at)
        return is_limiter

    def _start_over(self, sent_at: float) -> None:
        """Begin to learn the rate once the second in which a request was refused is over: at the share, or slowly."""
        self._refused_at = sent_at
        first = next((sent for sent in self._sent if sent > sent_at - WINDOW), sent_at)
        self._paused_until = max(self._paused_until, first + WINDOW)
        used = self._rate_used(sent_at)
        if used >= SHARE and self._accepted >= used / 2 and first == self._sent[0]:
            self._learned = used
            self._cut(used)
        else:
            self._doubling = True
            self._learned = FIRST

    def _cut(self, used: float) -> None:
        bound = OVERSHOOT * used if self._doubling else max(self._low, used)
        rate = min(self._learned, bound)
        self._doubling = False
        self._recovered = 0.0
        self._cuts = 1
        self._plateau = max(FLOOR, PLATEAU * rate)
        self._learned = self._low = max(FLOOR, CUT * rate)

    def _deepen(self, sent_at: float) -> None:
        """Cut the rate once more, if the request was sent at the rate that the last cut lowered."""
        if sent_at > self._tried_since and self._cuts < CUTS:
            self._cuts += 1
            self._plateau, self._low, self._learned = (
                max(FLOOR, CUT * rate) for rate in (self._plateau, self._low, self._learned)
            )

    def _rate_used(self, until: float) -> float:
        """Return the requests per second that were sent in the window up to that moment, one at least."""
        return max(1, sum(until - WINDOW < sent <= until for sent in self._sent)) / WINDOW

    def _raise(self, now: float) -> None:
        """Raise the learned rate for the time since the last request: not for a time in which nothing was tried."""
        if self._learned == math.inf:
            return
        if now - self._slowed_at > FORGIVEN:
            self._learned = math.inf
            self._is_limited = False
        else:
            seconds = min(now - max(self._raised_at, self._paused_until), max(WINDOW, 1 / self._learned))
            self._learned = min(self._raised(max(0.0, seconds)), self._limit_in_force(), MOST)
            self._raised_at = now
        at_limit = self._learned >= min(self._limit_in_force(), MOST)
        self.is_slow = not (at_limit and now - self._slowed_at > CALM)

    def _raised(self, seconds: float) -> float:
        """Return the learned rate after so many seconds more."""
        if self._doubling:
            return self._learned * math.exp2(seconds / DOUBLING)
        self._recovered += seconds
        left = RECOVERY - self._recovered
        if left > 0:
            return self._plateau - (self._plateau - self._low) * math.pow(left / RECOVERY, 3)
        return self._plateau + GROWTH * left * left

    def _limit_in_force(self) -> float:
        return min(self._limit, self._server_limit) if self._honours_server else self._limit
