"""The command line: its output, its messages and its exit codes. Runs in the process of the test."""

from __future__ import annotations

import csv
import importlib
import inspect
import io
import json
import logging
import os
import re
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
TOKEN_ADVICE = (
    "set APIFY_TOKEN, or run `apify auth token | apify-tasks list --token-file -`; "
    "Apify Console > Settings > API & Integrations shows your tokens"
)


@attrs.frozen
class Result:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines of standard output."""
        return self.out.splitlines()


CommandLine = Callable[..., Result]


@pytest.fixture
def api() -> Iterator[FakeApify]:
    """Return a server without tasks."""
    with FakeApify() as api:
        yield api


@pytest.fixture
def apify_tasks(
    api: FakeApify, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> CommandLine:
    """Run the command line against the server."""
    monkeypatch.setenv("APIFY_TOKEN", api.token)
    monkeypatch.setenv("APIFY_API_BASE_URL", api.url)

    def apify_tasks(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["apify-tasks", *map(str, arguments)])
        handler = signal.getsignal(signal.SIGINT)
        code = main()
        signal.signal(signal.SIGINT, handler)
        captured = capfdbinary.readouterr()
        return Result(code, captured.out.decode(), captured.err.decode())

    return apify_tasks


def fill(api: FakeApify, count: int) -> list[str]:
    """Add tasks, and return their names in the order of the list."""
    return [api.create_task(name=f"task-{number}").name for number in range(count)]


# Formats


def test_tsv_is_the_default_for_a_pipe(api: FakeApify, apify_tasks: CommandLine) -> None:
    """Without a terminal, `list` prints TSV with the default columns and the times as the API sends them."""
    task = api.create_task(created_at=MOMENT, modified_at=MOMENT, act_username="apify", act_name="web-scraper")
    expected = (
        "id\tname\tactor\truns\tcreated\tmodified\n"
        f"{task.id}\t{task.name}\tapify/web-scraper\t{task.stats and task.stats.total_runs}\t"
        "2026-03-01T12:30:00.000Z\t2026-03-01T12:30:00.000Z\n"
    )
    assert Result(0, expected, "") == apify_tasks("list")


def test_ls_is_list(api: FakeApify, apify_tasks: CommandLine) -> None:
    """`ls` is an alias of `list`."""
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
def test_the_actor_column_takes_what_is_known(
    api: FakeApify, apify_tasks: CommandLine, fields: dict[str, Any], expected: str
) -> None:
    """The column `actor` holds user/name, else the name, else the id."""
    api.create_task(**fields)
    assert [expected] == apify_tasks("list", "--columns", "actor", "--no-headers").lines


def test_columns(api: FakeApify, apify_tasks: CommandLine) -> None:
    """Every field can be a column, also a field unknown to this version. A missing value is an empty cell."""
    api.create_task(name="n", stats=None, username="u", extra={"title": "T", "tags": ["ä", 1], "isPublic": False})
    columns = "name, runs,username,extra.title,extra.tags,extra.isPublic,extra.none"
    expected = ["name\truns\tusername\textra.title\textra.tags\textra.isPublic\textra.none"]
    expected += ['n\t\tu\tT\t["ä",1]\tfalse\t']
    assert expected == apify_tasks("list", "--columns", columns).lines


@pytest.mark.parametrize("output", ["json", "jsonl"])
def test_json_is_what_the_api_sends(api: FakeApify, apify_tasks: CommandLine, output: str) -> None:
    """`json` is one array over all pages, `jsonl` one document per line. The converter reads both back."""
    api.create_task(name=f"ü{NASTY}")
    fill(api, 4)
    result = apify_tasks("list", "-o", output, "--page-size", 2)
    documents = json.loads(result.out) if output == "json" else list(map(json.loads, result.lines))
    assert list(api.tasks) == [converter.structure(document, Task) for document in documents]
    assert api.tasks[0].extra == converter.structure(documents[0], Task).extra
    assert [] == [character for character in result.out if character in NASTY and not character.isprintable()]


@pytest.mark.parametrize(
    ("output", "expected"),
    [("json", "[\n]\n"), ("jsonl", ""), ("csv", ""), ("tsv", ""), ("table", ""), ("name", "")],
)
def test_an_empty_list(apify_tasks: CommandLine, output: str, expected: str) -> None:
    """Without tasks the output is an empty array or nothing, and a word on stderr says so; not with --quiet."""
    assert Result(0, expected, "") == apify_tasks("list", "-o", output, "--quiet")
    assert Result(0, expected, "apify-tasks: no tasks\n") == apify_tasks("list", "-o", output)


def test_csv_reads_back_and_holds_no_formula(api: FakeApify, apify_tasks: CommandLine) -> None:
    """A cell that a spreadsheet would run gets a leading apostrophe. All other cells are unchanged."""
    names = ["=1+1", "+1", "-1", "@a", "\t=1", "\r=1", "\n=1", "\uff1d1", "\uff0b1", "\uff0d1", "\uff20a"]
    formulas = len(names)
    names += ['say "a, b"', "two\r\nlines", "C:\\x", "plain=1", "a;=1+1", "a\t=1+1", NASTY]
    for name in names:
        api.create_task(name=name)
    rows = list(csv.reader(io.StringIO(apify_tasks("list", "-o", "csv", "--columns", "name,runs").out, newline="")))
    assert ["name", "runs"] == rows[0]
    assert [f"'{name}" for name in names[:formulas]] + names[formulas:] == [row[0] for row in rows[1:]]


@pytest.mark.parametrize("name", ["a;=1+1", "a\t=1+1"])
def test_csv_quotes_cells_with_other_separators(api: FakeApify, apify_tasks: CommandLine, name: str) -> None:
    """A spreadsheet that splits at semicolons or tabs does not find a formula there."""
    api.create_task(name=name, stats=None)
    api.create_task(name="plain", stats=None)
    result = apify_tasks("list", "-o", "csv", "--columns", "name,runs", "--no-headers")
    assert f'"{name}",""\r\nplain,\r\n' == result.out


def test_tsv_has_one_line_per_task(api: FakeApify, apify_tasks: CommandLine) -> None:
    """TSV and `name` escape control characters, so that a name breaks no line and can be restored."""
    api.create_task(name=f"a\tb\nc\\t{NASTY}")
    expected = "a\\tb\\nc\\\\t\\x1b]0;owned\\x07\\u202e\\x9b31m"
    assert [expected] == apify_tasks("list", "--columns", "name", "--no-headers").lines
    assert [expected] == apify_tasks("list", "-o", "name").lines


def test_a_table_in_a_pipe_is_not_truncated(api: FakeApify, apify_tasks: CommandLine) -> None:
    """Without a terminal a table has its full width and no colour. Markup in a name is text."""
    api.create_task(name=f"[red]{'x' * 300}", created_at=MOMENT, stats=None)
    result = apify_tasks("list", "-o", "table", "--columns", "name,runs,created")
    heads, _, row = (line for line in result.lines if line.strip())
    assert ["name", "runs", "created", "(UTC)"] == heads.split()
    assert [f"[red]{'x' * 300}", "2026-03-01", "12:30"] == row.split()


def table(width: int, monkeypatch: pytest.MonkeyPatch, *, headers: bool) -> list[str]:
    """Return the lines of a table in a terminal of this width."""
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
    """Hours are dropped first, then texts truncated, then columns dropped. A wide character counts as two."""
    assert expected == table(width, monkeypatch, headers=True)
    assert expected[2:] == table(width, monkeypatch, headers=False)


@pytest.mark.parametrize(("columns", "expected"), [("name,id", ["id"]), ("id,id,runs", ["id"])])
def test_the_id_is_dropped_last(columns: str, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The id column remains, wherever it stands."""
    monkeypatch.setenv("COLUMNS", "5")
    monkeypatch.setenv("TERM", "dumb")
    shown = Table(parse_columns(columns), headers=True, terminal=True)
    shown.format_rows([make_task(1)])
    assert expected == shown.format_footer().splitlines()[0].split()


