"""The plan of a walk: which page next, and which of its tasks are new."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import attrs
import pytest
from helpers.task_list import START, Answer, Reader, TaskList, cut, make_page, read_all
from hypothesis import given
from hypothesis import strategies as st

from apify_tasks_async import Bookmark, DriftError, InvalidResponseError, InvalidTaskError, Task
from apify_tasks_async._bookmarks import page_bookmark
from apify_tasks_async._page import Page, PageRequest
from apify_tasks_async._walk import ATTEMPTS, Walk

BOTH = pytest.mark.parametrize("exact", [False, True])


def tasks(count: int, *, tick: int = 1) -> TaskList:
    """Return a list of that many tasks."""
    list_ = TaskList()
    list_.create(count, tick=tick)
    return list_


def times(count: int, change: Callable[[], object]) -> Callable[[], None]:
    """Return a function that makes the change that many times, and then does nothing."""
    left = iter(range(count))

    def act() -> None:
        if next(left, None) is not None:
            change()

    return act


def read_while(list_: TaskList, walk: Walk, change: Callable[[], object], *, window: int = 1) -> Reader:
    """Walk a list that changes before each answer but the first."""
    reader = Reader(walk, window=window)
    first = True

    def answer(request: PageRequest) -> Page:
        nonlocal first
        if not first:
            change()
        first = False
        return list_.answer(request)

    reader.finish(answer)
    return reader


def read_with(list_: TaskList, walk: Walk, fault: Callable[[Page], Page], *, window: int = 8) -> Reader:
    """Walk a list through a gateway that changes the answers."""
    reader = Reader(walk, window=window)
    reader.finish(lambda request: fault(list_.answer(request)))
    return reader


def once(matches: Callable[[Page], bool], change: Callable[[Page], Page], *, count: int = 1) -> Callable[[Page], Page]:
    """Return what changes the first answers that match."""
    left = iter(range(count))

    def fault(page: Page) -> Page:
        return change(page) if matches(page) and next(left, None) is not None else page

    return fault


def at(*offsets: int) -> Callable[[Page], bool]:
    """Return what matches the answers at these places, in the walk's direction."""
    return lambda page: page.request.offset in offsets and not page.request.desc


@given(
    count=st.integers(0, 120),
    offset=st.integers(0, 130),
    limit=st.none() | st.integers(1, 130),
    page_size=st.integers(4, 40),
    exact=st.booleans(),
    desc=st.booleans(),
    window=st.integers(1, 8),
    tick=st.sampled_from([1, 1000]),
    expectation=st.none() | st.integers(0, 150),
)
def test_a_quiet_list_is_walked_like_a_slice(
    count: int,
    offset: int,
    limit: int | None,
    page_size: int,
    exact: bool,
    desc: bool,
    window: int,
    tick: int,
    expectation: int | None,
) -> None:
    """Offset, limit and direction mean what they mean for a slice, in both kinds, whatever the walk expects."""
    list_ = tasks(count, tick=tick)
    expected = list(reversed(list_.tasks)) if desc else list_.tasks
    expected = expected[offset:] if limit is None else expected[offset : offset + limit]
    walk = Walk(desc=desc, offset=offset, limit=limit, page_size=page_size, exact=exact, expected=expectation)
    assert expected == read_all(walk, list_, window=window).delivered


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 2500, 20_000])
def test_a_quiet_walk_costs_no_request_more_than_it_must(count: int) -> None:
    """N tasks cost max(1, ceil(N / 1000)) requests, and no empty page at the end."""
    reader = read_all(Walk(), tasks(count), window=8)
    assert list(range(0, max(1, count), 1000)) == reader.offsets
    assert {1000} == {request.limit for request in reader.requests}


@pytest.mark.parametrize("window", [1, 8])
@pytest.mark.parametrize("desc", [False, True])
@pytest.mark.parametrize("count", [1000, 1001, 1991, 1992, 1993, 2983, 2984, 2985, 20_000])
def test_an_exact_walk_of_a_quiet_list_costs_one_percent_more(count: int, desc: bool, window: int) -> None:
    """Pages overlap by 8, and the last page is read from the other end."""
    reader = read_all(Walk(exact=True, desc=desc), tasks(count), window=window)
    assert count == len(reader.delivered)
    assert (count - 1000) // 992 + 2 == len(reader.requests)
    assert "end" == reader.offsets[-1]


@pytest.mark.parametrize("count", [0, 1, 2, 999])
@pytest.mark.parametrize("tick", [0, 1])
def test_an_exact_walk_of_one_page_costs_two_requests(count: int, tick: int) -> None:
    """The page itself cannot show that it is whole."""
    list_ = tasks(count, tick=tick)
    reader = read_all(Walk(exact=True), list_)
    assert list_.tasks == reader.delivered
    assert [0, "end"] == reader.offsets


