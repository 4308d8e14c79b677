"""That the search for a counterexample finds one where there is one. It takes minutes: `nox -s drift` runs it."""

import pytest
from helpers.wrong_walks import MUTANTS
from hypothesis import Phase
from test_drift import search

from apify_tasks_async._walk import Walk


@pytest.mark.parametrize("mutant", [mutant for mutant in MUTANTS if getattr(mutant, "exact", True)])
def test_the_search_finds_what_is_wrong(mutant: type[Walk]) -> None:
    """Walks that leave out a rule are found out."""
    with pytest.raises(AssertionError):
        search(mutant, max_examples=5000, phases=[Phase.generate], database=None, derandomize=True)
