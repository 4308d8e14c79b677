"""The command line as a process: its pipes, its terminal, its signals, and what it imports."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from typing import IO

import attrs
import pytest

from apify_tasks_async import Bookmark
from apify_tasks_async.testing import FakeApify, Hang, Status

COMMAND = (sys.executable, "-m", "apify_tasks_async")
INSTALL = "apify-tasks: the command line needs the extra: python -m pip install 'apify-tasks-async[cli]'\n"
NASTY = "\x1b]0;owned\x07\x9b31m"

COLOUR = re.compile(r"\x1b\[[0-9;]*\b(3[0-8]|9[0-7])[0-9;]*m")
CONTROL = re.compile(r"\x1b(\[[0-9;?]*[a-zA-Z]|\][^\x07]*\x07)")

TAKE_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""What makes a process the owner of its terminal, so that ^C reaches it, and then the command."""

SECONDS = 30
"""How long a process may take that hangs."""


@pytest.fixture
def api() -> Iterator[FakeApify]:
    """A server of six tasks."""
    with FakeApify(tasks=6) as api:
        yield api


@pytest.fixture(autouse=True)
def _ctrl_c_works() -> Iterator[None]:
    """A process that was started in the background ignores Ctrl-C, and so do those that it starts."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


def environment(api: FakeApify | None, **variables: str) -> dict[str, str]:
    """Return the variables of a process that knows the server."""
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    server = {"APIFY_TOKEN": api.token, "APIFY_API_BASE_URL": api.url} if api else {}
    return kept | server | {"TERM": "xterm-256color"} | variables


@contextlib.contextmanager
def started(
    api: FakeApify | None, *arguments: object, stdout: int | IO[bytes] = PIPE, stderr: int | IO[bytes] = PIPE
) -> Iterator[Popen[bytes]]:
    """Start the command line; it does not outlive the block."""
    command = (*COMMAND, *map(str, arguments))
    # Without a buffer here, a line can be read before all the rest is.
    with Popen(command, bufsize=0, stdin=DEVNULL, stdout=stdout, stderr=stderr, env=environment(api)) as process:
        try:
            yield process
        finally:
            process.kill()


@attrs.define
class Terminal:
    """A pseudo-terminal with a process in it."""

    process: Popen[bytes]
    _master: int
    output: str = ""

    def read_until(self, text: str) -> None:
        """Read until the text was shown, or the process ended."""
        while text not in self.output and self._read():
            pass

    def read_all(self) -> str:
        """Read until the process ended."""
        while self._read():
            pass
        self.process.wait(SECONDS)
        return self.output

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._master, text.encode())

    def _read(self) -> bool:
        try:
            data = os.read(self._master, 65536)
        except OSError:
            # That is how Linux says that the other side was closed.
            data = b""
        self.output += data.decode(errors="replace")
        return data != b""

    @property
    def text(self) -> list[str]:
        """What was shown, without what steers the terminal."""
        return [line for line in CONTROL.sub("", self.output).replace("\r", "\n").split("\n") if line.strip()]


@contextlib.contextmanager
def terminal(
    api: FakeApify | None,
    *arguments: object,
    columns: int = 100,
    piped: bool = False,
    file: IO[bytes] | None = None,
    **variables: str,
) -> Iterator[Terminal]:
    """Start the command line in a terminal, with its standard output in a pipe or a file if so wanted."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = Popen(
        (sys.executable, "-S", "-c", TAKE_TERMINAL, *COMMAND, *map(str, arguments)),
        stdin=slave,
        stdout=PIPE if piped else file or slave,
        stderr=slave,
        env=environment(api, **variables),
    )
    os.close(slave)
    with process:
        try:
            yield Terminal(process, master)
        finally:
            process.kill()
            os.close(master)


# Pipes


def test_rows_come_as_they_arrive(api: FakeApify) -> None:
    """The first page is there while the second one hangs."""
    api.fail(Hang(), offset=2)
    with started(api, "list", "-o", "name", "--page-size", 2) as process:
        assert process.stdout
        assert [b"my-task-0\n", b"my-task-1\n"] == [process.stdout.readline() for _ in range(2)]
        api.clear_faults()
        rest, errors = process.communicate(timeout=SECONDS)
    assert (0, 4, b"") == (process.returncode, rest.count(b"\n"), errors)