@BOTH
@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 1991, 1992, 1993, 2500, 2984, 20_000])
@pytest.mark.parametrize("limit", [None, 1001])
def test_a_list_as_expected_costs_no_request_more(count: int, exact: bool, limit: int | None) -> None:
    """A walk that expects the length of the list asks for the same pages, and for as many as may be at once."""
    list_ = tasks(count)
    new = Reader(Walk(exact=exact, limit=limit), window=8)
    again = Reader(Walk(exact=exact, limit=limit, expected=count), window=8)
    for reader in (new, again):
        reader.finish(list_.answer)
    assert new.delivered == again.delivered
    assert sorted(new.offsets, key=str) == sorted(again.offsets, key=str)


@pytest.mark.parametrize(
    ("options", "at_once"),
    [
        ({"expected": None}, 1),
        ({"expected": 0}, 1),
        ({"expected": 1000}, 1),
        ({"expected": 1001}, 2),
        ({"expected": 20_000}, 8),
        ({"expected": 20_000, "limit": 1001}, 2),
        ({"expected": 20_000, "offset": 19_500}, 1),
        ({"expected": 1000, "exact": True}, 1),
        ({"expected": 2500, "exact": True}, 2),  # whether the other end shows the rest depends on the second
        ({"expected": 20_000, "exact": True}, 8),
        ({"expected": 20_000, "after": page_bookmark(make_page(PageRequest(0, 1, desc=False), tasks(1).tasks, 1))}, 1),
    ],
)
def test_an_expected_list_is_asked_for_at_once(options: dict[str, Any], at_once: int) -> None:
    """The pages that are sure to be needed go out together, except after a bookmark: often there is little new."""
    assert at_once == len(Walk(**options).requests(8))


def test_the_first_page_goes_alone() -> None:
    """Its total says how many pages there are; then as many go out as the window holds."""
    walk = Walk()
    [request] = walk.requests(8)
    assert PageRequest(0, 1000, desc=False) == request
    walk.receive(tasks(3500).answer(request))
    assert [1000, 2000] == [request.offset for request in walk.requests(2)]
    assert [1000, 2000, 3000] == [request.offset for request in walk.requests(8)]


def test_a_request_stays_the_same_object_until_it_is_answered() -> None:
    """A client knows by that which requests it has started."""
    list_ = tasks(5000)
    walk = Walk()
    [request] = walk.requests(3)
    walk.receive(list_.answer(request))
    first, second, third = walk.requests(3)
    assert (first, second, third) == tuple(walk.requests(3))
    walk.receive(list_.answer(first))
    again, more, _ = walk.requests(3)
    assert second is again
    assert third is more


def test_no_more_is_asked_for_than_is_wanted() -> None:
    """The last page of a limited walk asks for the rest only."""
    reader = read_all(Walk(limit=250, page_size=100), tasks(2500), window=8)
    assert [(0, 100), (100, 100), (200, 50)] == [(request.offset, request.limit) for request in reader.requests]


@BOTH
def test_a_limited_walk_does_not_ask_for_the_end(exact: bool) -> None:
    """What comes after the last task wanted is of no interest."""
    reader = read_all(Walk(exact=exact, limit=1001), tasks(1500), window=8)
    assert 1001 == len(reader.delivered)
    assert "end" not in reader.offsets


# Page sizes


@BOTH
def test_the_stride_is_that_of_the_server(exact: bool) -> None:
    """A server that puts fewer tasks into a page than asked for makes the walk skip none."""
    list_ = tasks(2500)
    reader = read_all(Walk(exact=exact), list_, window=8, limit=250)
    assert list_.tasks == reader.delivered
    assert (11 if exact else 10) == len(reader.requests)


@pytest.mark.parametrize(
    ("count", "unsaid", "exact", "requests"),
    [
        (241, 8, False, 31),
        (241, 8, True, 60),
        (241, 3, False, 81),
        (241, 3, True, 240),
        (241, 1, False, 241),
        (40_000, 400, False, 100),
        (40_000, 400, True, 103),
    ],
)
def test_a_page_size_that_is_not_said_is_learned(count: int, unsaid: int, exact: bool, requests: int) -> None:
    """The server says 1000 and gives less in each page."""
    list_ = tasks(count)
    reader = read_all(Walk(exact=exact), list_, window=8, unsaid=unsaid)
    assert list_.tasks == reader.delivered
    assert requests == len(reader.requests)


def test_the_other_end_may_be_cut_too() -> None:
    """It is not believed to be the whole list if a total was larger before."""
    list_ = tasks(8, tick=0)
    walk = Walk(exact=True)
    walk.receive(list_.answer(walk.requests(1)[0]))
    other_end = cut(list_.answer(walk.requests(1)[0]), 3)
    assert other_end.request.desc
    walk.receive(attrs.evolve(other_end, total=3))
    assert not walk.finished


@pytest.mark.parametrize("unsaid", [1, 2])
def test_pages_of_one_or_two_tasks_cannot_be_exact(unsaid: int) -> None:
    """Such a page has no room for a task before the frontier, the frontier, and a new task."""
    with pytest.raises(DriftError, match="no page reaches past the task created at 2024"):
        read_all(Walk(exact=True), tasks(241), window=8, unsaid=unsaid)


