"""How soon requests may be sent."""

import itertools
import math
from collections.abc import Sequence
from statistics import mean
from typing import Any

import pytest
from helpers.limited import simulate
from hypothesis import given
from hypothesis import strategies as st

from apify_tasks_async._pace import (
    BREATHER,
    CUT,
    CUTS,
    DOUBLING,
    FIRST,
    FLOOR,
    FORGIVEN,
    GROWTH,
    MEMORY,
    MOST,
    PLATEAU,
    RECOVERY,
    WINDOW,
    Pace,
)
from apify_tasks_async.testing._limiters import LIMITERS, LimiterKind


class Sender:
    """Sends requests as soon as the pace allows it, on a clock of its own."""

    def __init__(self, rate: float | None) -> None:
        self.now = 100.0
        self.pace = Pace(rate, lambda: self.now)
        self.sent: list[float] = []

    def send(self) -> None:
        """Wait until a request may be sent, and send it."""
        self.now = max(self.now, self.pace.next_allowed_at())
        self.pace.record_request()
        self.sent.append(self.now)

    def send_for(self, seconds: float) -> int:
        """Send as many as may be sent within the seconds, and return how many."""
        end, count = self.now + seconds, 0
        while max(self.now, self.pace.next_allowed_at()) < end:
            self.send()
            count += 1
        self.now = end
        return count


def most_within(moments: list[float], seconds: float) -> int:
    """Return the largest number of moments within any window of so many seconds."""
    return max(sum(first <= moment < first + seconds for moment in moments) for first in moments)


@given(
    st.floats(0.2, 40),
    st.lists(st.floats(0, 1), min_size=1, max_size=150),
)
def test_no_second_holds_more_than_the_limit(rate: float, gaps: list[float]) -> None:
    """Whenever requests are asked for, no second holds more than the limit; with a fraction: no ceil(rate) / rate."""
    sender = Sender(rate)
    for gap in gaps:
        sender.now += gap
        sender.send()

    assert math.ceil(rate) >= most_within(sender.sent, math.ceil(rate) / rate)


@pytest.mark.parametrize("rate", [0.3, 0.5, 1, 1.1, 1.875, 3.75, 7, 60, 1000])
def test_what_is_allowed_is_used(rate: float) -> None:
    """What was asked for can be used within 5 %, with a fraction too."""
    seconds = 200 / min(rate, 1)

    assert 0.95 * rate * seconds <= Sender(rate).send_for(seconds) <= rate * seconds + 1


def test_a_full_second_may_start_at_once() -> None:
    """A client that was quiet need not wait for the first requests, as many as one second may hold."""
    sender = Sender(60)
    for _ in range(60):
        sender.send()

    assert 100.0 == sender.now
    sender.send()
    assert 101.04 == pytest.approx(sender.now)


def test_without_a_limit_nothing_waits() -> None:
    """No limit means none, whatever the server says about its own."""
    sender = Sender(None)
    sender.pace.set_server_limit("1")
    for _ in range(1000):
        sender.send()

    assert 100.0 == sender.now


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (None, 60),
        ("", 60),
        ("many", 60),
        ("-5", 60),
        ("0", 60),
        ("250000", 60),
        ("61", 60),
        ("30", 30),
        (" 30 ", 30),
        ("30;w=1", 30),
        ("7.5", 7),
        ("30, 30;w=1", 30),
        ("1e9", 60),
        ("1_000", 60),
        ("1,000", 60),
        ("0x10", 60),
        ("1 per second", 60),
        ("1.5.2", 60),
        ("\u0663", 60),
        ("0.001", 60),
        ("9" * 400, 60),
    ],
)
def test_a_lower_limit_of_the_server_counts(told: str | None, expected: int) -> None:
    """The limit that the server states counts if it is lower than ours, and if it is one at all."""
    sender = Sender(60)
    sender.pace.set_server_limit(told)

    assert expected == sender.send_for(1)


