"""The command line with hostile names, arguments, files and environments. Most tests start processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.processes import COMMAND, SECONDS, environment, terminal

from apify_tasks_async.cli._bookmark import read_bookmark
from apify_tasks_async.cli._columns import parse_columns
from apify_tasks_async.cli._formats import make_format
from apify_tasks_async.cli._table import Table
from apify_tasks_async.testing import FakeApify, make_task

INVISIBLE = "a\u200bb\U000e0041c\ufeffd\u2060e"


@pytest.fixture
def api() -> Iterator[FakeApify]:
    """Return a server without tasks."""
    with FakeApify() as api:
        yield api


def run(api: FakeApify, *arguments: object, redirection: str = "", **variables: str) -> tuple[int, str, str]:
    """Run a command with little memory; return its exit code, output and errors."""
    script = f'ulimit -v 3000000; "$@" {redirection}'
    words = [os.fsencode(str(word)) for word in ("sh", "-c", script, "sh", *COMMAND, *arguments)]
    done = subprocess.run(
        words,
        capture_output=True,
        env=environment(api, **variables),
        timeout=SECONDS,
        check=False,
        stdin=subprocess.PIPE,
    )
    assert b"Traceback" not in done.stderr
    return done.returncode, done.stdout.decode(), done.stderr.decode()


# Arguments and files


def test_a_token_from_a_closed_stream(api: FakeApify) -> None:
    """A closed standard input is a usage error."""
    code, output, errors = run(api, "count", "--token-file", "-", redirection="<&-")
    assert (2, "") == (code, output)
    assert "cannot read '-': standard input is closed\n" in errors


@pytest.mark.parametrize("file", ["/dev/zero", "-"])
def test_a_token_file_without_end(api: FakeApify, file: str) -> None:
    """A file that is too large for a token is not read to its end."""
    code, output, errors = run(api, "count", "--token-file", file, redirection="</dev/zero")
    assert (2, "") == (code, output)
    assert f"'{file}' is too large to hold a token\n" in errors


def test_a_bookmark_without_end(api: FakeApify) -> None:
    """The same for a bookmark."""
    code, output, errors = run(api, "list", "--after", "/dev/zero")
    assert (2, "") == (code, output)
    assert "'/dev/zero' is too large to hold a bookmark\n" in errors


def test_a_bookmark_that_was_never_saved() -> None:
    """Without a file, the walk starts at the beginning."""
    assert read_bookmark(None, Path("other"), desc=False) is None


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "--columns", "extra.\udcff", "-o", "csv"),
        ("list", "--since", "\udcff"),
        ("list", "--after", "\udcff"),
        ("list", "--token-file", "\udcff"),
        ("list", "--base-url", "http://\udcff"),
        ("list", "--proxy", "http://\udcff"),
        ("\udcff",),
    ],
)
def test_an_argument_that_is_not_utf_8(api: FakeApify, arguments: tuple[str, ...]) -> None:
    """Bytes that are not UTF-8 are a usage error."""
    api.create_task()
    code, output, errors = run(api, *arguments)
    assert (2, "") == (code, output)
    assert "\\udcff" in errors


# Names and fields


def nested(depth: int) -> Any:
    """Return an array in an array, and so on."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("output", ["table", "json", "jsonl", "csv", "tsv"])
def test_nested_arrays(api: FakeApify, output: str) -> None:
    """A field that is nested as deeply as JSON may be is shown."""
    api.create_task(extra={"x": nested(400)})
    code, text, errors = run(api, "list", "-o", output, "--columns", "extra.x", "--quiet")
    assert 0 == code, errors
    assert "[" * 401 + "]" * 401 in text


def test_nested_too_deeply(api: FakeApify) -> None:
    """What Python cannot write is one line on stderr."""
    from apify_tasks_async.cli._output import Output  # noqa: PLC0415 - only here

    class Deep:
        def format_rows(self, tasks: object) -> str:
            raise RecursionError

    output = Output(Deep(), sys.stdout.buffer, None, None)  # type: ignore[arg-type]
    with pytest.raises(Exception, match="nested too deeply"):
        output.write_rows([], None)


@pytest.mark.parametrize("columns", [100, 5000])
def test_a_long_cell(api: FakeApify, columns: int) -> None:
    """A cell of ten million characters is cut to what a terminal shows."""
    table = Table(parse_columns("id,extra.x"), headers=True, terminal=columns == 100)
    task = make_task(extra={"x": "y" * 10_000_000})
    table.format_rows([task, *map(make_task, range(1, 1000))])
    text = table.format_footer()
    assert len(text) < 1000 * 5000
    assert max(map(len, text.splitlines())) < 5000


