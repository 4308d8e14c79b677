"""Measure this library against the official client and the floors, in one run, and print a table of ratios.

Only ratios within one run mean something: the machine has other things to do. Each contender is measured several
times, in turn with the others, and the median counts. The server is a process of its own, on the other core where
there is one.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import attrs
from contenders import CONTENDERS

HERE = Path(__file__).parent


@attrs.frozen
class Sample:
    """What one run of a contender took, in seconds."""

    cpu: float
    wall: float


@contextmanager
def server(tasks: int) -> Iterator[str]:
    """Run the server, and return its address."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    pinned: list[str] = []
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[0]})
        pinned = ["--core", str(cores[1])]
    command = [sys.executable, str(HERE / "server.py"), "--tasks", str(tasks), *pinned]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.communicate()


def measure(name: str, url: str) -> tuple[Sample, list[str]]:
    """Run a contender once."""
    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    ids = asyncio.run(CONTENDERS[name](url))
    return Sample(time.process_time() - cpu, time.perf_counter() - wall), ids


def race(url: str, latency: int, rounds: int) -> dict[str, Sample]:
    """Run all contenders in turn, and return the medians."""
    samples: dict[str, list[Sample]] = {name: [] for name in CONTENDERS}
    listed: dict[str, list[str]] = {}
    for _ in range(rounds + 1):  # the first round is to warm up
        for name in CONTENDERS:
            sample, ids = measure(name, f"{url}/{latency}")
            samples[name].append(sample)
            listed[name] = ids
    lists = [ids for name, ids in listed.items() if name != "transfer floor"]
    if any(ids != lists[0] for ids in lists):
        raise SystemExit("the contenders did not list the same tasks")
    return {
        name: Sample(median(one.cpu for one in taken[1:]), median(one.wall for one in taken[1:]))
        for name, taken in samples.items()
    }


def main() -> None:
    """Print the table, and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less of everything: does it start?")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args()
    tasks, rounds = (3000, 1) if arguments.quick else (20_000, 7)
    with server(tasks) as url:
        still = race(url, 0, rounds)
        distant = race(url, 50, rounds)
    pages = tasks // 1000
    ideal = 0.05 * (1 + -(-(pages - 1) // 8))
    ours = still["ours"].cpu
    distant_ours = distant["ours"].wall
    rows = [
        ("CPU per 1,000 tasks: ours / official", ours / still["official client"].cpu, "<= 0.40"),
        ("CPU per 1,000 tasks: exact / official", still["ours, exact"].cpu / still["official client"].cpu, "<= 0.40"),
        ("CPU per 1,000 tasks: ours / typed floor", ours / still["typed floor"].cpu, "<= 1.8"),
        ("CPU per 1,000 tasks: ours / transfer floor", ours / still["transfer floor"].cpu, ""),
        (f"wall, {pages} pages at 50 ms: official / ours", distant["official client"].wall / distant_ours, ">= 5"),
        (f"wall, {pages} pages at 50 ms: ours / ideal", distant_ours / ideal, "<= 1.35"),
    ]
    print(f"{'contender':<20}{'CPU ms per 1,000':>18}{'wall s at 50 ms':>18}")
    for name in CONTENDERS:
        print(f"{name:<20}{still[name].cpu / tasks * 1e6:>18.2f}{distant[name].wall:>18.3f}")
    print()
    for what, ratio, target in rows:
        print(f"{what:<50}{ratio:>8.2f}  {target}")
    if arguments.json:
        figures = {
            "tasks": tasks,
            "still": {name: attrs.asdict(sample) for name, sample in still.items()},
            "distant": {name: attrs.asdict(sample) for name, sample in distant.items()},
            "ratios": [{"what": what, "ratio": ratio, "target": target} for what, ratio, target in rows],
        }
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
