"""Walk lists of an API in which everything goes wrong at once, and report which promises were broken."""

import asyncio
import contextlib
import logging
import re
import time
import tracemalloc
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from datetime import timedelta
from random import Random
from typing import Any

import attrs

from apify_tasks_async import (
    ApifyTasksError,
    Attempt,
    ClientClosedError,
    InvalidTaskError,
    RequestTimeoutError,
    RetryPolicy,
    Task,
    TasksClient,
)
from apify_tasks_async.testing import (
    ABSENT,
    Disconnect,
    FakeApify,
    Fault,
    Hang,
    MalformedItem,
    MalformedJson,
    OtherRequest,
    RecordedRequest,
    RepeatedItem,
    ShortPage,
    SlowBody,
    Status,
    TruncatedBody,
    make_task,
)
from helpers.journey import Journey, Options
from helpers.leftovers import census, complaints, descriptors, left_over
from helpers.support import until
from helpers.virtual_time import tell_time

__all__ = ["Result", "run"]

TASKS = 300
"""About how many tasks the list has."""

WALKERS = 6
"""How many walks run at once."""

ROUNDS = 4
"""Parts of a run, after a short part to warm up. Each must leave nothing open."""

TIMEOUT = 0.3
"""The timeout of an attempt in seconds. On a busy machine, a slow answer is one more fault."""

WARM_UP = 100
"""Requests before the first measurement."""

MOST_GROWTH = 2**17
"""Bytes by which memory may grow after the first round, since caches fill up."""

RATE_LIMIT = 60
"""Requests per second that the server accepts: at times fewer than it gets."""

PATIENCE = 200
"""The most times that a walk is resumed."""

STUCK = 120
"""Seconds after which a call hangs, which breaks a promise."""

FAULTS: dict[str, Callable[[Random], Fault]] = {
    "500": lambda _: Status(500),
    "502, HTML": lambda _: Status(502, body="<html>Bad Gateway</html>"),
    "503, Retry-After": lambda random: Status(503, retry_after=random.choice(["0.02", "soon"])),
    "429": lambda random: Status(429, retry_after=random.choice([None, 0, 0.05])),
    "403": lambda _: Status(403),
    "disconnect": lambda _: Disconnect(),
    "truncated body": lambda _: TruncatedBody(),
    "slow body": lambda _: SlowBody(TIMEOUT / 5),
    "body too slow": lambda _: SlowBody(TIMEOUT * 20),
    "hang": lambda _: Hang(),
    "malformed JSON": lambda _: MalformedJson(),
    "short page": lambda random: ShortPage(random.choice([0, 0, 1, 3, 8, 15]), count=random.choice([None, 20])),
    "other request": lambda random: OtherRequest(
        offset=random.choice([0, 40, 200]), desc=random.choice([None, False, True])
    ),
    "repeated item": lambda random: RepeatedItem(random.randrange(30)),
    "malformed item": lambda random: MalformedItem(random.randrange(30), *random.choice(SPOILED)),
}
"""One request in five gets one of these, all equally likely."""

LAG = 3
"""How many changes the other replica lags behind, if there is one."""

SPOILED: list[tuple[str, Any]] = [
    ("name", None),
    ("userId", 7),
    ("modifiedAt", ABSENT),
    ("stats", []),
    ("createdAt", "?"),
]

CLIENTS: list[dict[str, Any]] = [
    {"concurrency": 8, "rate_limit": None},
    {"concurrency": 3, "rate_limit": 60},
    {"concurrency": 1, "rate_limit": None},
]
"""The settings of the clients."""


logger = logging.getLogger("apify_tasks_async")

WALKING: ContextVar["Journey"] = ContextVar("WALKING")
"""The walk of the current asyncio task."""


@attrs.define
class Tally:
    """Counters, and the promises that were broken."""

    faults: Counter[str] = attrs.Factory(Counter)
    """By kind."""

    outcomes: Counter[str] = attrs.Factory(Counter)
    """How walks ended."""

    errors: Counter[str] = attrs.Factory(Counter)
    """The errors after which walks were resumed."""

    cancellations: Counter[str] = attrs.Factory(Counter)
    """How consumers interrupted walks."""

    counts: Counter[str] = attrs.Factory(Counter)
    """The sums of the statistics of all clients, and counters of the walks and the server."""

    broken: list[str] = attrs.Factory(list)
    """The promises that were broken."""

    def add(self, other: "Tally") -> None:
        """Add the counters of another tally."""
        for field in attrs.fields(Tally):
            mine = getattr(self, field.name)
            (mine.update if isinstance(mine, Counter) else mine.extend)(getattr(other, field.name))


