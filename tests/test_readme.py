"""Every code block of the README does what it says."""

import fnmatch
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sybil.document import Document
from sybil.example import Example
from sybil.parsers.markdown import CodeBlockParser

from apify_tasks_async.testing import FakeApify

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
LANGUAGES = ("python", "bash", "console")
RECIPES = {path.name: path.read_text() for path in (ROOT / "recipes").glob("*.py")}


def blocks(language: str) -> list[Example]:
    """Return the README's code blocks in a language."""
    document = Document.parse(str(README), CodeBlockParser(language, evaluator=lambda _: None))
    return list(document.examples())


def at_line(example: Example) -> str:
    """Return where a block is, as the name of its test."""
    return f"line-{example.line}"


@pytest.fixture
def folder(fake_apify: FakeApify, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder to work in, where the environment leads to an API of 2,500 tasks."""
    monkeypatch.setenv("APIFY_TOKEN", fake_apify.token)
    monkeypatch.setenv("APIFY_API_BASE_URL", fake_apify.url)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_are_blocks_of_these_languages_only() -> None:
    """A block in another language would be run by no test."""
    assert {*LANGUAGES, ""} == set(re.findall(r"^```(.*)\n(?:.*\n)*?```$", README.read_text(), re.MULTILINE))


def programs() -> list[Example]:
    """Return the README's programs, without the recipes: their tests have the frameworks."""
    return [block for block in blocks("python") if block.parsed not in RECIPES.values()]


def test_recipes_are_shown_as_they_are() -> None:
    """Two of the recipes are shown, word for word; all of them are named."""
    shown = [block.parsed for block in blocks("python")]

    assert ["crawlee_crawler.py", "fastapi_app.py"] == sorted(name for name, text in RECIPES.items() if text in shown)
    assert {*RECIPES} == set(re.findall(r"^\| .* \| `(\w+\.py)` \|", README.read_text(), re.MULTILINE))


@pytest.mark.fake_apify(tasks=2500)
@pytest.mark.parametrize("block", programs(), ids=at_line)
def test_programs_run(block: Example, folder: Path) -> None:
    """A program ends without an error; one that holds tests passes them."""
    program = folder / "test_example.py"
    program.write_text(block.parsed)
    command = ["-m", "pytest", "-p", "no:cacheprovider"] if "def test_" in block.parsed else ["-W", "error"]
    result = subprocess.run([sys.executable, *command, program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.fake_apify(tasks=2500)
@pytest.mark.parametrize("block", blocks("console"), ids=at_line)
def test_commands_print_what_is_shown(block: Example, folder: Path) -> None:
    """What follows a prompt is run, and prints what stands below; `...` stands for anything."""
    for entry in re.split(r"^\$ ", block.parsed, flags=re.MULTILINE)[1:]:
        command, _, shown = entry.partition("\n")
        result = subprocess.run(
            ["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        pattern = shown.replace("[", "[[]").replace("...", "*")
        assert fnmatch.fnmatchcase(result.stdout, pattern), f"{command}\n{result.stdout}"


def test_the_first_two_commands_are_what_they_are_called() -> None:
    """The first block shows the demo, the second runs the tests, as .ci/run does."""
    demo, tests = (block.parsed.strip() for block in blocks("bash")[:2])
    assert demo.endswith("&& apify-tasks demo")
    assert tests.endswith("&& python -m nox")
    assert tests in (ROOT / ".ci" / "run").read_text().splitlines()


def test_set_up_needs_what_is_published() -> None:
    """The commands of the quick start install this distribution, and set the variable that the client reads."""
    install, export = blocks("bash")[2].parsed.strip().splitlines()
    assert "python -m pip install apify-tasks-async " in install
    assert export.startswith("export APIFY_TOKEN=")
