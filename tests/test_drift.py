"""The guarantee of an exact walk, searched for a counterexample."""

from datetime import datetime
from typing import Any

import attrs
from helpers.task_list import Reader, TaskList, cut
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from apify_tasks_async import DriftError
from apify_tasks_async._page import Page, PageRequest
from apify_tasks_async._walk import Walk

BOTH = st.booleans()


class ExactWalk(RuleBasedStateMachine):
    """A list is created, changed and walked, in any order of these steps, and the answers contradict each other."""

    walk_type: type[Walk] = Walk

    @initialize(
        sizes=st.lists(st.tuples(st.integers(1, 12), st.sampled_from([0, 0, 1])), max_size=12),
        page_size=st.integers(4, 50),
        window=st.integers(1, 8),
        desc=BOTH,
        limit=st.none() | st.integers(1, 100),
        unsaid=st.sampled_from([1000, 1000, 1000, 20, 8, 3]),
        honest=BOTH,
        expected=st.none() | st.integers(0, 150),
    )
    def begin(
        self,
        sizes: list[tuple[int, int]],
        page_size: int,
        window: int,
        *,
        desc: bool,
        limit: int | None,
        unsaid: int,
        honest: bool,
        expected: int | None,
    ) -> None:
        """Begin to walk a list."""
        self.list = TaskList()
        for count, tick in sizes:
            self.list.create(1)
            self.list.create(count, tick=tick)
        self.desc = desc
        self.honest = honest  # about the total, and with whole answers
        self.unsaid = unsaid  # the most tasks of a page, without saying so
        self.drifted = False
        self.lived_throughout = {task.id: task.created_at for task in self.list.tasks}
        self.limit = limit
        walk = self.walk_type(desc=desc, page_size=page_size, limit=limit, exact=True, expected=expected)
        self.reader = Reader(walk, window=window)

    @rule(count=st.integers(1, 6), tick=st.integers(0, 1), age=st.sampled_from([0, 0, 0, 1, 5, 100]))
    def create(self, count: int, tick: int, age: int) -> None:
        """Create tasks, of which some share a moment, or are older than others that were there before."""
        self.list.create(count, tick=tick, age=age)

    @rule(count=st.integers(1, 10), position=st.integers(0, 200))
    def delete(self, count: int, position: int) -> None:
        """Delete some tasks that stand together."""
        self.list.delete(count, position)
        self.lived_throughout = {
            task.id: task.created_at for task in self.list.tasks if task.id in self.lived_throughout
        }

    @rule(count=st.integers(1, 6), position=st.integers(0, 30))
    def replace(self, count: int, position: int) -> None:
        """Delete and create as many, so that the total stays the same."""
        before = len(self.list.tasks)
        self.delete(count, position)
        self.list.create(before - len(self.list.tasks))

    @precondition(lambda self: not self.drifted and self.reader.unanswered)
    @rule(
        which=st.integers(0, 7),
        ties=st.integers(0, 9),
        lie=st.sampled_from([0, 0, 0, -1, 1, -10, 10, -40, None]),
        rows=st.sampled_from([1000, 1000, 1000, 0, 0, 1, 2, 5, 9, 20]),
        double=BOTH,
    )
    def answer(self, which: int, ties: int, lie: int | None, rows: int, *, double: bool) -> None:
        """Answer any of the requests in flight: whole or cut, with a total of another moment, with a task twice."""
        unanswered = self.reader.unanswered
        request = unanswered[which % len(unanswered)]
        page = self._answer(request, ties)
        if not self.honest:
            page = self._contradict(page, lie, rows, double=double)
        self._guard(lambda: self.reader.answer(request, page))

    def _answer(self, request: PageRequest, ties: int) -> Page:
        return self.list.answer(request, ties=ties, unsaid=self.unsaid)

    def _contradict(self, page: Page, lie: int | None, rows: int, *, double: bool) -> Page:
        short = cut(page, rows)
        # With `None` the total says that the list ends here.
        total = page.offset + len(short.entries) if lie is None else max(0, page.total + lie)
        if page.request.offset == 0 and len(short.entries) == total < page.total:
            total += 1  # a walk assumes that a part of the list does not say that it is all of it
        entries = (*short.entries[:1], *short.entries) if double else short.entries
        return attrs.evolve(short, total=total, entries=entries)

    def teardown(self) -> None:
        """Let the walk come to its end, and look at what it has delivered."""
        if not hasattr(self, "reader"):
            return
        if not self.drifted:
            self._guard(lambda: self.reader.finish(lambda request: self._answer(request, 1)))
        delivered = [task.id for task in self.reader.delivered]
        moments = [task.created_at for task in self.reader.delivered]
        assert sorted(set(delivered)) == sorted(delivered)
        assert sorted(moments, reverse=self.desc) == moments
        missed = [moment for id_, moment in self.lived_throughout.items() if id_ not in delivered]
        if self.drifted or len(delivered) == self.limit:
            # Nothing is promised of what comes after the last task.
            missed = [moment for moment in missed if moments and self._comes_before(moment, moments[-1])]
        assert [] == missed

    def _comes_before(self, moment: datetime, place: datetime) -> bool:
        return moment > place if self.desc else moment < place

    def _guard(self, step: Any) -> None:
        try:
            step()
        except DriftError:
            self.drifted = True


def search(walk_type: type[Walk], **options: Any) -> None:
    """Search for steps that make such a walk lose or repeat a task."""
    machine = type("Searched", (ExactWalk,), {"walk_type": walk_type})
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    run_state_machine_as_test(machine, settings=settings(suppress_health_check=checks, **options))


def test_an_exact_walk_is_exact() -> None:
    """Whatever happens to the list and to the answers, it delivers every task that lives throughout, once, in order."""
    search(Walk, max_examples=3 * settings().max_examples)
