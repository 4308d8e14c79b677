"""Bodies that are small on the wire and huge once they are decoded, each read in a process of its own."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import resource
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from subprocess import run
from typing import Any

import attrs

from apify_tasks_async import ApifyTasksError, RetryPolicy, TasksClient
from helpers.documents import page_document, task_document
from helpers.raw_server import RawServer, encoded

__all__ = ["BOMBS", "LIMIT", "Damage", "explode"]

MIB = 2**20
LIMIT = 64 * MIB
"""The default `max_body_bytes`."""

TOKEN = "apify_api_" + "0123456789" * 4
_LEAD, _TAIL = json.dumps(page_document("HERE", total=1, count=10**7)).encode().split(b'"HERE"', 1)
_TASK = json.dumps(task_document()).encode()


def _named(name: bytes = b"name") -> tuple[bytes, bytes]:
    """Return a page with one task, up to the text of a field, and from its end."""
    document = json.dumps(task_document(**{name.decode(): "HERE"})).encode()
    before, after = document.split(b"HERE")
    return _LEAD + before, after + _TAIL


def _items(piece: bytes, size: int) -> Iterator[bytes]:
    return _around(_LEAD, piece, _TAIL.join([b"0", b""]), size)


def _around(before: bytes, piece: bytes, after: bytes, size: int) -> Iterator[bytes]:
    """Yield a body of about this size that repeats a piece, in parts: it is never in memory as a whole."""
    yield before
    block = piece * (2**16 // len(piece) + 1)
    for _ in range((size - len(before) - len(after)) // len(block)):
        yield block
    yield after


def _names(size: int, per_object: int) -> Iterator[bytes]:
    """Yield items with names that no other one has."""
    numbers = itertools.count()
    head = _TASK[:-1]
    yield _LEAD
    for _ in range(size // (13 * per_object)):
        yield head + b"".join(b',"%08d":1' % next(numbers) for _ in range(per_object)) + b"},"
    yield _TASK + _TAIL


def _deep() -> Iterator[bytes]:
    yield _LEAD + _TASK[:-1] + b',"x":'
    yield from itertools.chain.from_iterable(itertools.repeat([b"[" * 900 + b"]" * 900 + b',"y":'], 30))
    yield b"0}" + _TAIL


BOMBS: dict[str, Callable[[], Iterable[bytes]]] = {
    "items: 1,000 ones": lambda: [_LEAD, b"1," * 999, b"1", _TAIL],
    "items: ones, 511 KiB": lambda: _items(b"1,", MIB // 2 - 2**10),
    "items: empty objects, 511 KiB": lambda: _items(b"{},", MIB // 2 - 2**10),
    "unknown names in 900 items, 511 KiB": lambda: _names(MIB // 3, MIB // 3 // 13 // 900),
    "unknown names in 900 invalid items, 1 MiB": lambda: (
        part.replace(b'"createdAt"', b'"x"') for part in _names(MIB - 2**18, (MIB - 2**18) // 13 // 900)
    ),
    "items: ones, 1 MiB": lambda: _items(b"1,", MIB),
    "items: nulls, 8 MiB": lambda: _items(b"null,", 8 * MIB),
    "items: nulls, 1 MiB": lambda: _items(b"null,", MIB - 2**16),
    "items: empty objects, 1 MiB": lambda: _items(b"{},", MIB - 2**16),
    "items: 17-digit floats, 8 MiB": lambda: _items(b"0.12345678901234567,", 8 * MIB),
    "empty arrays beside the data, 63 MiB": lambda: _around(b'{"x":[', b"[],", b"0]," + _LEAD[1:] + _TAIL, 63 * MIB),
    "empty arrays beside the data, 1 MiB": lambda: _around(b'{"x":[', b"[],", b"0]," + _LEAD[1:] + _TAIL, MIB - 2**16),
    "one item of unknown names, 63 MiB": lambda: _names(63 * MIB, 63 * MIB // 13),
    "one item of unknown names, 1 MiB": lambda: _names(MIB - 2**16, (MIB - 2**16) // 13),
    "unknown names in 900 items, 1 MiB": lambda: _names(MIB - 2**18, (MIB - 2**18) // 13 // 900),
    "lone surrogates, 63 MiB": lambda: _around(_named()[0], rb"\ud800", _named()[1], 63 * MIB),
    "lone surrogates, 16 MiB": lambda: _around(_named()[0], rb"\ud800", _named()[1], 16 * MIB - 2**16),
    "backslashes, 8 MiB": lambda: _around(_named()[0], rb"\\", rb"\ud800" + _named()[1], 8 * MIB),
    "backslashes and a lone surrogate, 16 MiB": lambda: _around(
        _named()[0], rb"\\", rb"\ud800" + _named()[1], 16 * MIB - 2**16
    ),
    "30,000 lone surrogates among backslashes, 16 MiB": lambda: _around(
        _named()[0], rb"\ud800" + rb"\\" * 280, _named()[1], 16 * MIB - 2**16
    ),
    "floats in one item, 63 MiB": lambda: _around(
        _LEAD + _TASK[:-1] + b',"x":[', b"0.12345678901234567,", b"0]}" + _TAIL, 63 * MIB
    ),
    "one long name, 63 MiB": lambda: _around(_named()[0], b"x", _named()[1], 63 * MIB),
    "one long name with a wide character, 16 MiB": lambda: _around(
        _named()[0], b"x", "\U0001f600".encode() + _named()[1], 16 * MIB - 2**16
    ),
    "spaces, 63 MiB": lambda: _around(_LEAD, b" ", _TASK + _TAIL, 63 * MIB),
    "a long invisible id of an invalid item, 63 MiB": lambda: _around(
        _LEAD + b'{"id":"', b"\x7f", b'"}' + _TAIL, 63 * MIB
    ),
    "an invalid item that repeats the token, 63 MiB": lambda: _around(
        _LEAD + b'{"id":"', TOKEN.encode(), b'"}' + _TAIL, 63 * MIB
    ),
    "an invalid item of beginnings of the token, 63 MiB": lambda: _around(
        _LEAD + b'{"id":"', TOKEN[:8].encode(), b'"}' + _TAIL, 63 * MIB
    ),
    "900 long invalid items, 63 MiB": lambda: itertools.chain(
        [_LEAD],
        itertools.repeat(b'{"id":"' + b"x" * (63 * MIB // 900 - 20) + b'"},', 900),
        [_TASK + _TAIL],
    ),
    "a number of a million digits": lambda: _around(_LEAD + _TASK[:-1] + b',"x":1', b"1", b"}" + _TAIL, MIB - 2**16),
    "deep arrays": _deep,
}
"""The parts of each body."""


@attrs.frozen
class Damage:
    """What reading a body cost."""

    size: int
    """Bytes of the body."""
    wire: int
    """Bytes of it on the wire."""
    block: float
    """The longest time, in seconds of the processor, that one turn of the event loop took."""
    memory: int
    """By how many bytes the memory of the process grew at most."""
    outcome: str
    """The error, or how many tasks came."""


def explode(name: str) -> Damage:
    """Read a body in a process that may take 4 times the default limit in memory, and not more."""
    command = [sys.executable, "-m", "helpers.bombs", name]
    folder = str(Path(__file__).parents[1])
    settings = {"PYTHONPATH": os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))}
    # One arena, since each takes 64 MiB of addresses, which is what the system bounds.
    done = run(
        command, capture_output=True, check=False, text=True, env=os.environ | settings | {"MALLOC_ARENA_MAX": "1"}
    )
    assert done.returncode == 0, done.stderr
    return Damage(**json.loads(done.stdout))


async def _read(name: str) -> Damage:
    compressor = zlib.compressobj(wbits=31)
    parts, size = [], 0
    for part in BOMBS[name]():
        size += len(part)
        parts.append(compressor.compress(part))
    wire = b"".join([*parts, compressor.flush()])
    del parts
    blocks = _blocks()
    async with (
        RawServer(encoded(wire, "gzip")) as server,
        TasksClient(TOKEN, base_url=server.url, retry=RetryPolicy(attempts=1)) as client,
    ):
        await asyncio.sleep(0)
        before = _memory("VmRSS")
        _forget_peak()
        bound = _memory("VmSize") + 4 * LIMIT
        resource.setrlimit(resource.RLIMIT_AS, (bound, bound))
        blocks.clear()
        try:
            outcome = f"{len(await client.all_tasks(on_invalid='skip', limit=1000))} tasks"
        except (ApifyTasksError, MemoryError) as error:
            outcome = f"{type(error).__name__}: {error}"
        return Damage(size, len(wire), max(blocks), max(0, _memory("VmHWM") - before), outcome)


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _memory(name: str) -> int:
    [kibibytes] = re.findall(rf"^{name}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(kibibytes) * 1024


def _blocks() -> list[float]:
    """Return a list that takes the seconds of each turn of the event loop."""
    blocks: list[float] = []
    handle: Any = asyncio.Handle
    turn = handle._run

    def timed(self: Any) -> None:
        start = time.thread_time()
        try:
            turn(self)
        finally:
            blocks.append(time.thread_time() - start)

    handle._run = timed
    return blocks


if __name__ == "__main__":
    sys.stdout.write(json.dumps(attrs.asdict(asyncio.run(_read(sys.argv[1])))))
