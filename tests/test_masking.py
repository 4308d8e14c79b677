"""Secrets in texts of a server: the time that it takes to mask them grows as the text does."""

import time
from collections.abc import Callable

import pytest

from apify_tasks_async._secret import Redactor

TOKEN = "apify_api_" + "0123456789" * 4

FACTOR = 8
"""How many times longer the long text is. Work that grows with the square of the length grows 64 times."""

TEXTS: dict[str, Callable[[int], str]] = {
    "beginnings of the token": lambda size: TOKEN[:8] * (size // 8),
    "a word of them, and words between": lambda size: (TOKEN[:8] * 100 + " ") * (size // 801),
    "cut tokens": lambda size: (TOKEN[:9] + "...") * (size // 12),
    "points alone": lambda size: "." * size,
    "whole tokens": lambda size: TOKEN * (size // len(TOKEN)),
    "first letters": lambda size: TOKEN[0] * size,
}


def work(text: str) -> float:
    """Return the processor time that masking takes, the least of a few tries: other programs do not count."""
    redactor = Redactor(TOKEN, "pass word")
    times = []
    for _ in range(5):
        start = time.thread_time()
        redactor.redact(text)
        times.append(time.thread_time() - start)
    return min(times)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_masking_is_linear(text: Callable[[int], str]) -> None:
    """Masking a text that is eight times longer takes about eight times as long, not 64 times."""
    size = 2**14
    assert work(text(FACTOR * size)) < 4 * FACTOR * max(work(text(size)), 1e-5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"a {TOKEN} b", "a *** b"),
        (f"{TOKEN}{TOKEN}", "******"),
        (f"a {TOKEN[:20]}... b", "a ***... b"),
        (f"{TOKEN[:8]}{TOKEN[:20]}...{TOKEN[:9]}...", "***...***..."),
        (f"{TOKEN[:20]} is cut by a space ...", f"{TOKEN[:20]} is cut by a space ..."),
        (f"{TOKEN[:20]} {TOKEN[:20]}...", f"{TOKEN[:20]} ***..."),
        ("a pass word", "a ***"),
        ("pass wor...", "***..."),
        ("pass wor pass wor...", "pass wor ***..."),
        ("apify_a...", "apify_a..."),
    ],
)
def test_what_is_masked(text: str, expected: str) -> None:
    """The whole secret is masked, and the beginning of one where a message was cut."""
    assert expected == Redactor(TOKEN, "pass word").redact(text)
