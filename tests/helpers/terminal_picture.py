"""The README's picture of a terminal: what the real command shows in a pseudo-terminal, as SVG."""

import html
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from helpers.processes import terminal

__all__ = ["PICTURE", "draw", "show", "without_times"]

PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "terminal.svg"

ARGUMENTS = ("demo", "--desc", "--limit", "8")
COLUMNS = 104

CLASSES = {"": "", "bold": 'class="bold" ', "dim": 'class="dim" ', "prompt": 'class="prompt" '}

ADVANCE, LINE, MARGIN, BAR = 8.4, 20, 18, 30
"""Pixels: the width of a character, the height of a line, the space around the text, the bar of the window."""

STYLE = """
    text { font: 14px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: #d8dee4; white-space: pre }
    .bold { font-weight: bold; fill: #ffffff }
    .dim { fill: #8b949e }
    .prompt { fill: #6fdd8b }
"""


@attrs.frozen
class Run:
    """Characters of one style in a line."""

    text: str
    style: str = ""


def show() -> list[list[Run]]:
    """Run the command in a terminal, and return the lines that it leaves there."""
    with terminal(None, *ARGUMENTS, columns=COLUMNS) as shown:
        output = shown.read_all().rpartition("\x1b[2K")[2]  # The progress bar is erased before the table.
    assert shown.process.returncode == 0, output
    command = [Run("$ ", "prompt"), Run(f"apify-tasks {' '.join(ARGUMENTS)}")]
    return [command, *(list(_runs(line)) for line in output.split("\r\n")[:-1])]


def _runs(line: str) -> Iterator[Run]:
    if set(line) <= {"─", " "} or line.startswith("apify-tasks:"):
        yield Run(line, "dim")
        return
    style = ""
    for code, text in re.findall(r"(?:\x1b\[(\d+)m)?([^\x1b]*)", line):
        style = {"": style, "0": "", "1": "bold"}[code]
        if text:
            yield Run(text, style)


def draw(lines: Sequence[Sequence[Run]]) -> str:
    """Return the picture."""
    width, height = round(COLUMNS * ADVANCE) + 2 * MARGIN, BAR + len(lines) * LINE + 2 * MARGIN
    texts = "\n".join(
        text for row, line in enumerate(lines) for text in _texts(line, BAR + MARGIN + (row + 0.7) * LINE)
    )
    buttons = "\n".join(f'  <circle cx="{x}" cy="17" r="5.5" fill="#57606a"/>' for x in (20, 39, 58))
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
  <title>A terminal after the command apify-tasks {" ".join(ARGUMENTS)}</title>
  <style>{STYLE}  </style>
  <rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="9" fill="#1b1f24" stroke="#57606a"/>
{buttons}
{texts}
</svg>
"""


def _texts(line: Sequence[Run], y: float) -> Iterator[str]:
    x = float(MARGIN)
    for run in line:
        length = len(run.text) * ADVANCE
        # The length keeps the columns aligned in every font.
        yield (
            f'  <text {CLASSES[run.style]}x="{x:g}" y="{y:g}" textLength="{length:.1f}" '
            f'lengthAdjust="spacingAndGlyphs">{html.escape(run.text, quote=False)}</text>'
        )
        x += length


def without_times(picture: str) -> str:
    """Return the picture without how long the command took."""
    return re.sub(r"\d\.\d\d seconds", "- seconds", picture)