@BOTH
@pytest.mark.parametrize(
    ("sizes", "most"),
    [
        ([400] * 10 + [1000] * 99, 24),
        ([1000] * 5 + [400] * 99, 28),
        ([1000] * 7 + [3] + [1000] * 99, 13),
        ([8, 1000] * 99, 70),
    ],
)
def test_page_sizes_may_change_on_the_way(sizes: list[int], most: int, exact: bool) -> None:
    """A page that grows again is used; a single small one changes nothing."""
    list_ = tasks(10_000)
    next_size = iter(sizes)
    reader = Reader(Walk(exact=exact), window=8)
    reader.finish(lambda request: list_.answer(request, unsaid=next(next_size)))
    assert list_.tasks == reader.delivered
    assert most >= len(reader.requests)


@BOTH
def test_a_server_that_clamps_later_on_makes_no_gap(exact: bool) -> None:
    """When pages become shorter while the next ones are in flight, what lies between is asked for first."""
    list_ = tasks(5000)
    reader = Reader(Walk(exact=exact), window=4)
    reader.finish(lambda request: list_.answer(request, limit=1000 if request.offset < 1900 else 400))
    assert list_.tasks == reader.delivered


# Answers that contradict themselves


@BOTH
@pytest.mark.parametrize("place", [0, 1, 2, 3])
@pytest.mark.parametrize("window", [1, 8])
@pytest.mark.parametrize("desc", [False, True])
def test_one_answer_that_is_cut_costs_two_requests_at_most(exact: bool, place: int, window: int, desc: bool) -> None:
    """Wherever that is, and however short it is."""
    list_ = tasks(350)
    for rows in (0, 1, 2, 3, 5, 8, 9, 50):
        sizes = [1000] * place + [rows] + [1000] * 99
        reader = Reader(Walk(exact=exact, desc=desc, page_size=100), window=window)
        reader.finish(lambda request, sizes=sizes: list_.answer(request, unsaid=sizes.pop(0)))  # type: ignore[misc]
        assert list_.tasks[:: -1 if desc else 1] == reader.delivered
        assert 4 + 2 >= len(reader.requests)


@BOTH
@pytest.mark.parametrize("place", [992, 1000])
def test_a_place_that_is_always_empty_is_read_around(exact: bool, place: int) -> None:
    """A window that was filtered to nothing, or a broken index: a page that begins elsewhere spans it."""
    list_ = tasks(3000)
    reader = read_with(list_, Walk(exact=exact), lambda page: cut(page, 0) if at(place)(page) else page)
    assert list_.tasks == reader.delivered
    assert 8 >= len(reader.requests)


@pytest.mark.parametrize("lie", [-1998, -2, 2, 2000, 10**9])
@BOTH
def test_a_wrong_total_costs_a_few_requests(lie: int, exact: bool) -> None:
    """It is too high, too low, or nothing, and stays so."""
    list_ = tasks(1998)
    reader = read_all(Walk(exact=exact), list_, lie=lie)
    assert list_.tasks == reader.delivered
    assert 7 >= len(reader.requests)


@given(
    count=st.integers(0, 100),
    lie=st.integers(-120, 120),
    page_size=st.integers(4, 20),
    exact=st.booleans(),
    desc=st.booleans(),
    window=st.integers(1, 8),
)
def test_a_wrong_total_costs_no_task(
    count: int, lie: int, page_size: int, exact: bool, desc: bool, window: int
) -> None:
    """A default walk has to believe a total that is the end of a page exactly, and warns of rows that do not exist."""
    list_ = tasks(count)
    reported = max(0, count + lie)
    reader = Reader(Walk(desc=desc, page_size=page_size, exact=exact), window=window)
    try:
        reader.finish(lambda request: list_.answer(request, lie=lie))
    except DriftError as error:
        assert exact
        assert "hidden" in str(error)  # noqa: PT017 - any other error is fine
        return
    believed = not exact and reported < count and reported % page_size == 0 and reported > 0
    assert (reported if believed else count) == len(reader.delivered)


@BOTH
def test_a_task_that_is_twice_in_one_answer_is_delivered_once(exact: bool) -> None:
    """Only its first place counts, and the page is not taken for complete."""
    list_ = tasks(30)

    def double(page: Page) -> Page:
        entries = [page.entries[0], *page.entries[:-1]]
        return make_page(page.request, entries, page.total)

    reader = read_with(list_, Walk(exact=exact, page_size=10), once(at(0), double))
    assert list_.tasks == reader.delivered


