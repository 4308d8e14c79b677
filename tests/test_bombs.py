"""No body up to the default limit takes much memory, or is looked at item by item before it is known to be a page."""

import asyncio
import gzip
import json
import random
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.bombs import LIMIT, explode
from helpers.documents import page_document, task_document
from helpers.raw_server import RawServer, encoded, message
from helpers.support import client_of

from apify_tasks_async import InvalidResponseError, ResponseTooLargeError, RetryPolicy
from apify_tasks_async._batch import TaskReader
from apify_tasks_async._convert import InvalidDocumentError, NotJsonError, load_json
from apify_tasks_async._envelope import read_envelope
from apify_tasks_async._weight import LIGHT, LONG, TEXTS, VALUES, WIDE, WIDEST, find_burden

measured = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="measures memory as Linux shows it")

LARGE = [
    "items: ones, 1 MiB",
    "items: nulls, 8 MiB",
    "empty arrays beside the data, 63 MiB",
    "one item of unknown names, 63 MiB",
    "lone surrogates, 63 MiB",
    "items: 17-digit floats, 8 MiB",
    "backslashes, 8 MiB",
    "items: empty objects, 511 KiB",
    "one long name with a wide character, 16 MiB",
]
SMALL = ["one item of unknown names, 1 MiB", "deep arrays"]


@pytest.mark.long
@measured
@pytest.mark.parametrize("name", [*LARGE, *SMALL])
def test_memory(name: str, record_property: Callable[[str, object], None]) -> None:
    """A process that may take no more than 4 times the default limit reads the body, or refuses it.

    May take over a second: the body is compressed, and a process started.
    """
    damage = explode(name)
    record_property("damage", str(damage))
    assert not damage.outcome.startswith("MemoryError")
    assert damage.memory <= 4 * LIMIT, damage
    if name in LARGE:  # With a small one, what the process does anyway would count.
        assert damage.memory <= 4.2 * damage.size, damage


# What a body weighs.


