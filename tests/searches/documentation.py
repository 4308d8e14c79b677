"""Write the reference from the docstrings into a folder, and refuse what does not come out: `nox -s docs`."""

import builtins
import re
import sys
from pathlib import Path

import pdoc

import apify_tasks_async.errors
import apify_tasks_async.testing

MODULES = (apify_tasks_async, apify_tasks_async.errors, apify_tasks_async.testing)

SECTION = re.compile(r"<p>((?:Args|Example|Raises|Returns|Yields):)")
"""The head of a section that was taken for text."""

UNLINKED = re.compile(r"<code>([A-Z]\w*[a-z]\w*)((?:\.\w+)*)(?:\(\))?</code>")
"""What looks like the name of a class or its member, and leads nowhere."""


def write(folder: Path) -> None:
    """Write a page for each public module."""
    for module in MODULES:
        # pdoc sees only what was imported, and much of it is imported when it is first asked for.
        vars(module).update({name: getattr(module, name) for name in module.__all__})
    pdoc.render.configure(docformat="google")
    pdoc.pdoc(*(module.__name__ for module in MODULES), output_directory=folder)


def problems(page: str) -> list[str]:
    """Return what did not come out on a page."""
    known = {*dir(builtins), *(name for module in MODULES for name in module.__all__)}
    names = {name + members for name, members in UNLINKED.findall(page) if members or name not in known}
    return [*SECTION.findall(page), *sorted(names)]


def main(folder: Path) -> None:
    """Write the pages, and end with what did not come out."""
    write(folder)
    found = {str(path): problems(path.read_text()) for path in sorted(folder.rglob("*.html"))}
    lines = [f"{path}: {problem}" for path, wrong in found.items() for problem in wrong]
    sys.exit("\n".join(lines) or 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
