"""Everything goes wrong at once, and every promise is kept: a short version of `nox -s soak`."""

import pytest
from helpers import virtual_time
from helpers.chaos import run


@pytest.mark.parametrize("seed", range(2))
def test_promises_are_kept(seed: int) -> None:
    """Exact walks neither lose nor repeat a task, nothing stays open, no object leaks, the statistics add up.

    Takes over a second, since it needs hundreds of requests to meet each kind of fault.
    """
    result = virtual_time.run(run(seed=seed, requests=200))
    assert [] == result.tally.broken
    assert [] == result.left_over
    assert {} == result.growth
    assert result.tally.counts["delivered"]