@pytest.mark.parametrize("output", ["json", "tsv", "table"])
def test_a_reader_that_has_enough(api: FakeApify, output: str) -> None:
    """`| head -1` ends the command silently, with the code that SIGPIPE has in a shell."""
    hangs = threading.Event()
    api.fail(Hang(), offset=2)
    api.on_request = lambda request: hangs.set() if request.offset == 2 else None
    with started(api, "list", "-o", output, "--page-size", 2) as process:
        assert process.stdout
        assert process.stderr
        assert output == "table" or process.stdout.readline()
        process.stdout.close()
        assert hangs.wait(SECONDS)
        api.clear_faults()
        assert (b"", 141) == (process.stderr.read(), process.wait(SECONDS))


@pytest.mark.parametrize("arguments", [("--help",), ("count",)])
def test_a_reader_that_wants_nothing(api: FakeApify, arguments: tuple[str, ...]) -> None:
    """Nothing is said either if the pipe was closed before, whatever was to be said."""
    reader, writer = os.pipe()
    os.close(reader)
    with started(api, *arguments, stdout=writer) as process:
        os.close(writer)
        _, errors = process.communicate(timeout=SECONDS)
    assert (141, b"") == (process.returncode, errors)


def test_an_error_that_nobody_reads(api: FakeApify) -> None:
    """`2>&1 | head -0` is a closed pipe, too."""
    reader, writer = os.pipe()
    os.close(reader)
    with started(api, "nonsense", stderr=writer) as process:
        os.close(writer)
        output, _ = process.communicate(timeout=SECONDS)
    assert (141, b"") == (process.returncode, output)


def test_an_output_that_cannot_be_written(api: FakeApify, tmp_path: Path) -> None:
    """A full disk, say, is one line on stderr, and the bookmark is not behind what was lost."""
    arguments = ("list", "--bookmark", tmp_path / "bookmark")
    with Path(os.devnull).open("rb") as unwritable, started(api, *arguments, stdout=unwritable) as process:
        _, errors = process.communicate(timeout=SECONDS)
    assert (1, b"apify-tasks: error: cannot write: Bad file descriptor\n") == (process.returncode, errors)
    assert [] == list(tmp_path.iterdir())


# Signals


def test_ctrl_c_ends_follow(api: FakeApify) -> None:
    """Ctrl-C is how `follow` ends: silently, at once, with the code 130."""
    with started(api, "follow", "-o", "name", "--interval", 3600) as process:
        assert process.stdout
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=SECONDS)
    assert (130, 5, b"") == (process.returncode, rest.count(b"\n"), errors)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_was_shown_stays(api: FakeApify, tmp_path: Path, number: int, code: int) -> None:
    """An interrupted list can be read, and its bookmark leads to the rest."""
    file = tmp_path / "bookmark"
    api.fail(Hang(), offset=2)
    arguments = ("list", "-o", "json", "--page-size", 2, "--after", file, "--bookmark", file)
    with started(api, *arguments) as process:
        assert process.stdout
        begun = [process.stdout.readline() for _ in range(2)]
        while not file.exists():
            assert process.poll() is None
        process.send_signal(number)
        rest, errors = process.communicate(timeout=SECONDS)
    assert ["my-task-0", "my-task-1"] == [task["name"] for task in json.loads(b"".join([*begun, rest]))]
    assert (code, f"apify-tasks: the bookmark is in '{file}': carry on with --after\n") == (
        process.returncode,
        errors.decode(),
    )
    assert Bookmark.from_json(file.read_text()).ids == {api.tasks[1].id}


# Terminals


@pytest.mark.parametrize("columns", [60, 300])
def test_a_table_fits_the_terminal(api: FakeApify, columns: int) -> None:
    """The table is the default there. It is never wider than the terminal, and ids are shown whole if they can be."""
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
def test_a_name_cannot_steer_the_terminal(api: FakeApify, output: str) -> None:
    """No control character of a name gets through in any format, and no bar is in the way of the rows."""
    api.create_task(name=f"x{NASTY}\r\ny")
    with terminal(api, "list", "-o", output) as shown:
        text = shown.read_all()
    assert 0 == shown.process.returncode
    assert "x\\" in text
    assert set() == {
        character for character in text.replace("\r\r\n", "\r\n").replace("\r\n", "") if not character.isprintable()
    } - {"\t"}