@BOTH
def test_a_count_of_scanned_rows_does_no_harm(exact: bool) -> None:
    """Every second row is hidden, and the server counts what it looked at."""
    list_ = tasks(10_000)
    reader = Reader(Walk(exact=exact), window=8)

    def answer(request: PageRequest) -> Page:
        page = list_.answer(request, hidden=lambda task: int(task.id[5:]) % 2 == 0)
        return attrs.evolve(page, count=1000)

    reader.finish(answer)
    assert [task for task in list_.tasks if int(task.id[5:]) % 2] == reader.delivered
    assert 23 >= len(reader.requests)


def hide(first: int, last: int) -> Callable[[Task], bool]:
    """Return what hides the tasks of these numbers."""
    return lambda task: first <= int(task.id[5:]) < last


@pytest.mark.parametrize(
    ("first", "last", "warns", "problem"),
    [
        (3200, 3800, False, None),
        (3200, 5700, True, "a whole page is hidden"),
        (9400, 10_001, False, None),
        (7500, 10_001, True, "shows none after the task created at 2024"),
        (1, 2501, True, "no page reaches past the beginning"),
        (1, 10_001, True, "shows none after the beginning"),
    ],
)
def test_hidden_rows_end_in_a_warning_or_an_error(first: int, last: int, warns: bool, problem: str | None) -> None:
    """A default walk steps over them, up to the total. An exact one proves the end, or raises."""
    list_ = tasks(10_000)
    shown = [task for task in list_.tasks if not hide(first, last)(task)]
    walk = Walk()
    reader = Reader(walk, window=8)
    reader.finish(lambda request: list_.answer(request, hidden=hide(first, last)))
    assert shown == reader.delivered
    assert warns is (walk.warning is not None)
    assert 30 >= len(reader.requests)
    exact = Reader(Walk(exact=True), window=8)
    if problem is None:
        exact.finish(lambda request: list_.answer(request, hidden=hide(first, last)))
        assert shown == exact.delivered
    else:
        with pytest.raises(DriftError, match=problem):
            exact.finish(lambda request: list_.answer(request, hidden=hide(first, last)))
    assert 30 >= len(exact.requests)


def test_hidden_rows_of_a_list_that_changes_end_in_an_error() -> None:
    """A default walk counts on its places only while the total stays the same."""
    list_ = tasks(10_000)
    with pytest.raises(DriftError, match="a whole page is hidden"):
        Reader(Walk()).finish(
            lambda request: list_.answer(request, hidden=hide(3200, 5700), lie=int(request.offset > 1000))
        )


def test_a_default_walk_over_hidden_rows_ends_at_the_total() -> None:
    """Even if what follows them is hidden too."""
    list_ = tasks(10_000)

    def hidden(task: Task) -> bool:
        return hide(3200, 5700)(task) or hide(7500, 10_001)(task)

    # The other end shows that there is something beyond the hole, just once.
    seen = once(lambda page: page.request.desc, lambda page: list_.answer(page.request))
    reader = Reader(Walk())
    reader.finish(lambda request: seen(list_.answer(request, hidden=hidden)))
    assert [task for task in list_.tasks if not hidden(task)] == reader.delivered
    assert reader.walk.warning is not None


def test_more_hidden_rows_than_patience_end_in_an_error() -> None:
    """Even a default walk does not step over 33 windows without a task."""
    list_ = tasks(100)
    list_.create(4000)
    list_.create(100)
    with pytest.raises(DriftError, match="33 pages in a row brought nothing new"):
        Reader(Walk(page_size=100)).finish(lambda request: list_.answer(request, hidden=hide(101, 4101)))


@BOTH
@pytest.mark.parametrize("window", [1, 8])
def test_an_offset_that_is_ignored_is_an_error_soon(exact: bool, window: int) -> None:
    """The message says so, not that the list changes fast."""
    list_ = tasks(3000)
    reader = Reader(Walk(exact=exact), window=window)
    with pytest.raises(DriftError, match="the server ignores offset"):
        reader.finish(
            lambda request: attrs.evolve(
                list_.answer(attrs.evolve(request, offset=0)), request=request, offset=request.offset
            )
        )
    assert 5 >= len(reader.requests)


def test_an_empty_answer_to_another_question_proves_nothing() -> None:
    """It is asked for again."""
    list_ = tasks(3000)
    fault = once(at(1000), lambda page: attrs.evolve(cut(page, 0), offset=0, total=1000), count=ATTEMPTS - 1)
    assert list_.tasks == read_with(list_, Walk(), fault).delivered


def test_too_many_answers_to_another_question_are_an_error() -> None:
    """The message says what was asked for, and what came."""
    list_ = tasks(3000)
    fault = once(at(1000), lambda page: attrs.evolve(cut(page, 0), offset=0, desc=True), count=ATTEMPTS)
    problem = "asked for offset=1000 desc=False, got offset=0 desc=True, 5 times in a row"
    with pytest.raises(InvalidResponseError, match=problem) as caught:
        read_with(list_, Walk(), fault)
    error = caught.value
    assert (1000, 1000, False, 1) == (error.offset, error.limit, error.desc, error.attempts)
    assert error.bookmark is not None
    assert list_.tasks[999].created_at == error.bookmark.created_at


