"""Visit every state of small walks, with a list that changes and a server that contradicts itself.

    python -m nox -s exhaustive -- --seconds 600
    python -m nox -s exhaustive -- --seconds 60 --kind "cut once" --default
    python -m nox -s exhaustive -- --seconds 60 --mutants
    python -m nox -s exhaustive -- --seconds 60 --random    # longer lists, several faults together

A *state* is a walk, the versions of the list, and what was delivered. Two kinds of events lead from one to the next:
the list changes by one task, or the first request in flight is answered. The answer is made from any version of the
list since its request was sent. So all interleavings of changes, answers and their order are covered.

A task is *missed* if all versions that answers were made from show it, and the walk ended without it and without an
error. A few losses are excused, because no plan can prevent them; `excuse` says which.
"""

import argparse
import copy
import itertools
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from typing import Any, NamedTuple

import attrs
from helpers.task_list import START, make_page
from helpers.wrong_walks import MUTANTS

from apify_tasks_async import Bookmark, DriftError, InvalidResponseError, Task
from apify_tasks_async._page import PageRequest
from apify_tasks_async._walk import News, Walk

Row = tuple[int, int]
"""A task: its moment, and its number."""

Version = tuple[Row, ...]
"""The list at some moment."""

MOST_REQUESTS = 400
"""More than any of these walks needs."""

MOST_STATES = 60_000
"""A configuration with more states than these is cut off, so that one does not take all the time."""


@attrs.frozen
class Config:
    """One walk, one list, and the faults of the server."""

    moments: tuple[int, ...]
    """Of the tasks in the list when the walk begins."""
    page: int = 4
    """The page size of the walk, and the largest page of the server."""
    window: int = 1
    desc: bool = False
    exact: bool = True
    offset: int = 0
    limit: int | None = None
    expected: int | None = None
    """How many tasks the walk expects."""
    changes: int = 0
    """How often the list changes."""
    resumes: int = 0
    """How often a new walk carries on from a bookmark; after each of the items of a page."""
    ties: bool = False
    """Whether tasks of one moment come in any of two orders."""
    unsaid: int | None = None
    """The most tasks of a page, without saying so."""
    said: int | None = None
    """The same, said."""
    hidden: frozenset[int] = frozenset()
    """The numbers of tasks that are counted and never shown."""
    total: str | int = "true"
    """`true`, `none` (always 0), `stale` (of any version), or by how much it is off."""
    lag: int = 0
    """How many changes an answer may lag when its request is sent."""
    cuts: int = 0
    """How many answers may be cut short, to any length."""
    dead: tuple[int, int] | None = None
    """A place, and the maximum number of items of answers there."""
    beside: int = 0
    """How many answers may be those to another offset; only if they are empty, for others are refused before."""
    doubles: int = 0
    """How many answers may hold their first task twice."""


class Budget(NamedTuple):
    """How many more of its faults the server may show."""

    changes: int
    resumes: int
    cuts: int
    beside: int
    doubles: int


class State(NamedTuple):
    """A walk, and what has happened to it."""

    walk: Walk
    versions: tuple[Version, ...]
    sent: tuple[int, ...]
    """For each request in flight, the first version that may answer it."""
    created: int
    """The number of the next task."""
    budget: Budget
    delivered: tuple[Row, ...] = ()
    alive: frozenset[Row] | None = None
    """The tasks that all answers' versions show."""
    believed: frozenset[tuple[int, Version]] = frozenset()
    """What a default walk was told: totals, and the versions that they stood for."""
    misled: bool = False
    """Whether an answer ended early and its total agreed with that."""
    requests: int = 0
    last: News | None = None
    """What the last page brought."""

    def key(self) -> tuple[Any, ...]:
        """Return what tells this state from others."""
        walk = tuple(value for name, value in vars(self.walk).items() if name != "reseeks")
        first = min(self.sent, default=len(self.versions) - 1)
        versions = self.versions[first:], tuple(sent - first for sent in self.sent)
        return walk, versions, self.created, self.budget, self.delivered, self.alive, self.believed, self.misled


class Answer(NamedTuple):
    """One of the answers that the server may give."""

    rows: tuple[Row, ...]
    offset: int
    total: int
    version: Version
    budget: Budget
    misleading: bool
    """Whether it ends early, and its total agrees with that."""