# Which tasks to show


def test_a_limit_and_an_offset(api: FakeApify, apify_tasks: CommandLine) -> None:
    """`--limit` and `--offset` work as in the library."""
    names = fill(api, 6)
    assert names[2:5] == apify_tasks("list", "-o", "name", "-L", 3, "--offset", 2, "--page-size", 2).lines


def test_newest_first(api: FakeApify, apify_tasks: CommandLine) -> None:
    """`--desc` shows the newest task first, `--asc` the oldest."""
    names = fill(api, 3)
    assert names[::-1] == apify_tasks("list", "-o", "name", "--desc").lines
    assert names == apify_tasks("list", "-o", "name", "--asc").lines


def test_exact(api: FakeApify, apify_tasks: CommandLine) -> None:
    """`--exact` overlaps the pages, and shows no task twice."""
    names = fill(api, 10)
    assert names == apify_tasks("list", "-o", "name", "--exact", "--page-size", 4, "--concurrency", 1).lines
    assert len(api.requests) > 3


@pytest.mark.parametrize("actor", ["scraper", "jane/scraper", "jane~scraper", "id-of-it"])
def test_the_tasks_of_an_actor(api: FakeApify, apify_tasks: CommandLine, actor: str) -> None:
    """`--actor` takes the name, user/name, user~name or the id."""
    expected = api.create_task(act_id="id-of-it", act_name="scraper", act_username="jane").name
    api.create_task(act_id="another", act_name="crawler", act_username="jane")
    api.create_task(act_id="unknown", act_name=None, act_username=None)
    assert [expected] == apify_tasks("list", "-o", "name", "--actor", actor).lines