@attrs.frozen
class Result:
    """The result of a run."""

    seed: int
    tally: Tally
    peak: int
    """The most requests in flight."""

    left_over: list[str]
    """Tasks, descriptors, warnings, and complaints of the event loop."""

    growth: Counter[str]
    """How many objects of our and aiohttp's classes the run added after the warm-up."""

    memory: list[int]
    """Bytes after the warm-up and after each round; 0 unless tracemalloc runs."""

    seconds: float

    @property
    def kept(self) -> bool:
        """Whether all promises were kept."""
        flat = self.memory[-1] - self.memory[1] < MOST_GROWTH
        return flat and not (self.tally.broken or self.left_over or self.growth)


class Round:
    """An API, its clients, and the walks through its list."""

    def __init__(self, api: FakeApify, seed: str, requests: int) -> None:
        self.api = api
        self.seed = seed
        self.requests = requests
        self.tally = Tally()
        self.peak = 0
        self._random = Random(seed)
        self._journeys: set[Journey] = set()
        self._reported: Counter[TasksClient] = Counter()  # attempts that each client reported
        self._clients = [self._new_client(options) for options in CLIENTS]
        self._calm = asyncio.Event()  # no more changes and faults
        self._newest = api.tasks[-1].created_at
        api.on_request = self._stir
        api.max_limit = self._random.choice([60, 1000])
        api.shuffle_ties = True
        api.replica_lags = self._random.choice([(0,), (0, LAG)])
        self._changed: deque[str] = deque(maxlen=LAG)  # the ids of the tasks that changed last

    async def run(self) -> None:
        """Walk until the server has the requested number of requests, and complete all walks."""
        following = asyncio.create_task(self._follow())
        await asyncio.gather(*(self._wander(number) for number in range(WALKERS)))
        self._calm.set()
        await following
        for client in self._clients:
            await self._close(client)
        counts = self.tally.counts
        # The server may not see a request that was cut off, or that met a dead connection.
        cut_off = counts["cancelled requests"] + counts["timeouts"] + counts["reconnects"]
        if not counts["requests"] - cut_off <= counts["seen"] <= counts["requests"]:
            self.tally.broken.append(f"sent {counts['requests']}, {cut_off} of them cut off, but seen {counts['seen']}")

    # The server.

    def _stir(self, request: RecordedRequest) -> None:
        self.tally.counts["seen"] += 1
        self.peak = max(self.peak, self.api.in_flight)
        self.api.requests.clear()
        self.api.reported_total = None
        if self._calm.is_set():
            self.api.replica_lags = (0,)
            return
        random = self._random
        for _ in range(random.choice([0, 0, 0, 1, 2, 5])):
            self._change(random)
        if random.random() < 0.1:
            self.api.reported_total = max(0, len(self.api.tasks) + random.randint(-30, 30))
        if random.random() < 0.2:
            kind = random.choice(list(FAULTS))
            self.tally.faults[kind] += 1
            self.api.fail(FAULTS[kind](random))  # applies to this request

    def _change(self, random: Random) -> None:
        tasks = self.api.tasks
        if random.random() < len(tasks) / TASKS / 2:
            deleted = self.api.delete_task(random.choice(random.choice([tasks, tasks[:30], tasks[-30:]])).id)
            self._changed.append(deleted.id)
            for journey in self._journeys:
                journey.promised.pop(deleted.id, None)
        elif random.random() < 0.7:
            # Followers get each task that is not older than the others.
            self._newest += random.choice([0, 1]) * timedelta(minutes=1)
            created = self.api.create_task(created_at=self._newest)
            self._changed.append(created.id)
            for journey in self._journeys:
                if journey.endless:
                    journey.promised[created.id] = created
        else:
            self._changed.append(self.api.create_task(created_at=random.choice(tasks).created_at).id)

    # The clients.

    def _new_client(self, options: dict[str, Any]) -> TasksClient:
        def on_attempt(attempt: Attempt) -> None:
            self._reported[client] += 1
            self.tally.counts["timeouts"] += isinstance(attempt.error, RequestTimeoutError)

        client = TasksClient(
            self.api.token,
            base_url=self.api.url,
            timeout=TIMEOUT,
            retry=RetryPolicy(attempts=3, base_delay=0.005, max_delay=0.1),
            on_attempt=on_attempt,
            **options,
        )
        return client

    def _client(self, random: Random) -> TasksClient:
        place = random.randrange(len(self._clients))
        if self._clients[place].closed:
            self._clients[place] = self._new_client(CLIENTS[place])
        return self._clients[place]

    async def _close(self, client: TasksClient) -> None:
        if client.closed:
            return
        await client.close()
        stats = attrs.asdict(client.stats)
        self.tally.counts.update(stats)
        ended = stats["pages"] + stats["retries"] + stats["failures"]
        self.tally.counts["cancelled requests"] += stats["requests"] - stats["reconnects"] - ended
        reported = self._reported.pop(client, 0)
        if reported != ended or stats["requests"] - stats["reconnects"] < ended:
            self.tally.broken.append(f"on_attempt got {reported} attempts, the statistics have {ended}")

    # The walks.

    async def _wander(self, number: int) -> None:
        random = Random(f"{self.seed} {number}")
        while self.tally.counts["seen"] < self.requests:
            await self._walk(self._plan(random), random)

    def _plan(self, random: Random) -> Journey:
        exact = random.random() < 0.75
        return Journey(
            [task for task in self.api.tasks if task.id not in self._changed],  # every replica shows these
            exact=exact,
            desc=random.random() < 0.5,
            page_size=random.choice([20, 50, 100, 1000] if exact else [10, 20, 50, 100, 1000]),
            offset=random.choice([0, 0, 0, 100]),
            limit=random.choice([None, None, None, 40, 250]),
        )

    async def _walk(self, journey: Journey, random: Random) -> None:
        self._journeys.add(journey)
        WALKING.set(journey)
        complete = False
        while not complete and journey.stretches < PATIENCE:
            complete = await self._stretch(journey, random) or journey.satisfied
        self._judge(journey, complete=complete)

    async def _stretch(self, journey: Journey, random: Random) -> bool:
        """Walk until something interrupts, and return whether the walk is complete."""
        manner = random.choice(MANNERS)
        client = self._client(random)
        options = journey.next_options() | {"on_invalid": random.choice(["raise", "skip", journey.report])}
        try:
            async with asyncio.timeout(STUCK):
                return await manner(self, journey, client, options, random)
        except ApifyTasksError as error:
            self._note(journey, error)
        except Exception as error:  # noqa: BLE001 - the search is for any error
            self.tally.broken.append(f"{manner.__name__}: {error!r}")
        return False

    async def _to_the_end(self, journey: Journey, client: TasksClient, options: Options, random: Random) -> bool:
        async with client.iter_pages(**options) as pages:
            return await journey.read(pages)

    async def _task_by_task(self, journey: Journey, client: TasksClient, options: Options, random: Random) -> bool:
        async for task in client.iter_tasks(**options):
            journey.delivered.append(task)
        return True

    async def _impatiently(self, journey: Journey, client: TasksClient, options: Options, random: Random) -> bool:
        async with client.iter_pages(**options) as pages:
            while True:
                try:
                    async with asyncio.timeout(random.choice([0.001, 0.03, 1])):
                        journey.take(await anext(pages))
                except RequestTimeoutError:
                    raise  # not from the `timeout` above
                except TimeoutError:
                    self.tally.cancellations["timeout around anext"] += 1
                except StopAsyncIteration:
                    return True

    async def _breaking_off(self, journey: Journey, client: TasksClient, options: Options, random: Random) -> bool:
        self.tally.cancellations["broken off"] += 1
        async with client.iter_pages(**options) as pages:
            return await journey.read(pages, most=random.randint(1, 3))

    async def _dropping(self, journey: Journey, client: TasksClient, options: Options, random: Random) -> bool:
        self.tally.cancellations["dropped"] += 1
        async for _ in client.iter_tasks(**options):
            break
        return await journey.read(client.iter_pages(**options), most=random.randint(1, 3))

    async def _cancelled(self, journey: Journey, client: TasksClient, options: Options, random: Random) -> bool:
        reading = asyncio.create_task(journey.read(client.iter_pages(**options)))
        await asyncio.wait({reading}, timeout=random.uniform(0, 0.1))
        self.tally.cancellations["consumer cancelled"] += reading.cancel()
        await asyncio.wait({reading})
        return not reading.cancelled() and reading.result()

    async def _counting(self, journey: Journey, client: TasksClient, options: Options, random: Random) -> bool:
        counting = asyncio.create_task(client.count())
        await asyncio.wait({counting}, timeout=random.uniform(0, 0.1))
        self.tally.cancellations["count cancelled"] += counting.cancel()
        await asyncio.wait({counting})
        if not counting.cancelled():
            # An invalid item, which does not belong to this walk.
            with contextlib.suppress(InvalidTaskError):
                counting.result()
        return False

    async def _closing(self, journey: Journey, client: TasksClient, options: Options, random: Random) -> bool:
        self.tally.cancellations["client closed"] += 1
        async with client.iter_pages(**options) as pages:
            complete = await journey.read(pages, most=random.randint(0, 2))
            await self._close(client)
            return complete or await journey.read(pages)

    def _note(self, journey: Journey, error: ApifyTasksError) -> None:
        self.tally.errors[type(error).__name__] += 1
        journey.after = error.bookmark or journey.after
        if isinstance(error, InvalidTaskError):
            journey.report(error)
        if isinstance(error, ClientClosedError):
            return  # no request may have failed
        if None in (error.offset, error.limit, error.desc, error.attempts) or self.api.token in repr(error):
            self.tally.broken.append(f"an error lacks the request, or shows the token: {error!r}")

    def _judge(self, journey: Journey, *, complete: bool) -> None:
        self._journeys.discard(journey)
        lost, repeated, in_order = journey.verdict(complete=complete)
        kind = "exact" if journey.endless or journey.options["exact"] else "default"
        self.tally.counts["delivered"] += len(journey.delivered)
        self.tally.counts[f"lost, {kind}"] += lost
        self.tally.counts[f"repeated, {kind}"] += repeated
        self.tally.outcomes["given up" if not complete else "resumed" if journey.stretches > 1 else "complete"] += 1
        # A follower delivers what appears late, and so out of order.
        if repeated or not (in_order or journey.endless) or (kind == "exact" and lost):
            self.tally.broken.append(f"{lost} lost, {repeated} repeated, in order: {in_order}; {journey.options}")

    async def _follow(self) -> None:
        """Follow the list during the whole round, and then until all tasks have come."""
        journey = Journey(self.api.tasks, endless=True, page_size=100, interval=0.2)
        self._journeys.add(journey)
        WALKING.set(journey)
        following = asyncio.create_task(self._follow_on(journey))
        await self._calm.wait()
        with contextlib.suppress(TimeoutError):
            await until(lambda: following.done() or not journey.missing, seconds=STUCK, pause=0.25)
        following.cancel()
        await asyncio.wait({following})
        if not following.cancelled():
            self.tally.broken.append(f"following ended: {following.exception()!r}")
        self._judge(journey, complete=True)

    async def _follow_on(self, journey: Journey) -> None:
        random = Random(self.seed)
        while True:
            try:
                async with self._client(random).follow_pages(**journey.next_options(), on_invalid="skip") as pages:
                    await journey.read(pages)
            except ApifyTasksError as error:
                self._note(journey, error)


