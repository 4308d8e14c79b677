"""Write the reference from the docstrings into a folder, and fail on mistakes in it: `nox -s docs`."""

import builtins
import re
import sys
from pathlib import Path

import pdoc

import apify_tasks_async.errors
import apify_tasks_async.testing

MODULES = (apify_tasks_async, apify_tasks_async.errors, apify_tasks_async.testing)

SECTION = re.compile(r"<p>((?:Args|Example|Raises|Returns|Yields):)")
"""A section that pdoc took for text."""

UNLINKED = re.compile(r"<code>([A-Z]\w*[a-z]\w*)((?:\.\w+)*)(?:\(\))?</code>")
"""A name of a class or a member that is not a link."""


def write(folder: Path) -> None:
    """Write a page for each public module."""
    for module in MODULES:
        # Import the lazy names, since pdoc shows only what is imported.
        vars(module).update({name: getattr(module, name) for name in module.__all__})
    pdoc.render.configure(docformat="google")
    pdoc.pdoc(*(module.__name__ for module in MODULES), output_directory=folder)


def problems(page: str) -> list[str]:
    """Return the mistakes on a page."""
    known = {*dir(builtins), *(name for module in MODULES for name in module.__all__)}
    names = {name + members for name, members in UNLINKED.findall(page) if members or name not in known}
    return [*SECTION.findall(page), *sorted(names)]


def main(folder: Path) -> None:
    """Write the pages, and exit with their mistakes."""
    write(folder)
    found = {str(path): problems(path.read_text()) for path in sorted(folder.rglob("*.html"))}
    lines = [f"{path}: {problem}" for path, wrong in found.items() for problem in wrong]
    sys.exit("\n".join(lines) or 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
