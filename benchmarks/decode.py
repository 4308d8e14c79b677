"""Measure with pyperf what it takes to decode one page of a thousand tasks, without a network.

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
    # What was imported for the others is no business of the collections that a decoder causes.
    gc.collect()
    gc.freeze()
    for name, decode in DECODERS.items():
        runner.bench_func(name, decode, body)


if __name__ == "__main__":
    main()
