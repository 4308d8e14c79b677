"""How soon requests may be sent."""

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apify_tasks_async._pace import RECOVERY, Pace


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
    sender.now += 10 * RECOVERY

    assert 20 == sender.send_for(1)


def test_the_latest_limit_of_the_server_counts() -> None:
    """The server may raise its limit again."""
    sender = Sender(60)
    sender.pace.set_server_limit("10")
    sender.pace.set_server_limit("40")

    assert 40 == sender.send_for(1)


@pytest.mark.parametrize("rate", [None, 60, 2])
def test_a_refusal_halves_the_rate(rate: float | None) -> None:
    """After a refusal half as many requests a second are sent as before, and soon as many as ever."""
    sender = Sender(rate)
    before = 40 if rate is None else int(rate)
    for _ in range(3 * before):
        sender.now += 1 / before
        sender.send()
    refused_at = sender.now
    sender.pace.record_refusal(refused_at, 0)

    assert 0 == sender.send_for(0.4)
    sender.now = refused_at + 1.1
    assert before // 2 <= sender.send_for(1) <= math.ceil(before * 0.65)
    sender.now = refused_at + RECOVERY
    assert before <= sender.send_for(1) <= before * 1.2


def test_a_refusal_right_at_the_start() -> None:
    """A refusal of the first requests is answered by half of the rate that they were sent at, not of their number."""
    sender = Sender(60)
    for _ in range(8):
        sender.send()
    sender.now += 0.25
    sender.pace.record_refusal(100.0, 0)

    assert 30 - 8 == sender.send_for(0.75)


def test_a_refusal_that_comes_late() -> None:
    """What the server refused is the rate at which requests were sent when it did, however long its answer takes."""
    sender = Sender(60)
    for _ in range(40):
        sender.now += 0.1
        sender.send()
    refused = sender.now
    sender.now += 20
    sender.pace.record_refusal(refused, 0)

    assert 5 <= sender.send_for(1) <= 6


def test_refusals_of_one_moment_halve_the_rate_once() -> None:
    """What was on its way together with a request that was refused says nothing new when it is refused as well."""
    sender = Sender(60)
    for _ in range(60):
        sender.send()
    for _ in range(8):
        sender.now += 0.01
        sender.pace.record_refusal(100.0, 0)
    sender.now = 101.2

    assert 30 <= sender.send_for(1)


def test_refusals_without_end() -> None:
    """However often requests are refused, one is let through every two seconds, and the rate comes back."""
    sender = Sender(60)
    for _ in range(100):
        sender.send()
        sender.pace.record_refusal(sender.now, 0)
    sender.sent.clear()
    for _ in range(5):
        sender.send()
        sender.pace.record_refusal(sender.now, 0)

    assert 2.2 > max(later - earlier for earlier, later in itertools.pairwise(sender.sent))
    sender.now += 7 * RECOVERY
    assert 60 == sender.send_for(1)


def test_a_refusal_of_a_slow_client_halves_its_rate_too() -> None:
    """A limit of less than one request a second is halved as well."""
    sender = Sender(0.5)
    sender.send()
    sender.pace.record_refusal(sender.now, 0)

    assert [0] == [sender.send_for(2.2)]
    assert [1] == [sender.send_for(2.2)]


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
