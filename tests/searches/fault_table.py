"""Write the reference's table of faults, by a run with the default settings: `python tests/searches/fault_table.py`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.fault_table import PAGE, ROWS, row, table_of
from helpers.virtual_time import run


def write() -> None:
    """Replace the rows of the table."""
    page = PAGE.read_text()
    old = table_of(page)
    new = [*old[:2], *(run(row(label)) for label in ROWS)]
    PAGE.write_text(page.replace("\n".join(old), "\n".join(new)))


if __name__ == "__main__":
    write()
