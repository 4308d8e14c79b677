"""Every code block of the README and the guides runs and does what the text says."""

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
GUIDES = sorted((ROOT / "docs").glob("*.md"))
LANGUAGES = ("python", "bash", "console")
RECIPES = {path.name: path.read_text() for path in (ROOT / "recipes").glob("*.py")}


def blocks(language: str, *paths: Path) -> list[Example]:
    """Return the code blocks of the README, or of these files, in a language."""
    parser = CodeBlockParser(language, evaluator=lambda _: None)
    return [block for path in paths or [README] for block in Document.parse(str(path), parser).examples()]


def at_line(example: Example) -> str:
    """Return the name of the test of a block."""
    return f"{Path(example.path).stem}-line-{example.line}"


@pytest.fixture
def folder(fake_apify: FakeApify, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working folder; the environment variables lead to the test's API."""
    monkeypatch.setenv("APIFY_TOKEN", fake_apify.token)
    monkeypatch.setenv("APIFY_API_BASE_URL", fake_apify.url)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_are_blocks_of_these_languages_only() -> None:
    """There are no blocks in other languages, which no test would run."""
    texts = [path.read_text() for path in (README, *GUIDES)]
    assert {*LANGUAGES, ""} == set(re.findall(r"^```(.*)\n(?:.*\n)*?```$", "\n".join(texts), re.MULTILINE))
    assert [] == [block for language in ("bash", "console") for path in GUIDES for block in blocks(language, path)]


def test_guides_are_found() -> None:
    """The README leads to each guide."""
    assert {f"docs/{path.name}" for path in GUIDES} <= set(re.findall(r"\]\((docs/[^)]*)\)", README.read_text()))


def programs() -> list[Example]:
    """Return the programs of the README and guides; tests/recipes runs the recipes, in their frameworks."""
    return [block for block in blocks("python", README, *GUIDES) if block.parsed not in RECIPES.values()]


def is_test(block: Example) -> bool:
    """Return whether a program is a module of tests."""
    return "def test_" in block.parsed


def test_recipes_are_named() -> None:
    """The README names all recipes, and shows none of them."""
    assert not {block.parsed for block in blocks("python")} & {*RECIPES.values()}
    assert {*RECIPES} == set(re.findall(r"^\| .* \| `(\w+\.py)` \|", README.read_text(), re.MULTILINE))


def run(*arguments: object) -> None:
    """Run Python, which must exit with code 0."""
    result = subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.fake_apify(tasks=2500)
@pytest.mark.parametrize("block", [block for block in programs() if not is_test(block)], ids=at_line)
def test_programs_run(block: Example, folder: Path) -> None:
    """Each program runs without an error or a warning. It may take over a second to start."""
    program = folder / "program.py"
    program.write_text(block.parsed)
    run("-W", "error", program)


def test_tests_pass(folder: Path) -> None:
    """The tests pass. One pytest runs them all (over a second), since it takes longer to start than they run."""
    tests = [block for block in programs() if is_test(block)]
    for block in tests:
        (folder / f"test_{at_line(block)}.py".replace("-", "_")).write_text(block.parsed)
    run("-m", "pytest", "-p", "no:cacheprovider", *sorted(folder.glob("test_*.py")))
    assert tests


@pytest.mark.fake_apify(tasks=2500)
@pytest.mark.parametrize("block", blocks("console"), ids=at_line)
def test_commands_print_what_is_shown(block: Example, folder: Path) -> None:
    """Each command prints the lines below it; `...` matches anything. Six processes: over a second."""
    for entry in re.split(r"^\$ ", block.parsed, flags=re.MULTILINE)[1:]:
        command, _, shown = entry.partition("\n")
        result = subprocess.run(
            ["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        pattern = shown.replace("[", "[[]").replace("...", "*")
        assert fnmatch.fnmatchcase(result.stdout, pattern), f"{command}\n{result.stdout}"


def test_the_first_two_commands_are_what_they_are_called() -> None:
    """The first block starts the demo. The second runs the checks, and .ci/run contains it."""
    demo, tests = (block.parsed.strip() for block in blocks("bash")[:2])
    assert demo.endswith("&& apify-tasks demo")
    assert tests.endswith("&& python -m nox")
    assert tests in (ROOT / ".ci" / "run").read_text().splitlines()


def test_set_up_needs_what_is_published() -> None:
    """The quick start installs this distribution, and sets the variable that the client reads."""
    install, export = blocks("bash")[2].parsed.strip().splitlines()
    assert "python -m pip install apify-tasks-async " in install
    assert export.startswith("export APIFY_TOKEN=")