def test_a_filter_and_a_limit(api: FakeApify, apify_tasks: CommandLine) -> None:
    """With a filter, the limit counts the tasks shown, and reading stops once it is reached."""
    fill(api, 30)
    arguments = ("list", "-o", "name", "--name", "task-*[05]", "-L", 3, "--page-size", 2, "--concurrency", 1)
    assert ["task-0", "task-5", "task-10"] == apify_tasks(*arguments).lines
    assert len(api.requests) < 15


def test_a_filter_without_a_match(api: FakeApify, apify_tasks: CommandLine) -> None:
    """An empty result is not an error. Names match case-sensitively."""
    fill(api, 3)
    expected = Result(0, "", "apify-tasks: no match among 3 tasks\n")
    assert expected == apify_tasks("list", "-o", "name", "--name", "TASK-*")


def test_an_invalid_task_can_be_skipped(api: FakeApify, apify_tasks: CommandLine) -> None:
    """An invalid task is an error that names --skip-invalid. With the option it is skipped, with a warning."""
    names = fill(api, 3)
    api.fail(MalformedItem(1, "createdAt", ABSENT), times=None)
    result = apify_tasks("list", "-o", "name")
    assert (1, names[:1]) == (result.code, result.lines)
    shown, error = result.err.splitlines()
    assert "apify-tasks: 1 of 3 tasks shown" == shown
    assert error.startswith("apify-tasks: error: ")
    assert error.endswith("; pass --skip-invalid to skip such tasks")
    skipping = apify_tasks("list", "-o", "name", "--skip-invalid")
    assert (0, [names[0], names[2]]) == (skipping.code, skipping.lines)
    assert skipping.err.startswith("apify-tasks: warning: left out: ")
    assert 1 == skipping.err.count("\n")


# Bookmarks


def test_a_bookmark_covers_a_skipped_task(api: FakeApify, apify_tasks: CommandLine, tmp_path: Path) -> None:
    """The bookmark is after an invalid task that was skipped at the end of the list."""
    fill(api, 2)
    file = tmp_path / "bookmark"
    arguments = ("list", "-o", "name", "--page-size", 1, "--skip-invalid", "--after", file, "--bookmark", file)
    api.fail(MalformedItem(0), offset=1)
    first = apify_tasks(*arguments)
    assert (0, "task-0\n", 1) == (first.code, first.out, first.err.count("left out"))
    assert {task.id for task in api.tasks[1:]} == Bookmark.from_json(file.read_text()).ids


def test_one_bookmark_file_shows_new_tasks_only(api: FakeApify, apify_tasks: CommandLine, tmp_path: Path) -> None:
    """A series of runs shows each task once. The file may be missing at first, and a run without new tasks keeps it."""
    file = tmp_path / "bookmark"
    arguments = ("list", "-o", "name", "--after", file, "--bookmark", file)
    assert Result(0, "", "apify-tasks: no new tasks\n") == apify_tasks(*arguments)
    assert not file.exists()
    names = fill(api, 3)
    assert names == apify_tasks(*arguments).lines
    assert [] == apify_tasks(*arguments).lines
    assert ["new"] == [api.create_task(name="new").name] == apify_tasks(*arguments).lines
    assert Bookmark.from_json(file.read_text()).ids == {api.tasks[-1].id}
    assert [file] == list(tmp_path.iterdir())


def test_a_bookmark_is_copied_without_new_tasks(api: FakeApify, apify_tasks: CommandLine, tmp_path: Path) -> None:
    """A run that reads one file and writes another always writes it."""
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
    """With a filter and a limit, a series of runs loses and repeats no task, even if creation times are equal."""
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
    # The API does not define the order of tasks with equal times.
    assert sorted(expected) == sorted(together)
    assert tied or expected == together


def test_a_table_saves_a_bookmark(api: FakeApify, apify_tasks: CommandLine, tmp_path: Path) -> None:
    """A table is printed first, and its bookmark saved after it."""
    fill(api, 3)
    assert 0 == apify_tasks("list", "-o", "table", "--bookmark", tmp_path / "bookmark").code
    assert Bookmark.from_json((tmp_path / "bookmark").read_text()).ids == {api.tasks[-1].id}