class WrongError(Exception):
    """The walk broke a promise."""


@cache
def task_of(row: Row) -> Task:
    """Return the task."""
    moment = START + timedelta(milliseconds=row[0])
    return Task(str(row[1]), "user", "actor", "name", moment, moment)


def begin(config: Config, walk_type: type[Walk]) -> State:
    """Return the state before the first answer."""
    walk = walk_type(
        page_size=config.page,
        desc=config.desc,
        exact=config.exact,
        offset=config.offset,
        limit=config.limit,
        expected=config.expected,
    )
    version = tuple((moment, number) for number, moment in enumerate(config.moments))
    budget = Budget(config.changes, config.resumes, config.cuts, config.beside, config.doubles)
    return sent(config, State(walk, (version,), (), len(version), budget), [])


def sent(config: Config, state: State, before: list[tuple[PageRequest, int]]) -> State:
    """Return the state after the walk's new requests were sent. `before`: those in flight, and when they were sent."""
    requests = state.walk.requests(config.window)
    if len(requests) > config.window + 1:
        raise WrongError("too many requests at a time")
    now = max(0, len(state.versions) - 1 - config.lag)
    known = {id(request): version for request, version in before}
    return state._replace(sent=tuple(known.get(id(request), now) for request in requests))


def changed(state: State) -> Iterator[State]:
    """Return the states after one more change of the list."""
    now, number = state.versions[-1], state.created
    budget = state.budget._replace(changes=state.budget.changes - 1)
    moments = sorted({moment for moment, _ in now}) or [5]
    # At the end, at the last moment, at the first one, before all, and in the middle.
    for moment in dict.fromkeys((moments[-1] + 1, moments[-1], moments[0], moments[0] - 1, *moments[1:2])):
        version = tuple(sorted((*now, (moment, number))))
        yield state._replace(versions=(*state.versions, version), created=number + 1, budget=budget)
    for index in range(len(now)):
        yield state._replace(versions=(*state.versions, now[:index] + now[index + 1 :]), budget=budget)


def in_order(config: Config, version: Version, *, desc: bool) -> Iterator[list[Row]]:
    """Return the list in each order that the server may give it."""
    tied = config.ties and len({moment for moment, _ in version}) < len(version)
    for order in (1, -1) if tied else (1,):
        yield sorted(version, key=lambda row: (row[0], row[1] * order), reverse=desc)


def answers(config: Config, state: State, request: PageRequest) -> Iterator[Answer]:
    """Return each answer that the server may give to the first request."""
    for version in dict.fromkeys(state.versions[state.sent[0] :]):
        for rows in in_order(config, version, desc=request.desc):
            yield from honest_or_cut(config, state, request, version, rows)
            if state.budget.beside and request.offset + 2 >= len(rows):
                budget = state.budget._replace(beside=state.budget.beside - 1)
                yield Answer((), request.offset + 2, len(version), version, budget, misleading=False)


def honest_or_cut(
    config: Config, state: State, request: PageRequest, version: Version, rows: list[Row]
) -> Iterator[Answer]:
    """Return the answers for one order of one version."""
    size = min(request.limit, config.said or config.page, config.unsaid or config.page)
    window = rows[request.offset : request.offset + size]
    shown = tuple(row for row in window if row[1] not in config.hidden)
    if config.dead and request.desc is config.desc and request.offset == config.dead[0]:
        shown = shown[: config.dead[1]]
    for length in range(len(shown) + 1) if state.budget.cuts else (len(shown),):
        items, budget = shown[:length], state.budget
        if length < len(shown):
            budget = budget._replace(cuts=budget.cuts - 1)
        more = any(row not in items and row[1] not in config.hidden for row in rows[request.offset :])
        for total in totals(config, state, version):
            misleading = more and request.offset + len(items) == total
            yield Answer(items, request.offset, total, version, budget, misleading)
            if budget.doubles and items:
                doubled = budget._replace(doubles=budget.doubles - 1)
                yield Answer((items[0], *items), request.offset, total, version, doubled, misleading)


def totals(config: Config, state: State, version: Version) -> tuple[int, ...]:
    """Return the totals that an answer from this version may have."""
    if config.total == "none":
        return (0,)
    if config.total == "stale":
        return tuple(dict.fromkeys(map(len, state.versions)))
    return (max(0, len(version) + (config.total if isinstance(config.total, int) else 0)),)