def test_a_refusal_teaches_a_client_without_a_limit() -> None:
    """Once the server refuses a request, its limit counts for a client that has none, too."""
    sender = Sender(None)
    sender.pace.set_server_limit("20")
    sender.send_for(0)
    sender.pace.record_refusal(sender.now, 0)
    sender.now += FORGIVEN + 1

    assert 20 == sender.send_for(1)


def test_the_latest_limit_of_the_server_counts() -> None:
    """The server may raise its limit again."""
    sender = Sender(60)
    sender.pace.set_server_limit("10")
    sender.pace.set_server_limit("40")

    assert 40 == sender.send_for(1)


def gaps(moments: list[float]) -> list[float]:
    """Return the seconds between two moments each."""
    return [later - earlier for earlier, later in itertools.pairwise(moments)]


@pytest.mark.parametrize("rate", [None, 60])
def test_after_a_refusal_requests_are_evenly_spaced(rate: float | None) -> None:
    """It begins anew when the second is over, slowly, whatever it sent before, and doubles until the next refusal."""
    sender = Sender(rate)
    for _ in range(20):
        sender.now += 0.01
        sender.send()
    slow = [sender.pace.is_slow]
    sender.pace.record_refusal(sender.now, 0)
    slow.append(sender.pace.is_slow)
    sender.sent.clear()
    sender.send()
    sender.send()

    assert 100.01 + WINDOW == pytest.approx(sender.sent[0])
    assert 1 / FIRST == pytest.approx(gaps(sender.sent)[0])
    sender.send_for(3 * DOUBLING)
    assert [False, True] == slow
    assert 8 * FIRST <= 1 / gaps(sender.sent)[-1] <= 16 * FIRST


def test_a_share_of_the_first_second() -> None:
    """What was accepted in the first second of a process is its share: it goes on a little below."""
    sender = Sender(60)
    accept(sender, 30)
    sender.pace.record_refusal(sender.now, 0)
    assert CUT * 30 / WINDOW == pytest.approx(sender.pace._learned)
    assert PLATEAU * 30 / WINDOW == pytest.approx(rate_after(sender, RECOVERY + 1), rel=0.1)


@pytest.mark.parametrize("late", [False, True])
def test_no_share_to_go_by(*, late: bool) -> None:
    """A process that sent before, and one that was hardly accepted, start over slowly."""
    sender = Sender(60)
    accept(sender, 30 if late else 5)
    if late:
        sender.now += 2
        accept(sender, 30)
    else:
        sender.send_for(0.2)
    sender.pace.record_refusal(sender.now, 0)
    assert FIRST == sender.pace._learned


def test_no_share_after_a_long_silence() -> None:
    """What was accepted before a silence is not counted."""
    sender = Sender(60)
    accept(sender, 30)
    sender.now += 2 * MEMORY
    sender.send_for(0.3)
    sender.pace.record_refusal(sender.now, 0)
    assert FIRST == sender.pace._learned


def accept(sender: Sender, requests: int) -> None:
    """Send requests, one each hundredth of a second, and accept them."""
    for _ in range(requests):
        sender.now += 0.01
        sender.send()
        sender.pace.record_acceptance()


def test_each_further_refusal_cuts_the_pace() -> None:
    """The rate comes back to a little below the one that was refused, stays there, and then grows faster and faster."""
    sender = Sender(None)
    sender.send()
    sender.pace.record_refusal(sender.now, 0)
    sender.pace.record_acceptance()
    rate_after(sender, 2)
    sender.pace.record_refusal(sender.now, 0)
    plateau = PLATEAU * sender.pace._learned / CUT
    rates = [rate_after(sender, seconds) for seconds in (0.3 * RECOVERY, 0.7 * RECOVERY, 1.5, 1.5)]

    assert CUT * plateau < rates[0] < rates[1] < 1.02 * plateau
    assert plateau == pytest.approx(rates[1], rel=0.05)
    assert plateau + GROWTH * 1.5**2 == pytest.approx(rates[2], rel=0.2)
    assert plateau + GROWTH * 3**2 == pytest.approx(rates[3], rel=0.2)


