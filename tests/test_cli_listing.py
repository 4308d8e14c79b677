"""The command line as a process: filters by time, sorting, notes, pager, variables, and errors as JSON."""

# Most tests here take over one second: each starts a Python process.

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from helpers.documents import moments, property_test, tasks
from helpers.processes import COMMAND, SECONDS, environment, started, terminal
from hypothesis import given
from hypothesis import strategies as st

from apify_tasks_async import Bookmark, Task
from apify_tasks_async.cli._moments import parse_moment
from apify_tasks_async.cli._selection import Filters, Selection
from apify_tasks_async.cli._sorting import SORT_KEYS, sort_tasks
from apify_tasks_async.testing import FakeApify, Status, make_task

NOW = datetime.now(UTC)
MOMENT = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
DAY = timedelta(days=1)


def aged(number: int, **fields: object) -> Task:
    """Return a task that is so many days old."""
    moment = NOW - number * DAY
    return make_task(number, name=f"old-{number}", created_at=moment, modified_at=moment, **fields)


@pytest.fixture
def api() -> Iterator[FakeApify]:
    """Return a server with tasks that are 2,499 to 0 days old."""
    with FakeApify([aged(number) for number in reversed(range(2500))]) as api:
        yield api


@pytest.fixture
def few() -> Iterator[FakeApify]:
    """Return a server with three tasks."""
    titled = {"title": "Shop of Jane"}
    with FakeApify(
        [
            make_task(1, name="banana", act_name="Scraper", extra=titled, modified_at=MOMENT + DAY),
            make_task(2, name="Cherry", stats=None, modified_at=MOMENT + 2 * DAY),
            make_task(3, name="apple", extra={"title": None}, modified_at=MOMENT),
        ]
    ) as api:
        yield api


def run(api: FakeApify | None, *arguments: object, stdin: str = "", **variables: str) -> tuple[int, str, str]:
    """Run the command line; return its exit code, stdout and stderr."""
    process = subprocess.run(
        (*COMMAND, *map(str, arguments)),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        env=environment(api, **variables),
    )
    return process.returncode, process.stdout, process.stderr


# Time


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01T12:30:00Z", MOMENT),
        ("2026-03-01T14:30:00+02:00", MOMENT),
        ("2026-03-01T12:30:00.250Z", MOMENT + timedelta(milliseconds=250)),
        ("2026-03-01", MOMENT.replace(hour=0, minute=0)),
        ("90s", MOMENT - timedelta(seconds=90)),
        ("5m", MOMENT - timedelta(minutes=5)),
        ("36h", MOMENT - timedelta(hours=36)),
        ("7d", MOMENT - 7 * DAY),
        ("2w", MOMENT - 14 * DAY),
    ],
)
def test_moments(text: str, expected: datetime) -> None:
    """A moment is an RFC 3339 time, a date in UTC, or an age."""
    assert (expected, UTC) == (parse_moment(text, MOMENT), parse_moment(text, MOMENT).tzinfo)


def test_a_date_may_mean_the_end_of_its_day() -> None:
    """`--until 2026-03-01` includes that day."""
    assert datetime(2026, 3, 1, 23, 59, 59, 999_999, UTC) == parse_moment("2026-03-01", MOMENT, end_of_day=True)
    assert MOMENT == parse_moment("2026-03-01T12:30:00Z", MOMENT, end_of_day=True)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("2026-03-01T12:30:00", "has no time zone; add Z for UTC"),
        *((text, "is neither a time such as") for text in ("", "yesterday", "7", "7y", "-7d", "7.5d", "2026-02-30")),
        *((text, "is neither a time such as") for text in ("999999999w", "0001-01-01T00:00:00+05:00", "7d ")),
    ],
)
def test_what_is_no_moment(text: str, problem: str) -> None:
    """The message shows the text and says what is accepted."""
    with pytest.raises(ValueError, match=problem) as caught:
        parse_moment(text, MOMENT)
    assert str(caught.value).startswith(repr(text))


