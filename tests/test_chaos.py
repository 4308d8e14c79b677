"""Everything goes wrong at once, and every promise is kept: a short run of what `nox -s soak` does for minutes."""

import pytest
from helpers import virtual_time
from helpers.chaos import run


@pytest.mark.parametrize("seed", range(2))
def test_promises_are_kept(seed: int) -> None:
    """No task of an exact walk is lost or repeated, nothing is left over, no object leaks, the statistics add up."""
    result = virtual_time.run(run(seed=seed, requests=200))
    assert [] == result.tally.broken
    assert [] == result.left_over
    assert {} == result.growth
    assert result.tally.counts["delivered"]
