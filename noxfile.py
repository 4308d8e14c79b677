"""Everything that is done to this project: `nox` runs what a change has to pass, `nox -s NAME` one session."""

from __future__ import annotations

import os
import shutil
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
nox.options.sessions = ["lint", "typing", "coverage", "tests", "lowest", "docs", "smoke"]

OLDEST = "3.11"
LATER = ["3.12", "3.13", "3.14"]
SPREAD = ["-q", "--numprocesses=auto"]
GLANCE = [*SPREAD, "--hypothesis-profile=glance"]
WORKFLOWS = sorted(Path(".github/workflows").glob("*.yml"))
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
    session.run("check-jsonschema", "--builtin-schema=vendor.github-workflows", *map(str, WORKFLOWS))
    session.run("zizmor", "--offline", "--quiet", *map(str, WORKFLOWS))


@nox.session(python=OLDEST)
def typing(session: nox.Session) -> None:
    """Check types, those of the tests included."""
    session.install(".[cli]", *group("typing"))
    session.run("mypy", "--exclude=tests/recipes", "apify_tasks_async", "tests", "benchmarks", "noxfile.py")
    session.run("mypy", "recipes", "tests/recipes")  # by themselves: to mypy there is but one conftest
    session.run("pyright")
    session.run("pyright", "--verifytypes", "apify_tasks_async", "--ignoreexternal", silent=True)


@nox.session(python=LATER)
def tests(session: nox.Session) -> None:
    """Test the built wheel, with a fifth of the examples that Hypothesis makes up for `coverage`."""
    session.install(".[cli]", *group("test"))
    run_pytest(session, "-m", "pytest", *GLANCE)


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
    run_pytest(session, "-m", "pytest", *GLANCE)


@nox.session(python=OLDEST)
@nox.parametrize("versions", [nox.param("newest", id="newest"), nox.param("lowest", id="lowest")])
def recipes(session: nox.Session, versions: str) -> None:
    """Run each recipe in its framework, the newest or the lowest that is declared, with an API on loopback."""
    frameworks = group("recipes")
    if versions == "lowest":
        frameworks = [requirement.replace(">=", "==") for requirement in frameworks]
    session.install(".", *frameworks, *group("test"))
    run_pytest(session, "-m", "pytest", *SPREAD, "tests/recipes")


@nox.session(python=OLDEST)
def drift(session: nox.Session) -> None:
    """Search for a list and a sequence of changes that makes a walk lose or repeat a task: 12,000 walks."""
    session.install(".", *group("test"))
    run_pytest(
        session, "-m", "pytest", "--hypothesis-profile=drift", "tests/test_drift.py", "tests/searches/mutants.py"
    )


@nox.session(python=OLDEST)
def soak(session: nox.Session) -> None:
    """Let everything go wrong at once for some minutes: -- --requests N --seed S."""
    session.install(".", *group("test"))
    session.run("python", "tests/searches/soak.py", *session.posargs, env={"PYTHONPATH": "tests"})


@nox.session(python=OLDEST)
def bench(session: nox.Session) -> None:
    """Measure against the official client, the floors and the targets; `-- --readme` writes it into the README."""
    session.install(".[cli]", *group("bench"))
    session.run("python", "benchmarks/run.py", *session.posargs)


@nox.session(python=OLDEST)
def smoke(session: nox.Session) -> None:
    """Show that the benchmark starts, and that all its contenders list the same tasks."""
    session.install(".[cli]", *group("bench"))
    chart = f"{session.create_tmp()}/speed.svg"
    session.run("python", "benchmarks/run.py", "--quick", f"--chart={chart}", silent=True)


@nox.session(python=OLDEST)
def contract(session: nox.Session) -> None:
    """Search for a request that FakeApify answers in another way than its OpenAPI document says."""
    session.install(".", *group("contract"), *group("test"))
    run_pytest(session, "-m", "pytest", "tests/searches/contract.py")


@nox.session(python=OLDEST)
def javascript(session: nox.Session) -> None:
    """List from FakeApify with the official client for JavaScript."""
    if not (shutil.which("node") and shutil.which("npm")):
        session.skip("it needs node and npm, which this machine does not have")
    folder = session.create_tmp()
    session.install(".", *group("test"))
    session.run("npm", "install", "--prefix", folder, "--no-save", "apify-client@2", external=True, silent=True)
    run_pytest(session, "-m", "pytest", "tests/searches/javascript.py", NODE_PATH=f"{folder}/node_modules")


@nox.session(python=OLDEST)
def docs(session: nox.Session) -> None:
    """Write the reference from the docstrings into build/docs."""
    session.install(".", *group("docs"))
    # From elsewhere than here: pdoc warns that the package and its folder have one name.
    session.chdir("tests/searches")
    session.run("python", "-P", "-W", "error", "documentation.py", "../../build/docs")


@nox.session(python=OLDEST)
def package(session: nox.Session) -> None:
    """Build what is published into dist, check it, install it without extras, and test it from the sdist."""
    session.install(*group("package"))
    folder = Path(session.create_tmp())
    for old in (Path("dist"), folder):
        shutil.rmtree(old, ignore_errors=True)
        old.mkdir()
    # The first wheel is built from the sdist, the second one from here.
    session.run("python", "-m", "build", silent=True)
    session.run("python", "-m", "build", "--wheel", "--outdir", f"{folder}", silent=True)
    [wheel], [sdist] = Path("dist").glob("*.whl"), Path("dist").glob("*.tar.gz")
    if wheel.read_bytes() != (folder / wheel.name).read_bytes():
        session.error("the sdist builds another wheel than the repository")
    session.run("twine", "check", "--strict", f"{wheel}", f"{sdist}")
    session.run("check-wheel-contents", "--package", "apify_tasks_async", f"{wheel}")
    try_bare(session, wheel, folder / "bare")
    shutil.unpack_archive(sdist, folder)
    session.install(f"{wheel}[cli]", *group("test"))
    session.chdir(folder / sdist.name.removesuffix(".tar.gz"))
    run_pytest(session, "-m", "pytest", *GLANCE)


def try_bare(session: nox.Session, wheel: Path, folder: Path) -> None:
    """Install the wheel without extras, and use what there is."""
    session.run("python", "-m", "venv", f"{folder}", silent=True)
    python = f"{folder}/bin/python"
    session.run(python, "-m", "pip", "install", f"{wheel}", external=True, silent=True)
    session.run(python, "-P", "-W", "error", "-c", "from apify_tasks_async import *", external=True)
    session.run(python, "-P", "-m", "apify_tasks_async.testing", "--help", external=True, silent=True)
    # It ends with the code 1, and one line that says what is missing.
    said = session.run(f"{folder}/bin/apify-tasks", external=True, silent=True, success_codes=[1])
    if said != "apify-tasks: the command line needs the extra: python -m pip install 'apify-tasks-async[cli]'\n":
        session.error(f"without its extra, apify-tasks says {said!r}")


def run_pytest(session: nox.Session, *arguments: str, **environment: str) -> None:
    """Run the tests. A safe path keeps this folder out of sys.path, so that the installed wheel is what is tested."""
    session.run("python", *arguments, *session.posargs, env=environment | {"PYTHONSAFEPATH": "1"})
