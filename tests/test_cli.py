"""The command line: what it shows, in which order, and how it ends. In the process of the test."""

from __future__ import annotations

import csv
import importlib
import inspect
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import attrs
import click
import pytest

from apify_tasks_async import (
    ApifyTasksError,
    AuthenticationError,
    BadRequestError,
    Bookmark,
    ConfigurationError,
    DriftError,
    InvalidTaskError,
    PermissionDeniedError,
    RateLimitedError,
    RequestTimeoutError,
    ResponseTooLargeError,
    ServerError,
    Task,
    TasksClient,
    __version__,
    converter,
)
from apify_tasks_async.cli import _commands, main
from apify_tasks_async.cli._advice import to_failure
from apify_tasks_async.cli._columns import parse_columns
from apify_tasks_async.cli._table import Table
from apify_tasks_async.testing import ABSENT, FakeApify, MalformedItem, Status, make_task

MOMENT = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
NASTY = "\x1b]0;owned\x07\u202e\x9b31m"
WHERE_TOKENS_ARE = (
    "set APIFY_TOKEN or pass --token-file; Apify Console > Settings > API & Integrations shows your tokens"
)


@attrs.frozen
class Ended:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """What is on standard output."""
        return self.out.splitlines()


CommandLine = Callable[..., Ended]


@pytest.fixture
def api() -> Iterator[FakeApify]:
    """A server without tasks."""
    with FakeApify() as api:
        yield api


@pytest.fixture
def apify_tasks(
    api: FakeApify, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> CommandLine:
    """Run the command line against the server."""
    monkeypatch.setenv("APIFY_TOKEN", api.token)
    monkeypatch.setenv("APIFY_API_BASE_URL", api.url)

    def apify_tasks(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["apify-tasks", *map(str, arguments)])
        handler = signal.getsignal(signal.SIGINT)
        code = main()
        signal.signal(signal.SIGINT, handler)
        captured = capfdbinary.readouterr()
        return Ended(code, captured.out.decode(), captured.err.decode())

    return apify_tasks


def fill(api: FakeApify, count: int) -> list[str]:
    """Add tasks, and return their names in the order of the list."""
    return [api.create_task(name=f"task-{number}").name for number in range(count)]


# What is shown


def test_tsv_is_the_default_where_there_is_no_terminal(api: FakeApify, apify_tasks: CommandLine) -> None:
    """The columns of the default say what people ask for, with the times of the wire."""
    task = api.create_task(created_at=MOMENT, modified_at=MOMENT, act_username="apify", act_name="web-scraper")
    expected = (
        "id\tname\tactor\truns\tcreated\tmodified\n"
        f"{task.id}\t{task.name}\tapify/web-scraper\t{task.stats and task.stats.total_runs}\t"
        "2026-03-01T12:30:00.000Z\t2026-03-01T12:30:00.000Z\n"
    )
    assert Ended(0, expected, "") == apify_tasks("list")


def test_ls_is_list(api: FakeApify, apify_tasks: CommandLine) -> None:
    """`ls` is another name for `list`."""
    fill(api, 3)
    assert apify_tasks("list") == apify_tasks("ls")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"act_id": "i", "act_name": None, "act_username": "apify"}, "i"),
        ({"act_id": "i", "act_name": "scraper", "act_username": None}, "scraper"),
        ({"act_id": "i", "act_name": "scraper", "act_username": "apify"}, "apify/scraper"),
    ],
)
def test_an_actor_is_shown_as_well_as_it_is_known(
    api: FakeApify, apify_tasks: CommandLine, fields: dict[str, Any], expected: str
) -> None:
    """The column `actor` holds user and name, the name, or the id."""
    api.create_task(**fields)
    assert [expected] == apify_tasks("list", "--columns", "actor", "--no-headers").lines


def test_columns_are_chosen(api: FakeApify, apify_tasks: CommandLine) -> None:
    """Any field of a task can be a column, those too that this version does not know; what is not there is empty."""
    api.create_task(name="n", stats=None, username="u", extra={"title": "T", "tags": ["ä", 1], "isPublic": False})
    columns = "name, runs,username,extra.title,extra.tags,extra.isPublic,extra.none"
    expected = ["name\truns\tusername\textra.title\textra.tags\textra.isPublic\textra.none"]
    expected += ['n\t\tu\tT\t["ä", 1]\tfalse\t']
    assert expected == apify_tasks("list", "--columns", columns).lines


