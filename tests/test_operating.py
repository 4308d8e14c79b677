"""The page for three in the morning explains each message that can come, with the advice that it gives."""

import ast
import inspect
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from helpers.fault_table import FAULT_NAMED, ROWS, failure_of
from helpers.faults import Fault, Waits, client_of
from helpers.pages import ROOT
from helpers.support import until

import apify_tasks_async
from apify_tasks_async import ApifyTasksError, _proxy_failures, _refusal, errors
from apify_tasks_async._standstill import OtherEnd, Standstill

PAGE = (ROOT / "docs" / "guides" / "operating.md").read_text()

PATTERNS = [
    pattern.replace("[", "[[]").replace("...", "*") + "*"
    for line in PAGE.splitlines()
    if line.startswith("| `")
    for pattern in re.findall(r"`([^`]+)`", line.split(" | ")[0])
]
"""The messages that the page explains; `...` matches anything."""

FAULTS = [FAULT_NAMED[name] for names in ROWS.values() for name in names]

ADVICE = sorted(
    {kind.advice for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, ApifyTasksError)}
    - {""}
    | {*_refusal._ADVICE.values(), *_refusal._ADVICE_IN_FRONT.values()}
    | {*_proxy_failures._ADVICE.values(), _proxy_failures._CANNOT_REACH}
)


KINDS = {kind.__name__ for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, ApifyTasksError)}

SOURCES = sorted(Path(apify_tasks_async.__file__).parent.glob("*.py"))


def is_explained(message: str) -> bool:
    """Return whether the page has a message like this one."""
    return any(fnmatchcase(message, pattern) for pattern in PATTERNS)


@pytest.mark.asyncio
@pytest.mark.virtual_time
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_each_fault_is_explained(fault: Fault) -> None:
    """What a fault makes the client say is on the page."""
    async with fault.way(fault.reply) as met, client_of(met, Waits()) as client:
        error = await failure_of(client)
        await until(lambda: met.server.open == fault.pooled, pause=0.1)
    assert is_explained(error.problem), error.problem


FRAGMENTS = {
    "%s",
    "not JSON: x",
    "the response of x x",
    "the server closed it before its response began",
    "x:x: x",
    "x (attempt x at x)",
    "x from x is not as documented: x",
    "x x",
    "x, x times in a row",
    "x: x",
}
"""Parts of messages that begin with another text."""


def said(source: str) -> Iterator[str]:
    """Return the texts of errors and of the log in a module, and those called `problem`; `x` stands for a value."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[text, *_]) if name in KINDS:
                yield from text_of(text)
            case ast.Call(func=ast.Attribute(attr="log"), args=[_, text, *_]):
                yield from text_of(text)
            case ast.Assign(targets=[ast.Name(id="problem" | "text")], value=text):
                yield from text_of(text)


def text_of(node: ast.expr) -> Iterator[str]:
    """Return the text of a literal, with `x` in place of each value; nothing for another expression."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=parts):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in parts)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_each_text_is_explained(path: Path) -> None:
    """Every text of an error or of the log in the source is on the page."""
    assert [] == [text for text in said(path.read_text()) if text not in FRAGMENTS and not is_explained(text)]


@pytest.mark.parametrize("advice", ADVICE)
def test_each_advice_is_on_the_page(advice: str) -> None:
    """The page gives each advice in the words of the message."""
    assert advice in PAGE


@pytest.mark.parametrize(
    "standstill",
    [
        Standstill(repeats=2),
        Standstill(other_end=OtherEnd.NOTHING),
        Standstill(pages=33),
        Standstill(),
    ],
    ids=["offset ignored", "hidden rows", "too fast", "ties"],
)
def test_each_drift_is_explained(standstill: Standstill) -> None:
    """The page explains why a walk gives up."""
    assert is_explained(standstill.problem(None, 2500))


def test_no_message_is_explained_by_everything() -> None:
    """The patterns are not so wide that they match any text."""
    assert not is_explained("something else happened")
