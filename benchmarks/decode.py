"""Measure with pyperf how long it takes to decode one page of 1,000 tasks, without a network.

`python benchmarks/decode.py --help` shows pyperf's options.
"""

from __future__ import annotations

import gc

import pyperf
from bodies import PAGE, page_body
from decoders import DECODERS


def main() -> None:
    """Run the benchmarks; pyperf runs this once in each of its processes."""
    runner = pyperf.Runner()
    body = page_body(0, PAGE, PAGE)
    # Exclude the modules of all decoders from the garbage collections that one decoder causes.
    gc.collect()
    gc.freeze()
    for name, decode in DECODERS.items():
        runner.bench_func(name, decode, body)


if __name__ == "__main__":
    main()