def test_a_bookmark_survives_an_error(api: FakeApify, apify_tasks: CommandLine, tmp_path: Path) -> None:
    """After a failed page, the rows before it are a complete array, and the bookmark leads to the rest."""
    fill(api, 5)
    file = tmp_path / "bookmark"
    api.fail(Status(403), offset=2)
    arguments = ("list", "-o", "json", "--page-size", 2, "--after", file, "--bookmark", file)
    failed = apify_tasks(*arguments)
    assert (1, ["task-0", "task-1"]) == (failed.code, [document["name"] for document in json.loads(failed.out)])
    shown, note, error = failed.err.splitlines()
    assert "apify-tasks: 2 of 5 tasks shown" == shown
    assert f"apify-tasks: the bookmark is in '{file}'; pass it to --after to continue" == note
    assert error.startswith("apify-tasks: error: ")
    rest = apify_tasks(*arguments)
    assert (0, ["task-2", "task-3", "task-4"]) == (rest.code, [document["name"] for document in json.loads(rest.out)])


def test_a_bookmark_keeps_a_symbolic_link(api: FakeApify, apify_tasks: CommandLine, tmp_path: Path) -> None:
    """Writing a bookmark through a symbolic link replaces its target, not the link."""
    fill(api, 1)
    (tmp_path / "link").symlink_to(tmp_path / "file")
    apify_tasks("list", "--bookmark", tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert Bookmark.from_json((tmp_path / "file").read_text()).ids == {api.tasks[0].id}


def test_a_bookmark_that_cannot_be_written(
    api: FakeApify, apify_tasks: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the bookmark cannot be written, the rows are printed, and the old file stays as it was."""
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
    assert Result(1, "new\n", message) == apify_tasks("list", "-o", "name", "--after", file, "--bookmark", file)
    assert [file] == list(tmp_path.iterdir())
    assert before == file.read_bytes()


# The other commands


def test_count(api: FakeApify, apify_tasks: CommandLine) -> None:
    """`count` shows the number of tasks, and sends one request."""
    fill(api, 12)
    assert Result(0, "12\n", "") == apify_tasks("count")
    assert 1 == len(api.requests)


def test_follow_shows_new_tasks(api: FakeApify, apify_tasks: CommandLine, tmp_path: Path) -> None:
    """`follow` shows the tasks, then each new one, until an error. The next run continues after it."""
    names = fill(api, 3)
    file = tmp_path / "bookmark"
    arguments = ("follow", "-o", "name", "--interval", 0.01, "--after", file, "--bookmark", file)

    def change(_: object) -> None:
        if len(api.requests) == 2:
            names.append(api.create_task(name="new").name)
        if len(api.requests) == 4:
            api.fail(Status(403))

    api.on_request = change
    result = apify_tasks(*arguments)
    assert (1, names) == (result.code, result.lines)
    assert Bookmark.from_json(file.read_text()).ids == {api.tasks[-1].id}
    api.create_task(name="newer")
    api.on_request = lambda _: api.fail(Status(403)) if len(api.requests) == 8 else None
    assert ["newer"] == apify_tasks(*arguments).lines


@pytest.mark.parametrize(("lookback", "expected"), [((), ["late", "new"]), (("--lookback", 0), ["new"])])
def test_follow_shows_what_appears_late(
    api: FakeApify, apify_tasks: CommandLine, lookback: tuple[str, int] | tuple[()], expected: list[str]
) -> None:
    """A task that is older than one that was shown is shown, too; not with --lookback 0."""
    names = fill(api, 3)

    def change(_: object) -> None:
        if len(api.requests) == 3:
            api.create_task(name="late", created_at=api.tasks[1].created_at)
            api.create_task(name="new")
        if len(api.requests) == 6:
            api.fail(Status(403))

    api.on_request = change
    result = apify_tasks("follow", "-o", "name", "--interval", 0.01, *lookback)
    assert (1, [*names, *expected]) == (result.code, result.lines)


def test_follow_filters(api: FakeApify, apify_tasks: CommandLine) -> None:
    """`follow` has the filters and --skip-invalid too."""
    fill(api, 4)
    api.fail(MalformedItem(2))
    api.fail(Status(403), times=None)
    arguments = ("follow", "--columns", "name", "--interval", 0.01, "--name", "*[123]", "--skip-invalid")
    result = apify_tasks(*arguments)
    assert (1, ["name", "task-1", "task-3"]) == (result.code, result.lines)


def test_follow_fails_if_its_first_request_fails(api: FakeApify, apify_tasks: CommandLine) -> None:
    """A first request that fails ends the command; a later failure is waited out.

    Takes over a second, since the client sends more slowly after a refusal.
    """
    api.fail(Status(429, retry_after=3000))
    api.fail(Status(403), times=None)
    result = apify_tasks("follow", "--interval", 0.01)
    assert (1, "") == (result.code, result.out)
    assert result.err.endswith("; try again in 3,000 s, as the server asks\n")
    names = fill(api, 1)
    api.clear_faults()

    def change(_: object) -> None:
        if len(api.requests) == 4:
            api.fail(Status(429, retry_after=3000))
            names.append(api.create_task(name="new").name)
        if len(api.requests) == 6:
            api.fail(Status(403))

    api.on_request = change
    result = apify_tasks("follow", "-o", "name", "--interval", 0.01)
    assert (1, names) == (result.code, result.lines)
    begun, ended, error = result.err.splitlines()
    assert begun.endswith("); trying again")
    assert ended.endswith("works again, after 1 s")
    assert error.startswith("apify-tasks: error: the API at ")


def test_demo(apify_tasks: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """`demo` needs no token, and ends with a summary."""
    monkeypatch.delenv("APIFY_TOKEN")
    result = apify_tasks("demo", "--tasks", 1500, "--latency", 0, "-o", "name", "--desc", "-L", 1200)
    assert (0, 1200) == (result.code, len(result.lines))
    assert result.err.startswith("apify-tasks: 1,200 tasks in 2 requests, ")
    assert result.err.endswith(" seconds\n")


def test_demo_with_exact_and_verbose(apify_tasks: CommandLine) -> None:
    """`demo` has --exact and --verbose."""
    result = apify_tasks("demo", "--tasks", 1500, "--latency", 0, "-o", "name", "--exact", "--verbose")
    assert (0, 1500) == (result.code, len(result.lines))
    assert "apify-tasks: debug: the page at offset 0 arrived in " in result.err


def test_defaults_are_those_of_the_library() -> None:
    """An option has the same default as the argument that it sets."""

    def defaults(function: Callable[..., Any], *names: str) -> dict[str, Any]:
        return {name: inspect.signature(function).parameters[name].default for name in names}

    commands = [_commands.cli.commands[name] for name in ("list", "follow")]
    options = {option.name: option.default for command in commands for option in command.params}
    library = defaults(TasksClient, "timeout", "concurrency") | defaults(TasksClient.iter_pages, "page_size", "offset")
    library |= defaults(TasksClient.follow_pages, "page_size", "interval", "lookback")
    assert library == {name: options[name] for name in library}


def test_version(apify_tasks: CommandLine) -> None:
    """`--version` prints the version."""
    assert Result(0, f"apify-tasks {__version__}\n", "") == apify_tasks("--version")


@pytest.mark.parametrize("command", ["list", "ls", "count", "follow", "demo"])
def test_help(apify_tasks: CommandLine, command: str) -> None:
    """Every command has help with examples. The help has no option for a token."""
    result = apify_tasks(command, "--help")
    assert (0, "") == (result.code, result.err)
    assert result.out.startswith("Usage: apify-tasks ")
    assert "--token " not in result.out
    assert "Examples:\n    apify-tasks " in result.out


@pytest.mark.parametrize(("option", "code"), [("--version", 0), ("--wrong", 2)])
def test_the_module_is_the_command(option: str, code: int) -> None:
    """`python -m apify_tasks_async` exits with the code of the command. Importing it does nothing."""
    importlib.import_module("apify_tasks_async.__main__")
    result = subprocess.run([sys.executable, "-m", "apify_tasks_async", option], capture_output=True, check=False)
    assert code == result.returncode


# The token


@pytest.mark.parametrize("text", ["{}", "{}\n", "  {} \r\n"])
def test_a_token_from_a_file(
    api: FakeApify, apify_tasks: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    """The file takes precedence over the variable, and may end with white space."""
    monkeypatch.setenv("APIFY_TOKEN", "another")
    file = tmp_path / "token"
    file.write_text(text.format(api.token), newline="")
    assert Result(0, "0\n", "") == apify_tasks("count", "--token-file", file)


def test_a_token_from_stdin(api: FakeApify, apify_tasks: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--token-file -` reads standard input."""
    monkeypatch.delenv("APIFY_TOKEN")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{api.token}\n".encode())))
    assert Result(0, "0\n", "") == apify_tasks("count", "--token-file", "-")


@pytest.mark.parametrize("variable", [None, "", " "])
def test_no_token(apify_tasks: CommandLine, monkeypatch: pytest.MonkeyPatch, variable: str | None) -> None:
    """Without a token, the message says how to pass one."""
    monkeypatch.delenv("APIFY_TOKEN")
    if variable is not None:
        monkeypatch.setenv("APIFY_TOKEN", variable)
    assert Result(4, "", f"apify-tasks: error: no token; {TOKEN_ADVICE}\n") == apify_tasks("list")


@pytest.mark.parametrize(
    ("text", "problem"), [("", "no token in "), ("sécret", "--token-file "), ("a b", "--token-file ")]
)
def test_a_file_without_a_token(apify_tasks: CommandLine, tmp_path: Path, text: str, problem: str) -> None:
    """Text that cannot be a token is not sent and not shown."""
    (tmp_path / "token").write_text(text, encoding="utf-8")
    result = apify_tasks("list", "--token-file", tmp_path / "token")
    assert (4, "") == (result.code, result.out)
    assert result.err.startswith(f"apify-tasks: error: {problem}")
    assert result.err.endswith(f"; {TOKEN_ADVICE}\n")
    assert not text or text not in result.err


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
def test_a_token_argument_is_refused(api: FakeApify, apify_tasks: CommandLine, arguments: tuple[str, ...]) -> None:
    """The message says how to pass the token instead, and does not repeat it."""
    result = apify_tasks(*arguments)
    assert (2, "", []) == (result.code, result.out, api.requests)
    assert "error: do not pass the token on the command line" in result.err
    assert "set APIFY_TOKEN or pass --token-file\n" in result.err
    assert "secret" not in result.err


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
    """A token that you pass as a file or a command by mistake does not appear in the message."""
    result = apify_tasks(*arguments)
    assert (2, "") == (result.code, result.out)
    assert "0123456789" not in result.err


def test_an_invalid_token(apify_tasks: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that the API rejects gives exit code 4 and no output, not an empty list."""
    monkeypatch.setenv("APIFY_TOKEN", "wrong-one")
    result = apify_tasks("list", "-o", "json")
    assert (4, "") == (result.code, result.out)
    assert result.err.startswith("apify-tasks: error: ")
    assert result.err.endswith(f"; {TOKEN_ADVICE}\n")
    assert "wrong-one" not in result.err


# Errors


def a(kind: type[ApifyTasksError], **fields: Any) -> ApifyTasksError:
    """Return an error of this class."""
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
        ("list", a(RateLimitedError, status=429), "it failed; lower --rate-limit or try again later"),
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
        ("list", a(AuthenticationError, status=401), f"it failed; {TOKEN_ADVICE}"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, ApifyTasksError) else None,
)
def test_advice_is_about_options(command: str, error: ApifyTasksError, expected: str) -> None:
    """Advice names options, and only those that the command has."""
    with click.Context(_commands.cli.commands[command]):
        assert expected == to_failure(error).format_message()


def test_plain_http_is_refused(apify_tasks: CommandLine) -> None:
    """The message names no argument of the library, but the option that allows it."""
    result = apify_tasks("count", "--base-url", "http://example.com")
    expected = (
        "the base URL must begin with https:// unless the host is loopback, got 'http://example.com'; "
        "--allow-insecure sends the token in the clear"
    )
    assert Result(2, "", f"apify-tasks: error: {expected}\napify-tasks: see 'apify-tasks count --help'\n") == result


def test_ctrl_c_at_the_start(apify_tasks: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C prints no traceback, even before the command runs."""

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_commands, "run", interrupt)
    assert Result(130, "", "") == apify_tasks("list")


def test_an_error_of_the_api_is_one_line(api: FakeApify, apify_tasks: CommandLine) -> None:
    """A message from the server is shown on one line, without control characters."""
    api.fail(Status(403, message=f"two\nlines{NASTY}"))
    result = apify_tasks("count")
    assert (1, "") == (result.code, result.out)
    assert result.err.startswith("apify-tasks: error: ")
    assert "two" in result.err
    assert ["\n"] == [character for character in result.err if not character.isprintable()]


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
    """A usage error is reported before any request, with exit code 2."""
    monkeypatch.chdir(tmp_path)
    result = apify_tasks(*arguments)
    assert (2, "") == (result.code, result.out)
    assert message in result.err
    assert not arguments or {"apify-tasks"} == {line.partition(": ")[0] for line in result.err.splitlines()}
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "{}", "\x00"])
def test_a_damaged_bookmark(apify_tasks: CommandLine, tmp_path: Path, text: str) -> None:
    """A damaged bookmark is an error: it neither restarts the list nor is overwritten."""
    file = tmp_path / "bookmark"
    file.write_text(text)
    result = apify_tasks("list", "--after", file, "--bookmark", file)
    assert (2, "", text) == (result.code, result.out, file.read_text())
    assert f"cannot read '{file}': not a usable bookmark" in result.err


