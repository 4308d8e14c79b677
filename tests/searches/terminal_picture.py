"""Write the README's picture of a terminal, by the real command: `python tests/searches/terminal_picture.py`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.terminal_picture import PICTURE, draw, show

if __name__ == "__main__":
    PICTURE.write_text(draw(show()))