@pytest.mark.parametrize("desc", [False, True])
def test_an_unsorted_page_is_asked_for_again(desc: bool) -> None:
    """Without the order there is no telling what is new."""
    list_ = tasks(30)

    def shuffle(page: Page) -> Page:
        return attrs.evolve(page, entries=random.Random(1).sample(page.entries, len(page.entries)))

    fault = once(lambda page: True, shuffle, count=ATTEMPTS - 1)
    assert 30 == len(read_with(list_, Walk(desc=desc), fault).delivered)
    order = "descending" if desc else "ascending"
    with pytest.raises(InvalidResponseError, match=f"not sorted by createdAt in {order} order, 5 times") as caught:
        read_with(list_, Walk(desc=desc), shuffle)
    assert (0, 1000, desc) == (caught.value.offset, caught.value.limit, caught.value.desc)


# Lists that change


@given(page_size=st.integers(1, 20), exact=st.booleans(), desc=st.booleans(), window=st.integers(1, 8))
def test_a_walk_ends_while_one_task_is_created_per_request(
    page_size: int, exact: bool, desc: bool, window: int
) -> None:
    """Ascending, what is created meanwhile is delivered too; descending, it is not chased."""
    list_ = tasks(100)
    before = list(list_.tasks)
    walk = Walk(desc=desc, page_size=page_size, exact=exact and page_size >= 4)
    reader = read_while(list_, walk, list_.create, window=window)
    if desc:
        assert before[::-1] == reader.delivered
    else:
        assert list_.tasks[: len(reader.delivered)] == reader.delivered
        assert len(reader.delivered) > len(before)


def test_a_deletion_before_the_frontier_is_noticed_by_the_total() -> None:
    """A default walk goes back for what moved to the left, and on with brackets."""
    list_ = tasks(3000)
    first = list_.tasks[0]
    expected = list(list_.tasks)
    reader = read_while(list_, Walk(), times(1, lambda: list_.delete(1, 0)))
    assert expected == reader.delivered
    assert first not in list_.tasks
    assert [0, 1000, 997, 1989, "end"] == reader.offsets
    assert 1 == reader.walk.reseeks


@pytest.mark.parametrize("deleted", [1, 500, 900])
@pytest.mark.parametrize("window", [1, 8])
def test_a_list_that_shrank_costs_one_request_more(deleted: int, window: int) -> None:
    """The total says how far the frontier has moved."""
    list_ = tasks(4000)
    expected = list(list_.tasks)
    reader = read_while(list_, Walk(exact=True), times(1, lambda: list_.delete(deleted, 0)), window=window)
    assert expected == reader.delivered
    assert reader.walk.reseeks <= 1


def test_an_exact_walk_absorbs_small_shifts_without_a_request() -> None:
    """As long as fewer tasks vanish between two pages than the pages overlap, no page is read again."""
    list_ = tasks(4000)
    expected = list(list_.tasks)
    reader = read_while(list_, Walk(exact=True), times(3, lambda: list_.delete(6, 0)))
    assert expected == reader.delivered
    assert 0 == reader.walk.reseeks


def test_a_repeat_shows_a_change_that_totals_hide() -> None:
    """A creation and a deletion cancel out in the total, but not in the items."""
    list_ = tasks(30)
    expected = list(reversed(list_.tasks))

    def change() -> None:
        list_.create(1)
        list_.delete(1, 0)

    reader = read_while(list_, Walk(desc=True, page_size=10), times(1, change))
    assert [task for task in expected if task in list_.tasks] == reader.delivered
    assert "end" in reader.offsets


@pytest.mark.parametrize("page_size", [4, 5, 10, 1000])
@pytest.mark.parametrize("desc", [False, True])
def test_ties_that_fill_small_pages_are_passed(page_size: int, desc: bool) -> None:
    """Requests grow beyond `page_size`, up to what the server gives."""
    list_ = tasks(3)
    list_.create(500, tick=0)
    list_.create(20)
    reader = read_all(Walk(desc=desc, page_size=page_size, exact=True), list_)
    assert {task.id for task in list_.tasks} == {task.id for task in reader.delivered}
    assert len(list_.tasks) == len(reader.delivered)


def test_ties_larger_than_any_page_end_an_exact_walk() -> None:
    """What cannot be told from a gap is a `DriftError` that says where, and where to continue."""
    list_ = tasks(10)
    list_.create(1500, tick=0)
    with pytest.raises(DriftError, match="more tasks share that time than fit into a page") as caught:
        read_all(Walk(exact=True), list_)
    error = caught.value
    moment = list_.tasks[-1].created_at
    assert (1000, False) == (error.limit, error.desc)
    assert error.bookmark is not None
    assert moment == error.bookmark.created_at
    assert str(moment) in str(error)