def rate_after(sender: Sender, seconds: float) -> float:
    """Return the rate at which requests are sent after so many seconds of sending."""
    sender.send_for(seconds)
    sender.send()
    return 1 / gaps(sender.sent)[-1]


def slowed() -> Sender:
    """Return a sender that was refused twice, so that its rate doubles no more."""
    sender = Sender(None)
    sender.send()
    sender.pace.record_refusal(sender.now, 0)
    sender.pace.record_acceptance()
    sender.send_for(2)
    sender.pace.record_refusal(sender.now, 0)
    return sender


def test_who_sent_more_is_cut_more() -> None:
    """Each request of a second that is full cuts the rate when it is refused, up to three. They pause it once."""
    sender = slowed()
    sender.pace.record_acceptance()
    sender.send_for(1)
    before, rates = sender.pace._learned, []
    for sent in sender.sent[-5:]:
        sender.now += 0.01
        sender.pace.record_refusal(sent, 0)
        rates.append(sender.pace._learned)
    assert 3 == CUTS
    assert [CUT, CUT**2, CUT**3, CUT**3, CUT**3] == pytest.approx([rate / before for rate in rates], rel=0.1)
    assert [CUT, CUT, 1, 1] == pytest.approx([later / earlier for earlier, later in itertools.pairwise(rates)])
    assert 1 == sender.pace.refusals_in_a_row


def test_what_was_sent_before_the_rate_was_tried_cuts_nothing() -> None:
    """A refusal of what was sent before the last cut but one comes too late to tell of any rate since."""
    sender = slowed()
    sender.pace.record_acceptance()
    late = sender.sent[-1]
    sender.send_for(1)
    sender.pace.record_refusal(sender.sent[-1], 0)
    before = sender.pace._learned
    sender.now += 0.01
    sender.pace.record_refusal(late, 0)
    assert before == sender.pace._learned


def test_a_second_that_is_not_over() -> None:
    """Refusals at the end of the second in which the first one came do not tell of the rate that was begun with."""
    sender = Sender(60)
    for _ in range(20):
        sender.send()
    sender.now += 0.9
    sender.send()
    sender.pace.record_refusal(sender.now, 0)
    sender.pace.record_acceptance()
    sender.send_for(0.5)
    sender.pace.record_refusal(sender.now, 0)
    assert CUT * FIRST >= sender.pace._learned
    sender.pace.record_acceptance()

    assert 20 < rate_after(sender, 2)


def test_a_refusal_that_comes_late() -> None:
    """The answers to what was sent before the last cut, however late they come, leave the pace alone."""
    sender = Sender(60)
    for _ in range(40):
        sender.now += 0.1
        sender.send()
    refused = sender.now
    sender.now += 20
    sender.pace.record_refusal(refused, 0)
    before = sender.pace._learned
    sender.now += 3
    sender.pace.record_refusal(refused + 1, 0)

    assert FIRST == before == sender.pace._learned


def test_refusals_without_end() -> None:
    """However often requests are refused, one is let through every two seconds, and the rate comes back."""
    sender = Sender(60)
    for _ in range(100):
        sender.send()
        sender.now += BREATHER
        sender.pace.record_refusal(sender.now, 0)
    sender.sent.clear()
    for _ in range(5):
        sender.send()
        sender.pace.record_refusal(sender.now, 0)

    assert 1 / FLOOR + 0.1 > max(gaps(sender.sent))
    sender.send_for(FORGIVEN + 2)
    sender.now += 1
    assert 60 == sender.send_for(1)


def test_a_guess_is_bounded() -> None:
    """One refusal by chance does not make the rate infinite."""
    sender = Sender(None)
    sender.send()
    sender.pace.record_refusal(sender.now, 0)
    for _ in range(60):
        sender.now += 0.5
        sender.send()

    assert MOST == sender.pace._learned