@given(moments)
@property_test
def test_every_time_of_the_api_is_a_moment(moment: datetime) -> None:
    """What the API writes is accepted, as it is."""
    assert moment == parse_moment(moment.isoformat(), MOMENT)


def test_the_newest_tasks_take_one_request(api: FakeApify) -> None:
    """`--desc --since` reads one page of a long list, and says what it saved."""
    code, output, errors = run(api, "list", "--desc", "--since", "7d", "-o", "name", "--verbose")

    assert (0, [f"old-{number}" for number in range(7)]) == (code, output.splitlines())
    assert 1 == len(api.requests)
    assert "apify-tasks: stopped early, since no later task can match; this saved 2 requests\n" in errors


def test_the_oldest_tasks_take_one_request(api: FakeApify, tmp_path: Path) -> None:
    """`--until` stops an ascending list, and the bookmark is after the last task shown."""
    until = (NOW - 2490 * DAY).date().isoformat()
    code, output, errors = run(api, "list", "--until", until, "-o", "name", "--bookmark", tmp_path / "b")

    assert (0, "") == (code, errors)
    assert [f"old-{number}" for number in range(2499, 2489, -1)] == output.splitlines()
    assert 1 == len(api.requests)
    bookmark = Bookmark.from_json((tmp_path / "b").read_bytes())
    assert {api.tasks[9].id} == bookmark.ids


def test_nothing_is_young_enough(api: FakeApify, tmp_path: Path) -> None:
    """If the first task is too old, there is no bookmark, and a word says that nothing matched."""
    arguments = ("list", "--desc", "--since", (NOW + DAY).isoformat(), "--bookmark", tmp_path / "b")

    assert (0, "", "apify-tasks: no match among 2,500 tasks\n") == run(api, *arguments)
    assert not (tmp_path / "b").exists()


def test_times_in_the_other_direction_read_on(api: FakeApify) -> None:
    """An ascending `--since`, and `--modified-since`, leave out what is older, and read the whole list."""
    for option in ("--since", "--modified-since"):
        assert (0, "old-1\nold-0\n", "") == run(api, "list", option, "36h", "-o", "name")
    assert 6 == len(api.requests)


@pytest.mark.parametrize(
    ("arguments", "expected", "requests"),
    [
        (("--since", "7d"), 7, 1),
        (("--until", f"{NOW - 2490 * DAY:%Y-%m-%d}"), 10, 1),
        (("--name", "OLD-?", "-i"), 10, 3),
        ((), 2500, 1),
    ],
)
def test_count_filters(api: FakeApify, arguments: tuple[str, ...], expected: int, requests: int) -> None:
    """`count` takes the filters; with `--since` it starts at the newest task."""
    assert (0, f"{expected}\n", "") == run(api, "count", *arguments)
    assert requests == len(api.requests)


def test_count_says_what_it_saved(api: FakeApify) -> None:
    """`count --verbose` says how many requests an early end saved."""
    _, output, errors = run(api, "count", "--since", "7d", "--verbose")

    assert "7\n" == output
    assert "this saved 2 requests\n" in errors


@given(
    st.lists(tasks, max_size=8),
    st.builds(Filters, since=st.none() | moments, until=st.none() | moments, modified_since=st.none() | moments),
    st.booleans(),
    st.none() | st.integers(0, 4),
)
@property_test
def test_an_early_end_loses_nothing(listed: list[Task], filters: Filters, desc: bool, limit: int | None) -> None:
    """The selection from a sorted list is that of all tasks that match."""
    listed = sorted(listed, key=lambda task: task.created_at, reverse=desc)
    selected, examined = Selection(filters, limit, desc).select(listed)

    assert list(filter(filters.match, listed))[:limit] == selected
    assert list(filter(filters.match, listed[:examined])) == selected