@pytest.mark.parametrize("output", ["json", "jsonl"])
def test_json_is_what_the_api_sends(api: FakeApify, apify_tasks: CommandLine, output: str) -> None:
    """`json` is one array, jsonl a document on each line, over pages; both read back as the tasks."""
    api.create_task(name=f"ü{NASTY}")
    fill(api, 4)
    ended = apify_tasks("list", "-o", output, "--page-size", 2)
    documents = json.loads(ended.out) if output == "json" else list(map(json.loads, ended.lines))
    assert list(api.tasks) == [converter.structure(document, Task) for document in documents]
    assert api.tasks[0].extra == converter.structure(documents[0], Task).extra
    assert [] == [character for character in ended.out if character in NASTY and not character.isprintable()]


@pytest.mark.parametrize(
    ("output", "expected"),
    [("json", "[\n]\n"), ("jsonl", ""), ("csv", "id\r\n"), ("tsv", "id\n"), ("name", "")],
)
def test_an_empty_list_is_a_list(apify_tasks: CommandLine, output: str, expected: str) -> None:
    """Without tasks there is an empty array, or the column names."""
    assert Ended(0, expected, "") == apify_tasks("list", "-o", output, "--columns", "id")


def test_csv_reads_back_and_holds_no_formula(api: FakeApify, apify_tasks: CommandLine) -> None:
    """A cell that a spreadsheet would run has an apostrophe in front; all else is as it was."""
    names = ["=1+1", "+1", "-1", "@a", "\t=1", "\r=1", "\n=1", "\uff1d1", "\uff0b1", "\uff0d1", "\uff20a"]
    formulas = len(names)
    names += ['say "a, b"', "two\r\nlines", "C:\\x", "plain=1", "a;=1+1", "a\t=1+1", NASTY]
    for name in names:
        api.create_task(name=name)
    rows = list(csv.reader(io.StringIO(apify_tasks("list", "-o", "csv", "--columns", "name,runs").out, newline="")))
    assert ["name", "runs"] == rows[0]
    assert [f"'{name}" for name in names[:formulas]] + names[formulas:] == [row[0] for row in rows[1:]]


@pytest.mark.parametrize("name", ["a;=1+1", "a\t=1+1"])
def test_csv_is_in_quotes_where_another_country_would_split_it(
    api: FakeApify, apify_tasks: CommandLine, name: str
) -> None:
    """A spreadsheet that splits at semicolons or tabs finds no formula behind one."""
    api.create_task(name=name, stats=None)
    api.create_task(name="plain", stats=None)
    ended = apify_tasks("list", "-o", "csv", "--columns", "name,runs", "--no-headers")
    assert f'"{name}",""\r\nplain,\r\n' == ended.out


def test_tsv_has_a_line_for_each_task(api: FakeApify, apify_tasks: CommandLine) -> None:
    """Whatever is in a cell, it breaks neither the line nor the columns, and it can be told what it was."""
    api.create_task(name=f"a\tb\nc\\t{NASTY}")
    expected = "a\\tb\\nc\\\\t\\x1b]0;owned\\x07\\u202e\\x9b31m"
    assert [expected] == apify_tasks("list", "--columns", "name", "--no-headers").lines
    assert [expected] == apify_tasks("list", "-o", "name").lines


def test_a_table_that_nobody_looks_at_is_not_cut(api: FakeApify, apify_tasks: CommandLine) -> None:
    """Without a terminal there is no width to fit, no colour, and markup in a name is text."""
    api.create_task(name=f"[red]{'x' * 300}", created_at=MOMENT, stats=None)
    ended = apify_tasks("list", "-o", "table", "--columns", "name,runs,created")
    heads, _, row = (line for line in ended.lines if line.strip())
    assert ["name", "runs", "created", "(UTC)"] == heads.split()
    assert [f"[red]{'x' * 300}", "2026-03-01", "12:30"] == row.split()


def table(width: int, monkeypatch: pytest.MonkeyPatch, *, headers: bool) -> list[str]:
    """Return the lines of a table in a terminal of that width."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "dumb")
    shown = Table(parse_columns("id,name,actor,runs,created"), headers=headers, terminal=True)
    wide = make_task(1, id="id-of-it", name="日本語の名前", created_at=MOMENT, act_name="scraper", act_username="jane")
    long = make_task(2, id="2", name="a-name-that-is-long", created_at=MOMENT, act_name=None, act_id="i", stats=None)
    assert ["", "", ""] == [shown.format_header(), shown.format_rows([wide]), shown.format_rows([long])]
    return shown.format_footer().splitlines()


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (
            68,
            [
                "id        name                 actor         runs  created (UTC)",
                "────────  ───────────────────  ────────────  ────  ────────────────",
                "id-of-it  日本語の名前         jane/scraper     1  2026-03-01 12:30",
                "2         a-name-that-is-long  i                   2026-03-01 12:30",
            ],
        ),
        (
            56,
            [
                "id        name            actor         runs  created",
                "────────  ──────────────  ────────────  ────  ──────────",
                "id-of-it  日本語の名前    jane/scraper     1  2026-03-01",
                "2         a-name-that-i…  i                   2026-03-01",
            ],
        ),
        (
            42,
            [
                "id        name          actor         runs",
                "────────  ────────────  ────────────  ────",
                "id-of-it  日本語の名前  jane/scraper     1",
                "2         a-name-that…  i",
                "(too narrow for created)",
            ],
        ),
        (
            23,
            [
                "id        name",
                "────────  ─────────────",
                "id-of-it  日本語の名前",
                "2         a-name-that-…",
                "(too narrow for actor, runs, created)",
            ],
        ),
        (4, ["id", "────────", "id-of-it", "2", "(too narrow for name, actor, runs, created)"]),
    ],
)
def test_a_table_fits(width: int, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours give way first, then long texts, then columns, but never an id. A wide character counts as two."""
    assert expected == table(width, monkeypatch, headers=True)
    assert expected[2:] == table(width, monkeypatch, headers=False)


