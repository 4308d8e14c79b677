"""Checks of this project: `nox` runs those that every change must pass, `nox -s NAME` runs another one."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nox

# The commands that pyenv puts on the path refuse every Python but its current one. Put the real ones first.
for folder in Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser().glob("versions/3.1[1-9]*/bin"):
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"

# The tests start many processes. Without its bytecode, each would compile all that it imports, which takes a second.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "typing", "coverage"]

LATER = ["3.12", "3.13", "3.14", "3.14t", "3.15", "3.15t"]  # those that are missing are skipped
RECIPES = {"PYTHONPATH": "recipes"}  # one of them is measured
PARALLEL = ["-q", f"--numprocesses={2 * (os.cpu_count() or 1)}"]  # most tests wait for something
QUICK = [*PARALLEL, "-m", "not long"]  # a `-m` after `--` takes its place
ENDLESS = ["-o", "faulthandler_timeout=0"]  # a search may take as long as it likes
WORKFLOWS = sorted(Path(".github/workflows").glob("*.yml"))
PROJECT = nox.project.load_toml("pyproject.toml")


def group(name: str) -> list[str]:
    """Return the requirements of a dependency group."""
    return list(nox.project.dependency_groups(PROJECT, name))


# What `nox` runs, on the Python that runs nox.


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format and workflows."""
    session.install(*group("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("check-jsonschema", "--builtin-schema=vendor.github-workflows", *map(str, WORKFLOWS))
    session.run("zizmor", "--offline", "--quiet", *map(str, WORKFLOWS))


@nox.session
def typing(session: nox.Session) -> None:
    """Check the types of the package, the tests and the benchmarks with mypy, and the public ones with pyright."""
    session.install(".[cli]", *group("typing"))
    mypy = [("mypy", "--exclude=tests/recipes", "apify_tasks_async", "tests", "benchmarks", "docs", "noxfile.py")]
    pyright = [("pyright",), ("pyright", "--verifytypes", "apify_tasks_async", "--ignoreexternal")]

    def run(commands: list[tuple[str, ...]]) -> None:
        for command in commands:
            session.run(*command, silent=True)  # prints the output if the command fails

    # Both are slow and use one core, so run them at the same time.
    with ThreadPoolExecutor() as pool:
        list(pool.map(run, [mypy, pyright]))


@nox.session
def coverage(session: nox.Session) -> None:
    """Test the built wheel, and require that the tests reach every branch."""
    session.install(".[cli]", *group("test"))
    environment = {"COVERAGE_FILE": f"{session.create_tmp()}/.coverage"}
    session.run("coverage", "erase", env=environment)
    run_pytest(session, "-m", "coverage", "run", "-m", "pytest", *QUICK, **environment)
    session.run("coverage", "combine", env=environment, silent=True)
    session.run("coverage", "report", env=environment)


@nox.session
def long(session: nox.Session) -> None:
    """Run the tests that the others leave out: models, searches and hostile servers."""
    session.install(".[cli]", *group("test"))
    run_pytest(session, "-m", "pytest", *PARALLEL, "-m", "long")


# The other versions.


@nox.session(python=LATER)
def tests(session: nox.Session) -> None:
    """Test the built wheel on another Python."""
    session.install(".[cli]", *group("test"))
    run_pytest(session, "-m", "pytest", *QUICK)


@nox.session
def lowest(session: nox.Session) -> None:
    """Test with the lowest declared versions of the dependencies."""
    declared = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["cli"]]
    session.install(".", *(requirement.replace(">=", "==") for requirement in declared), *group("test"))
    run_pytest(session, "-m", "pytest", *QUICK)


@nox.session
def uvloop(session: nox.Session) -> None:
    """Test with uvloop in place of asyncio's own event loop."""
    session.install(".[cli]", *group("test"), *group("uvloop"))
    run_pytest(session, "-m", "pytest", *QUICK, TEST_EVENT_LOOP="uvloop")


# What is not the package.


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site into build/docs. Needs no network: with one, names of other projects are links, too."""
    session.install(".[cli]", *group("docs"))
    doctrees = f"{session.create_tmp()}/doctrees"
    session.run("sphinx-build", "-q", "-W", "--keep-going", "-E", "-d", doctrees, "docs", "build/docs")


@nox.session
def smoke(session: nox.Session) -> None:
    """Run the benchmark once, quickly: it must start, and its contenders must list the same tasks."""
    session.install(".[cli]", *group("bench"))
    chart = f"{session.create_tmp()}/speed.svg"
    environment = RECIPES | javascript_client(session)
    session.run("python", "benchmarks/run.py", "--quick", f"--chart={chart}", silent=True, env=environment)


@nox.session
@nox.parametrize("versions", [nox.param("newest", id="newest"), nox.param("lowest", id="lowest")])
def recipes(session: nox.Session, versions: str) -> None:
    """Check the types of the recipes, and run each in its framework with an API on loopback."""
    frameworks = group("recipes")
    if versions == "lowest":
        frameworks = [requirement.replace(">=", "==") for requirement in frameworks]
    session.install(".", *frameworks, *group("test"))
    if versions == "newest":
        session.install(*group("recipe-types"))
        session.run("mypy", "recipes", "tests/recipes")
    # No more processes than cores: Crawlee waits while the machine is busy.
    run_pytest(session, "-m", "pytest", "-q", "--numprocesses=auto", "tests/recipes")


@nox.session
def contract(session: nox.Session) -> None:
    """Search for a request that FakeApify does not answer as its OpenAPI document says."""
    session.install(".", *group("contract"), *group("test"))
    run_pytest(session, "-m", "pytest", "tests/searches/contract.py")


@nox.session
def intermediaries(session: nox.Session) -> None:
    """Walk through nginx, haproxy, squid and varnish; those that are missing are skipped."""
    session.install(".", *group("test"))
    run_pytest(session, "-m", "pytest", "-rs", "tests/searches/intermediaries.py")


@nox.session
def javascript(session: nox.Session) -> None:
    """List from FakeApify with the official client for JavaScript."""
    client = javascript_client(session)
    if not client:
        session.skip("node or npm is missing")
    session.install(".", *group("test"))
    run_pytest(session, "-m", "pytest", "tests/searches/javascript.py", **client)


# The release.


@nox.session(reuse_venv=False)
def package(session: nox.Session) -> None:
    """Build sdist and wheel into dist, check both, install the wheel without extras, and test it from the sdist."""
    session.install(*group("package"))
    folder = Path(session.create_tmp())
    for old in (Path("dist"), folder):
        shutil.rmtree(old, ignore_errors=True)
        old.mkdir()
    # The first wheel is built from the sdist, the second one from the repository.
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
    run_pytest(session, "-m", "pytest", *QUICK)


def try_bare(session: nox.Session, wheel: Path, folder: Path) -> None:
    """Install the wheel without extras, and use what it provides."""
    session.run("python", "-m", "venv", f"{folder}", silent=True)
    python = f"{folder}/bin/python"
    session.run(python, "-m", "pip", "install", f"{wheel}", external=True, silent=True)
    session.run(python, "-P", "-W", "error", "-c", "from apify_tasks_async import *", external=True)
    session.run(python, "-P", "-m", "apify_tasks_async.testing", "--help", external=True, silent=True)
    # Without the extra, the command exits with code 1 and one line that says what is missing.
    said = session.run(f"{folder}/bin/apify-tasks", external=True, silent=True, success_codes=[1])
    if said != "apify-tasks: the command line needs the extra: python -m pip install 'apify-tasks-async[cli]'\n":
        session.error(f"without its extra, apify-tasks says {said!r}")


@nox.session
def audit(session: nox.Session) -> None:
    """Look for advisories against the lowest and the newest versions of the dependencies. Needs the network."""
    session.install(*group("audit"))
    declared = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["cli"]]
    lowest = Path(session.create_tmp()) / "lowest.txt"
    lowest.write_text("\n".join(requirement.replace(">=", "==") for requirement in declared))
    session.run("pip-audit", "--strict", "--no-deps", "--disable-pip", "--requirement", f"{lowest}")
    session.run("pip-audit", "--strict", ".")


# Long searches and measurements.


@nox.session
def thorough(session: nox.Session) -> None:
    """Test with 500 examples for each property, about ten times as many as by default."""
    session.install(".[cli]", *group("test"))
    run_pytest(session, "-m", "pytest", *PARALLEL, *ENDLESS, "--hypothesis-profile=thorough")


@nox.session
def drift(session: nox.Session) -> None:
    """Search for a list and changes to it that make a walk lose or repeat a task: 12,000 walks."""
    session.install(".", *group("test"))
    searches = ["tests/test_drift.py", "tests/searches/mutants.py"]
    run_pytest(session, "-m", "pytest", *ENDLESS, "--hypothesis-profile=drift", *searches)


@nox.session
def exhaustive(session: nox.Session) -> None:
    """Explore the states of small walks: `-- --seconds 600 --seed S`, `-- --default`, `-- --mutants`, `-- --random`."""
    session.install(".", *group("test"))
    session.run("python", "tests/searches/exhaustive.py", *session.posargs, env={"PYTHONPATH": "tests"})


@nox.session
def soak(session: nox.Session) -> None:
    """Let everything go wrong at once for some minutes: `-- --requests N --seed S`."""
    session.install(".", *group("test"))
    session.run("python", "tests/searches/soak.py", *session.posargs, env={"PYTHONPATH": "tests"})


@nox.session
def fleet(session: nox.Session) -> None:
    """Keep a copy of 500 changing lists while its process is killed: `-- --accounts N --kills N --seed S`."""
    session.install(".", *group("test"))
    session.run("python", "tests/searches/fleet.py", *session.posargs, env={"PYTHONPATH": "tests"})


@nox.session
def bench(session: nox.Session) -> None:
    """Measure against the official client, the floors and the targets: `-- --readme` updates the README and docs/."""
    session.install(".[cli]", *group("bench"))
    session.run("python", "benchmarks/run.py", *session.posargs, env=RECIPES | javascript_client(session))


def javascript_client(session: nox.Session) -> dict[str, str]:
    """Install the official client for JavaScript; return the environment that finds it, empty without node and npm."""
    if not (shutil.which("node") and shutil.which("npm")):
        return {}
    folder = session.create_tmp()
    session.run("npm", "install", "--prefix", folder, "--no-save", "apify-client@2", external=True, silent=True)
    return {"NODE_PATH": f"{folder}/node_modules"}


def run_pytest(session: nox.Session, *arguments: str, **environment: str) -> None:
    """Run the tests.

    PYTHONSAFEPATH keeps this folder out of sys.path, so that they import the installed wheel. They trust no authority
    of this machine, since each process that they start would take a tenth of a second to load them all.
    """
    settings = {"PYTHONSAFEPATH": "1", "SSL_CERT_FILE": os.devnull, "SSL_CERT_DIR": os.devnull}
    session.run("python", *arguments, *session.posargs, env=environment | settings)