# Other filters


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--name", "cherry"), []),
        (("--name", "CHER*", "-i"), ["Cherry"]),
        (("--actor", "scraper", "--ignore-case"), ["banana"]),
        (("--actor", "scraper"), []),
        (("--title", "Shop*"), ["banana"]),
        (("--title", "shop*", "-i"), ["banana"]),
        (("--title", "*"), ["banana", "Cherry"]),
    ],
)
def test_filters(few: FakeApify, arguments: tuple[str, ...], expected: list[str]) -> None:
    """Case counts unless -i is given. A task without a title does not match any."""
    code, output, errors = run(few, "list", "-o", "name", *arguments)

    assert (0, expected) == (code, output.splitlines())
    assert errors == ("" if expected else "apify-tasks: no match among 3 tasks\n")


# Sorting


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("name",), ["apple", "banana", "Cherry"]),
        (("name", "--desc"), ["Cherry", "banana", "apple"]),
        (("runs",), ["banana", "apple", "Cherry"]),
        (("runs", "--desc"), ["apple", "banana", "Cherry"]),
        (("modified", "-L", "2"), ["apple", "banana"]),
    ],
)
def test_sorting(few: FakeApify, arguments: tuple[str, ...], expected: list[str]) -> None:
    """The whole list is sorted, and then cut. A task whose runs are unknown comes last."""
    code, output, errors = run(few, "list", "-o", "name", "--page-size", 1, "--sort", *arguments)

    assert (0, expected, "") == (code, output.splitlines(), errors)
    assert 3 == len(few.requests)


@given(st.lists(tasks, max_size=8), st.sampled_from(SORT_KEYS), st.booleans())
@property_test
def test_sorting_keeps_all_tasks(listed: list[Task], key: str, desc: bool) -> None:
    """Sorting loses no task, and sorting again changes nothing."""
    rows = sort_tasks(listed, key, desc=desc)

    assert sorted(map(id, listed)) == sorted(map(id, rows))
    assert rows == sort_tasks(rows, key, desc=desc)


def test_a_failure_shows_no_sorted_part(few: FakeApify, tmp_path: Path) -> None:
    """A list that could not be read whole is not sorted, not shown, and leaves no bookmark."""
    few.fail(Status(403), offset=2)
    arguments = ("list", "--json", "--page-size", 1, "--sort", "name", "--bookmark", tmp_path / "b")
    code, output, errors = run(few, *arguments)

    assert (1, "", 1) == (code, output, errors.count("\n"))
    assert not (tmp_path / "b").exists()


def test_a_terminal_is_told_about_sorting(few: FakeApify) -> None:
    """On a terminal, a word says that the whole list is read first."""
    with terminal(few, "list", "--sort", "name", "--columns", "name") as shown:
        shown.read_all()

    assert "apify-tasks: reading the whole list, to sort it" == shown.text[0]
    assert ["apple", "banana", "Cherry"] == shown.text[-3:]


# Formats and columns


def test_json_is_short_for_a_format(few: FakeApify) -> None:
    """`--json` is `-o json`."""
    assert run(few, "list", "--json") == run(few, "list", "-o", "json") == run(few, "ls", "--json", "-o", "json")
    assert ["banana", "Cherry", "apple"] == [task["name"] for task in json.loads(run(few, "list", "--json")[1])]


def test_json_s_names_are_columns(few: FakeApify) -> None:
    """A column may have its name in JSON or in Python, which is then the header."""
    names = "actId,act_id,createdAt,created_at,modifiedAt,totalRuns,stats.totalRuns,total_runs,userId,extra.title"
    _, output, _ = run(few, "list", "--columns", names, "-L", 1)
    heads, cells = (line.split("\t") for line in output.splitlines())
    task = few.tasks[0].to_dict()

    assert names.split(",") == heads
    created = [task["createdAt"]] * 2
    assert [*[task["actId"]] * 2, *created, task["modifiedAt"], *["1"] * 3, task["userId"], "Shop of Jane"] == cells


