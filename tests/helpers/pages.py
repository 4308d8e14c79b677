"""The README and the pages of the documentation: their code blocks, and what these show."""

import fnmatch
import re
from collections.abc import Iterator
from pathlib import Path

from sybil.document import Document
from sybil.example import Example
from sybil.parsers.markdown import CodeBlockParser

__all__ = [
    "CONTRIBUTING",
    "LANGUAGES",
    "PAGES",
    "README",
    "ROOT",
    "TUTORIAL",
    "at_line",
    "blocks",
    "commands",
    "is_as_shown",
    "name_of",
]

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
PAGES = sorted((ROOT / "docs").rglob("*.md"))
TUTORIAL = ROOT / "docs" / "tutorial.md"
LANGUAGES = ("python", "bash", "console")


def name_of(path: Path) -> str:
    """Return the name of a document."""
    return f"{path.relative_to(ROOT).with_suffix('')}".replace("/", "-")


def commands(block: str) -> Iterator[tuple[str, str]]:
    """Return the commands of a block, each with what it prints."""
    for entry in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, shown = entry.partition("\n")
        yield command, shown


def is_as_shown(output: str, shown: str) -> bool:
    """Return whether the output is what the text shows, in which `...` matches anything."""
    return fnmatch.fnmatchcase(output, shown.replace("[", "[[]").replace("...", "*"))


def blocks(language: str, *paths: Path) -> list[Example]:
    """Return the code blocks of the files in a language."""
    parser = CodeBlockParser(language, evaluator=lambda _: None)
    return [block for path in paths for block in Document.parse(str(path), parser).examples()]


def at_line(example: Example) -> str:
    """Return the name of the test of a block."""
    return f"{name_of(Path(example.path))}-line-{example.line}"
