"""Tables of the figures and their targets, in plain text or Markdown (pure)."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import chain
from typing import Literal

import attrs

__all__ = ["Headline", "Row", "Target", "between_markers", "headline_cells", "markdown", "plain", "target_cells"]

Cells = Sequence[Sequence[str]]
"""The lines of a table; the first is its head."""


@attrs.frozen
class Target:
    """The target of a figure: at most the bound, or as `relation` says."""

    bound: float
    stretch: float | None = None
    relation: Literal["<=", "<", ">="] = "<="

    def verdict(self, figure: float) -> str:
        """Return whether the figure meets the target, in words."""
        reached = _RELATIONS[self.relation]
        if not reached(figure, self.bound):
            return "missed"
        return "met, stretch too" if self.stretch is not None and reached(figure, self.stretch) else "met"

    def text(self, unit: str) -> str:
        """Return the target as the table shows it."""
        stretch = "" if self.stretch is None else f", stretch {self.stretch:g}{unit}"
        return f"{self.relation} {self.bound:g}{unit}{stretch}"


_RELATIONS = {"<=": operator.le, "<": operator.lt, ">=": operator.ge}


@attrs.frozen
class Headline:
    """How the README shows a figure, in plain words."""

    what: str
    against: str
    """What the value of this library is compared with."""


@attrs.frozen
class Row:
    """One figure."""

    what: str
    ours: str
    """The value of this library, with its unit."""

    reference: str
    """The value to compare with, with its unit."""

    figure: float
    """The result of the comparison, as `what` says."""

    target: Target | None = None
    unit: str = ""
    headline: Headline | None = None
    """Its place in the README; `None` if it has none."""

    @property
    def result(self) -> str:
        """The figure, with its unit."""
        return f"{self.figure:.3g}{self.unit}"

    @property
    def verdict(self) -> str:
        """Whether the figure meets the target; empty without a target."""
        return self.target.verdict(self.figure) if self.target else ""

    def cells(self) -> tuple[str, ...]:
        """Return the row as text."""
        target = self.target.text(self.unit) if self.target else ""
        return self.what, self.ours, self.reference, self.result, target, self.verdict


def target_cells(rows: Sequence[Row]) -> Cells:
    """Return the table of all figures."""
    return [("what", "ours", "reference", "result", "target", ""), *(row.cells() for row in rows)]


def headline_cells(rows: Sequence[Row]) -> Cells:
    """Return the table of the figures that the README shows."""
    shown = [(row.headline.what, row.ours, row.headline.against, row.reference) for row in rows if row.headline]
    return [("", "ours", "compared with", ""), *shown]


def plain(cells: Cells) -> str:
    """Return a table with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)
    return "\n".join(lines)


def markdown(cells: Cells) -> str:
    """Return a table in Markdown."""
    head, *body = cells
    rule = ["---"] * len(head)
    return "\n".join(f"| {' | '.join(line)} |" for line in chain([head, rule], body))


def between_markers(document: str, name: str, text: str) -> str:
    """Return the document with the text between the comments `<!-- name -->` and `<!-- end of name -->`.

    Raises:
        ValueError: The document does not have each comment exactly once.
    """
    try:
        before, rest = document.split(f"<!-- {name} -->")
        _, after = rest.split(f"<!-- end of {name} -->")
    except ValueError:
        raise ValueError(f"there must be one <!-- {name} --> and one <!-- end of {name} --> after it") from None
    return f"{before}<!-- {name} -->\n\n{text}\n\n<!-- end of {name} -->{after}"
