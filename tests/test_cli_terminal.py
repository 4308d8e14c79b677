"""The command line in a terminal: what the user sees."""

# Most tests here take over one second: each starts a Python process.

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.processes import terminal

from apify_tasks_async.testing import FakeApify, Hang, Status

NASTY = "\x1b]0;owned\x07\x9b31m"
COLOUR = re.compile(r"\x1b\[[0-9;]*\b(3[0-8]|9[0-7])[0-9;]*m")


@pytest.fixture
def api() -> Iterator[FakeApify]:
    """Return a server with six tasks."""
    with FakeApify(tasks=6) as api:
        yield api


@pytest.mark.parametrize("columns", [60, 300])
def test_a_table_fits_the_terminal(api: FakeApify, columns: int) -> None:
    """The table is the default on a terminal, is never wider than it, and does not truncate an id."""
    newest = api.create_task(name=f"{'x' * 150}{NASTY}[red]")
    with terminal(api, "list", "--quiet", "--columns", "id,name,runs", columns=columns) as shown:
        output = shown.read_all()
    assert 0 == shown.process.returncode
    heads, _, *rows = shown.text
    assert ["id", "name", "runs"] == heads.split()
    assert 7 == len(rows)
    assert newest.id == rows[-1].split()[0]
    assert max(map(len, shown.text)) <= columns
    assert (columns == 300) == ("\\x1b]0;owned\\x07\\x9b31m[red]" in output)
    assert "\x1b]" not in output
    assert "\x9b" not in output


@pytest.mark.parametrize("output", ["jsonl", "csv", "tsv"])
def test_names_hold_no_control_characters(api: FakeApify, output: str) -> None:
    """Every format escapes control characters in names, and no progress bar disturbs the rows."""
    api.create_task(name=f"x{NASTY}\r\ny")
    with terminal(api, "list", "-o", output) as shown:
        text = shown.read_all()
    assert 0 == shown.process.returncode
    assert "x\\" in text
    assert set() == {
        character for character in text.replace("\r\r\n", "\r\n").replace("\r\n", "") if not character.isprintable()
    } - {"\t"}


@pytest.mark.parametrize("no_color", [True, False])
def test_the_progress_bar(api: FakeApify, tmp_path: Path, *, no_color: bool) -> None:
    """The bar on stderr shows the count and the rate, then disappears. `NO_COLOR` removes its colours."""
    # An empty NO_COLOR counts as unset.
    rows = tmp_path / "rows"
    with (
        rows.open("wb") as file,
        terminal(api, "list", "--page-size", 2, file=file, NO_COLOR="1" if no_color else "") as shown,
    ):
        output = shown.read_all()
    assert (0, 7) == (shown.process.returncode, rows.read_bytes().count(b"\n"))
    assert "waiting for the first page" in output
    assert re.search(r"6 of 6 tasks  [\d,]+/s ", output)
    assert no_color == (COLOUR.search(output) is None)
    # The bar is erased, and the cursor is visible again.
    assert "\x1b[2K" in output[output.rindex("6 of 6") :]
    assert output.rindex("\x1b[?25h") > output.rindex("\x1b[?25l")


def test_no_bar_in_a_pipe(api: FakeApify) -> None:
    """The output of a pipe usually appears on the same terminal, so there is no progress bar."""
    with terminal(api, "list", piped=True) as shown:
        output = shown.read_all()
        assert shown.process.stdout
        assert 7 == shown.process.stdout.read().count(b"\n")
    assert (0, "") == (shown.process.returncode, output)


@pytest.mark.parametrize("option", ["--quiet", "--verbose"])
def test_no_bar(api: FakeApify, tmp_path: Path, option: str) -> None:
    """`--quiet` and `--verbose` show no progress bar."""
    rows = tmp_path / "rows"
    with rows.open("wb") as file, terminal(api, "list", option, file=file) as shown:
        output = shown.read_all()
    assert (0, 7) == (shown.process.returncode, rows.read_bytes().count(b"\n"))
    assert "6 of 6" not in output
    assert (option == "--verbose") == ("apify-tasks: debug: " in output)
    assert api.token not in output


def test_ctrl_c_in_a_terminal(api: FakeApify) -> None:
    """The bar disappears, the rows read so far are shown, and the prompt starts on a new line."""
    api.fail(Hang(), offset=2)
    with terminal(api, "list", "--page-size", 2, "--columns", "name") as shown:
        shown.read_until("2 of 6 tasks")
        shown.type("\x03")
        output = shown.read_all()
    assert 130 == shown.process.returncode
    assert ["my-task-0", "my-task-1", "apify-tasks: 2 of 6 tasks shown"] == [line.strip() for line in shown.text[-3:]]
    assert output.endswith("\r\n\r\n")
    assert output.rindex("\x1b[?25h") > output.rindex("\x1b[?25l")
    assert "Traceback" not in output


