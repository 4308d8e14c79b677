"""The plan of a walk: which page next, and which of its tasks are new."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from helpers.drift import Reader, TaskList, read_all
from hypothesis import given
from hypothesis import strategies as st

from apify_tasks_async import Bookmark, DriftError, InvalidResponseError, InvalidTaskError, Task
from apify_tasks_async._protocol import PageRequest, Slice
from apify_tasks_async._walk import Walk, bookmark_behind

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)


def tasks(count: int, *, tick: int = 1) -> TaskList:
    """Return a list of so many tasks."""
    list_ = TaskList()
    list_.create(count, tick=tick)
    return list_


def offsets(reader: Reader) -> list[int]:
    """Return where the pages were asked for."""
    return [request.offset for request in reader.requests]


def times(count: int, change: Callable[[], object]) -> Callable[[], None]:
    """Return what makes the change so many times, and then does nothing."""
    left = iter(range(count))

    def act() -> None:
        if next(left, None) is not None:
            change()

    return act


def read_while(list_: TaskList, walk: Walk, change: Callable[[], object], *, window: int = 1) -> Reader:
    """Walk a list that changes before each answer but the first."""
    reader = Reader(walk, window=window)
    first = True

    def answer(request: PageRequest) -> Slice:
        nonlocal first
        if not first:
            change()
        first = False
        return list_.answer(request)

    reader.finish(answer)
    return reader


@given(
    count=st.integers(0, 120),
    offset=st.integers(0, 130),
    limit=st.none() | st.integers(1, 130),
    page_size=st.integers(4, 40),
    exact=st.booleans(),
    desc=st.booleans(),
    window=st.integers(1, 8),
    tick=st.sampled_from([1, 1000]),
)
def test_a_quiet_list_is_walked_like_a_slice(
    count: int, offset: int, limit: int | None, page_size: int, exact: bool, desc: bool, window: int, tick: int
) -> None:
    """Offset, limit and direction mean what they mean for a slice, in both kinds of walk."""
    list_ = tasks(count, tick=tick)
    expected = list(reversed(list_.tasks)) if desc else list_.tasks
    expected = expected[offset:] if limit is None else expected[offset : offset + limit]
    walk = Walk(desc=desc, offset=offset, limit=limit, page_size=page_size, exact=exact)
    assert expected == read_all(walk, list_, window=window).delivered


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 2500, 100_000])
def test_a_quiet_walk_costs_no_request_more_than_it_must(count: int) -> None:
    """N tasks cost max(1, ceil(N / 1000)) requests, none of them for an empty page behind the last."""
    reader = read_all(Walk(), tasks(count), window=8)
    assert list(range(0, max(1, count), 1000)) == offsets(reader)
    assert {1000} == {request.limit for request in reader.requests}


def test_an_exact_walk_of_a_quiet_list_costs_one_percent_more() -> None:
    """100,000 tasks cost 101 requests in place of 100."""
    reader = read_all(Walk(exact=True), tasks(100_000), window=8)
    assert 100_000 == len(reader.delivered)
    assert 101 == len(reader.requests)


def test_the_first_page_goes_alone() -> None:
    """How many pages there are is known from the first one only; then as many go out as the window holds."""
    walk = Walk()
    request = walk.next_request()
    assert PageRequest(0, 1000, desc=False) == request
    assert walk.next_request() is None
    walk.receive(tasks(3500).answer(request))
    assert [1000, 2000, 3000, None] == [getattr(walk.next_request(), "offset", None) for _ in range(4)]


def test_no_more_is_asked_for_than_is_wanted() -> None:
    """The last page of a limited walk asks for the rest only."""
    reader = read_all(Walk(limit=250, page_size=100), tasks(2500), window=8)
    assert [(0, 100), (100, 100), (200, 50)] == [(request.offset, request.limit) for request in reader.requests]


@pytest.mark.parametrize("exact", [False, True])
def test_the_stride_is_that_of_the_server(exact: bool) -> None:
    """A server that puts fewer records into a page than asked for makes the walk skip none."""
    list_ = tasks(2500)
    reader = read_all(Walk(exact=exact), list_, window=8, limit=250)
    assert list_.tasks == reader.delivered
    assert (11 if exact else 10) == len(reader.requests)


def test_a_server_that_clamps_later_on_makes_no_gap() -> None:
    """When pages become shorter while the next ones are in flight, those are given up and asked for again."""
    list_ = tasks(5000)
    reader = Reader(Walk(), window=4)
    reader.finish(lambda request: list_.answer(request, limit=1000 if request.offset < 2000 else 400))
    assert list_.tasks == reader.delivered


@given(
    count=st.integers(0, 100),
    lie=st.integers(-120, 120),
    page_size=st.integers(4, 20),
    exact=st.booleans(),
    desc=st.booleans(),
    window=st.integers(1, 8),
)
def test_a_wrong_total_costs_requests_but_no_task(
    count: int, lie: int, page_size: int, exact: bool, desc: bool, window: int
) -> None:
    """A total that is 0, too small or too large changes the number of requests at most.

    A plain walk has to believe the one that fits the end of a full page exactly.
    """
    list_ = tasks(count)
    reported = max(0, count + lie)
    reader = read_all(Walk(desc=desc, page_size=page_size, exact=exact), list_, window=window, lie=lie)
    believed = not exact and 0 < reported < count and reported % page_size == 0
    assert (reported if believed else count) == len(reader.delivered)


@given(page_size=st.integers(1, 20), exact=st.booleans(), desc=st.booleans(), window=st.integers(1, 8))
def test_a_walk_ends_while_one_task_is_created_per_request(
    page_size: int, exact: bool, desc: bool, window: int
) -> None:
    """Ascending, what is created meanwhile is delivered too; descending, it is not chased."""
    list_ = tasks(100)
    before = list(list_.tasks)
    page_size = max(page_size, 4)
    reader = read_while(list_, Walk(desc=desc, page_size=page_size, exact=exact), list_.create, window=window)
    if desc:
        assert before[::-1] == reader.delivered
    else:
        assert list_.tasks[: len(reader.delivered)] == reader.delivered
        assert len(reader.delivered) > len(before)


def test_a_deletion_before_the_frontier_is_noticed_by_the_total() -> None:
    """A plain walk goes back for what moved to the left, and on with brackets."""
    list_ = tasks(3000)
    first = list_.tasks[0]
    expected = list(list_.tasks)
    reader = read_while(list_, Walk(), times(1, lambda: list_.delete(1, 0)))
    assert expected == reader.delivered
    assert first not in list_.tasks
    assert [0, 1000, 997, 1989, 2981] == offsets(reader)


def test_an_exact_walk_absorbs_small_shifts_without_a_request() -> None:
    """As long as fewer tasks vanish between two pages than the pages overlap, none is read again."""
    list_ = tasks(4000)
    expected = list(list_.tasks)
    reader = read_while(list_, Walk(exact=True), times(3, lambda: list_.delete(6, 0)))
    assert expected == reader.delivered
    assert not any(step.restarted for step in reader.steps)


def test_a_repeat_shows_a_change_that_totals_hide() -> None:
    """A creation and a deletion behind the frontier cancel out in the total, but not in the items."""
    list_ = tasks(30)
    expected = list(reversed(list_.tasks))

    def change() -> None:
        list_.create(1)
        list_.delete(1, 0)

    reader = read_while(list_, Walk(desc=True, page_size=10), times(1, change))
    assert [task for task in expected if task in list_.tasks] == reader.delivered
    assert any(step.restarted for step in reader.steps)


@pytest.mark.parametrize("page_size", [4, 5, 10, 1000])
@pytest.mark.parametrize("desc", [False, True])
def test_ties_that_fill_small_pages_are_passed(page_size: int, desc: bool) -> None:
    """Re-reads grow beyond `page_size`, up to what the server gives."""
    list_ = tasks(3)
    list_.create(500, tick=0)
    list_.create(20)
    reader = read_all(Walk(desc=desc, page_size=page_size, exact=True), list_)
    assert {task.id for task in list_.tasks} == {task.id for task in reader.delivered}
    assert len(list_.tasks) == len(reader.delivered)


def test_ties_larger_than_any_page_end_an_exact_walk() -> None:
    """What cannot be told from a gap is a `DriftError` that says where, and where to carry on."""
    list_ = tasks(10)
    list_.create(1500, tick=0)
    with pytest.raises(DriftError) as caught:
        read_all(Walk(exact=True), list_)
    error = caught.value
    moment = list_.tasks[-1].created_at
    assert (1000, False) == (error.limit, error.desc)
    assert error.bookmark is not None
    assert moment == error.bookmark.created_at
    assert str(moment) in str(error)


def test_ties_larger_than_any_page_do_not_trouble_a_plain_walk() -> None:
    """Pages that adjoin need no bracket."""
    list_ = tasks(3500, tick=0)
    reader = read_all(Walk(), list_, window=4)
    assert sorted(task.id for task in list_.tasks) == sorted(task.id for task in reader.delivered)
    assert 4 == len(reader.requests)


@pytest.mark.parametrize("ties", [*range(990, 998)])
def test_ties_that_just_fit_into_a_page_are_passed(ties: int) -> None:
    """All but one of the places in a page may be taken by tasks of one moment, and that after a re-read too."""
    list_ = tasks(100)
    list_.create(1)
    list_.create(ties - 1, tick=0)
    list_.create(2000)
    assert sorted(task.id for task in list_.tasks) == sorted(
        task.id for task in read_all(Walk(exact=True), list_).delivered
    )


def test_ties_that_just_fit_into_what_the_server_gives_are_passed() -> None:
    """A server that clamps to few records makes the same walk, page by page."""
    list_ = tasks(3)
    list_.create(1)
    list_.create(7, tick=0)
    list_.create(20)
    assert 31 == len(read_all(Walk(exact=True), list_, limit=10).delivered)


@pytest.mark.parametrize(("page_size", "created"), [(4, 80), (20, 1000), (100, 4000), (1000, 40_000)])
@pytest.mark.parametrize("exact", [False, True])
def test_many_new_tasks_in_front_do_not_end_a_descending_walk(page_size: int, created: int, exact: bool) -> None:
    """The walk crosses them, whether it was interrupted or not."""
    list_ = tasks(2000)
    expected = list_.tasks[::-1]
    bookmark = read_all(Walk(desc=True, limit=10, exact=exact), list_).walk.bookmark
    list_.create(created)
    reader = read_all(Walk(desc=True, after=bookmark, page_size=page_size), list_, window=8)
    assert expected[10:] == reader.delivered
    burst = read_while(list_, Walk(desc=True, exact=exact, page_size=page_size), times(1, lambda: list_.create(300)))
    assert set(expected) <= set(burst.delivered)


def test_a_limit_does_not_stall_a_descending_walk() -> None:
    """The last task is found although one is created before each request."""
    list_ = tasks(5000)
    expected = list_.tasks[::-1][:1001]
    reader = read_while(list_, Walk(desc=True, limit=1001, exact=True), list_.create)
    assert expected == reader.delivered


def test_a_walk_that_has_its_limit_waits_for_nothing_more() -> None:
    """What is still in flight may fail; nobody asks any more."""
    list_ = tasks(500)
    walk = Walk(exact=True, page_size=100, limit=286)
    requests = [walk.next_request()]
    walk.receive(list_.answer(PageRequest(0, 100, desc=False)))
    list_.delete(6, 0)
    while request := walk.next_request():
        requests.append(request)
    for request in requests[1:-1]:
        assert request is not None
        walk.receive(list_.answer(request))
    assert walk.finished


@pytest.mark.parametrize("limit", [1, 20, 900])
@pytest.mark.parametrize("tick", [0, 1])
def test_the_next_few_behind_a_bookmark_cost_one_request(limit: int, tick: int) -> None:
    """What the page repeats is asked for in addition."""
    list_ = tasks(100)
    list_.create(7, tick=tick)
    list_.create(2000)
    bookmark = read_all(Walk(limit=107), list_).walk.bookmark
    reader = read_all(Walk(after=bookmark, limit=limit), list_)
    assert list_.tasks[107 : 107 + limit] == reader.delivered
    assert 1 == len(reader.requests)


@pytest.mark.parametrize(
    ("kept", "first"), [(slice(0), [2491, 0]), (slice(2499, 2500), [2491, 0]), (slice(1500), [2491, 1498])]
)
def test_looking_again_after_deletions_costs_one_request(kept: slice, first: list[int]) -> None:
    """A look that had to search for its place remembers where it is."""
    list_ = tasks(2500)
    bookmark = read_all(Walk(exact=True), list_).walk.bookmark
    list_.tasks[:] = list_.tasks[kept]
    looks = []
    for _ in range(3):
        reader = read_all(Walk(after=bookmark), list_)
        bookmark = reader.walk.bookmark
        looks.append(offsets(reader))
    assert first == looks[0]
    assert [1, 1] == [len(look) for look in looks[1:]]


def test_a_list_that_runs_away_ends_the_walk() -> None:
    """When more is created before the frontier than a page holds, again and again, the walk gives up."""
    list_ = tasks(100)
    with pytest.raises(DriftError):
        read_while(list_, Walk(desc=True, page_size=10, exact=True), lambda: list_.create(1200))


def test_what_the_walk_remembers_does_not_grow_with_the_list() -> None:
    """The frontier holds the ids of one moment, and nothing else is kept."""
    list_ = TaskList()
    for _ in range(1000):
        list_.create(1)
        list_.create(4, tick=0)
    reader = Reader(Walk(exact=True, page_size=100), window=4)
    while reader.unanswered:
        for request, slot in reader.unanswered:
            slot.append(list_.answer(request))
        reader.receive()
        assert reader.walk.bookmark is not None
        assert len(reader.walk.bookmark.ids) <= 5
    assert 5000 == len(reader.delivered)


@given(
    count=st.integers(1, 60),
    cut=st.integers(0, 59),
    deleted=st.sets(st.integers(0, 59)),
    created=st.integers(0, 20),
    page_size=st.integers(4, 20),
    desc=st.booleans(),
    tick=st.integers(0, 1),
)
def test_a_bookmark_carries_on_exactly_behind_it(
    count: int, cut: int, deleted: set[int], created: int, page_size: int, desc: bool, tick: int
) -> None:
    """Whatever is deleted and created in between, nothing that lives throughout is lost or repeated."""
    list_ = tasks(count, tick=tick)
    order = {task.id: place for place, task in enumerate(list_.tasks)}
    first = Reader(Walk(desc=desc, page_size=page_size, limit=min(cut, count - 1) + 1))
    first.finish(lambda request: list_.answer(request, ties=5))
    bookmark = first.walk.bookmark
    assert bookmark is not None
    list_.tasks = [task for task in list_.tasks if order[task.id] not in deleted]
    survivors = {task.id for task in list_.tasks}
    list_.create(created)
    second = read_all(Walk(desc=desc, page_size=page_size, after=Bookmark.from_json(bookmark.to_json())), list_)
    delivered = [task.id for task in first.delivered + second.delivered]
    assert len(set(delivered)) == len(delivered)
    assert set() == survivors - set(delivered)


def test_a_bookmark_costs_one_request_where_nothing_is_new() -> None:
    """Following a list asks for one page at a time."""
    list_ = tasks(2500)
    bookmark = read_all(Walk(exact=True), list_).walk.bookmark
    assert bookmark is not None
    reader = read_all(Walk(after=bookmark), list_)
    assert [2491] == offsets(reader)
    assert [] == reader.delivered
    assert bookmark == reader.walk.bookmark


@pytest.mark.parametrize("left", [1, 3, 1500])
@pytest.mark.parametrize("offset", [10**4, 10**9, 2**63 - 1])
def test_a_walk_resumes_on_a_list_that_shrank(offset: int, left: int) -> None:
    """However far behind the end of the list a bookmark lies by now, its place is found within a few requests."""
    list_ = tasks(left)
    bookmark = Bookmark(list_.tasks[0].created_at, frozenset([list_.tasks[0].id]), offset, desc=False)
    reader = read_all(Walk(after=bookmark), list_)
    assert list_.tasks[1:] == reader.delivered
    assert 6 >= len(reader.requests)


def test_a_walk_resumes_on_a_list_that_was_emptied() -> None:
    """A bookmark behind which, and before which, there is nothing any more leads to the end."""
    list_ = tasks(2500)
    bookmark = read_all(Walk(), list_).walk.bookmark
    list_.tasks.clear()
    assert [] == read_all(Walk(after=bookmark), list_).delivered


def test_an_unsorted_page_is_refused() -> None:
    """Without the order there is no telling what is new."""
    list_ = tasks(3)
    walk = Walk(desc=True)
    request = walk.next_request()
    assert request is not None
    with pytest.raises(InvalidResponseError, match="descending") as caught:
        walk.receive(Slice(3, 0, 1000, desc=True, items=tuple(list_.tasks)))
    assert (0, 1000, True) == (caught.value.offset, caught.value.limit, caught.value.desc)


def invalid(place: int, *, created_at: datetime | None = None, task_id: str | None = None) -> InvalidTaskError:
    """Return what stands for an item that is no task."""
    return InvalidTaskError("no task", task_id=task_id, created_at=created_at, raw={"place": place})


def page_of(items: list[Any], request: PageRequest) -> Slice:
    """Answer from a list that holds items which are no tasks."""
    page = tuple(items[request.offset : request.offset + request.limit])
    errors = tuple(item for item in page if isinstance(item, InvalidTaskError))
    return Slice(len(items), request.offset, request.limit, request.desc, page, errors)


def test_items_without_a_readable_time_keep_their_place() -> None:
    """They take the time of their neighbour, and come once although the pages overlap."""
    list_ = tasks(10)
    items: list[Any] = list(list_.tasks)
    for place in (0, 3, 4, 9):
        items[place] = invalid(place)
    walk = Walk(exact=True, page_size=4)
    delivered: list[Any] = []
    while request := walk.next_request():
        delivered += walk.receive(page_of(items, request)).items
    assert items == delivered


def test_a_page_without_any_readable_time_does_not_stop_a_plain_walk() -> None:
    """It passes as it is."""
    items = [invalid(place) for place in range(6)]
    walk = Walk(page_size=4)
    delivered: list[Any] = []
    while request := walk.next_request():
        delivered += walk.receive(page_of(items, request)).items
    assert items == delivered
    assert walk.bookmark is None


def test_a_page_without_any_readable_time_cannot_be_exact() -> None:
    """It might hide a gap."""
    walk = Walk(page_size=4, exact=True)
    with pytest.raises(InvalidResponseError, match="readable createdAt"):
        while request := walk.next_request():
            walk.receive(page_of([invalid(place) for place in range(40)], request))


@pytest.mark.parametrize("desc", [False, True])
def test_the_bookmark_of_a_single_page_is_behind_its_last_item(desc: bool) -> None:
    """A walk carries on from there."""
    list_ = tasks(30)
    request = PageRequest(10, 5, desc)
    response = list_.answer(request)
    bookmark = bookmark_behind(request, response)
    last = response.items[-1]
    assert isinstance(last, Task)
    assert Bookmark(last.created_at, frozenset({last.id}), 13, desc) == bookmark
    rest = list_.answer(PageRequest(15, 1000, desc)).items
    assert list(rest) == read_all(Walk(desc=desc, after=bookmark), list_).delivered


@pytest.mark.parametrize("reverse", [False, True])
def test_there_is_no_bookmark_without_items_or_order(reverse: bool) -> None:
    """It would say nothing."""
    items = tuple(reversed(tasks(2).tasks)) if reverse else ()
    assert bookmark_behind(PageRequest(0, 10, desc=False), Slice(2, 0, 10, desc=False, items=items)) is None


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"after": "x"}, TypeError, "after must be a Bookmark, got 'x'"),
        ({"offset": 5}, ValueError, "offset must be 0 with after, which says itself where to carry on, got 5"),
        ({"desc": True}, ValueError, "desc must be False, the direction of after, got True"),
        ({"exact": True, "page_size": 3}, ValueError, "page_size must be from 4 to 1000, got 3"),
    ],
)
def test_what_cannot_be_walked_is_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    """The message names the argument and the value."""
    after = Bookmark(MOMENT, frozenset({"a"}), 0, desc=False)
    with pytest.raises(error) as caught:
        Walk(**{"after": after} | options)
    assert message == str(caught.value)


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"offset": "5"}, TypeError, "after.offset must be an integer, got '5'"),
        ({"offset": -1}, ValueError, "after.offset must be at least 0, got -1"),
        ({"desc": 0}, TypeError, "after.desc must be True or False, got 0"),
    ],
)
def test_a_bookmark_that_was_made_by_hand_is_checked(
    fields: dict[str, Any], error: type[Exception], message: str
) -> None:
    """What nobody but `from_json` makes has to be as it makes it."""
    made: dict[str, Any] = {"created_at": MOMENT, "ids": frozenset({"a"}), "offset": 0, "desc": False} | fields
    after = Bookmark(**made)
    with pytest.raises(error) as caught:
        Walk(after=after)
    assert message == str(caught.value)


def test_the_place_before_the_frontier_survives_ties_over_several_pages() -> None:
    """A bookmark in the midst of ties points before the first of them."""
    list_ = tasks(5)
    list_.create(20, tick=0)
    list_.tasks[5:] = [
        Task(task.id, "user", "actor", "name", task.created_at + timedelta(seconds=1), MOMENT)
        for task in list_.tasks[5:]
    ]
    reader = Reader(Walk(page_size=10, limit=20))
    reader.finish(
        lambda request: Slice(25, request.offset, 10, desc=False, items=tuple(list_.tasks[request.offset :][:10]))
    )
    assert reader.walk.bookmark is not None
    assert 4 == reader.walk.bookmark.offset
    assert 15 == len(reader.walk.bookmark.ids)
