"""The figures with targets: what to measure, how much of it, and the target."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import attrs
import fleet
import measures
from contenders import CONCURRENCY, CONTENDERS, DICTIONARIES, HTTPX, RIVALS, UNPACED, WINDOWS
from limiters import limiter_rows
from measures import Sample
from server import LATENCY, Server
from table import Headline, Row, Target

__all__ = ["FULL", "QUICK", "Figures", "Sizes", "all_rows", "take_figures"]

ACCOUNT = 19
"""The tasks of an account in a fleet."""

FAIR_TASKS = 10_000
"""The tasks of a list that many walks read at once."""

PROCESSES = 2
"""The processes that read a fleet."""

ALLOWED = 60
"""The rate limit of the API, in requests per second."""


@attrs.frozen(kw_only=True)
class Sizes:
    """How much to measure."""

    name: str
    rounds: int
    """How many times the contenders list the same tasks."""
    few: int
    """Rounds of slow measurements."""
    tasks: int
    """The default number of tasks."""
    limited: int
    """Pages from a server with a rate limit."""
    watched: int
    """Pages for the measurement of the event loop."""
    short_cpu: int
    short_memory: int
    """Tasks of the short lists."""
    long: int
    """Tasks of the long list."""
    latencies: tuple[int, ...]
    """Milliseconds, for the chart."""
    lengths: tuple[int, ...]
    """Thousands of tasks, for the chart."""
    accounts: int
    """Accounts of a fleet."""
    clients: int
    """Clients that are open at once."""
    walks: int
    """Walks that one client does at once."""
    decode: str
    """The option of pyperf that sets how thorough it is."""


FULL = Sizes(
    name="full",
    rounds=15,
    few=3,
    tasks=20_000,
    limited=200,
    watched=100,
    short_cpu=10_000,
    short_memory=100_000,
    long=1_000_000,
    latencies=(0, 50, 100, 150, 200),
    lengths=(1, 10, 20, 50, 100),
    accounts=3000,
    clients=500,
    walks=100,
    decode="--fast",
)
QUICK = Sizes(
    name="quick, smaller than the targets require",
    rounds=1,
    few=1,
    tasks=10_000,
    limited=60,
    watched=10,
    short_cpu=10_000,
    short_memory=10_000,
    long=50_000,
    latencies=(0, 50),
    lengths=(1, 10),
    accounts=200,
    clients=50,
    walks=10,
    decode="--debug-single-value",
)


@attrs.frozen
class Figures:
    """The times of each contender, in seconds."""

    decode: dict[str, float]
    """For a page of a thousand tasks."""
    still: dict[str, Sample]
    """For the list, without latency."""
    distant: dict[str, Sample]
    """For the list, with latency."""


def take_figures(server: Server, sizes: Sizes) -> Figures:
    """Let all contenders list the same tasks."""
    return Figures(
        decode=measures.decode_times(sizes.decode),
        still=measures.race(UNPACED, server.url(sizes.tasks), sizes.rounds),
        distant=measures.race(CONTENDERS, server.url(sizes.tasks, latency=LATENCY), sizes.rounds),
    )


def all_rows(figures: Figures, server: Server, sizes: Sizes) -> Iterator[Row]:
    """Measure the rest, and yield all rows."""
    yield from cpu_rows(figures, sizes)
    yield from wall_rows(figures, sizes)
    yield from javascript_rows(figures, server, sizes)
    yield from secure_rows(server, sizes)
    yield from limited_rows(server, sizes)
    yield from delay_rows(server, sizes)
    yield from fairness_rows(server, sizes)
    yield from scale_rows(server, sizes)
    yield from request_rows(server, sizes)
    yield from fleet_rows(server, sizes)
    yield from limiter_rows(thorough=sizes.rounds > 1)
    yield from start_rows(sizes)


def cpu_rows(figures: Figures, sizes: Sizes) -> Iterator[Row]:
    """Return the rows about CPU time."""
    cpu = {name: sample.cpu / sizes.tasks * 1e6 for name, sample in figures.still.items()}
    for name, other, target in (
        ("ours", "official client", Target(0.24)),
        ("ours", "typed floor", Target(1.5, stretch=1.35)),
        ("ours", DICTIONARIES, Target(1.0)),
        ("ours", HTTPX, None),
        ("ours", "stock cattrs", None),
        ("ours, exact", "ours", None),
    ):
        what = f"CPU per 1,000 tasks: {name} / {other}"
        headline = Headline("CPU time for 1,000 tasks", other) if [name, other] == [*RIVALS] else None
        ratio = cpu[name] / cpu[other]
        yield Row(what, f"{cpu[name]:.2f} ms", f"{cpu[other]:.2f} ms", ratio, target, headline=headline)


def wall_rows(figures: Figures, sizes: Sizes) -> Iterator[Row]:
    """Return the rows about wall time."""
    ours, official = (figures.distant[name].wall for name in RIVALS)
    pages = sizes.tasks // 1000
    trips = 1 + -(-(pages - 1) // CONCURRENCY)
    ideal = trips * LATENCY / 1000
    what = f"{pages} pages at {LATENCY} ms: wall"
    target = Target(5.8, relation=">=")
    headline = Headline(f"{sizes.tasks:,} tasks from an API that is {LATENCY} ms away", "official client")
    both = f"{ours:.3f} s", f"{official:.3f} s"
    yield Row(f"{what}, official / ours", *both, official / ours, target, headline=headline)
    what = f"{what}, ours / ideal ({trips} round trips)"
    yield Row(what, f"{ours:.3f} s", f"{ideal:.3f} s", ours / ideal, Target(1.25, stretch=1.1))


def secure_rows(server: Server, sizes: Sizes) -> Iterator[Row]:
    """Return the rows about a server that is reached over TLS, where a new connection costs two round trips."""
    walks = measures.secure_walks(WINDOWS, server, sizes.tasks, sizes.rounds)
    pages = sizes.tasks // 1000
    for number, (name, trips, target) in enumerate(
        (
            ("first", 3 + -(-(pages - 1) // CONCURRENCY), 1.35),
            ("second", -(-pages // CONCURRENCY), 1.3),
        )
    ):
        what = f"{pages} pages over TLS at {LATENCY} ms, {name} walk"
        ours, ideal = walks["ours"][number], trips * LATENCY / 1000
        against = f"{what}: ours / ideal ({trips} round trips)"
        yield Row(against, f"{ours:.3f} s", f"{ideal:.3f} s", ours / ideal, Target(target))
        for other in (DICTIONARIES, HTTPX):
            theirs = walks[other][number]
            yield Row(f"{what}: ours / {other}", f"{ours:.3f} s", f"{theirs:.3f} s", ours / theirs)


def javascript_rows(figures: Figures, server: Server, sizes: Sizes) -> Iterator[Row]:
    """Return the rows about the official client for JavaScript, where it is."""
    still = measures.javascript(server.url(sizes.tasks), sizes.rounds)
    distant = measures.javascript(server.url(sizes.tasks, latency=LATENCY), sizes.few)
    if still and distant:
        ours, theirs = (sample.cpu / sizes.tasks * 1e6 for sample in (figures.still["ours"], still))
        what = "CPU per 1,000 tasks: ours / official client for JavaScript"
        yield Row(what, f"{ours:.2f} ms", f"{theirs:.2f} ms", ours / theirs)
        ours, theirs = figures.distant["ours"].wall, distant.wall
        what = f"{sizes.tasks // 1000} pages at {LATENCY} ms: wall, official client for JavaScript / ours"
        yield Row(what, f"{ours:.3f} s", f"{theirs:.3f} s", theirs / ours)


def limited_rows(server: Server, sizes: Sizes) -> Iterator[Row]:
    """Return the rows about a server with a rate limit."""
    wall, counts = measures.limited(server, sizes.limited, ALLOWED, sizes.few)
    ideal = sizes.limited / ALLOWED
    where = f"{sizes.limited} pages at 100 ms, {ALLOWED} a second allowed"
    headline = Headline(f"{sizes.limited * 1000:,} tasks, {ALLOWED} requests a second allowed", "the ideal")
    both = f"{wall:.2f} s", f"{ideal:.2f} s"
    yield Row(f"{where}: wall, ours / ideal", *both, wall / ideal, Target(1.15), headline=headline)
    refused = counts.refused / counts.requests * 100
    what = f"{where}: refused"
    yield Row(what, f"{counts.refused}", f"{counts.requests} requests", refused, Target(1, relation="<"), " %")


def delay_rows(server: Server, sizes: Sizes) -> Iterator[Row]:
    """Return the rows about delays: until the first task, and of other work in the event loop."""
    for name, latency, known in (("first walk", 0, False), ("second walk", LATENCY, True)):
        url = server.url(sizes.tasks, latency=latency)
        first, page = asyncio.run(measures.first_task(url, 10 * sizes.few, known=known))
        what = f"{latency} ms: first task of a client's {name} / a page alone"
        headline = None if known else Headline(f"the first of {sizes.tasks:,} tasks", "a page alone")
        both = f"{first * 1e3:.2f} ms", f"{page * 1e3:.2f} ms"
        yield Row(what, *both, first / page, Target(1.1), headline=headline)
    url = server.url(sizes.watched * 1000, latency=LATENCY)
    blocks = measures.longest_block(RIVALS | WINDOWS, url, sizes.few)
    for other, target in (("official client", Target(0.15)), (DICTIONARIES, None), (HTTPX, None)):
        ours, theirs = blocks["ours"], blocks[other]
        what = f"{sizes.watched} pages at {LATENCY} ms: longest block of the event loop, ours / {other}"
        label = f"longest block of the event loop, {sizes.watched * 1000:,} tasks"
        headline = Headline(label, other) if target else None
        both = f"{ours * 1e3:.1f} ms", f"{theirs * 1e3:.1f} ms"
        yield Row(what, *both, ours / theirs, target, headline=headline)


def fairness_rows(server: Server, sizes: Sizes) -> Iterator[Row]:
    """Return the row about many walks of one client."""
    url = server.url(FAIR_TASKS, latency=LATENCY)
    first, last = asyncio.run(measures.many_walks(url, sizes.walks))
    what = f"{sizes.walks} walks of one client, {FAIR_TASKS // 1000} pages at {LATENCY} ms: last to end / first"
    yield Row(what, f"{last:.2f} s", f"{first:.2f} s", last / first, Target(1.1))


def scale_rows(server: Server, sizes: Sizes) -> Iterator[Row]:
    """Return the rows about costs that must not grow with the list."""
    short, long = (
        measures.peak_memory(server.url(tasks), sizes.few) / 2**20 for tasks in (sizes.short_memory, sizes.long)
    )
    what = f"peak memory: {sizes.long:,} tasks - {sizes.short_memory:,} tasks"
    headline = Headline(f"peak memory for {sizes.long:,} tasks", f"for {sizes.short_memory:,}")
    yield Row(what, f"{long:.1f} MiB", f"{short:.1f} MiB", long - short, Target(8), " MiB", headline)
    lists = server.url(sizes.short_cpu), server.url(sizes.long)
    short, long = asyncio.run(measures.cpu_times(lists, (sizes.long // sizes.short_cpu, 1), sizes.few))
    per_thousand = 1e6 / sizes.long
    what = f"CPU per 1,000 tasks: of {sizes.long:,} / of {sizes.short_cpu:,}"
    yield Row(what, f"{long * per_thousand:.2f} ms", f"{short * per_thousand:.2f} ms", long / short, Target(1.1))


def request_rows(server: Server, sizes: Sizes) -> Iterator[Row]:
    """Return the row about the number of requests."""
    numbers = (0, 1, 1000, 1001, sizes.tasks)
    needed = [max(1, -(-number // 1000)) for number in numbers]
    sent = measures.requests(server, numbers)
    wrong = sum(one != other for one, other in zip(sent, needed, strict=True))
    what = f"requests for {', '.join(map('{:,}'.format, numbers))} tasks: lists that took others"
    yield Row(what, ", ".join(map(str, sent)), ", ".join(map(str, needed)), wrong, Target(0))


def fleet_rows(server: Server, sizes: Sizes) -> Iterator[Row]:
    """Return the rows about many accounts, each with a median number of tasks."""
    rate = fleet.accounts_per_second(server.url(ACCOUNT, latency=100), sizes.accounts, PROCESSES)
    what = f"{sizes.accounts:,} accounts at 100 ms, {PROCESSES} processes: accounts per second"
    yield Row(what, f"{rate:.0f}", "", rate, Target(300, relation=">="))
    idle, used = asyncio.run(fleet.client_memory(server.url(ACCOUNT), sizes.clients))
    yield Row("memory of a client: unused", f"{idle / 1024:.1f} KiB", "", idle / 1024, None, " KiB")
    yield Row("memory of a client: with a connection", f"{used / 1024:.1f} KiB", "", used / 1024, None, " KiB")
    load = asyncio.run(fleet.followers_load(server.url(ACCOUNT), sizes.clients, ACCOUNT))
    yield Row(f"CPU of {sizes.clients} followers", f"{load * 100:.1f} %", "a core", load * 100, None, " %")


def start_rows(sizes: Sizes) -> Iterator[Row]:
    """Return the rows about the time to start a program."""
    programs = (
        ("-c", "import aiohttp"),
        ("-c", "from apify_tasks_async import TasksClient"),
        ("-c", "import click"),
        ("-m", "apify_tasks_async", "--help"),
    )
    aiohttp, ours, click, command = (time * 1e3 for time in measures.start_times(programs, sizes.rounds))
    what = "CPU of a start: with TasksClient imported - with aiohttp"
    yield Row(what, f"{ours:.0f} ms", f"{aiohttp:.0f} ms", ours - aiohttp, Target(45), " ms")
    what = "CPU of a start: `apify-tasks --help` - with click imported"
    yield Row(what, f"{command:.0f} ms", f"{click:.0f} ms", command - click, None, " ms")
