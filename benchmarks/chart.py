"""Draw the time that this library and the official client take, against the latency and the number of tasks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Curves = Mapping[str, Mapping[int, float]]
"""For each contender, the wall time in seconds at each value of the horizontal axis."""

# Readable on white and on black: a medium grey, and colours that also differ in brightness.
GREY = "#808080"
COLOURS = {"ours": "#2f9e44", "official client": "#e8590c"}
STYLE: dict[Any, Any] = {
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": GREY,
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    "font.size": 9.0,
    "legend.frameon": False,
    "legend.labelcolor": GREY,
    "svg.fonttype": "none",
    "svg.hashsalt": "apify_tasks_async",  # the same figures make the same file
    "text.color": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
}


def draw(path: Path, by_latency: Curves, by_tasks: Curves, *, tasks: int, latency: int) -> None:
    """Write the chart as SVG."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8, 3), layout="constrained")
        left, right = figure.subplots(1, 2)
        _plot(left, by_latency, f"{tasks:,} tasks", "latency of a request, ms")
        _plot(right, by_tasks, f"{latency} ms latency", "tasks, thousands")
        figure.savefig(path, format="svg", transparent=True, metadata={"Date": None, "Creator": None})


def _plot(axes: Axes, curves: Curves, title: str, label: str) -> None:
    for name, points in curves.items():
        axes.plot(list(points), list(points.values()), color=COLOURS[name], marker="o", markersize=3, label=name)
    axes.set(title=title, xlabel=label, ylabel="seconds", xlim=(0, None), ylim=(0, None))
    axes.legend()