def test_idle_time_does_not_raise_the_pace() -> None:
    """While nothing is sent, nothing shows that the server would take more."""
    sender = slowed()
    sender.send()
    before = sender.pace._learned
    sender.now += 40
    sender.send()

    assert sender.pace._learned <= 1.2 * before


SINGLE = [
    *((limit, in_flight, latency) for limit in (5, 10, 20) for in_flight in (1, 8, 32) for latency in (0, 0.05, 0.1)),
    (20, 8, 0.2),
    (2, 4, 0.1),
]


@pytest.mark.long
@pytest.mark.parametrize("kind", LIMITERS)
@pytest.mark.parametrize(("limit", "in_flight", "latency"), SINGLE)
def test_a_walk_learns_the_limit(kind: LimiterKind, limit: float, in_flight: int, latency: float) -> None:
    """A walk takes at most 1.5 times as long as one that knows the limit, and two seconds. Few requests are refused."""
    outcome = simulate(kind, limit, pages=40, in_flight=in_flight, latency=latency)
    assert max(outcome.ends) <= 1.5 * max(outcome.ideal, 40 * latency / in_flight) + 2
    most = 16 + 1.5 * in_flight
    assert outcome.refused <= (min(most, 20) if limit >= 5 and in_flight <= 8 else most)


@pytest.mark.long
@pytest.mark.parametrize("kind", LIMITERS)
@pytest.mark.parametrize("limit", [1, 60, 1000])
def test_a_walk_ends_at_every_limit(kind: LimiterKind, limit: float) -> None:
    """From 1 to 1,000 a second, a walk of 40 pages a second or more ends in a time that fits the limit."""
    outcome = simulate(kind, limit, pages=int(40 * limit**0.5), in_flight=16, rate_limit=None)
    assert max(outcome.ends) <= 1.7 * outcome.ideal + 2


SECONDS: Sequence[LimiterKind] = ("fixed", "sliding")
BUCKET: Sequence[LimiterKind] = ("bucket",)
SHARED = [
    (SECONDS, 2, 1.25, 0.04, 1.2),
    (SECONDS, 4, 1.27, 0.05, 1.45),
    (SECONDS, 8, 1.2, 0.065, 1.5),
    (SECONDS, 16, 1.15, 0.1, 1.5),
    (BUCKET, 2, 1.1, 0.03, 1.25),
    (BUCKET, 4, 1.15, 0.04, 1.6),
    (BUCKET, 8, 1.1, 0.06, 1.7),
    (BUCKET, 16, 1.05, 0.1, 1.7),
]
"""Limiters and processes; then at most: time / what they must take, the share that is refused, the last / the first."""


