"""Following a list in which tasks become visible late."""

import json
import random
from datetime import datetime

import pytest
from helpers.task_list import START, TaskList
from hypothesis import given
from hypothesis import strategies as st

from apify_tasks_async import DriftError, Task
from apify_tasks_async._lookback import Lookback
from apify_tasks_async._page import PageRequest
from apify_tasks_async._walk import Walk


class Follower:
    """Follows a list, look by look, and checks that nothing is delivered twice."""

    def __init__(self, size: int, *, desc: bool = False) -> None:
        self.list = TaskList()
        self.late: list[Task] = []
        self.delivered: list[str] = []
        self.size = size
        self.desc = desc
        self.lookback = Lookback(size, desc=desc, from_start=not desc)

    def create(self, count: int = 1, *, tick: int = 1, late: bool = False) -> None:
        """Create tasks; late ones are not yet visible."""
        self.list.create(count, tick=tick)
        if late:
            self.late += self.list.tasks[-count:]
            del self.list.tasks[-count:]

    def reveal(self, place: int = 0) -> None:
        """Let a late task become visible."""
        if self.late:
            self.list.tasks.append(self.late.pop(place % len(self.late)))

    def look(self, *, chance: random.Random | None = None, stop: bool = False) -> set[str] | None:
        """Look once. Return the ids that were visible throughout; `None` if the look was stopped."""
        walk = Walk(desc=self.desc, page_size=8, exact=True, after=self.lookback.start)
        throughout: set[str] | None = None
        while requests := walk.requests(2):
            if chance and chance.random() < 0.2:
                self.change(chance)
            page = self.list.answer(requests[0], ties=chance.randint(0, 5) if chance else 0)
            visible = {task.id for task in self.list.tasks}
            throughout = visible if throughout is None else throughout & visible
            news = walk.receive(page)
            for number, index in enumerate(news.indices):
                task = page.entries[index]
                assert isinstance(task, Task)
                bookmark = news.bookmark_after(number + 1)
                self._deliver(task, bookmark.offset + 1 if bookmark else 0)
                if stop and chance and chance.random() < 0.3:
                    self.restart()
                    return None
        return throughout or set()

    def _deliver(self, task: Task, offset: int) -> None:
        if not self.lookback.is_new(task.created_at, task.id):
            return
        assert task.id not in self.delivered
        self.delivered.append(task.id)
        self.lookback.deliver(task.created_at, task.id, offset)
        recent = self.lookback.recent
        # Only what is at the place of the look, or after it, may be too much.
        assert (
            len(recent) <= self.size
            or self.desc is (recent[0][0] <= task.created_at)
            or recent[0][0] == task.created_at
        )

    def restart(self) -> None:
        """Carry on from what was stored."""
        look = self.lookback
        floor = look.floor and look.floor.isoformat()
        text = json.dumps([floor, [(key.isoformat(), id_) for key, id_ in look.recent], look.offset])
        stored_floor, recent, offset = json.loads(text)
        self.lookback = Lookback(
            self.size,
            desc=self.desc,
            from_start=not self.desc,
            floor=stored_floor and datetime.fromisoformat(stored_floor),
            recent=[(datetime.fromisoformat(key), id_) for key, id_ in recent],
            offset=offset,
        )

    def change(self, chance: random.Random) -> None:
        """Change the list in some way."""
        what = chance.random()
        if what < 0.5:
            self.create(tick=chance.choice([0, 1, 1, 2]), late=chance.random() < 0.3)
        elif what < 0.75:
            self.reveal(chance.randint(0, 9))
        else:
            self.list.delete(1, -chance.randint(1, 4))


@given(chance=st.randoms(), size=st.sampled_from([0, 1, 2, 4, 8, 12]), desc=st.booleans())
def test_nothing_is_missed_or_delivered_twice(chance: random.Random, size: int, desc: bool) -> None:
    """Whatever becomes visible after the floor is delivered by the next look, across restarts."""
    follower = Follower(size, desc=desc)
    for _ in range(chance.randint(1, 8)):
        for _ in range(chance.randint(0, 6)):
            follower.change(chance)
        floor = follower.lookback.floor
        moments = {task.id: task.created_at for task in follower.list.tasks}
        try:
            throughout = follower.look(chance=chance, stop=chance.random() < 0.2)
        except DriftError:
            continue
        for id_ in (throughout or set()) - set(follower.delivered):
            moment = moments.get(id_)
            assert moment is None or (floor is not None and (moment >= floor if desc else moment <= floor))


def test_a_late_task_is_delivered_once() -> None:
    """It appears before younger ones that were delivered."""
    follower = Follower(10)
    follower.create(20)
    follower.create(late=True)
    follower.create(3)
    follower.look()
    assert "task-21" not in follower.delivered
    follower.reveal()
    follower.look()
    follower.look()
    assert 24 == len(follower.delivered)
    assert "task-21" == follower.delivered[-1]


def test_a_task_that_is_too_late_is_left_out() -> None:
    """It appears before the tasks that are remembered: it might have been delivered."""
    follower = Follower(2)
    follower.create(late=True)
    follower.create(5)
    follower.look()
    follower.reveal()
    follower.look()
    assert "task-1" not in follower.delivered
    assert 2 == len(follower.lookback.recent)


def test_deletions_bring_nothing_back() -> None:
    """What moves to the place of deleted tasks was delivered before."""
    follower = Follower(3)
    follower.create(20)
    follower.look()
    follower.list.delete(5, -5)
    follower.look()
    follower.create()
    follower.look()
    assert 21 == len(follower.delivered)


def test_a_stop_within_a_page_passes_nothing() -> None:
    """The floor stays before what the page has not delivered yet."""
    lookback = Lookback(0)
    for second, id_ in ((1, "a"), (2, "b"), (2, "c")):
        assert lookback.is_new(START.replace(second=second), id_)
        lookback.deliver(START.replace(second=second), id_, 0)
    assert lookback.floor is not None
    assert START.replace(second=1) < lookback.floor < START.replace(second=2)
    assert not lookback.is_new(START.replace(second=1, microsecond=5), "late")
    assert ["b", "c"] == [id_ for _, id_ in lookback.recent]
    assert not lookback.is_new(START.replace(second=2), "b")
    assert lookback.is_new(START.replace(second=2), "d")


@pytest.mark.parametrize("desc", [False, True])
def test_a_follower_that_begins_elsewhere_asks_for_nothing_before(desc: bool) -> None:
    """The floor is right before the first task that was delivered."""
    assert Lookback(10, desc=desc, from_start=False).start is None
    lookback = Lookback(10, desc=desc, from_start=False)
    lookback.deliver(START.replace(second=5), "a", 7)
    before, after = (START.replace(second=number) for number in ((6, 4) if desc else (4, 6)))
    assert not lookback.is_new(before, "b")
    assert lookback.is_new(after, "c")
    assert lookback.start is not None
    assert (desc, 6) == (lookback.start.desc, lookback.start.offset)


def test_a_quiet_look_costs_one_request() -> None:
    """It is read from the other end."""
    follower = Follower(100)
    follower.create(2500)
    follower.look()
    walk = Walk(exact=True, after=follower.lookback.start)
    [request] = walk.requests(8)
    assert PageRequest(0, 200, desc=True) == request
    walk.receive(follower.list.answer(request))
    assert walk.finished