# Notes


def test_a_table_says_how_much_it_shows(few: FakeApify) -> None:
    """A limit or a filter that cut something is named below a table, and nowhere else."""
    cut = "apify-tasks: 2 of 3 tasks\n"

    assert [cut, "", ""] == [
        run(few, "list", "-o", "table", "-L", 2)[2],
        run(few, "list", "-o", "table")[2],
        run(few, "list", "-o", "tsv", "-L", 2)[2],
    ]
    assert cut == run(few, "list", "-o", "table", "--name", "*a*")[2]
    assert "" == run(few, "list", "-o", "table", "-L", 2, "--quiet")[2]


def test_no_match_in_a_terminal(few: FakeApify) -> None:
    """A terminal shows one line, and no bare header."""
    with terminal(few, "list", "--name", "none") as shown:
        shown.read_all()

    assert 0 == shown.process.returncode
    assert ["apify-tasks: no match among 3 tasks"] == [line for line in shown.text if "waiting" not in line][-1:]
    assert not any("─" in line for line in shown.text)


# Pager

PAGER = """
import os, sys
text = sys.stdin.read()
print("paged", len(text.splitlines()), "lines,", os.environ["LESS"])
"""


@pytest.fixture
def pager(tmp_path: Path) -> str:
    """Return the command of a pager that counts the lines."""
    (tmp_path / "pager.py").write_text(PAGER)
    return f"{sys.executable} -S '{tmp_path / 'pager.py'}'"


@pytest.fixture
def long() -> Iterator[FakeApify]:
    """Return a server whose table is longer than the terminal, which has 40 lines."""
    with FakeApify(tasks=50) as api:
        yield api


def test_a_long_table_is_paged(long: FakeApify, pager: str) -> None:
    """A table that is longer than the screen goes through the pager; the note follows."""
    with terminal(long, "list", "--quiet", PAGER=pager) as shown:
        shown.read_all()
    assert (0, ["paged 52 lines, FRX"]) == (shown.process.returncode, shown.text)

    with terminal(long, "list", "-L", 45, PAGER=pager, LESS="R") as shown:
        shown.read_all()
    assert ["paged 47 lines, R", "apify-tasks: 45 of 50 tasks"] == shown.text[-2:]


@pytest.mark.parametrize(
    ("arguments", "other"),
    [
        (("--no-pager",), None),
        (("-L", "30"), None),
        (("-o", "tsv"), None),
        ((), "cat"),
        ((), ""),
        ((), "no-such-pager --at-all"),
        ((), "'"),
    ],
)
def test_a_table_that_is_not_paged(long: FakeApify, pager: str, arguments: tuple[str, ...], other: str | None) -> None:
    """No pager: if it is turned off, if the rows fit, for another format, and if it cannot be started."""
    with terminal(long, "list", *arguments, PAGER=pager if other is None else other) as shown:
        shown.read_all()

    assert 0 == shown.process.returncode
    assert "my-task-29" in shown.output
    assert "paged" not in shown.output


def test_a_pipe_is_not_paged(long: FakeApify, pager: str) -> None:
    """A pipe gets the rows."""
    _, output, _ = run(long, "list", "-o", "table", PAGER=pager)
    assert 52 == len(output.splitlines())


def test_ctrl_c_is_for_the_pager(long: FakeApify, tmp_path: Path) -> None:
    """Ctrl-C in the pager does not end the command; its own end does."""
    (tmp_path / "pager.py").write_text(
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, lambda *_: (print('caught'), sys.exit()))\n"
        "sys.stdin.read(); print('ready', flush=True); signal.pause()\n"
    )
    with terminal(long, "list", "--quiet", PAGER=f"{sys.executable} -S '{tmp_path / 'pager.py'}'") as shown:
        shown.read_until("ready")
        shown.type("\x03")
        shown.read_all()
    assert 0 == shown.process.returncode
    assert shown.text[-1].endswith("caught")