@pytest.mark.parametrize(("columns", "expected"), [("name,id", ["id"]), ("id,id,runs", ["id"])])
def test_the_id_stays(columns: str, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the column stands, it is the last one to go."""
    monkeypatch.setenv("COLUMNS", "5")
    monkeypatch.setenv("TERM", "dumb")
    shown = Table(parse_columns(columns), headers=True, terminal=True)
    shown.format_rows([make_task(1)])
    assert expected == shown.format_footer().splitlines()[0].split()


# Which tasks


def test_a_limit_and_an_offset(api: FakeApify, apify_tasks: CommandLine) -> None:
    """They mean what they mean in the library."""
    names = fill(api, 6)
    assert names[2:5] == apify_tasks("list", "-o", "name", "-L", 3, "--offset", 2, "--page-size", 2).lines


def test_newest_first(api: FakeApify, apify_tasks: CommandLine) -> None:
    """`--desc` turns the list round."""
    names = fill(api, 3)
    assert names[::-1] == apify_tasks("list", "-o", "name", "--desc").lines
    assert names == apify_tasks("list", "-o", "name", "--asc").lines


def test_exact(api: FakeApify, apify_tasks: CommandLine) -> None:
    """`--exact` repeats items at the edges of pages, and shows none twice."""
    names = fill(api, 10)
    assert names == apify_tasks("list", "-o", "name", "--exact", "--page-size", 4, "--concurrency", 1).lines
    assert len(api.requests) > 3


@pytest.mark.parametrize("actor", ["scraper", "jane/scraper", "jane~scraper", "id-of-it"])
def test_the_tasks_of_an_actor(api: FakeApify, apify_tasks: CommandLine, actor: str) -> None:
    """An Actor can be named in each way that it has a name."""
    expected = api.create_task(act_id="id-of-it", act_name="scraper", act_username="jane").name
    api.create_task(act_id="another", act_name="crawler", act_username="jane")
    api.create_task(act_id="unknown", act_name=None, act_username=None)
    assert [expected] == apify_tasks("list", "-o", "name", "--actor", actor).lines


def test_a_filter_and_a_limit(api: FakeApify, apify_tasks: CommandLine) -> None:
    """With a filter the limit counts what is shown, and reading ends once it is reached."""
    fill(api, 30)
    arguments = ("list", "-o", "name", "--name", "task-*[05]", "-L", 3, "--page-size", 2, "--concurrency", 1)
    assert ["task-0", "task-5", "task-10"] == apify_tasks(*arguments).lines
    assert len(api.requests) < 15


def test_a_filter_that_nothing_passes(api: FakeApify, apify_tasks: CommandLine) -> None:
    """Nothing to show is no error."""
    fill(api, 3)
    assert Ended(0, "", "") == apify_tasks("list", "-o", "name", "--name", "TASK-*")


def test_a_task_that_is_none_can_be_left_out(api: FakeApify, apify_tasks: CommandLine) -> None:
    """An error says how to leave an invalid task out; then the others are shown, and it is said which one is not."""
    names = fill(api, 3)
    api.fail(MalformedItem(1, "createdAt", ABSENT), times=None)
    ended = apify_tasks("list", "-o", "name")
    assert (1, names[:1]) == (ended.code, ended.lines)
    assert ended.err.startswith("apify-tasks: error: ")
    assert ended.err.endswith("; pass --skip-invalid to skip such tasks\n")
    skipping = apify_tasks("list", "-o", "name", "--skip-invalid")
    assert (0, [names[0], names[2]]) == (skipping.code, skipping.lines)
    assert skipping.err.startswith("apify-tasks: warning: left out: ")
    assert 1 == skipping.err.count("\n")


# Bookmarks


def test_what_was_left_out_at_the_end_is_not_seen_again(
    api: FakeApify, apify_tasks: CommandLine, tmp_path: Path
) -> None:
    """A task that is none is behind the bookmark as well, once it was left out."""
    fill(api, 2)
    file = tmp_path / "bookmark"
    arguments = ("list", "-o", "name", "--page-size", 1, "--skip-invalid", "--after", file, "--bookmark", file)
    api.fail(MalformedItem(0), offset=1)
    first = apify_tasks(*arguments)
    assert (0, "task-0\n", 1) == (first.code, first.out, first.err.count("left out"))
    assert {task.id for task in api.tasks[1:]} == Bookmark.from_json(file.read_text()).ids


def test_the_same_file_twice_shows_what_is_new(api: FakeApify, apify_tasks: CommandLine, tmp_path: Path) -> None:
    """A series of runs shows each task once; the file need not be there at first, and survives a run without news."""
    file = tmp_path / "bookmark"
    arguments = ("list", "-o", "name", "--after", file, "--bookmark", file)
    assert Ended(0, "", "") == apify_tasks(*arguments)
    assert not file.exists()
    names = fill(api, 3)
    assert names == apify_tasks(*arguments).lines
    assert [] == apify_tasks(*arguments).lines
    assert ["new"] == [api.create_task(name="new").name] == apify_tasks(*arguments).lines
    assert Bookmark.from_json(file.read_text()).ids == {api.tasks[-1].id}
    assert [file] == list(tmp_path.iterdir())


def test_a_bookmark_is_handed_on_without_news(api: FakeApify, apify_tasks: CommandLine, tmp_path: Path) -> None:
    """A run that reads one file and writes another writes it in any case."""
    fill(api, 3)
    apify_tasks("list", "--bookmark", tmp_path / "first")
    assert [] == apify_tasks("list", "-o", "name", "--after", tmp_path / "first", "--bookmark", tmp_path / "next").lines
    bookmarks = [Bookmark.from_json((tmp_path / name).read_bytes()) for name in ("first", "next")]
    assert bookmarks[0].ids == bookmarks[1].ids == {api.tasks[-1].id}


@pytest.mark.parametrize("desc", [False, True])
@pytest.mark.parametrize("tied", [False, True])
def test_a_bookmark_in_the_middle_of_a_page(
    api: FakeApify, apify_tasks: CommandLine, tmp_path: Path, *, desc: bool, tied: bool
) -> None:
    """With a filter and a limit nothing is lost or repeated from one run to the next, ties included."""
    names = []
    for number in range(12):
        fields = {"created_at": MOMENT} if tied else {}
        names.append(api.create_task(name=f"{'ab'[number % 2]}-{number}", **fields).name)
    file = tmp_path / "bookmark"
    arguments = ["list", "-o", "name", "--after", file, "--bookmark", file, "--name", "a-*", "-L", 2]
    arguments += ["--desc"] if desc else []
    shown = [apify_tasks(*arguments).lines for _ in range(4)]
    expected = [name for name in (names[::-1] if desc else names) if name.startswith("a-")]
    assert [2, 2, 2, 0] == list(map(len, shown))
    together = list(chain.from_iterable(shown))
    # Nothing is promised of the order of ties.
    assert sorted(expected) == sorted(together)
    assert tied or expected == together


def test_a_bookmark_before_any_task_was_looked_at(api: FakeApify, apify_tasks: CommandLine, tmp_path: Path) -> None:
    """A table is shown before its bookmark is kept, and has one too."""
    fill(api, 3)
    assert 0 == apify_tasks("list", "-o", "table", "--bookmark", tmp_path / "bookmark").code
    assert Bookmark.from_json((tmp_path / "bookmark").read_text()).ids == {api.tasks[-1].id}


def test_what_was_shown_is_behind_the_bookmark(api: FakeApify, apify_tasks: CommandLine, tmp_path: Path) -> None:
    """If a page cannot be had, the rows before it stay, the array is closed, and the bookmark leads to the rest."""
    fill(api, 5)
    file = tmp_path / "bookmark"
    api.fail(Status(403), offset=2)
    arguments = ("list", "-o", "json", "--page-size", 2, "--after", file, "--bookmark", file)
    failed = apify_tasks(*arguments)
    assert (1, ["task-0", "task-1"]) == (failed.code, [document["name"] for document in json.loads(failed.out)])
    note, error = failed.err.splitlines()
    assert f"apify-tasks: the bookmark is in '{file}'; pass it to --after to continue" == note
    assert error.startswith("apify-tasks: error: ")
    rest = apify_tasks(*arguments)
    assert (0, ["task-2", "task-3", "task-4"]) == (rest.code, [document["name"] for document in json.loads(rest.out)])


def test_a_bookmark_replaces_what_a_link_points_at(api: FakeApify, apify_tasks: CommandLine, tmp_path: Path) -> None:
    """A symbolic link stays one."""
    fill(api, 1)
    (tmp_path / "link").symlink_to(tmp_path / "file")
    apify_tasks("list", "--bookmark", tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert Bookmark.from_json((tmp_path / "file").read_text()).ids == {api.tasks[0].id}


def test_a_bookmark_that_cannot_be_written(
    api: FakeApify, apify_tasks: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are there, the old bookmark is too, and nothing else."""
    fill(api, 1)
    file = tmp_path / "bookmark"
    apify_tasks("list", "--bookmark", file)
    before = file.read_bytes()
    api.create_task(name="new")

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(Path, "replace", refuse)
    message = f"apify-tasks: error: cannot write the bookmark '{file}': No space left on device\n"
    assert Ended(1, "new\n", message) == apify_tasks("list", "-o", "name", "--after", file, "--bookmark", file)
    assert [file] == list(tmp_path.iterdir())
    assert before == file.read_bytes()


# The other commands


def test_count(api: FakeApify, apify_tasks: CommandLine) -> None:
    """`count` shows the number that there are, for one request."""
    fill(api, 12)
    assert Ended(0, "12\n", "") == apify_tasks("count")
    assert 1 == len(api.requests)


def test_follow_shows_what_comes(
    api: FakeApify, apify_tasks: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`follow` shows what there is, then what is created, up to an error; the next one carries on behind it."""
    names = fill(api, 3)
    file = tmp_path / "bookmark"
    arguments = ("follow", "-o", "name", "--interval", 0.01, "--after", file, "--bookmark", file)

    def change(_: object) -> None:
        if len(api.requests) == 2:
            names.append(api.create_task(name="new").name)
        if len(api.requests) == 4:
            api.fail(Status(403))

    api.on_request = change
    ended = apify_tasks(*arguments)
    assert (1, names) == (ended.code, ended.lines)
    assert Bookmark.from_json(file.read_text()).ids == {api.tasks[-1].id}
    api.create_task(name="newer")
    api.on_request = lambda _: api.fail(Status(403)) if len(api.requests) == 8 else None
    assert ["newer"] == apify_tasks(*arguments).lines


def test_follow_takes_only_some(api: FakeApify, apify_tasks: CommandLine) -> None:
    """A filter works there too, and a task that is none can be left out."""
    fill(api, 4)
    api.fail(MalformedItem(2))
    api.fail(Status(403), times=None)
    arguments = ("follow", "--columns", "name", "--interval", 0.01, "--name", "*[123]", "--skip-invalid")
    ended = apify_tasks(*arguments)
    assert (1, ["name", "task-1", "task-3"]) == (ended.code, ended.lines)


def test_follow_writes_many_at_once(api: FakeApify, apify_tasks: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there already is written in large pieces, each with its bookmark."""
    names = fill(api, 1200)
    api.on_request = lambda _: api.fail(Status(403)) if len(api.requests) == 4 else None
    ended = apify_tasks("follow", "-o", "name", "--interval", 0.01)
    assert (1, names) == (ended.code, ended.lines)


def test_follow_ends_if_it_cannot_begin(api: FakeApify, apify_tasks: CommandLine) -> None:
    """A first look that fails is an error, since nobody may be there at all; a later one is waited out."""
    api.fail(Status(429, retry_after=3000))
    api.fail(Status(403), times=None)
    ended = apify_tasks("follow", "--interval", 0.01)
    assert (1, "") == (ended.code, ended.out)
    assert ended.err.endswith("; try again in 3,000 s, as the server asks\n")
    names = fill(api, 1)
    api.clear_faults()

    def change(_: object) -> None:
        if len(api.requests) == 3:
            api.fail(Status(429, retry_after=3000))
            names.append(api.create_task(name="new").name)
        if len(api.requests) == 5:
            api.fail(Status(403))

    api.on_request = change
    ended = apify_tasks("follow", "-o", "name", "--interval", 0.01)
    assert (1, names) == (ended.code, ended.lines)
    assert "apify-tasks: warning: following goes on in 0.01 s: " in ended.err


def test_demo(apify_tasks: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """`demo` needs no token, and says what it did."""
    monkeypatch.delenv("APIFY_TOKEN")
    ended = apify_tasks("demo", "--tasks", 1500, "--latency", 0, "-o", "name", "--desc", "-L", 1200)
    assert (0, 1200) == (ended.code, len(ended.lines))
    assert ended.err.startswith("apify-tasks: 1,200 tasks in 2 requests, ")
    assert ended.err.endswith(" seconds\n")


def test_an_exact_demo_that_says_what_it_does(apify_tasks: CommandLine) -> None:
    """`demo` takes what makes it worth looking at."""
    ended = apify_tasks("demo", "--tasks", 1500, "--latency", 0, "-o", "name", "--exact", "--verbose")
    assert (0, 1500) == (ended.code, len(ended.lines))
    assert "apify-tasks: debug: offset=992 " in ended.err


def test_defaults_are_those_of_the_library() -> None:
    """An option has the same default as the argument that it sets."""

    def defaults(function: Callable[..., Any], *names: str) -> dict[str, Any]:
        return {name: inspect.signature(function).parameters[name].default for name in names}

    commands = [_commands.cli.commands[name] for name in ("list", "follow")]
    options = {option.name: option.default for command in commands for option in command.params}
    library = defaults(TasksClient, "timeout", "concurrency") | defaults(TasksClient.iter_pages, "page_size", "offset")
    library |= defaults(TasksClient.follow_pages, "page_size", "interval")
    assert library == {name: options[name] for name in library}


def test_version(apify_tasks: CommandLine) -> None:
    """`--version` says which one it is."""
    assert Ended(0, f"apify-tasks {__version__}\n", "") == apify_tasks("--version")


@pytest.mark.parametrize("command", ["list", "ls", "count", "follow", "demo"])
def test_help(apify_tasks: CommandLine, command: str) -> None:
    """Every command explains itself, and none takes a token as an argument."""
    ended = apify_tasks(command, "--help")
    assert (0, "") == (ended.code, ended.err)
    assert ended.out.startswith("Usage: apify-tasks ")
    assert "--token " not in ended.out
    assert "Examples:\n    apify-tasks " in ended.out


@pytest.mark.parametrize(("option", "code"), [("--version", 0), ("--wrong", 2)])
def test_the_module_is_the_command(option: str, code: int) -> None:
    """`python -m apify_tasks_async` ends with the code of the command, and importing it does nothing."""
    importlib.import_module("apify_tasks_async.__main__")
    ended = subprocess.run([sys.executable, "-m", "apify_tasks_async", option], capture_output=True, check=False)
    assert code == ended.returncode


# The token


@pytest.mark.parametrize("text", ["{}", "{}\n", "  {} \r\n"])
def test_a_token_from_a_file(
    api: FakeApify, apify_tasks: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    """The file comes before the variable, and may end as editors end files."""
    monkeypatch.setenv("APIFY_TOKEN", "another")
    file = tmp_path / "token"
    file.write_text(text.format(api.token), newline="")
    assert Ended(0, "0\n", "") == apify_tasks("count", "--token-file", file)


def test_a_token_from_stdin(api: FakeApify, apify_tasks: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` is standard input."""
    monkeypatch.delenv("APIFY_TOKEN")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{api.token}\n".encode())))
    assert Ended(0, "0\n", "") == apify_tasks("count", "--token-file", "-")


@pytest.mark.parametrize("variable", [None, "", " "])
def test_no_token(apify_tasks: CommandLine, monkeypatch: pytest.MonkeyPatch, variable: str | None) -> None:
    """Without a token it is said how to give one."""
    monkeypatch.delenv("APIFY_TOKEN")
    if variable is not None:
        monkeypatch.setenv("APIFY_TOKEN", variable)
    assert Ended(4, "", f"apify-tasks: error: no token; {WHERE_TOKENS_ARE}\n") == apify_tasks("list")


@pytest.mark.parametrize(
    ("text", "problem"), [("", "no token in "), ("sécret", "--token-file "), ("a b", "--token-file ")]
)
def test_a_file_without_a_token(apify_tasks: CommandLine, tmp_path: Path, text: str, problem: str) -> None:
    """What cannot be a token is not sent, nor shown."""
    (tmp_path / "token").write_text(text, encoding="utf-8")
    ended = apify_tasks("list", "--token-file", tmp_path / "token")
    assert (4, "") == (ended.code, ended.out)
    assert ended.err.startswith(f"apify-tasks: error: {problem}")
    assert ended.err.endswith(f"; {WHERE_TOKENS_ARE}\n")
    assert not text or text not in ended.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "--token", "secret"),
        ("list", "--token=secret"),
        ("count", "--token"),
        ("follow", "--token", "secret"),
        ("--token", "secret", "list"),
    ],
)
def test_a_token_is_no_argument(api: FakeApify, apify_tasks: CommandLine, arguments: tuple[str, ...]) -> None:
    """It is said where a token goes instead, without showing it once more."""
    ended = apify_tasks(*arguments)
    assert (2, "", []) == (ended.code, ended.out, api.requests)
    assert "error: do not pass the token on the command line" in ended.err
    assert "set APIFY_TOKEN or pass --token-file\n" in ended.err
    assert "secret" not in ended.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("count", "--token-file", "apify_api_0123456789"),
        ("count", "--token-file", "0123456789abcdefABCDEF"),
        ("count", "apify_api_0123456789"),
        ("apify_api_0123456789",),
    ],
)
def test_a_token_in_the_wrong_place_is_not_shown(apify_tasks: CommandLine, arguments: tuple[str, ...]) -> None:
    """Who mistakes the option for that of the token does not find the token in a log."""
    ended = apify_tasks(*arguments)
    assert (2, "") == (ended.code, ended.out)
    assert "0123456789" not in ended.err


def test_a_token_that_is_wrong(apify_tasks: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that the API refuses has the exit code of its own, and nothing looks like an empty list."""
    monkeypatch.setenv("APIFY_TOKEN", "wrong-one")
    ended = apify_tasks("list", "-o", "json")
    assert (4, "") == (ended.code, ended.out)
    assert ended.err.startswith("apify-tasks: error: ")
    assert ended.err.endswith(f"; {WHERE_TOKENS_ARE}\n")
    assert "wrong-one" not in ended.err


# Errors


def a(kind: type[ApifyTasksError], **fields: Any) -> ApifyTasksError:
    """Return an error of that kind."""
    return kind("it failed", **fields)


@pytest.mark.parametrize(
    ("command", "error", "expected"),
    [
        (
            "list",
            a(RequestTimeoutError, attempts=5),
            "it failed (after 5 attempts); raise --timeout, lower --page-size or try again later",
        ),
        ("count", a(RequestTimeoutError), "it failed; raise --timeout or try again later"),
        ("list", a(RateLimitedError, status=429), "it failed; lower --concurrency or try again later"),
        ("count", a(RateLimitedError, status=429), "it failed; try again later"),
        (
            "count",
            a(RateLimitedError, status=429, retry_after=1234.5),
            "it failed; try again in 1,235 s, as the server asks",
        ),
        ("list", a(ResponseTooLargeError), "it failed; lower --page-size"),
        ("count", a(ResponseTooLargeError), "it failed"),
        ("list", a(InvalidTaskError), "it failed; pass --skip-invalid to skip such tasks"),
        ("count", a(InvalidTaskError), "it failed"),
        ("list", a(DriftError), "it failed; raise --page-size or try again when the list changes less"),
        (
            "list",
            a(BadRequestError, status=400),
            "it failed; check the options; if they are as documented, the API has changed",
        ),
        ("list", a(PermissionDeniedError, status=403), f"it failed; {PermissionDeniedError.advice}"),
        (
            "list",
            a(ServerError, status=503, retry_after=60),
            f"it failed; {ServerError.advice.replace('later', 'in 60 s, as the server asks')}",
        ),
        ("list", ConfigurationError("base_url is odd"), "the base URL is odd"),
        ("list", a(AuthenticationError, status=401), f"it failed; {WHERE_TOKENS_ARE}"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, ApifyTasksError) else None,
)
def test_advice_is_about_options(command: str, error: ApifyTasksError, expected: str) -> None:
    """What to do is said in options, and only in those that the command has."""
    with click.Context(_commands.cli.commands[command]):
        assert expected == to_failure(error).format_message()


def test_plain_http_is_refused(apify_tasks: CommandLine) -> None:
    """The base URL is called by no name of an argument, and nothing is advised that there is no option for."""
    ended = apify_tasks("count", "--base-url", "http://example.com")
    expected = "the base URL must begin with https:// unless the host is loopback, got 'http://example.com'"
    assert Ended(2, "", f"apify-tasks: error: {expected}\napify-tasks: see 'apify-tasks count --help'\n") == ended


def test_ctrl_c_while_it_starts(apify_tasks: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no traceback, even before anything could be done."""

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_commands, "run", interrupt)
    assert Ended(130, "", "") == apify_tasks("list")


def test_an_error_of_the_api_is_one_line(api: FakeApify, apify_tasks: CommandLine) -> None:
    """A message from the server is shown, and cannot steer the terminal."""
    api.fail(Status(403, message=f"two\nlines{NASTY}"))
    ended = apify_tasks("count")
    assert (1, "") == (ended.code, ended.out)
    assert ended.err.startswith("apify-tasks: error: ")
    assert "two" in ended.err
    assert ["\n"] == [character for character in ended.err if not character.isprintable()]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Usage: apify-tasks"),
        (("nonsense",), "No such command 'nonsense'"),
        (("list", "--tokens", "secret"), "No such option"),
        (("list", "--columns", "id,nonsense"), "unknown column 'nonsense'; choose from id, name, actor"),
        (("list", "--columns", ""), "unknown column ''"),
        (("list", "-L", "0"), "0 is not in the range"),
        (("list", "-o", "xml"), "'xml' is not one of"),
        (("list", "--page-size", "1001"), "1001 is not in the range"),
        (("list", "--timeout", "nan"), "'nan' is not a finite number"),
        (("list", "--timeout", "inf"), "'inf' is not a finite number"),
        (("list", "--timeout", "0"), "0.0 is not in the range"),
        (("list", "--exact", "--page-size", "3"), "--exact needs a --page-size of at least 4"),
        (("follow", "--page-size", "3"), "follow needs a --page-size of at least 4"),
        (("list", "--after", "none", "--offset", "1"), "--offset cannot be combined with --after"),
        (("list", "--after", "none"), "the file 'none' does not exist"),
        (("list", "--after", "none", "--bookmark", "other"), "the file 'none' does not exist"),
        (("list", "--bookmark", os.devnull), "must be a regular file"),
        (("list", "--bookmark", "none/bookmark"), "in an existing directory"),
        (("list", "--token-file", "none"), "cannot read 'none'"),
        (("list", "--base-url", "ftp://example.com"), "ftp://example.com"),
        (("follow", "-o", "table"), "'table' is not one of"),
    ],
)
def test_usage(
    apify_tasks: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    """What cannot be meant is said before any request, with the exit code 2."""
    monkeypatch.chdir(tmp_path)
    ended = apify_tasks(*arguments)
    assert (2, "") == (ended.code, ended.out)
    assert message in ended.err
    assert not arguments or {"apify-tasks"} == {line.partition(": ")[0] for line in ended.err.splitlines()}
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "{}", "\x00"])
def test_a_damaged_bookmark(apify_tasks: CommandLine, tmp_path: Path, text: str) -> None:
    """A file that holds no bookmark is never taken for the start of the list, nor overwritten."""
    file = tmp_path / "bookmark"
    file.write_text(text)
    ended = apify_tasks("list", "--after", file, "--bookmark", file)
    assert (2, "", text) == (ended.code, ended.out, file.read_text())
    assert f"cannot read '{file}': not a usable bookmark" in ended.err


@pytest.mark.parametrize(("desc", "direction"), [(True, "a descending"), (False, "an ascending")])
def test_a_bookmark_of_the_other_direction(
    apify_tasks: CommandLine, tmp_path: Path, *, desc: bool, direction: str
) -> None:
    """A bookmark belongs to the direction of its list."""
    file = tmp_path / "bookmark"
    file.write_text(Bookmark(MOMENT, frozenset("a"), 0, desc).to_json())
    ended = apify_tasks("list", "--after", file, "--asc" if desc else "--desc")
    assert (2, "") == (ended.code, ended.out)
    assert f"belongs to {direction} list" in ended.err


def test_without_standard_output(apify_tasks: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python has no `sys.stdout` if the process was started without one."""
    monkeypatch.setattr(sys, "stdout", None)
    assert Ended(1, "", "apify-tasks: error: standard output is closed\n") == apify_tasks("list")


# Completion


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["li"], ["list"]),
        (["list", "--lim"], ["--limit"]),
        (["ls", "--tok"], ["--token-file"]),
        (["list", "-o", "j"], ["json", "jsonl"]),
        (["follow", "-o", "j"], ["jsonl"]),
        (["list", "--columns", "na"], ["name"]),
        (["list", "--columns", "act_id,act"], ["act_id,actor", "act_id,act_name", "act_id,act_username"]),
    ],
)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(
    apify_tasks: CommandLine, monkeypatch: pytest.MonkeyPatch, shell: str, words: list[str], expected: list[str]
) -> None:
    """Commands, options, choices and columns are completed in each shell that click knows."""
    monkeypatch.setenv("_APIFY_TASKS_COMPLETE", f"{shell}_complete")
    monkeypatch.setenv("COMP_WORDS", " ".join(["apify-tasks", *words]))
    monkeypatch.setenv("COMP_CWORD", words[-1] if shell == "fish" else str(len(words)))
    ended = apify_tasks()
    assert (0, "") == (ended.code, ended.err)
    # zsh gets three lines for each, the others one, which begins with the kind.
    lines = ended.lines[1::3] if shell == "zsh" else [line.split("\t")[0].partition(",")[2] for line in ended.lines]
    assert expected == lines


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_is_set_up(apify_tasks: CommandLine, monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    """There is a script for each shell."""
    monkeypatch.setenv("_APIFY_TASKS_COMPLETE", f"{shell}_source")
    ended = apify_tasks()
    assert (0, "") == (ended.code, ended.err)
    assert f"_APIFY_TASKS_COMPLETE={shell}_complete" in ended.out