def names(name: str, output: str, *, on_terminal: bool) -> str:
    """Return the rows of a task with this name."""
    formatted = make_format(output, parse_columns("name"), headers=False, terminal=on_terminal)
    rows = formatted.format_header() + formatted.format_rows([make_task(name=name, extra={})])
    return rows + formatted.format_footer()


@pytest.mark.parametrize("output", ["table", "json", "jsonl", "csv", "tsv", "name"])
def test_invisible_characters(api: FakeApify, output: str) -> None:
    """A terminal shows what has no width, in every format; JSON stays JSON."""
    api.create_task(name=INVISIBLE)
    arguments = (
        "list",
        "-o",
        output,
        "--quiet",
        *(() if "json" in output or output == "name" else ("--columns", "name")),
    )
    with terminal(api, *arguments) as shown:
        text = shown.read_all()
    tag = "\\udb40\\udc41" if "json" in output else "\\U000e0041"
    assert f"a\\u200bb{tag}c\\ufeffd\\u2060e" in text
    assert not set(INVISIBLE) & set(text) - set("abcde")
    if output == "json":
        assert INVISIBLE == json.loads(text)[0]["name"]


@pytest.mark.parametrize("output", ["json", "jsonl", "csv", "tsv", "name"])
def test_invisible_characters_for_programs(output: str) -> None:
    """A program gets the name as it is."""
    assert INVISIBLE in names(INVISIBLE, output, on_terminal=False)


@pytest.mark.parametrize("start", ["", "\ufeff", "\u200b", " ", "\ufeff \u2060", "\x00", "\xa0"])
@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "@x", "+1", "-1"])
def test_formulas(start: str, name: str) -> None:
    """No invisible character hides a formula from the guard of CSV."""
    assert names(start + name, "csv", on_terminal=False).lstrip('"').startswith("'")


def test_no_formula() -> None:
    """Other names are kept."""
    assert [f"{name}\r\n" for name in ("\ufeffx", "a=1", " b")] == [
        names(name, "csv", on_terminal=False) for name in ("\ufeffx", "a=1", " b")
    ]


def test_a_byte_order_mark(api: FakeApify) -> None:
    """`--bom` puts one before CSV, once, and not on a terminal."""
    for name in ("ä", "b", "c"):
        api.create_task(name=name)
    arguments = ("list", "-o", "csv", "--columns", "name", "--page-size", 1, "--bom")
    assert (0, "\ufeffname\r\nä\r\nb\r\nc\r\n", "") == run(api, *arguments)
    assert (0, "name\r\nä\r\nb\r\nc\r\n", "") == run(api, *arguments[:-1])
    with terminal(api, *arguments) as shown:
        assert "\ufeff" not in shown.read_all()


@pytest.mark.parametrize("glob", ["caf\u00e9", "cafe\u0301", "CAFE\u0301", "caf?"])
def test_both_normal_forms(api: FakeApify, glob: str) -> None:
    """`--name` finds a name with an accent however it is written."""
    for name in ("caf\u00e9", "cafe\u0301", "cafe"):
        api.create_task(name=name)
    _, output, _ = run(api, "list", "-o", "name", "--name", glob, "-i")
    assert ["caf\u00e9", "cafe\u0301"] == output.splitlines()[:2]


# The environment


def test_the_environment_of_the_pager(api: FakeApify, tmp_path: Path) -> None:
    """The pager does not get the token, and less runs no commands for what others wrote."""
    for _ in range(50):
        api.create_task()
    pager = f"sh -c 'cat > /dev/null; env > {tmp_path}/env'"
    with terminal(api, "list", PAGER=pager, LESSSECURE="0") as shown:
        shown.read_all()
    variables = (tmp_path / "env").read_text().splitlines()
    assert "LESSSECURE=1" in variables
    assert api.token not in "".join(variables)


@pytest.mark.parametrize("command", ["", "list", "count", "follow", "demo"])
def test_help_without_docstrings(command: str) -> None:
    """`python -OO` shows the same help."""
    options = (command, "--help") if command else ("--help",)
    texts = [
        subprocess.run(
            (sys.executable, *flags, *COMMAND[1:], *options), capture_output=True, timeout=SECONDS, check=True
        ).stdout
        for flags in ((), ("-OO",))
    ]
    assert texts[0] == texts[1]