def test_ties_larger_than_any_page_do_not_trouble_a_default_walk() -> None:
    """Pages that adjoin need no bracket."""
    list_ = tasks(3500, tick=0)
    reader = read_all(Walk(), list_, window=4)
    assert sorted(task.id for task in list_.tasks) == sorted(task.id for task in reader.delivered)
    assert 4 == len(reader.requests)


@pytest.mark.parametrize("ties", [*range(990, 998)])
def test_ties_that_just_fit_into_a_page_are_passed(ties: int) -> None:
    """All but one of the places in a page may be taken by tasks of one moment."""
    list_ = tasks(100)
    list_.create(1)
    list_.create(ties - 1, tick=0)
    list_.create(2000)
    delivered = read_all(Walk(exact=True), list_).delivered
    assert sorted(task.id for task in list_.tasks) == sorted(task.id for task in delivered)


def test_ties_that_just_fit_into_what_the_server_gives_are_passed() -> None:
    """A server that clamps makes the same walk, page by page."""
    list_ = tasks(3)
    list_.create(1)
    list_.create(7, tick=0)
    list_.create(20)
    assert 31 == len(read_all(Walk(exact=True), list_, limit=10).delivered)


@BOTH
@pytest.mark.parametrize(("count", "offset"), [(10, 5), (12, 3), (3, 3)])
def test_an_offset_among_ties_delivers_none_from_before_it(count: int, offset: int, exact: bool) -> None:
    """Although what proves the end shows all of them."""
    list_ = tasks(2)
    list_.create(count, tick=0)
    assert list_.tasks[offset:] == read_all(Walk(offset=offset, exact=exact), list_).delivered


@pytest.mark.parametrize(("page_size", "created"), [(4, 80), (20, 1000), (100, 4000), (1000, 40_000)])
@BOTH
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
    """What is still in flight may fail."""
    list_ = tasks(500)
    walk = Walk(exact=True, page_size=100, limit=180)
    list_.answer(walk.requests(8)[0])
    walk.receive(list_.answer(walk.requests(8)[0]))
    list_.delete(6, 0)
    walk.receive(list_.answer(walk.requests(8)[0]))
    assert walk.finished
    assert not walk.requests(8)


def test_a_list_that_runs_away_is_caught_up_with() -> None:
    """More is created before the frontier than a page holds, again and again: the search doubles its steps."""
    list_ = tasks(100)
    expected = list_.tasks[::-1]
    reader = read_while(list_, Walk(desc=True, page_size=10, exact=True), lambda: list_.create(1200))
    assert expected == reader.delivered
    assert 20 >= len(reader.requests)


def test_a_list_that_changes_too_fast_is_an_error_that_says_so() -> None:
    """The frontier is never where the walk looks for it."""
    list_ = tasks(3000)
    numbers = iter(range(10_000))

    def answer(request: PageRequest) -> Page:
        number = next(numbers)
        shift = 0 if number == 0 else number * 1100 if number % 2 else -1100
        return attrs.evolve(
            list_.answer(attrs.evolve(request, offset=min(2990, max(1, request.offset + shift)))),
            request=request,
            offset=request.offset,
            total=3000 + number,
        )

    with pytest.raises(DriftError):
        Reader(Walk(exact=True)).finish(answer)


def test_what_the_walk_remembers_does_not_grow_with_the_list() -> None:
    """The frontier holds the ids of one moment, and nothing else is kept."""
    list_ = TaskList()
    for _ in range(1000):
        list_.create(1)
        list_.create(4, tick=0)
    reader = Reader(Walk(exact=True, page_size=100), window=4)
    while reader.unanswered:
        for request in reader.unanswered:
            reader.answer(request, list_.answer(request))
        assert reader.walk.bookmark is not None
        assert len(reader.walk.bookmark.ids) <= 5
    assert 5000 == len(reader.delivered)


# Bookmarks


@pytest.mark.parametrize("limit", [1, 20, 900])
@pytest.mark.parametrize("tick", [0, 1])
def test_the_next_few_after_a_bookmark_cost_one_request(limit: int, tick: int) -> None:
    """What the page repeats is asked for in addition."""
    list_ = tasks(100)
    list_.create(7, tick=tick)
    list_.create(2000)
    bookmark = read_all(Walk(limit=107), list_).walk.bookmark
    reader = read_all(Walk(after=bookmark, limit=limit), list_)
    assert list_.tasks[107 : 107 + limit] == reader.delivered
    assert 1 == len(reader.requests)


@BOTH
@pytest.mark.parametrize(("created", "requests"), [(0, 1), (1, 1), (198, 1), (199, 3), (900, 3), (5000, 7)])
def test_looking_for_what_is_new_begins_at_the_other_end(created: int, requests: int, exact: bool) -> None:
    """A few new tasks cost one small request; many are read in order."""
    list_ = tasks(2500)
    bookmark = read_all(Walk(), list_).walk.bookmark
    list_.create(created)
    reader = read_all(Walk(after=bookmark, exact=exact), list_, window=8)
    assert list_.tasks[2500:] == reader.delivered
    assert requests == len(reader.requests)
    assert 200 == reader.requests[0].limit


