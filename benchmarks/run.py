"""Measure this library against the official client, the floors and its targets, in one run. Needs Linux.

Compare ratios within one run only, since the load of the machine changes.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import attrs
from chart import Curves, draw
from contenders import CONTENDERS, RIVALS
from measures import race
from rows import FULL, QUICK, Figures, Sizes, all_rows, take_figures
from server import LATENCY, Server, running_server
from table import Cells, Row, between_markers, headline_cells, markdown, plain, target_cells

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
PAGE = HERE.parent / "docs" / "explanation" / "benchmarks.md"
CHART = HERE / "speed.svg"
PACKAGES = ("aiohttp", "apify-client", "attrs", "cattrs", "msgspec", "orjson", "pydantic")


def conditions(sizes: Sizes) -> str:
    """Return a line about the sizes, the machine and the versions."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    machine = f"{os.cpu_count()} cores, a heap of {len(gc.get_objects()):,} objects"
    return f"{sizes.name}: {sizes.tasks:,} tasks, {sizes.rounds} rounds; {python}, {machine}; {packages}"


def contender_cells(figures: Figures, tasks: int) -> Cells:
    """Return the table of contenders."""
    lines = [("", "decoding, ms per 1,000", "CPU, ms per 1,000", f"wall at {LATENCY} ms, s")]
    for name in CONTENDERS:
        decode = f"{figures.decode[name] * 1e3:.2f}" if name in figures.decode else ""
        cpu = figures.still[name].cpu / tasks * 1e6
        lines.append((name, decode, f"{cpu:.2f}", f"{figures.distant[name].wall:.3f}"))
    return lines


def curves(server: Server, sizes: Sizes) -> tuple[Curves, Curves]:
    """Measure the curves of the chart: wall time against latency, and against the number of tasks."""
    by_latency: dict[str, dict[int, float]] = {name: {} for name in RIVALS}
    by_tasks: dict[str, dict[int, float]] = {name: {} for name in RIVALS}
    for latency in sizes.latencies:
        for name, sample in race(RIVALS, server.url(sizes.tasks, latency=latency), sizes.few).items():
            by_latency[name][latency] = sample.wall
    for length in sizes.lengths:
        for name, sample in race(RIVALS, server.url(length * 1000, latency=LATENCY), sizes.few).items():
            by_tasks[name][length] = sample.wall
    return by_latency, by_tasks


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="measure less, to see that it works")
    parser.add_argument("--markdown", action="store_true", help="print the tables as the documentation shows them")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--chart", type=Path, help="write the chart to this file, as SVG")
    parser.add_argument("--readme", action="store_true", help="update the tables and the chart in the README and docs/")
    return parser.parse_args()


def measure_rows(figures: Figures, server: Server, sizes: Sizes) -> list[Row]:
    """Measure the figures with targets. Print each at once, since all together take minutes."""
    rows = []
    for row in all_rows(figures, server, sizes):
        print(f"{row.what}: {row.result}", file=sys.stderr)
        rows.append(row)
    return rows


def update(path: Path, text: str) -> None:
    """Replace the figures in a document."""
    path.write_text(between_markers(path.read_text(), "benchmarks", text))


def main() -> None:
    """Measure, and print the tables."""
    arguments = parse()
    sizes = QUICK if arguments.quick else FULL
    chart = CHART if arguments.readme else arguments.chart
    with running_server() as server:
        figures = take_figures(server, sizes)
        rows = measure_rows(figures, server, sizes)
        drawn = curves(server, sizes) if chart else None
    tables = contender_cells(figures, sizes.tasks), target_cells(rows)
    as_text, as_markdown = ("\n\n".join([*map(style, tables), conditions(sizes)]) for style in (plain, markdown))
    print(as_markdown if arguments.markdown else as_text)
    if drawn:
        draw(chart, *drawn, tasks=sizes.tasks, latency=LATENCY)
    if arguments.readme:
        update(README, markdown(headline_cells(rows)))
        update(PAGE, as_markdown)
    if arguments.json:
        document = {
            "conditions": conditions(sizes),
            "sizes": attrs.asdict(sizes),
            "contenders": attrs.asdict(figures),
            "rows": [attrs.asdict(row) | {"verdict": row.verdict} for row in rows],
            "chart": drawn,
        }
        arguments.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
