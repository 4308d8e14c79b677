"""A Sphinx extension for names in code: a public one is a link to the reference, and an unknown one is a warning.

So pages and docstrings write `TasksClient.iter_pages` without a role, and nobody forgets to follow a renaming.
"""

from __future__ import annotations

import builtins
import inspect
import re
from collections.abc import Iterator
from typing import Any, ClassVar

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform
from sphinx.util import logging

import apify_tasks_async.testing

logger = logging.getLogger(__name__)

MODULES = (apify_tasks_async, apify_tasks_async.testing)

CLASS = re.compile(r"([A-Z]\w*[a-z]\w*)((?:\.\w+)*)")
"""What looks like a class, or a member of one."""

OBJECTS = {"client": "TasksClient", "api": "FakeApify", "error": "ApifyTasksError", "page": "TaskPage"}
"""Variables of the examples, and the classes of their values."""

FOREIGN = {"Authorization", "ClientSession", "SecretStr", "Server", "TaskGroup", "Via"}
"""Classes and headers of others that pages and docstrings name."""


def _named() -> Iterator[tuple[str, str]]:
    for module in MODULES:
        for name in module.__all__:
            yield name, f"{module.__name__}.{name}"
            thing = getattr(module, name)
            for member in dir(thing) if inspect.isclass(thing) else ():
                if not member.startswith("_"):
                    yield f"{name}.{member}", f"{module.__name__}.{name}.{member}"


NAMES = dict(_named())
"""The full name of each public object, by its name and the class before it."""

METHODS = {name.partition(".")[2]: name for name in NAMES if re.fullmatch(r"TasksClient\.[a-z]+_\w+", name)}
"""The methods of the client that need no class before them, since their names are long enough."""


def _full_name(code: str) -> str | None:
    name = code.removesuffix("()").removeprefix("apify_tasks_async.").removeprefix("testing.")
    first, dot, rest = name.partition(".")
    return NAMES.get(METHODS.get(name, name)) or NAMES.get(f"{OBJECTS.get(first, '')}{dot}{rest}")


def _is_unknown(code: str) -> bool:
    found = CLASS.fullmatch(code.removesuffix("()"))
    if found is None or found[1] in {*dir(builtins), *FOREIGN}:
        return False
    return bool(found[2]) or found[1] not in NAMES


class LinkNames(SphinxTransform):
    """Turns the names of public objects into links, except in titles."""

    default_priority: ClassVar[int] = 400

    def apply(self, **_: Any) -> None:
        """Replace each name that is code."""
        for literal in list(self.document.findall(nodes.literal)):
            code = literal.astext()
            if isinstance(literal.parent, pending_xref | nodes.reference | nodes.title) or "xref" in literal["classes"]:
                continue
            if full_name := _full_name(code):
                literal.parent.replace(literal, self._link(literal, full_name))
            elif _is_unknown(code):
                logger.warning("unknown name: %s", code, location=literal)

    def _link(self, literal: nodes.literal, full_name: str) -> pending_xref:
        link = pending_xref(
            "", refdomain="py", reftype="obj", reftarget=full_name, refexplicit=True, refdoc=self.env.docname
        )
        link.source, link.line = literal.source, literal.line
        literal["classes"].append("xref")
        link += literal.deepcopy()
        return link


def resolve_private_path(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Element) -> Any:
    """Resolve the path where an object is defined, which autodoc writes, to the one where it is public."""
    path, _, name = node.get("reftarget", "").rpartition(".")
    if path == "aiohttp.client":
        node["reftarget"] = f"aiohttp.{name}"
    if not path.startswith("apify_tasks_async.") or name not in NAMES:
        return None
    domain = env.get_domain("py")
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", NAMES[name], node, content)


def protect_colon(_app: Sphinx, what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Keep a colon in the docstring of an attribute: napoleon would take what is before it for a type."""
    if what == "attribute":
        lines[:] = [line.replace(":", "\0") for line in lines]


def restore_colon(_app: Sphinx, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Undo `protect_colon`."""
    lines[:] = [line.replace("\0", ":") for line in lines]


INTERNAL = {"PageFollower", "PageIterator"}
"""Classes that only this library creates."""


def tidy_signature(
    _app: Sphinx, what: str, name: str, _object: Any, _options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Leave out the arguments of what users do not create, and attrs' name for a default that a function makes."""
    if what == "exception" or name.rpartition(".")[2] in INTERNAL:
        return "", None
    return signature and signature.replace("= NOTHING", "= {}"), returns


def require_all_names(_app: Sphinx, env: BuildEnvironment) -> None:
    """Warn about public names that the reference leaves out."""
    documented = {name for name, *_ in env.get_domain("py").get_objects()}
    for module in MODULES:
        for name in sorted({*module.__all__} - {"__version__"}):
            if f"{module.__name__}.{name}" not in documented:
                logger.warning("the reference lacks %s.%s", module.__name__, name)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.add_transform(LinkNames)
    app.connect("autodoc-process-docstring", protect_colon, priority=400)
    app.connect("autodoc-process-docstring", restore_colon, priority=600)
    app.connect("autodoc-process-signature", tidy_signature)
    app.connect("missing-reference", resolve_private_path, priority=400)  # before intersphinx
    app.connect("env-check-consistency", require_all_names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