def test_sigterm_ends_the_pager_too(long: FakeApify, tmp_path: Path) -> None:
    """SIGTERM ends the command and its pager."""
    (tmp_path / "pager.py").write_text(
        "import signal, sys\nsys.stdin.read(); print('ready', flush=True); signal.pause()\n"
    )
    with terminal(long, "list", "--quiet", PAGER=f"{sys.executable} -S '{tmp_path / 'pager.py'}'") as shown:
        shown.read_until("ready")
        shown.process.terminate()
        shown.read_all()
    assert 143 == shown.process.returncode


def test_quitting_the_pager_early_is_fine(long: FakeApify) -> None:
    """A pager that reads nothing is not an error."""
    with terminal(long, "list", "--quiet", PAGER="true") as shown:
        shown.read_all()
    assert (0, []) == (shown.process.returncode, shown.text)


# The environment


def test_options_have_variables(few: FakeApify) -> None:
    """Each option has a variable; the command line comes first."""
    chosen = {"APIFY_TASKS_OUTPUT": "name", "APIFY_TASKS_LIMIT": "1", "APIFY_TASKS_DESC": "1"}

    assert (0, "apple\n", "") == run(few, "list", **chosen)
    assert (0, "banana\nCherry\n", "") == run(few, "list", "--asc", "-L", 2, **chosen)
    assert (0, "banana\n", "") == run(few, "ls", "--columns", "name", "-L", 1, APIFY_TASKS_NO_HEADERS="true")


def test_json_from_a_variable(few: FakeApify) -> None:
    """`-o` wins over a variable for `--json`, and `--json` over one for `-o`."""
    assert "banana\n" == run(few, "list", "-o", "name", "-L", 1, APIFY_TASKS_JSON="1")[1]
    assert "[\n" == run(few, "list", "--json", "-L", 1, APIFY_TASKS_OUTPUT="csv")[1][:2]


def test_a_variable_with_a_wrong_value(few: FakeApify) -> None:
    """The message names the variable."""
    code, output, errors = run(few, "list", APIFY_TASKS_PAGE_SIZE="many")

    assert (2, "") == (code, output)
    assert "APIFY_TASKS_PAGE_SIZE" in errors
    assert "'many'" in errors


@pytest.mark.parametrize("command", ["list", "count", "follow", "demo"])
def test_help_shows_the_variables(command: str) -> None:
    """Every option but --help names its variable."""
    _, output, _ = run(None, command, "--help")
    options = output.partition("Options:")[2].partition("\n\n")[0]

    names = [line.split()[0] for line in options.splitlines() if line.startswith("  -")]
    assert len(names) - 1 == options.count("APIFY_TASKS_")
    assert "APIFY_TASKS_ERRORS" in options
    assert "APIFY_TASKS_TOKEN]" not in options


# Errors


@pytest.mark.parametrize("how", [("--errors", "json"), ("--errors=json",), ()])
def test_errors_are_json(few: FakeApify, how: tuple[str, ...], tmp_path: Path) -> None:
    """An error is one line of JSON that says what a script has to know, and nothing else is on stderr."""
    few.fail(Status(403, message="no\nway"), offset=1)
    variables = {} if how else {"APIFY_TASKS_ERRORS": "json"}
    arguments = ("list", "-o", "name", "--page-size", 1, "--bookmark", tmp_path / "b", *how)
    code, output, errors = run(few, *arguments, **variables)
    document = json.loads(errors)

    assert (1, "banana\n", 1) == (code, output, errors.count("\n"))
    assert ("PermissionDeniedError", 403, 1, 1, 1) == tuple(
        document[name] for name in ("type", "status", "offset", "attempts", "exitCode")
    )
    assert document["message"].endswith(f"; {document['advice']}")
    assert {few.tasks[0].id} == Bookmark.from_json(document["bookmark"]).ids