def received(config: Config, state: State, answer: Answer) -> State | None:
    """Return the state after the walk has taken the answer; `None` if it ended with an error."""
    walk = copy.copy(state.walk)
    request, *others = walk.requests(config.window)
    page = make_page(request, [task_of(row) for row in answer.rows], answer.total, limit=config.said or config.page)
    page = attrs.evolve(page, offset=answer.offset)
    shown = frozenset(row for row in answer.version if row[1] not in config.hidden)
    error: Exception | None = None
    last: News | None = None
    news: tuple[Row, ...] = ()
    try:
        last = walk.receive(page)
        news = tuple(answer.rows[index] for index in last.indices)
    except (DriftError, InvalidResponseError) as failure:
        error = failure
    new = state._replace(
        walk=walk,
        budget=answer.budget,
        delivered=state.delivered + news,
        alive=shown if state.alive is None else state.alive & shown,
        believed=state.believed | {(answer.total, answer.version)} if not config.exact else frozenset(),
        misled=answer.misleading and request.offset == 0 if config.exact else state.misled or answer.misleading,
        requests=state.requests + 1,
        last=last,
    )
    if news or walk.finished or error:
        judge(config, new, error)
    if new.requests > MOST_REQUESTS:
        raise WrongError("the walk does not end")
    return None if error else sent(config, new, list(zip(others, state.sent[1:], strict=True)))


def resumed(config: Config, old: State, new: State) -> Iterator[State]:
    """Return the states in which another walk carries on after each of the tasks delivered last."""
    first, last = len(old.delivered), len(new.delivered)
    for count in range(1, last - first + 1):
        limit = config.limit and config.limit - first - count
        bookmark = new.last.bookmark_after(count) if new.last else None
        if limit == 0 or not new.budget.resumes or bookmark is None:
            continue
        budget = new.budget._replace(resumes=new.budget.resumes - 1)
        after = Bookmark.from_json(bookmark.to_json())
        walk = type(new.walk)(page_size=config.page, desc=config.desc, exact=config.exact, limit=limit, after=after)
        delivered = new.delivered[: first + count]
        misled = new.misled or new.walk.warning is not None
        yield sent(config, new._replace(walk=walk, delivered=delivered, budget=budget, misled=misled, sent=()), [])


def judge(config: Config, state: State, error: Exception | None) -> None:
    """Raise `WrongError` if what was delivered is not what was promised."""
    delivered, sign = state.delivered, -1 if config.desc else 1
    moments = [moment * sign for moment, _ in delivered]
    if len(set(delivered)) < len(delivered):
        raise WrongError("a task was delivered twice")
    if moments != sorted(moments):
        raise WrongError("out of order")
    if config.limit and len(delivered) > config.limit:
        raise WrongError("more than the limit")
    if not (state.walk.finished or error):
        return
    missed = set(state.alive or ()) - set(delivered)
    if config.offset:  # nothing is promised of what has no place after the first task delivered
        missed = {row for row in missed if moments and row[0] * sign > moments[0]}
    if error or len(delivered) == config.limit:  # nothing is promised of what comes after the last task
        missed = {row for row in missed if moments and row[0] * sign < moments[-1]}
    if missed and not excuse(config, state):
        raise WrongError(f"missed {sorted(missed)}")


def excuse(config: Config, state: State) -> bool:
    """Return True if no plan could have seen that something is missing.

    - An answer ended early, and its total agreed with that. For an exact walk, only if the last answer was a part of
      the list and said that it is all of it.
    - The list changed and its total did not: a default walk believes totals.
    - A default walk has warned.
    """
    if state.misled or (state.walk.warning is not None and not config.exact):
        return True
    return len({total for total, _ in state.believed}) < len(state.believed)


def successors(config: Config, state: State) -> Iterator[State]:
    """Return every state that one event leads to."""
    if state.budget.changes:
        yield from changed(state)
    request = state.walk.requests(config.window)[0]
    for answer in answers(config, state, request):
        new = received(config, state, answer)
        if new is not None:
            yield new
            yield from resumed(config, state, new)