@pytest.mark.parametrize(
    ("body", "maximum", "burden"),
    [
        (b"[" * LIGHT, LIMIT, None),
        (b"," * (VALUES + 1) + b" " * LIGHT, LIMIT, f"has more than {VALUES:,} values"),
        (b",[{" * (VALUES // 3) + b" " * LIGHT, LIMIT, None),
        (b",[{" * (VALUES // 3 + 1) + b" " * LIGHT, LIMIT, f"has more than {VALUES:,} values"),
        (b"," * (VALUES + 1) + b" " * LIGHT, 2**10 * VALUES, None),
        (b" " * (WIDE + 1), LIMIT, None),
        (b"\\" * WIDE, LIMIT, None),
        (b" " * WIDE + b"\\", LIMIT, "is larger than 16 MiB, and not plain ASCII"),
        (b" " * WIDE + "\xe9".encode(), LIMIT, "is larger than 16 MiB, and not plain ASCII"),
        (b" " * WIDE + b"\\", 2 * LIMIT, None),
        (b" " * WIDE + b"\\", 2**20, "is larger than 16 MiB, and not plain ASCII"),
    ],
)
def test_burden(body: bytes, maximum: int, burden: str | None) -> None:
    """The marks before values are counted, unless the body is small; what is allowed grows with `max_body_bytes`."""
    assert burden == find_burden(body, maximum)


EMOJI = "\N{GRINNING FACE}".encode()
WIDE_TEXTS = "is larger than 4 MiB, and most of its text is beside emoji or the like"


@pytest.mark.parametrize(
    ("body", "maximum", "burden"),
    [
        (b'"%b"' % (b"x" * WIDEST + EMOJI), LIMIT, WIDE_TEXTS),
        (b'"%b"' % (EMOJI + b"x" * WIDEST), LIMIT, WIDE_TEXTS),
        (b'"%b"' % (rb"\ud83d\ude00" + b"x" * WIDEST), LIMIT, WIDE_TEXTS),
        (b'"%b"' % (rb"\uD83D\uDE00" + b"x" * WIDEST), LIMIT, WIDE_TEXTS),
        (b'"%b"' % (b"x" * WIDEST + rb"\"" + EMOJI + rb"\""), LIMIT, WIDE_TEXTS),
        (b'"\\\\"%b"%b"' % (EMOJI, b"x" * WIDEST), LIMIT, None),
        (b'"%b"' % (b"x" * (WIDEST - 10) + EMOJI), LIMIT, None),
        (b'"%b"' % (b"x" * WIDEST + EMOJI), 2 * LIMIT, None),
        (b'"%b"' % (b"x" * WIDEST + "\N{HIRAGANA LETTER A}".encode()), LIMIT, None),
        (b'"%b", "%b"' % (b"x" * WIDEST, EMOJI), LIMIT, None),
        (b'"%b", "%b"' % (EMOJI, b"x" * WIDEST), LIMIT, None),
        (b'"%b", "%b", "%b"' % (EMOJI, b"x" * WIDEST, rb"\ud83d\ude00" + b"x" * (WIDEST + 10)), LIMIT, WIDE_TEXTS),
        (b'"x", ' * 10 + b" " * WIDEST + (b'"%b",' % EMOJI) * (TEXTS - 1), LIMIT, None),
        ((b'"%b",' % EMOJI) * TEXTS + b" " * WIDEST, LIMIT, WIDE_TEXTS),
        (EMOJI + b" " * WIDEST, LIMIT, WIDE_TEXTS),
    ],
    ids=range(15),
)
def test_burden_of_wide_characters(body: bytes, maximum: int, burden: str | None) -> None:
    """One emoji makes each character of its text take four bytes; texts without one may be as long as any."""
    assert burden == find_burden(body, maximum)


@pytest.mark.parametrize("letter", ["x", "\xe9", "\N{HIRAGANA LETTER A}", "\N{GRINNING FACE}"])
@pytest.mark.parametrize("escaped", [True, False])
def test_usual_pages_are_no_burden(letter: str, *, escaped: bool) -> None:
    """A full page may have names in any script, and 3 KB of text for each task."""
    tasks = [task_document(name=letter * 60, title=f"{letter} {'x' * 3000}") for _ in range(1000)]
    body = json.dumps(page_document(*tasks), ensure_ascii=escaped).encode()
    assert LIGHT < len(body)
    assert find_burden(body, LIMIT) is None


@pytest.mark.asyncio
async def test_too_many_values() -> None:
    """A body with too many values is a `ResponseTooLargeError`, which is not tried again."""
    body = json.dumps(page_document(task_document(new=[0] * VALUES))).encode().ljust(LIGHT + 1)
    async with RawServer(message(body)) as server, client_of(server) as client:
        with pytest.raises(ResponseTooLargeError, match="has more than 131,072 values"):
            await client.list_tasks()
        assert 1 == len(server.requests)


@pytest.mark.asyncio
async def test_other_tasks_run_while_a_long_body_is_read() -> None:
    """Aiohttp decompresses without a turn of the loop, so the client takes turns."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    body = json.dumps(page_document(task_document())).encode().ljust(8 * LONG)
    async with RawServer(encoded(gzip.compress(body), "gzip")) as server, client_of(server) as client:
        await client.count()  # so that the connection is open
        counting = asyncio.create_task(count())
        before = turns
        await client.count()
        counting.cancel()
    assert turns - before >= 8


# More items than were asked for.


@pytest.mark.parametrize("item", [task_document(), 1, None], ids=["tasks", "numbers", "nulls"])
@pytest.mark.parametrize(
    ("asked", "said", "most"), [(1, 1, 1), (1, 10**9, 1000), (1000, 1, 1000), (20, 30, 30)], ids=str
)
def test_more_items_than_asked_for(item: object, asked: int, said: int, most: int) -> None:
    """More items than were asked for, or than the page says it may have, are not looked at."""
    for count in (most, most + 1):
        body = json.dumps(page_document(*[item] * count, limit=said)).encode()
        if count == most:
            assert count == len(read_envelope(body, TaskReader(), asked).items)
        else:
            with pytest.raises(
                InvalidDocumentError, match=re.escape(f"items: expected at most {most:,}, got {count:,}")
            ):
                read_envelope(body, TaskReader(), asked)


@pytest.mark.asyncio
async def test_count_of_many_items() -> None:
    """A count asks for one task, and does not read thousands."""
    body = json.dumps(page_document(*[1] * 1001)).encode()
    async with RawServer(message(body)) as server, client_of(server, retry=RetryPolicy(attempts=1)) as client:
        with pytest.raises(InvalidResponseError, match="expected at most 1,000, got 1,001"):
            await client.count()


def test_tiny_items_are_not_built() -> None:
    """More items than a page may have are noticed before any is an object: an empty one takes forty times its size."""
    body = json.dumps(page_document(*[{}] * 100_000)).encode()
    with pytest.raises(InvalidDocumentError, match="items: expected at most 1,000, got 1,001 or more"):
        read_envelope(body, TaskReader())
    tracemalloc.start()
    with pytest.raises(InvalidDocumentError):
        read_envelope(body, TaskReader())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * len(body)


def test_long_page() -> None:
    """A long page is decoded in one pass, with the same result."""
    body = json.dumps(page_document(task_document(new=1))).encode()
    short, long = (read_envelope(each, TaskReader(), 1000) for each in (body, body.ljust(LONG + 1)))
    assert short.valid
    assert long.valid
    assert {"new": 1} == long.items[0].read_extra() == short.items[0].read_extra()


# Surrogates.


def test_repaired_surrogates() -> None:
    """Halves of pairs are replaced wherever they stand, as Python's own decoder shows where they are."""
    generator = random.Random(1)
    pieces = ["\\ud83d", "\\uDE00", "\\\\", "\\n", "ud83d", "\\u0041", "x", "\\ud83d\\ude00"]
    for _ in range(2000):
        text = "".join(generator.choices(pieces, k=generator.randrange(8)))
        expected = re.sub("[\ud800-\udfff]", "\ufffd", json.loads(f'"{text}"'))
        assert expected == load_json(f'"{text}"'.encode())


def test_too_many_surrogates() -> None:
    """A body with very many surrogates is not repaired."""
    assert 2**14 == len(load_json(b'"%b"' % (rb"\ud83d" * 2**14)))
    with pytest.raises(NotJsonError, match="surrogate"):
        load_json(b'"%b"' % (rb"\ud83d" * 2**16))
