"""A small part of the exhaustive search, and the mutants that it has to find."""

import pytest
from helpers.wrong_walks import MUTANTS
from searches.exhaustive import Config, explore

from apify_tasks_async._walk import Walk

SPREAD = (0, 0, 2, 4, 4)
"""The moments of a list with ties at both ends."""

ALL_KINDS = [
    Config((0, 2, 4, 4), page=6, window=3, desc=True, limit=3, changes=1, unsaid=1),
    Config((0, 2, 2, 2, 4), page=5, desc=True, limit=5, changes=1, unsaid=2),
    Config(SPREAD, changes=2, window=2),
    Config(SPREAD, changes=1, desc=True, resumes=1),
    Config(SPREAD, changes=1, ties=True, limit=3),
    Config(SPREAD, changes=1, cuts=1),
    Config(SPREAD, cuts=2, window=2),
    Config(SPREAD, changes=1, total="stale"),
    Config(SPREAD, changes=1, total="none"),
    Config((0, 2, 2, 2, 2, 4), total=-1, cuts=1),
    Config(SPREAD, changes=1, unsaid=2, desc=True),
    Config(SPREAD, unsaid=3, cuts=1),
    Config(SPREAD, said=3, cuts=1, window=2),
    Config((0, 0, 0, 0, 2, 2), page=5, hidden=frozenset({2, 3, 4}), cuts=1),
    Config(SPREAD, dead=(2, 0), changes=1),
    Config((0, 2, 2), changes=1, lag=1, cuts=1),
    Config(SPREAD, beside=2, changes=1),
    Config(SPREAD, doubles=1, cuts=1),
    Config(SPREAD, offset=2, changes=1),
    Config(SPREAD, expected=9, window=3, changes=1),
    Config((0, 0, 2, 4, 4, 6, 6, 8), expected=8, window=2, cuts=1),
    Config(SPREAD, exact=False, expected=9, window=3, changes=1),
    Config(SPREAD, exact=False, expected=5, window=2, changes=1, cuts=1),
    Config(SPREAD, exact=False, expected=3, window=2, unsaid=2),
    Config(SPREAD, exact=False, changes=2, window=2),
    Config(SPREAD, exact=False, changes=1, desc=True, resumes=1),
    Config(SPREAD, exact=False, changes=1, cuts=1),
    Config((0, 2, 2, 4, 4, 4), exact=False, cuts=1, ties=True, window=3),
    Config(SPREAD, exact=False, hidden=frozenset({2, 3})),
    Config(SPREAD, exact=False, offset=2, changes=1),
]


@pytest.mark.parametrize("config", ALL_KINDS, ids=str)
def test_no_state_loses_or_repeats_a_task(config: Config) -> None:
    """Whatever the list and the server do, within these bounds."""
    states, wrong = explore(config)
    assert wrong is None
    assert states > 0


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_walk_without_one_of_the_rules_is_found(mutant: type[Walk]) -> None:
    """Each rule is needed in one of these small walks."""
    exact = getattr(mutant, "exact", True)
    found = (explore(config, mutant)[1] for config in ALL_KINDS if config.exact is exact)
    assert any(found)