@pytest.mark.long
@pytest.mark.parametrize(("kinds", "processes", "time", "refused", "unfair"), SHARED)
def test_processes_share_an_account(
    kinds: Sequence[LimiterKind], processes: int, time: float, refused: float, unfair: float
) -> None:
    """Nobody tells them how: their refusals do. All end, in about the time that the limit allows, few are refused.

    The mean of 32 runs, in which they start within 0.3 seconds. Chance makes single ones worse. What a bucket saved up
    goes to those that ask first. So it is less fair, but sooner done.
    """
    outcomes = [
        simulate(kind, 60, pages=240, processes=processes, apart=apart, seed=seed)
        for kind in kinds
        for apart in (0.05, 0.3)
        for seed in range(16 // len(kinds))
    ]
    assert {processes} == {len(outcome.ends) for outcome in outcomes}
    assert mean(max(outcome.ends) / outcome.ideal for outcome in outcomes) <= time
    assert mean(outcome.refused / outcome.sent for outcome in outcomes) <= refused
    assert mean(max(outcome.ends) / min(outcome.ends) for outcome in outcomes) <= unfair


@pytest.mark.long
@pytest.mark.parametrize("kind", SECONDS)
@pytest.mark.parametrize(("processes", "part"), [(2, 30), (4, 15), (8, 7), (16, 3)])
def test_processes_that_were_given_their_part_are_never_refused(kind: LimiterKind, processes: int, part: int) -> None:
    """A part of the limit, rounded down to a whole number, is a share that need not be learned."""
    outcome = simulate(kind, 60, pages=240, processes=processes, rate_limit=part, apart=0.3)
    assert 0 == outcome.refused
    assert max(outcome.ends) <= 1.05 * 240 / part
    assert max(outcome.ends) <= 1.05 * min(outcome.ends)


@pytest.mark.long
@pytest.mark.parametrize("processes", [2, 4, 8, 16])
def test_processes_share_a_limiter_that_spaces(processes: int) -> None:
    """It refuses what comes within its gap, so much of what several send without knowing of each other. All end."""
    outcome = simulate("spaced", 60, pages=240, processes=processes, apart=0.3)
    assert processes == len(outcome.ends)
    assert max(outcome.ends) <= 7 * outcome.ideal
    assert outcome.refused <= 0.35 * outcome.sent


def unavailable(sender: Sender, times: int, *, asks_to_wait: bool = False) -> list[bool]:
    """Answer so many requests with a 503; return whether each was taken for the refusal of a limiter."""
    taken = []
    for _ in range(times):
        sender.send()
        sender.now += 0.01
        taken.append(sender.pace.record_unavailable(sender.now - 0.01, asks_to_wait=asks_to_wait))
    return taken


def test_503s_between_pages_are_refusals() -> None:
    """A server that answers with pages and 503s by turns limits the rate. Where everything fails, it is an outage."""
    sender = Sender(None)
    assert [False] * 8 == unavailable(sender, 8)
    sender.pace.record_acceptance()
    slow = [sender.pace.is_slow]
    assert [True] == unavailable(sender, 1)
    slow.append(sender.pace.is_slow)
    assert [False, True] == slow
    assert sender.pace.record_unavailable(sender.now, asks_to_wait=False)  # It was on its way.
    assert [False] == unavailable(sender, 1)
    assert FIRST == sender.pace._learned
    sender.pace.record_acceptance()
    assert [True] == unavailable(sender, 1)


def test_pages_undo_503s() -> None:
    """A failure now and then is none of a limiter, nor are two outages with time between them."""
    sender = Sender(None)
    for _ in range(10):
        assert [False, False] == unavailable(sender, 2)
        for _ in range(8):
            sender.pace.record_acceptance()
    assert [False] * 100 == unavailable(sender, 100)
    for _ in range(16):
        sender.pace.record_acceptance()
    assert [False] == unavailable(sender, 1)
    assert not sender.pace.is_slow


def test_a_503_that_says_when_to_try_again() -> None:
    """It lowers the rate of the others, once, but does not say that there is no outage."""
    sender = Sender(None)
    assert [False] * 3 == unavailable(sender, 3, asks_to_wait=True)
    assert (True, 1) == (sender.pace.is_slow, sender.pace.refusals_in_a_row)


def test_the_end_of_a_slow_time() -> None:
    """A client is slow until it sends as fast as it may, and was not refused for a while."""
    sender = Sender(20)
    sender.send()
    sender.pace.record_refusal(sender.now, 0)
    sender.send_for(5)
    assert (20, True) == (sender.pace._learned, sender.pace.is_slow)
    sender.send_for(6)
    slow = sender.pace.is_slow
    assert not slow


@pytest.mark.parametrize("rate", [None, 60])
def test_a_pause_that_the_server_asks_for(rate: float | None) -> None:
    """All requests wait for as long as the longest pause that the server asked for."""
    sender = Sender(rate)
    sender.send()
    sender.pace.record_refusal(sender.now, 7)
    sender.pace.record_refusal(sender.now, 3)
    sender.send()

    assert [100.0, 107.0] == sender.sent


def test_memory_is_bounded() -> None:
    """Only the requests of the last half a minute are kept."""
    sender = Sender(None)
    for _ in range(1000):
        sender.now += 0.1
        sender.send()

    kept: Any = sender.pace._sent
    assert 302 > len(kept)
