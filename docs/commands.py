"""A Sphinx extension: the directive `commands` documents the command line from click's own help."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import click
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from apify_tasks_async.cli._commands import cli

PROGRAM = "apify-tasks"


def contexts() -> Iterator[click.Context]:
    """Return a context for the program, and for each of its commands."""
    top = click.Context(cli, info_name=PROGRAM, **cli.context_settings)
    yield top
    for name, command in sorted(cli.commands.items()):
        yield click.Context(command, info_name=name, parent=top)


CODE = re.compile(r"`([^`]+)`|(?<![\w-])(--?[A-Za-z][\w-]*)|\b([A-Z]+_[A-Z_]+)\b")
"""What is code in a help text: an option, a variable, or what stands in backticks."""


def as_text(text: str) -> str:
    """Return a help text as reStructuredText: nothing is special but code."""
    words = re.split(r"(\s+)", " ".join(text.split()))
    return "".join(CODE.sub(_mark, word) if CODE.search(word) else _escape(word) for word in words)


def _mark(found: re.Match[str]) -> str:
    return f"\\ ``{found[1] or found[2] or found[3]}``\\ "


def _escape(word: str) -> str:
    return re.sub(r"([\\*`|_])", r"\\\1", word)


def paragraphs(text: str | None) -> Iterator[str]:
    """Return the paragraphs of a help text; those after click's mark for unwrapped text are literal."""
    for paragraph in re.split(r"\n\s*\n", text or ""):
        if paragraph.startswith("\b\n"):
            yield from ("::", "", *(f"   {line}" for line in paragraph.splitlines()[1:]), "")
        else:
            yield from (as_text(paragraph), "")


def describe(context: click.Context) -> Iterator[str]:
    """Return a description of a command, as lines of reStructuredText."""
    yield from paragraphs(context.command.help)
    yield from ("::", "", f"   {context.command.get_usage(context).removeprefix('Usage: ')}", "")
    yield from (f".. program:: {context.command_path}", "")
    for parameter in context.command.get_params(context):
        if record := parameter.get_help_record(context):
            yield from describe_option(*record)
    yield from paragraphs(context.command.epilog)


def describe_option(names: str, text: str) -> Iterator[str]:
    """Return a description of an option."""
    signature = names.replace(" / ", ", ").replace("INTEGER RANGE", "N")
    yield from (f".. option:: {signature}", "", f"   {as_text(text)}", "")


class Commands(SphinxDirective):
    """Documents each command in a section of its own."""

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        return [self._section(context) for context in contexts()]

    def _section(self, context: click.Context) -> nodes.section:
        name = context.command_path
        section = nodes.section(ids=[nodes.make_id(name)], names=[nodes.fully_normalize_name(name)])
        section += nodes.title("", "", nodes.literal("", name))
        self.state.document.note_implicit_target(section, section)
        self.state.nested_parse(StringList([*describe(context)], source=f"help of {name}"), 0, section)
        return section


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True}
