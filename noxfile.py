"""Everything that is done to this project: `nox` runs what a change has to pass, `nox -s NAME` one session."""

from __future__ import annotations

import os
from pathlib import Path

import nox

# pyenv puts one command for each Python on the path, and refuses those that are not its current version. The real ones
# stand beside each other in its folder.
for folder in Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser().glob("versions/3.1[1-9]*/bin"):
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["lint", "typing", "coverage", "tests", "lowest", "smoke"]

OLDEST = "3.11"
LATER = ["3.12", "3.13", "3.14"]
SPREAD = ["-q", "--numprocesses=auto"]
PROJECT = nox.project.load_toml("pyproject.toml")


def group(name: str) -> list[str]:
    """Return the requirements of a dependency group."""
    return list(nox.project.dependency_groups(PROJECT, name))


@nox.session(python=OLDEST)
def lint(session: nox.Session) -> None:
    """Check style and format."""
    session.install(*group("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session(python=OLDEST)
def typing(session: nox.Session) -> None:
    """Check types, those of the tests included."""
    session.install(".[cli]", *group("typing"))
    session.run("mypy", "apify_tasks_async", "tests", "benchmarks", "noxfile.py")


@nox.session(python=LATER)
def tests(session: nox.Session) -> None:
    """Test the built wheel."""
    session.install(".[cli]", *group("test"))
    run_pytest(session, "-m", "pytest", *SPREAD)


@nox.session(python=OLDEST)
def coverage(session: nox.Session) -> None:
    """Test the built wheel, and measure which branches the tests reach: all of them."""
    session.install(".[cli]", *group("test"))
    environment = {"COVERAGE_FILE": f"{session.create_tmp()}/.coverage"}
    session.run("coverage", "erase", env=environment)
    run_pytest(session, "-m", "coverage", "run", "-m", "pytest", *SPREAD, **environment)
    session.run("coverage", "combine", env=environment, silent=True)
    session.run("coverage", "report", env=environment)


@nox.session(python=OLDEST)
def lowest(session: nox.Session) -> None:
    """Test with the lowest versions of the dependencies that are declared."""
    lower_bounds = [
        requirement.replace(">=", "==")
        for requirement in (
            *PROJECT["project"]["dependencies"],
            *PROJECT["project"]["optional-dependencies"]["cli"],
        )
    ]
    session.install(".", *lower_bounds, *group("test"))
    run_pytest(session, "-m", "pytest", *SPREAD)


@nox.session(python=OLDEST)
def drift(session: nox.Session) -> None:
    """Search for a list and a sequence of changes that makes a walk lose or repeat a task: 12,000 walks."""
    session.install(".", *group("test"))
    run_pytest(session, "-m", "pytest", "--hypothesis-profile=drift", "tests/test_drift.py")


@nox.session(python=OLDEST)
def bench(session: nox.Session) -> None:
    """Measure against the official client and the floors, and print the table."""
    session.install(".", *group("bench"))
    session.run("python", "benchmarks/run.py", *session.posargs)


@nox.session(python=OLDEST)
def smoke(session: nox.Session) -> None:
    """Show that the benchmark starts, and that all its contenders list the same tasks."""
    session.install(".", *group("bench"))
    session.run("python", "benchmarks/run.py", "--quick", silent=True)


def run_pytest(session: nox.Session, *arguments: str, **environment: str) -> None:
    """Run the tests. A safe path keeps this folder out of sys.path, so that the installed wheel is what is tested."""
    session.run("python", *arguments, *session.posargs, env=environment | {"PYTHONSAFEPATH": "1"})