def test_an_error_in_a_terminal(api: FakeApify) -> None:
    """The error follows the rows, and the bar counts up to the limit."""
    api.fail(Status(403), offset=2)
    with terminal(api, "list", "--page-size", 2, "-L", 5, "--columns", "name", columns=300) as shown:
        shown.read_all()
    assert "2 of 5 tasks" in shown.output
    assert 1 == shown.process.returncode
    assert ["my-task-0", "my-task-1", "apify-tasks: 2 of 5 tasks shown"] == [line.strip() for line in shown.text[-4:-1]]
    assert shown.text[-1].startswith("apify-tasks: error: ")


def test_the_demo() -> None:
    """`demo` shows a progress bar, the first rows and a summary, without a server or a token."""
    with terminal(None, "demo", "--tasks", 1500, "--latency", 0.01) as shown:
        shown.read_all()
    assert 0 == shown.process.returncode
    assert re.fullmatch(r"apify-tasks: 1,500 tasks in 2 requests, \d+\.\d\d seconds", shown.text[-1])
    assert "apify-tasks: 1,480 more; next: apify-tasks demo -o jsonl, or apify-tasks list" == shown.text[-2]
    assert "my-task-19" in shown.text[-3]


def test_a_dumb_terminal(api: FakeApify) -> None:
    """`TERM=dumb` gets the table only: no bar, no blank line, no control sequence."""
    with terminal(api, "list", "--columns", "name", TERM="dumb") as shown:
        output = shown.read_all()
    assert 0 == shown.process.returncode
    assert ["name", "─────────", *(f"my-task-{number}" for number in range(6))] == output.split()
    assert 8 == output.count("\n")
    assert "\x1b" not in output


@pytest.mark.parametrize("columns", [30, 71, 72])
def test_a_bar_in_a_narrow_terminal(api: FakeApify, columns: int) -> None:
    """A narrow terminal shows the numbers without the bar."""
    with terminal(api, "list", "-o", "table", "--columns", "name", columns=columns) as shown:
        output = shown.read_all()
    assert "6 of 6 tasks" in output
    assert (columns == 72) == ("━" in output)


def test_an_outage_is_reported(api: FakeApify) -> None:
    """The beginning and the end of each outage are reported once, above the bar."""
    api.fail(Status(503, message="an outage"), offset=0)
    api.fail(Status(503, message="an outage"), offset=2)
    with terminal(api, "list", "--page-size", 2, "--columns", "name", columns=120) as shown:
        shown.read_all()
    assert 0 == shown.process.returncode
    said = [line for line in shown.text if "apify-tasks: " in line]
    assert ["an outage); trying again", "works again, after 1 s"] * 2 == [
        next(text for text in ("an outage); trying again", "works again, after 1 s") if line.endswith(text))
        for line in said
    ]
    assert "my-task-5" == shown.text[-1]


def test_names_of_all_scripts(api: FakeApify) -> None:
    """Columns stay aligned after wide, combining and right-to-left characters. Direction overrides are escaped."""
    names = ["日本語", "e\u0301e\u0301", "😀😀", "שלום", "a\u202eb"]
    for name in names:
        api.create_task(name=name, stats=None, act_name="x")
    with terminal(api, "list", "--columns", "name,actor", "--no-headers", "--actor", "x") as shown:
        output = shown.read_all()
    assert 0 == shown.process.returncode
    rows = [line for line in output.splitlines() if line.endswith("  apify/x")]
    assert ["日本語  ", "e\u0301e\u0301      ", "😀😀    ", "שלום    ", "a\\u202eb"] == [
        row.removesuffix("  apify/x").split("\x1b[2K")[-1] for row in rows
    ]


def test_bash_completes(api: FakeApify) -> None:
    """A real bash, set up as in the README, completes commands, columns and options."""
    bash = shutil.which("bash")
    assert bash
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with terminal(api, command=(bash, "--noprofile", "--norc", "-i"), PATH=path, PS1="ready> ") as shown:
        shown.read_until("ready> ")
        shown.type('eval "$(_APIFY_TASKS_COMPLETE=bash_source apify-tasks)"; echo "set"-up\n')
        shown.read_until("set-up")
        shown.type("apify-tasks cou\t")
        shown.read_until("apify-tasks count ")
        shown.type("\x15apify-tasks ls --columns id,na\t-o csv --no-h\t\n")
        shown.read_until("id,name -o csv --no-headers ")
        shown.read_until("my-task-5")
        shown.type("exit\n")
        shown.read_all()
    assert "apify-tasks count " in shown.output
    assert "apify-tasks ls --columns id,name -o csv --no-headers " in shown.output
    assert f"{api.tasks[-1].id},my-task-5" in shown.text