@pytest.mark.parametrize(("kept", "requests"), [(slice(0), 4), (slice(2499, 2500), 1), (slice(1500), 1)])
def test_looking_again_after_deletions_costs_one_request(kept: slice, requests: int) -> None:
    """The other end shows that nothing comes after the frontier. That the list was emptied takes a few more."""
    list_ = tasks(2500)
    bookmark = read_all(Walk(exact=True), list_).walk.bookmark
    list_.tasks[:] = list_.tasks[kept]
    for _ in range(3):
        reader = read_all(Walk(after=bookmark), list_)
        bookmark = reader.walk.bookmark
        assert [] == reader.delivered
        assert requests == len(reader.requests)


def test_a_list_that_was_emptied_is_not_believed_to_be_so_at_once() -> None:
    """One empty answer with a total of 0 hides no task."""
    list_ = tasks(2500)
    bookmark = read_all(Walk(limit=100), list_).walk.bookmark
    fault = once(lambda page: page.request.desc, lambda page: attrs.evolve(cut(page, 0), total=0))
    assert list_.tasks[100:] == read_with(list_, Walk(after=bookmark), fault).delivered


@given(
    count=st.integers(1, 60),
    cut_at=st.integers(0, 59),
    deleted=st.sets(st.integers(0, 59)),
    created=st.integers(0, 20),
    page_size=st.integers(4, 20),
    desc=st.booleans(),
    tick=st.integers(0, 1),
)
def test_a_bookmark_carries_on_exactly_after_it(
    count: int, cut_at: int, deleted: set[int], created: int, page_size: int, desc: bool, tick: int
) -> None:
    """Whatever is deleted and created in between, nothing that lives throughout is lost or repeated."""
    list_ = tasks(count, tick=tick)
    order = {task.id: place for place, task in enumerate(list_.tasks)}
    first = Reader(Walk(desc=desc, page_size=page_size, limit=min(cut_at, count - 1) + 1))
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


@given(
    count=st.integers(1, 25),
    page_size=st.integers(4, 20),
    desc=st.booleans(),
    tick=st.integers(0, 1),
    exact=st.booleans(),
    limit=st.none() | st.integers(1, 30),
)
def test_each_new_entry_has_its_bookmark(
    count: int, page_size: int, desc: bool, tick: int, exact: bool, limit: int | None
) -> None:
    """A walk carries on after any of them, those from the other end included."""
    list_ = tasks(3)
    list_.create(count, tick=tick)
    expected = list_.tasks[::-1] if desc else list_.tasks
    walk = Walk(desc=desc, page_size=page_size, exact=exact)
    delivered = 0
    while requests := walk.requests(1):
        page = list_.answer(requests[0])
        news = walk.receive(page)
        for number in range(len(news.indices) + 1):
            place = delivered + number
            if bookmark := news.bookmark_after(number):
                rest = read_all(Walk(desc=desc, after=bookmark, limit=limit, exact=exact), list_).delivered
                assert len(expected[place:][:limit]) == len(rest)
                assert not tick or expected[place:][:limit] == rest
        delivered += len(news.indices)
    assert len(expected) == delivered


@pytest.mark.parametrize("left", [1, 3, 1500])
@pytest.mark.parametrize("offset", [10**4, 10**9, 2**63 - 1])
@pytest.mark.parametrize("limit", [None, 2000])
def test_a_walk_resumes_on_a_list_that_shrank(offset: int, left: int, limit: int | None) -> None:
    """However far beyond the end of the list a bookmark lies by now, its place is found within a few requests."""
    list_ = tasks(left)
    bookmark = Bookmark(list_.tasks[0].created_at, frozenset([list_.tasks[0].id]), offset, desc=False)
    reader = read_all(Walk(after=bookmark, limit=limit), list_)
    assert list_.tasks[1:] == reader.delivered
    assert 6 >= len(reader.requests)


@pytest.mark.parametrize("limit", [None, 10])
def test_a_walk_resumes_on_a_list_that_was_emptied(limit: int | None) -> None:
    """There is nothing to deliver, and nothing to search by."""
    list_ = tasks(2500)
    bookmark = read_all(Walk(), list_).walk.bookmark
    list_.tasks.clear()
    reader = read_all(Walk(after=bookmark, limit=limit), list_)
    assert [] == reader.delivered
    assert 4 >= len(reader.requests)


def test_the_place_before_the_frontier_survives_ties_over_several_pages() -> None:
    """A bookmark in the midst of ties points before the first of them."""
    list_ = tasks(5)
    list_.create(20, tick=0)
    list_.tasks[5:] = [
        Task(task.id, "user", "actor", "name", task.created_at + timedelta(seconds=1), START)
        for task in list_.tasks[5:]
    ]
    reader = read_all(Walk(page_size=10, limit=20), list_)
    assert reader.walk.bookmark is not None
    assert 4 == reader.walk.bookmark.offset
    assert 15 == len(reader.walk.bookmark.ids)