@pytest.mark.parametrize("no_color", [True, False])
def test_the_bar_goes_to_the_terminal_and_the_rows_elsewhere(api: FakeApify, tmp_path: Path, *, no_color: bool) -> None:
    """The bar is on stderr, says how many there are, vanishes, and has no colour if `NO_COLOR` says so."""
    # An empty variable is none.
    rows = tmp_path / "rows"
    with (
        rows.open("wb") as file,
        terminal(api, "list", "--page-size", 2, file=file, NO_COLOR="1" if no_color else "") as shown,
    ):
        output = shown.read_all()
    assert (0, 7) == (shown.process.returncode, rows.read_bytes().count(b"\n"))
    assert "Listing tasks" in output
    assert "6/6" in output
    assert no_color == (COLOUR.search(output) is None)
    # The line is erased, and the cursor is shown again.
    assert "\x1b[2K" in output[output.rindex("6/6") :]
    assert output.rindex("\x1b[?25h") > output.rindex("\x1b[?25l")


def test_no_bar_in_a_pipe(api: FakeApify) -> None:
    """What comes out of the pipe is shown on the same terminal, as a rule."""
    with terminal(api, "list", piped=True) as shown:
        output = shown.read_all()
        assert shown.process.stdout
        assert 7 == shown.process.stdout.read().count(b"\n")
    assert (0, "") == (shown.process.returncode, output)


@pytest.mark.parametrize("option", ["--quiet", "--verbose"])
def test_no_bar(api: FakeApify, tmp_path: Path, option: str) -> None:
    """There is none if it is not wanted, nor between lines of a log."""
    rows = tmp_path / "rows"
    with rows.open("wb") as file, terminal(api, "list", option, file=file) as shown:
        output = shown.read_all()
    assert (0, 7) == (shown.process.returncode, rows.read_bytes().count(b"\n"))
    assert "Listing tasks" not in output
    assert (option == "--verbose") == ("apify-tasks: debug: " in output)
    assert api.token not in output


def test_ctrl_c_in_a_terminal(api: FakeApify) -> None:
    """The bar goes away, the rows that came are shown, and the prompt begins on a line of its own."""
    api.fail(Hang(), offset=2)
    with terminal(api, "list", "--page-size", 2, "--columns", "name") as shown:
        shown.read_until("2/6")
        shown.type("\x03")
        output = shown.read_all()
    assert 130 == shown.process.returncode
    assert ["my-task-0", "my-task-1"] == [line.strip() for line in shown.text[-2:]]
    assert output.endswith("\r\n\r\n")
    assert output.rindex("\x1b[?25h") > output.rindex("\x1b[?25l")
    assert "Traceback" not in output


def test_an_error_in_a_terminal(api: FakeApify) -> None:
    """The error comes behind the rows that came, and the end of the bar is that of what was asked for."""
    api.fail(Status(403), offset=2)
    with terminal(api, "list", "--page-size", 2, "-L", 5, "--columns", "name", columns=300) as shown:
        shown.read_all()
    assert "2/5" in shown.output
    assert 1 == shown.process.returncode
    assert ["my-task-0", "my-task-1"] == [line.strip() for line in shown.text[-3:-1]]
    assert shown.text[-1].startswith("apify-tasks: error: ")


def test_the_demo() -> None:
    """It shows a bar, the table, and what it took, without a server or a token."""
    with terminal(None, "demo", "--tasks", 1500, "--latency", 0.01) as shown:
        shown.read_all()
    assert 0 == shown.process.returncode
    assert re.fullmatch(r"apify-tasks: 1,500 tasks in 2 requests, \d+\.\d\d seconds", shown.text[-1])
    assert "my-task-1499" in shown.text[-2]


# Imports


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the code in an interpreter of its own."""
    return subprocess.run(
        (sys.executable, "-c", code, *arguments), capture_output=True, text=True, timeout=SECONDS, check=False
    )


@pytest.mark.parametrize("arguments", [("--help",), ("list", "--help")])
def test_help_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    """Help comes at once: neither the network's library nor the terminal's is imported for it."""
    code = """
import sys
from apify_tasks_async.cli import main
code = main()
print(code, sorted({"aiohttp", "rich"} & set(sys.modules)), file=sys.stderr)
"""
    assert "0 []\n" == run_python(code, *arguments).stderr


@pytest.mark.parametrize("missing", ["click", "rich"])
@pytest.mark.parametrize("how", ["sys.modules[name] = None", "sys.meta_path.insert(0, Blocked())"])
def test_without_the_extra(missing: str, how: str) -> None:
    """One line says how to install what is missing."""
    code = f"""
import sys
name = {missing!r}
class Blocked:
    def find_spec(self, module, path=None, target=None):
        if module.split(".")[0] == name:
            raise ModuleNotFoundError(f"No module named {{module!r}}", name=module)
{how}
import runpy
runpy.run_module("apify_tasks_async", run_name="__main__")
"""
    ended = run_python(code, "list")
    assert (1, "", INSTALL) == (ended.returncode, ended.stdout, ended.stderr)
