"""Print what each body of `helpers.bombs` costs: `python tests/searches/bombs.py`. Linux only."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.bombs import BOMBS, explode

if __name__ == "__main__":
    rows = ["| decoded body | on the wire | longest block | memory | outcome |", "|---|---|---|---|---|"]
    for name in BOMBS:
        damage = explode(name)
        memory = f"+{damage.memory / 2**20:.0f} MiB, {damage.memory / damage.size:.1f}x"
        outcome = damage.outcome.partition(" (offset=")[0][:110]
        rows.append(f"| {name} | {damage.wire // 1024} KiB | {damage.block:.3f} s | {memory} | {outcome} |")
    print("\n".join(rows))  # noqa: T201 - output