@pytest.mark.parametrize(("desc", "direction"), [(True, "a descending"), (False, "an ascending")])
def test_a_bookmark_of_the_other_direction(
    apify_tasks: CommandLine, tmp_path: Path, *, desc: bool, direction: str
) -> None:
    """A bookmark of a descending list does not fit an ascending one, and vice versa."""
    file = tmp_path / "bookmark"
    file.write_text(Bookmark(MOMENT, frozenset("a"), 0, desc).to_json())
    result = apify_tasks("list", "--after", file, "--asc" if desc else "--desc")
    assert (2, "") == (result.code, result.out)
    assert f"belongs to {direction} list" in result.err


def test_without_standard_output(apify_tasks: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed standard output is an error: Python sets `sys.stdout` to None."""
    monkeypatch.setattr(sys, "stdout", None)
    assert Result(1, "", "apify-tasks: error: standard output is closed\n") == apify_tasks("list")


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
    """Each shell completes commands, options, choices and columns."""
    monkeypatch.setenv("_APIFY_TASKS_COMPLETE", f"{shell}_complete")
    monkeypatch.setenv("COMP_WORDS", " ".join(["apify-tasks", *words]))
    monkeypatch.setenv("COMP_CWORD", words[-1] if shell == "fish" else str(len(words)))
    result = apify_tasks()
    assert (0, "") == (result.code, result.err)
    # zsh gets three lines per candidate; the others get one, which begins with its kind.
    lines = result.lines[1::3] if shell == "zsh" else [line.split("\t")[0].partition(",")[2] for line in result.lines]
    assert expected == lines


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_scripts(apify_tasks: CommandLine, monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    """The command prints a completion script for each shell."""
    monkeypatch.setenv("_APIFY_TASKS_COMPLETE", f"{shell}_source")
    result = apify_tasks()
    assert (0, "") == (result.code, result.err)
    assert f"_APIFY_TASKS_COMPLETE={shell}_complete" in result.out


# What an operator reads at night.

MOMENT_OF_LINE = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}"


@pytest.mark.parametrize("options", [[], ["--verbose"]])
def test_the_level_of_the_log_is_restored(
    apify_tasks: CommandLine, caplog: pytest.LogCaptureFixture, options: list[str]
) -> None:
    """A program that calls the command keeps what it logs."""
    caplog.set_level(logging.INFO, logger="apify_tasks_async")
    assert 0 == apify_tasks("count", *options).code
    assert logging.INFO == logging.getLogger("apify_tasks_async").level


def test_outages_are_told_with_times(api: FakeApify, apify_tasks: CommandLine) -> None:
    """Where stderr is a file, each outage has two lines with times: its beginning and its end.

    Takes over a second, since the client sends more slowly after a refusal.
    """
    fill(api, 1)
    api.fail(Status(503, message="an outage", retry_after=0))
    result = apify_tasks("count")
    assert (0, "1\n") == (result.code, result.out)
    begun, ended = result.err.splitlines()
    where = re.escape(f"the API at {api.url}")
    assert re.fullmatch(
        rf"apify-tasks: {MOMENT_OF_LINE} {where} answered 503 \(service-unavailable: an outage\); trying again", begun
    )
    assert re.fullmatch(rf"apify-tasks: {MOMENT_OF_LINE} works again, after \d s", ended)


@pytest.mark.parametrize("command", ["count", "list", "follow"])
def test_quiet(api: FakeApify, apify_tasks: CommandLine, command: str) -> None:
    """With --quiet, no command tells outages; an error is still told.

    Takes over a second, since the client sends more slowly after a refusal.
    """
    api.fail(Status(503, retry_after=0))
    api.fail(Status(403), times=None)
    result = apify_tasks(command, "-q")
    assert (1, 1) == (result.code, result.err.count("\n"))


def test_each_outage_of_a_followed_list_is_told(api: FakeApify, apify_tasks: CommandLine) -> None:
    """Three outages make three beginnings and three ends, however many looks fail in each."""
    fill(api, 1)
    looks = 0

    def change(_: object) -> None:
        nonlocal looks
        looks += 1
        if looks in (4, 12, 20):
            api.fail(Status(500, retry_after=3000), times=3)
        if looks == 30:
            api.fail(Status(403), times=None)

    api.on_request = change
    result = apify_tasks("follow", "-o", "name", "--interval", 0.001)
    *outages, error = result.err.splitlines()
    assert ["again"] * 3 == [line.rpartition(" ")[2] for line in outages[::2]]
    assert [True] * 3 == ["works again, after " in line for line in outages[1::2]]
    assert error.startswith("apify-tasks: error: ")


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ([], "2 of 5 tasks shown"),
        (["-L", 4], "2 of 4 tasks shown"),
        (["--offset", 1], "1 of 4 tasks shown"),
        (["--name", "*-1"], "1 task shown, from 2 of 5"),
        (["-o", "table"], "2 of 5 tasks shown"),
        (["-o", "json"], "2 of 5 tasks shown"),
    ],
)
def test_a_list_that_is_cut(api: FakeApify, apify_tasks: CommandLine, options: list[object], shown: str) -> None:
    """A list that an error cuts says how much of it is shown."""
    fill(api, 5)
    api.fail(Status(403), offset=2, times=None)
    size = 1 if "--offset" in options else 2
    result = apify_tasks("list", "--page-size", size, *options)
    assert 1 == result.code
    assert f"apify-tasks: {shown}" == result.err.splitlines()[0]


def test_a_list_without_a_page(api: FakeApify, apify_tasks: CommandLine) -> None:
    """If nothing is shown, the error says enough."""
    api.fail(Status(403), times=None)
    assert 1 == apify_tasks("list").err.count("\n")


def test_count_names_no_page(api: FakeApify, apify_tasks: CommandLine) -> None:
    """The user of `count` asked for no page, so the error names none."""
    api.fail(Status(403))
    error = apify_tasks("count").err
    assert "(after 1 attempt); use a token whose scope includes reading tasks" in error
    assert "offset" not in error


@pytest.mark.parametrize("both", [False, True])
def test_which_token_was_refused(
    api: FakeApify, apify_tasks: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, both: bool
) -> None:
    """If a file and the variable have a token, the error says which one the API refused."""
    file = tmp_path / "token"
    file.write_text("wrong-token")
    if not both:
        monkeypatch.delenv("APIFY_TOKEN")
    result = apify_tasks("count", "--token-file", file)
    assert 4 == result.code
    assert both == (f"; the token is that of --token-file {file}, not that of APIFY_TOKEN; " in result.err)


def test_another_login_is_not_the_token(api: FakeApify, apify_tasks: CommandLine) -> None:
    """A 401 of a server in front of the API says nothing about the token."""
    api.fail(Status(401, body="<h1>Corporate login</h1>"))
    result = apify_tasks("count")
    assert 1 == result.code
    assert "a server in front of the API at " in result.err
    assert "APIFY_TOKEN" not in result.err


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_token_file_of_windows(api: FakeApify, apify_tasks: CommandLine, tmp_path: Path, encoding: str) -> None:
    """A byte order mark in the file is not part of the token."""
    file = tmp_path / "token"
    file.write_text(f"{api.token}\r\n", encoding=encoding)
    assert Result(0, "0\n", "") == apify_tasks("count", "--token-file", file)


@pytest.mark.parametrize("quoted", ['"{}"', "'{}'", "\u201c{}\u201d", "{}'"])
def test_a_token_in_quotes(
    api: FakeApify, apify_tasks: CommandLine, monkeypatch: pytest.MonkeyPatch, quoted: str
) -> None:
    """A token in quotes is refused before any request, and the message says why."""
    monkeypatch.setenv("APIFY_TOKEN", quoted.format(api.token))
    result = apify_tasks("count")
    assert (4, []) == (result.code, api.requests)
    assert result.err.startswith("apify-tasks: error: APIFY_TOKEN holds a token in quotes; remove them; ")
    assert api.token not in result.err


def test_actor_without_an_owner(api: FakeApify, apify_tasks: CommandLine) -> None:
    """--actor finds an Actor by its name, although its owner is not known."""
    api.create_task(act_name="scraper", act_username=None, name="found")
    api.create_task(act_name="other", act_username=None)
    assert "found\n" == apify_tasks("list", "-o", "name", "--actor", "scraper").out


def test_columns_without_effect(api: FakeApify, apify_tasks: CommandLine) -> None:
    """A format without columns says that --columns has no effect; the default says nothing."""
    fill(api, 1)
    assert (
        "apify-tasks: --columns has no effect with -o name\n"
        == apify_tasks("list", "-o", "name", "--columns", "id").err
    )
    assert "" == apify_tasks("list", "-o", "name").err


def test_a_rate_limit(api: FakeApify, apify_tasks: CommandLine) -> None:
    """The rate limit is that of the client; what cannot be one is refused."""
    fill(api, 1)
    assert 0 == apify_tasks("list", "--rate-limit", 0.5).code
    for value in ("0", "-1", "nan", "inf", "x"):
        result = apify_tasks("list", "--rate-limit", value)
        assert 2 == result.code
        assert "--rate-limit" in result.err


@pytest.mark.parametrize(("options", "rows"), [([], 20), (["-L", 30], 30), (["-o", "tsv"], 50)])
def test_rows_of_the_demo(apify_tasks: CommandLine, options: list[object], rows: int) -> None:
    """The table of `demo` has 20 rows, and what is missing is said; all rows with --limit or another format."""
    arguments = ["-o", "table", *options] if "-o" not in options else options
    result = apify_tasks("demo", "--tasks", 50, "--latency", 0, "--no-headers", *arguments)
    assert (0, rows) == (result.code, len(result.lines))
    more = "apify-tasks: 30 more; next: apify-tasks demo -o jsonl, or apify-tasks list\n"
    assert (rows == 20) == (more in result.err)
