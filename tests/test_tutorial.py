"""The tutorial works for a reader who does what it says."""

import os
import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from helpers.pages import LANGUAGES, TUTORIAL, blocks, commands, is_as_shown
from helpers.support import free_port
from sybil.example import Example

CURL = """#!{python}
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[-1]).read().decode())
"""
"""Enough of curl for the tutorial, where a machine has none."""

SET_UP = ("mkdir ", "python3 -m venv ", ". .venv/bin/activate", "python -m pip install ")
"""What the reader of the tutorial does, and its test need not."""


class Reader:
    """Does what the tutorial says, in a folder."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PORT": str(free_port())}
        installed = Path(sys.executable).parent
        self._ports = {"8080": self._environment["PORT"], "8123": str(free_port())}
        curl = folder / "bin" / "curl"
        curl.parent.mkdir()
        curl.write_text(CURL.format(python=sys.executable))
        curl.chmod(0o755)
        self._environment["PATH"] = os.pathsep.join([f"{curl.parent}", f"{installed}", os.environ["PATH"]])
        self._environment.pop("PYTHONSAFEPATH", None)  # A safe path is what keeps the tests from this folder.

    def follow(self, block: Example) -> None:
        """Save a program, set up the environment, or run commands."""
        text = re.sub("8080|8123", lambda port: self._ports[port[0]], block.parsed)
        if name := re.match(r"# (\w+\.py)\n", text):
            (self._folder / name[1]).write_text(text)
        elif text.startswith("$ "):
            for command, shown in commands(text):
                self._run(command, shown)
        else:
            for line in text.splitlines():
                self._set_up(line)

    def _set_up(self, line: str) -> None:
        if variable := re.fullmatch(r"export (\w+)=(\S+)", line):
            self._environment[variable[1]] = variable[2]
        elif line.startswith("python -m apify_tasks_async.testing "):
            self._start(line, "http://127.0.0.1:... secret\n")
        else:
            assert line.startswith(SET_UP)

    def _run(self, command: str, shown: str) -> None:
        if command.endswith("&"):
            self._start(command.removesuffix("&"), shown)
            return
        ended = subprocess.run(["bash", "-c", command], check=True, **self._where())
        assert is_as_shown(ended.stdout, shown), f"{command}\n{ended.stdout}"

    def _start(self, command: str, shown: str) -> None:
        process = subprocess.Popen(["bash", "-c", f"exec {command}"], **self._where())
        self._stack.enter_context(process)
        self._stack.callback(process.terminate)
        assert process.stdout
        assert is_as_shown("".join(process.stdout.readline() for _ in shown.splitlines()), shown)

    def _where(self) -> dict[str, Any]:
        return {"cwd": self._folder, "env": self._environment, "stdout": subprocess.PIPE, "text": True}


def test_the_tutorial_works(tmp_path: Path) -> None:
    """Doing what the tutorial says, step by step, gives what it shows. Eight processes: some seconds."""
    steps = [block for language in LANGUAGES for block in blocks(language, TUTORIAL)]
    with ExitStack() as stack:
        reader = Reader(tmp_path, stack)
        for step in sorted(steps, key=lambda block: block.line):
            reader.follow(step)