@pytest.mark.parametrize(
    ("arguments", "kind", "code"),
    [
        (("list", "--errors", "json", "--wrong"), "NoSuchOption", 2),
        (("list", "--errors", "json", "-L", "0"), "BadParameter", 2),
        (("count", "--errors", "json", "--token-file", "/dev/null"), "TokenFailure", 4),
        (("count", "--errors", "json", "--base-url", "ftp://x"), "UsageError", 2),
        (("nonsense", "--errors", "json"), "NoSuchCommand", 2),
    ],
)
def test_other_errors_are_json(few: FakeApify, arguments: tuple[str, ...], kind: str, code: int) -> None:
    """So is an error before any request."""
    ended, output, errors = run(few, *arguments)
    document = json.loads(errors)

    assert (code, "", code) == (ended, output, document["exitCode"])
    assert document["type"] in (kind, "UsageError", "BadParameter")
    assert (None, None) == (document["status"], document["bookmark"])


def test_json_errors_hold_no_token(few: FakeApify) -> None:
    """A token in the wrong place is masked."""
    _, _, errors = run(few, "count", "apify_api_0123456789", "--errors", "json")
    assert "0123456789" not in errors
    assert json.loads(errors)["exitCode"] == 2


def test_a_retry_with_json_errors(few: FakeApify) -> None:
    """A script that reads errors as JSON is told nothing of what passes."""
    few.fail(Status(503, retry_after=0))
    assert (0, "banana\n", "") == run(few, "list", "-o", "name", "-L", 1, "--errors", "json")


def test_no_match_with_json_errors(few: FakeApify) -> None:
    """Where scripts read stderr, there are no notes."""
    assert (0, "", "") == run(few, "list", "--name", "none", "--errors", "json")


def test_no_token_names_both_ways() -> None:
    """Without a token, the message says how to set one, and how to pipe one."""
    code, _, errors = run(None, "list")

    assert 4 == code
    assert "set APIFY_TOKEN, or run `apify auth token | apify-tasks list --token-file -`" in errors


def test_a_token_from_a_pipe(few: FakeApify) -> None:
    """The way that the message names works."""
    assert (0, "3\n", "") == run(few, "count", "--token-file", "-", stdin=f"{few.token}\n", APIFY_TOKEN="")


def test_hidden_options_are_not_suggested(few: FakeApify) -> None:
    """`--tokens` is close to the hidden `--token`, which only says that it is refused."""
    _, _, errors = run(few, "list", "--tokens", "x")

    assert "No such option" in errors
    assert "--token'" not in errors
    assert "--token-file" in errors or "Did you mean" not in errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--since", "soon"), "'soon' is neither a time such as 2026-03-01T12:30:00Z, nor a date, nor an age"),
        (("--since", "2026-03-01T12:30:00"), "has no time zone; add Z for UTC"),
        (("--since", "1d", "--until", "2d"), "is after --until"),
        (("--sort", "created"), "'created' is not one of"),
        (("--sort", "name", "--offset", "1"), "--offset cannot be combined with --sort"),
        (("--sort", "name", "--bookmark", "b", "-L", "1"), "--bookmark cannot be combined with --sort and --limit"),
        (("--json", "-o", "csv"), "--json cannot be combined with -o csv"),
        (("--errors", "xml"), "'xml' is not one of"),
    ],
)
def test_usage(few: FakeApify, arguments: tuple[str, ...], message: str) -> None:
    """A usage error is reported before any request."""
    code, output, errors = run(few, "list", *arguments)

    assert (2, "", []) == (code, output, few.requests)
    assert message in errors


def test_follow_takes_the_filters(few: FakeApify) -> None:
    """`follow` has the filters, too."""
    with started(few, "follow", "--title", "SHOP*", "-i", "--modified-since", "2026-03-01", "-o", "name") as process:
        assert process.stdout
        assert b"banana\n" == process.stdout.readline()
