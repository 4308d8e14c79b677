"""The README and the pages: every code block runs and does what the text says, and links lead somewhere."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.pages import (
    CONTRIBUTING,
    LANGUAGES,
    PAGES,
    README,
    ROOT,
    TUTORIAL,
    at_line,
    blocks,
    commands,
    is_as_shown,
    name_of,
)
from helpers.terminal_picture import PICTURE, draw, show, without_times
from sybil.example import Example

import apify_tasks_async
from apify_tasks_async.testing import FakeApify

RECIPE_TABLE = ROOT / "docs" / "guides" / "recipes.md"
PROGRAMS = [README, *(page for page in PAGES if page != TUTORIAL)]
"""The documents whose blocks run one by one."""

RECIPES = {path.name: path.read_text() for path in (ROOT / "recipes").glob("*.py")}


@pytest.fixture
def folder(fake_apify: FakeApify, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working folder; the environment variables lead to the test's API."""
    monkeypatch.setenv("APIFY_TOKEN", fake_apify.token)
    monkeypatch.setenv("APIFY_API_BASE_URL", fake_apify.url)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def languages(*paths: Path) -> set[str]:
    """Return the languages of the code blocks in the files."""
    texts = [path.read_text() for path in paths]
    return set(re.findall(r"^```(.*)\n(?:.*\n)*?```$", "\n".join(texts), re.MULTILINE))


def test_there_are_blocks_of_these_languages_only() -> None:
    """There are no blocks in other languages, which no test would run; the reference is built by Sphinx."""
    reference = [path for path in PAGES if path.parent.name == "reference"]
    assert {*LANGUAGES, ""} == languages(*(path for path in [README, *PAGES] if path not in reference))
    assert {"", "{eval-rst}"} == languages(*reference)
    assert [] == [block for path in PROGRAMS[1:] for block in blocks("bash", path)]


def targets(path: Path) -> Iterator[str]:
    """Return where the links of a file lead to."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    return (target for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target)


def anchors(path: Path) -> set[str]:
    """Return the anchors that the headings of a page have."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", [README, CONTRIBUTING, *PAGES], ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    """Each link to a file of the repository finds it, with the heading that it names."""
    for target in targets(path):
        name, _, anchor = target.partition("#")
        file = path if not name else path.parent / name
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_the_readme_fits_in_a_few_screens() -> None:
    """The README has at most 180 lines, and none is wider than 120 characters."""
    lines = README.read_text().splitlines()
    assert len(lines) <= 180
    assert max(map(len, lines)) <= 120


MARKERS = re.compile(
    r"\b(whoever|told|shall|bears|so many|of (its|their) own|be it|as it comes|in the way|no matter)\b", re.IGNORECASE
)
"""Words of sentences that have to be read twice."""


@pytest.mark.parametrize("path", [README, CONTRIBUTING, *PAGES], ids=name_of)
def test_sentences_are_plain(path: Path) -> None:
    """No sentence has a word that marks it as one to rewrite, and no line of text is wider than 120 characters."""
    written = r"^```.*?^```$|<!-- benchmarks -->.*?<!-- end of benchmarks -->"
    text = re.sub(written, "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert [] == MARKERS.findall(text)
    assert [] == [line for line in text.splitlines() if len(line) > 120 and not line.startswith("|")]


def test_rooms_are_named() -> None:
    """The table of the house names every module."""
    package = Path(apify_tasks_async.__file__).parent
    modules = {path.stem for path in package.glob("*.py")} - {"__init__", "__main__", "_version"} | {"testing", "cli"}
    table = CONTRIBUTING.read_text().partition("| module | what it knows |")[2].partition("\n\n")[0]
    rooms = [room for line in table.splitlines()[2:] for room in re.findall(r"`(\w+)`", line.split("|")[1])]
    assert sorted(modules) == sorted(rooms)


def test_sessions_are_named() -> None:
    """The table of the sessions names every session."""
    sessions = re.findall(r"^@nox\.session.*\n(?:@.*\n)*def (\w+)", (ROOT / "noxfile.py").read_text(), re.MULTILINE)
    table = CONTRIBUTING.read_text().partition("| session |")[2].partition("\n\n")[0]
    assert {*sessions} == set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))


def test_the_picture_of_the_terminal_is_true() -> None:
    """The README's picture shows what the command shows. It takes over a second to start."""
    assert without_times(PICTURE.read_text()) == without_times(draw(show()))
    assert "](docs/pictures/terminal.svg)" in README.read_text()


def programs() -> list[Example]:
    """Return the programs of the README and the pages; tests/recipes runs the recipes, in their frameworks."""
    return [block for block in blocks("python", *PROGRAMS) if block.parsed not in RECIPES.values()]


def is_test(block: Example) -> bool:
    """Return whether a program is a module of tests."""
    return "def test_" in block.parsed


def test_recipes_are_named() -> None:
    """The table of recipes names them all, and the README shows none of them."""
    assert not {block.parsed for block in blocks("python", README)} & {*RECIPES.values()}
    assert {*RECIPES} == set(re.findall(r"^\| .* \| \[`(\w+\.py)`\]", RECIPE_TABLE.read_text(), re.MULTILINE))


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
@pytest.mark.parametrize("block", blocks("console", *PROGRAMS), ids=at_line)
def test_commands_print_what_is_shown(block: Example, folder: Path) -> None:
    """Each command prints the lines below it; `...` matches anything. Each is a process or two: over a second."""
    for command, shown in commands(block.parsed):
        result = subprocess.run(
            ["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        assert is_as_shown(result.stdout, shown), f"{command}\n{result.stdout}"


def test_the_first_two_commands_are_what_they_are_called() -> None:
    """The first block starts the demo. The second runs the checks, and .ci/run contains it."""
    demo, tests = (block.parsed.strip() for block in blocks("bash", README)[:2])
    assert demo.endswith("&& apify-tasks demo")
    assert tests.endswith("&& python -m nox")
    assert tests in (ROOT / ".ci" / "run").read_text().splitlines()


def test_set_up_needs_what_is_published() -> None:
    """The quick start installs this distribution, and sets the variable that the client reads."""
    install, export = blocks("bash", README)[2].parsed.strip().splitlines()
    assert "python -m pip install apify-tasks-async " in install
    assert export.startswith("export APIFY_TOKEN=")