Manner = Callable[[Round, Journey, TasksClient, Options, Random], Awaitable[bool]]

MANNERS: list[Manner] = [
    Round._to_the_end,
    Round._to_the_end,
    Round._task_by_task,
    Round._impatiently,
    Round._impatiently,
    Round._breaking_off,
    Round._dropping,
    Round._cancelled,
    Round._counting,
    Round._closing,
]
"""Ways to continue a walk; each resumption chooses one."""


class LeftOut(logging.Handler):
    """Adds the tasks that the log reports as left out to their walks."""

    def emit(self, record: logging.LogRecord) -> None:
        """Handle a line of the log."""
        if match := re.match(r"left out: task '(\w+)'", record.getMessage()):
            WALKING.get().left_out.append(match[1])


async def run(*, seed: int = 0, requests: int = 400) -> Result:
    """Walk until the server has the requested number of requests, and return the result."""
    began = time.monotonic()
    before = descriptors()
    peak = 0
    tally = Tally()
    left: list[str] = []
    memory: list[int] = []
    censuses: list[Counter[str]] = []
    collector = LeftOut()
    logger.addHandler(collector)
    try:
        with complaints() as complained:
            for number, share in enumerate([WARM_UP, *[requests // ROUNDS] * ROUNDS]):
                part, most = await _round(f"{seed} {number}", share)
                tally.add(part)
                peak = max(peak, most)
                left += await left_over(before)
                censuses.append(census())
                memory.append(tracemalloc.get_traced_memory()[0])
    finally:
        logger.removeHandler(collector)
    growth = censuses[-1] - censuses[0]
    return Result(seed, tally, peak, left + complained, growth, memory, time.monotonic() - began)


def _tasks(random: Random) -> list[Task]:
    """Return tasks, many of which share their creation time."""
    numbers = sorted(random.randrange(TASKS // 2) for _ in range(TASKS))
    return [make_task(number, created_at=make_task(numbers[number]).created_at) for number in range(TASKS)]


async def _round(seed: str, requests: int) -> tuple[Tally, int]:
    api = FakeApify(_tasks(Random(seed)), seed=sum(seed.encode()), rate_limit=RATE_LIMIT)
    tell_time(api)
    async with api:
        walks = Round(api, seed, requests)
        await walks.run()
        return walks.tally, walks.peak