@pytest.mark.parametrize("desc", [False, True])
def test_the_bookmark_of_a_single_page_is_after_its_last_item(desc: bool) -> None:
    """A walk carries on from there."""
    list_ = tasks(30)
    response = list_.answer(PageRequest(10, 5, desc))
    bookmark = page_bookmark(response)
    last = response.entries[-1]
    assert isinstance(last, Task)
    assert Bookmark(last.created_at, frozenset({last.id}), 13, desc) == bookmark
    rest = list_.answer(PageRequest(15, 1000, desc)).entries
    assert list(rest) == read_all(Walk(desc=desc, after=bookmark), list_).delivered


@pytest.mark.parametrize("reverse", [False, True])
def test_there_is_no_bookmark_without_items_or_order(reverse: bool) -> None:
    """It would say nothing."""
    entries = tasks(2).tasks[::-1] if reverse else []
    assert page_bookmark(make_page(PageRequest(0, 10, desc=False), entries, 2)) is None


# Items that are not valid


def invalid(place: int, *, created_at: datetime | None = None, task_id: str | None = None) -> InvalidTaskError:
    """Return an entry that is not a valid task."""
    return InvalidTaskError("no task", task_id=task_id, created_at=created_at, raw={"place": place})


def answer_from(items: list[Any]) -> Answer:
    """Return what answers from a list that holds invalid items."""

    def answer(request: PageRequest) -> Page:
        ordered = items[::-1] if request.desc else items
        return make_page(request, ordered[request.offset : request.offset + request.limit], len(items))

    return answer


@pytest.mark.parametrize("desc", [False, True])
def test_items_without_a_readable_time_keep_their_place(desc: bool) -> None:
    """They take the time of their neighbour, and come once although the pages overlap."""
    list_ = tasks(10)
    items: list[Any] = list(list_.tasks)
    for place in (0, 3, 4, 9):
        items[place] = invalid(place)
    reader = Reader(Walk(exact=True, page_size=4, desc=desc))
    reader.finish(answer_from(items))
    assert len(items) == len(reader.entries)
    assert set(map(id, items)) == set(map(id, reader.entries))


def test_items_without_an_id_are_never_the_same_item() -> None:
    """Each of them is reported."""
    items: list[Any] = [*tasks(3).tasks, *(InvalidTaskError("no task", raw=None) for _ in range(3))]
    reader = Reader(Walk())
    reader.finish(answer_from(items))
    assert items == reader.entries


def test_an_invalid_item_with_an_id_is_known_by_it() -> None:
    """It comes once, although the pages overlap."""
    items: list[Any] = list(tasks(10).tasks)
    items[3] = invalid(3, created_at=items[3].created_at, task_id="task-4")
    reader = Reader(Walk(exact=True, page_size=4))
    reader.finish(answer_from(items))
    assert items == reader.entries


def test_a_page_without_any_readable_time_does_not_stop_a_default_walk() -> None:
    """It passes as it is."""
    items: list[Any] = [invalid(place) for place in range(6)]
    reader = Reader(Walk(page_size=4))
    reader.finish(answer_from(items))
    assert items == reader.entries
    assert reader.walk.bookmark is None
    assert page_bookmark(answer_from(items)(reader.requests[0])) is None


def test_a_walk_without_a_frontier_cannot_search_for_it() -> None:
    """The first page has no readable time, and then the list changes."""
    list_ = tasks(40)
    items = [*(invalid(place) for place in range(4)), *list_.tasks]
    reader = Reader(Walk(page_size=4))
    with pytest.raises(DriftError, match="no page reaches past the beginning"):
        reader.finish(lambda request: attrs.evolve(answer_from(items)(request), total=44 + (request.offset > 0)))


def test_a_page_without_any_readable_time_cannot_be_exact() -> None:
    """It might hide a gap."""
    items = [invalid(place) for place in range(40)]
    with pytest.raises(InvalidResponseError, match="readable createdAt"):
        Reader(Walk(page_size=4, exact=True)).finish(answer_from(items))


# Arguments


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"after": "x"}, TypeError, "after must be a Bookmark, got 'x'"),
        ({"offset": 5}, ValueError, "offset must be 0 with after, which sets the start itself, got 5"),
        ({"desc": True}, ValueError, "desc must be False, the direction of after, got True"),
        ({"exact": True, "page_size": 3}, ValueError, "page_size must be from 4 to 1000, got 3"),
        ({"limit": 0}, ValueError, "limit must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_walked_is_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    """The message names the argument and the value."""
    after = Bookmark(START, frozenset({"a"}), 0, desc=False)
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
    """It has to be as `from_json` makes it."""
    made: dict[str, Any] = {"created_at": START, "ids": frozenset({"a"}), "offset": 0, "desc": False} | fields
    after = Bookmark(**made)
    with pytest.raises(error) as caught:
        Walk(after=after)
    assert message == str(caught.value)