def explore(config: Config, walk_type: type[Walk] = Walk, *, most: int = MOST_STATES) -> tuple[int, str | None]:
    """Visit every state once. Return how many there are (negative if there were too many), and what is wrong."""
    state = begin(config, walk_type)
    stack, seen = [state], {state.key()}
    try:
        while stack:
            state = stack.pop()
            if state.walk.finished:
                continue
            for new in successors(config, state):
                if (key := new.key()) not in seen:
                    seen.add(key)
                    stack.append(new)
            if len(seen) > most:
                return -len(seen), None
    except WrongError as wrong:
        return len(seen), f"{wrong}; delivered {state.delivered} of {state.versions}"
    return len(seen), None


def lists(most: int) -> Iterator[tuple[int, ...]]:
    """Return lists of that many tasks with up to three moments."""
    yield ()
    for count in range(1, most + 1):
        cuts = [*itertools.combinations(range(1, count), 1), *itertools.combinations(range(1, count), 2)]
        for places in [(), *cuts]:
            yield tuple(2 * sum(index >= place for place in places) for index in range(count))


def faults(count: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return the kinds of servers for a list of that many tasks, with as many changes as can be counted."""
    yield "whole answers", {"changes": 2, "resumes": 1}
    yield "whole answers, three changes", {"changes": 3}
    yield "ties in any order", {"changes": 1, "ties": True, "resumes": 1}
    yield "cut once", {"changes": 1, "cuts": 1, "resumes": 1}
    yield "cut twice", {"cuts": 2}
    yield "cut once, ties", {"cuts": 1, "ties": True, "resumes": 1}
    for total in ("stale", "none", -3, -2, -1, 1, 2, 3):
        yield f"total {total}", {"changes": 1, "total": total}
        yield f"total {total}, cut once", {"cuts": 1, "total": total, "changes": int(total == "stale")}
    for rows in (1, 2, 3):
        yield f"unsaid pages of {rows}", {"changes": 1, "unsaid": rows}
        yield f"unsaid pages of {rows}, cut once", {"cuts": 1, "unsaid": rows}
    yield "said pages of 3", {"changes": 1, "said": 3, "cuts": 1}
    for places in itertools.combinations(range(count), 2):
        yield "two hidden", {"hidden": frozenset(places), "changes": 1}
    for first, last in itertools.combinations(range(count + 1), 2):
        if last - first > 1:
            yield "run hidden, cut once", {"hidden": frozenset(range(first, last)), "cuts": 1}
    for offset, rows in itertools.product(range(count + 1), (0, 1, 2)):
        yield "always cut at one place", {"dead": (offset, rows), "changes": 1}
    yield "lagging", {"changes": 2, "lag": 1}
    yield "lagging, cut once", {"changes": 1, "lag": 1, "cuts": 1}
    yield "empty answers to another request", {"changes": 1, "beside": 2}
    yield "one task twice", {"changes": 1, "doubles": 1, "cuts": 1}


def configs(*, exact: bool, most: int = 6) -> list[tuple[str, Config]]:
    """Return all configurations."""
    shapes = list(itertools.product((4, 5, 6), (1, 2, 3), (False, True), ((None, 0), (3, 0), (5, 0), (None, 2))))
    return [
        (name, Config(moments, page, window, desc, exact, offset, limit, **fault))
        for moments in lists(most)
        for name, fault in faults(len(moments))
        for page, window, desc, (limit, offset) in shapes
    ]


def sweep(
    everything: list[tuple[str, Config]], walk_type: type[Walk] = Walk, *, seconds: float
) -> tuple[Counter[str], str | None]:
    """Explore configurations until the time is over, or something is wrong. Return what was covered."""
    until, covered = time.monotonic() + seconds, Counter[str]()
    for name, config in everything:
        if time.monotonic() > until:
            break
        states, wrong = explore(config, walk_type)
        covered["configurations"] += 1
        covered["cut off"] += states < 0
        covered["states"] += abs(states)
        if wrong:
            fields = attrs.asdict(config, filter=lambda field, value: value != field.default)
            return covered, f"{name}: {wrong}; {fields}"
    return covered, None


def any_config(chance: random.Random, *, exact: bool) -> Config:
    """Return a longer list, and several faults together."""
    count = chance.choice([0, 1, 3, 5, 6, 7, 8, 10, 12, 16, 24, 40])
    spread = chance.choice([3, count, 3 * count, 10 * count])
    page = chance.choice([4, 5, 6, 8, 12])
    hidden = chance.choice([0, 0, 0, 0.2, 0.6])
    return Config(
        tuple(sorted(chance.randint(0, spread) for _ in range(count))),
        page=page,
        window=chance.randint(1, 3),
        desc=chance.random() < 0.5,
        exact=exact,
        offset=chance.choice([0, 0, 0, 1, 3]),
        limit=chance.choice([None, None, 1, 3, 5, 9, 17]),
        changes=chance.choice([0, 1, 3, 6]),
        resumes=chance.choice([0, 0, 1, 2]),
        ties=chance.random() < 0.5,
        unsaid=chance.choice([None, None, None, 1, 2, 3, 4]),
        said=chance.choice([None, None, None, 3, 4]),
        hidden=frozenset(number for number in range(count) if chance.random() < hidden),
        total=chance.choice((*("true", "true", "stale", "none"), *(-3, -2, -1, 1, 2, 3, 9))),
        lag=chance.choice([0, 0, 1, 2]),
        cuts=chance.choice([0, 0, 1, 2, 4]),
        dead=chance.choice([None, None, None, (chance.randint(0, count), chance.randint(0, 2))]),
        beside=chance.choice([0, 0, 1, 3]),
        doubles=chance.choice([0, 0, 1]),
    )


def wander(config: Config, chance: random.Random, walk_type: type[Walk] = Walk) -> tuple[int, str | None]:
    """Take one way through the states. Return its length, and what is wrong."""
    state, steps = begin(config, walk_type), 0
    try:
        while not state.walk.finished:
            steps += 1
            if state.budget.changes and chance.random() < 0.25:
                state = chance.choice(list(changed(state)))
                continue
            options = list(answers(config, state, state.walk.requests(config.window)[0]))
            whole = [option for option in options if option.budget == state.budget]
            new = received(config, state, chance.choice(whole if whole and chance.random() < 0.7 else options))
            if new is None:
                break
            later = list(resumed(config, state, new))
            state = chance.choice(later) if later and chance.random() < 0.3 else new
    except WrongError as wrong:
        return steps, f"{wrong}; delivered {state.delivered} of {state.versions}"
    return steps, None


def wander_about(walk_type: type[Walk], *, exact: bool, seed: int, seconds: float) -> tuple[Counter[str], str | None]:
    """Take ways through random configurations until the time is over, or something is wrong."""
    chance = random.Random(seed)
    until, covered = time.monotonic() + seconds, Counter[str]()
    while time.monotonic() < until:
        config = any_config(chance, exact=exact)
        steps, wrong = wander(config, chance, walk_type)
        covered["walks"] += 1
        covered["states"] += steps
        if wrong:
            return covered, f"{wrong}; {config}"
    return covered, None


def main() -> int:
    """Explore, print what was covered, and return 1 if something was wrong or a mutant not found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=60, help="for all of it; with --mutants for each")
    parser.add_argument("--seed", type=int, default=0, help="of the order of the configurations")
    parser.add_argument("--tasks", type=int, default=6, help="the most tasks in a list")
    parser.add_argument("--kind", default="", help="only the kinds of servers whose name has this in it")
    parser.add_argument("--default", action="store_true", help="walks that are not exact")
    parser.add_argument("--random", action="store_true", help="one way at a time through longer lists")
    parser.add_argument("--mutants", action="store_true", help="walks that are known to be wrong")
    options = parser.parse_args()
    failed = False
    for mutant in MUTANTS if options.mutants else [Walk]:
        exact = not options.default if mutant is Walk else getattr(mutant, "exact", True)
        began = time.monotonic()
        if options.random:
            covered, wrong = wander_about(mutant, exact=exact, seed=options.seed, seconds=options.seconds)
        else:
            everything = [entry for entry in configs(exact=exact, most=options.tasks) if options.kind in entry[0]]
            random.Random(options.seed).shuffle(everything)
            covered, wrong = sweep(everything, mutant, seconds=options.seconds)
        done = ", ".join(f"{count} {name}" for name, count in covered.items())
        print(f"{mutant.__name__}: {done} in {time.monotonic() - began:.0f} s")  # noqa: T201 - output
        print(f"    {wrong or 'nothing wrong'}", flush=True)  # noqa: T201 - output
        failed |= bool(wrong) is (mutant is Walk)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
