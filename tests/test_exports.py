"""The names that the package exports."""

import inspect
import pickle
import re
import subprocess
import sys
from importlib.resources import files
from typing import Any, get_type_hints

import pytest

import apify_tasks_async
from apify_tasks_async import ApifyTasksError, ResponseError, client, errors, models

EXPORTED = [
    "AccountResult",
    "ApifyTasksError",
    "Attempt",
    "AuthenticationError",
    "BadRequestError",
    "Bookmark",
    "CertificateError",
    "Changes",
    "ClientClosedError",
    "ClientOptions",
    "ClientStats",
    "ConfigurationError",
    "DriftError",
    "FollowOptions",
    "InvalidResponseError",
    "InvalidTaskError",
    "NotFoundError",
    "OnInvalid",
    "PageFollower",
    "PageIterator",
    "PermissionDeniedError",
    "ProxyError",
    "RateLimitedError",
    "RequestTimeoutError",
    "ResponseError",
    "ResponseTooLargeError",
    "RetryPolicy",
    "ServerError",
    "Task",
    "TaskPage",
    "TaskStats",
    "TasksClient",
    "TransportError",
    "WalkOptions",
    "__version__",
    "converter",
    "iter_tasks",
    "map_accounts",
    "to_row",
]

OBJECTS: dict[str, Any] = {name: getattr(apify_tasks_async, name) for name in EXPORTED}
DOCUMENTED: dict[str, Any] = {
    name: thing for name, thing in OBJECTS.items() if inspect.isclass(thing) or inspect.isfunction(thing)
}
ERRORS = {name: thing for name, thing in DOCUMENTED.items() if name.endswith("Error")}


LAZY = [
    "Attempt",
    "Changes",
    "ClientStats",
    "PageIterator",
    "RetryPolicy",
    "TasksClient",
    "converter",
    "iter_tasks",
    "map_accounts",
    "to_row",
]
"""Names that are imported at their first use."""


def members() -> dict[str, Any]:
    """Return the public methods and properties of the exported classes, by their full names."""
    return {
        f"{name}.{member}": function
        for name, thing in DOCUMENTED.items()
        if inspect.isclass(thing)
        for member, function in vars(thing).items()
        if not member.startswith("_") and (inspect.isfunction(function) or isinstance(function, property))
    }


def in_new_process(code: str) -> str:
    """Return the output of the code in a new interpreter. Warnings are errors, and stderr must be empty."""
    ended = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, check=True, text=True)
    assert "" == ended.stderr
    return ended.stdout.strip()


def test_exported_names() -> None:
    """The exported names are these, sorted. Changing them is a decision."""
    assert EXPORTED == apify_tasks_async.__all__
    assert sorted(EXPORTED) == EXPORTED


def test_star_import() -> None:
    """A star import gives the exported names."""
    namespace: dict[str, Any] = {}
    exec("from apify_tasks_async import *", namespace)  # a star import is not allowed in a function

    assert {"__builtins__": namespace["__builtins__"], **OBJECTS} == namespace


@pytest.mark.parametrize("module", [errors, models, client], ids=lambda module: module.__name__)
def test_nothing_public_is_held_back(module: Any) -> None:
    """The package exports all names that its public modules export."""
    assert [] == [name for name in module.__all__ if getattr(module, name) is not OBJECTS.get(name)]


@pytest.mark.parametrize("name", DOCUMENTED | members())
def test_what_is_exported_is_documented(name: str) -> None:
    """Every exported class and function, and every public method, has a docstring."""
    documentation = inspect.getdoc((DOCUMENTED | members())[name])

    assert documentation
    assert documentation.splitlines()[0].endswith((".", ":"))


@pytest.mark.parametrize("name", ERRORS)
def test_exported_errors(name: str) -> None:
    """Every exported error is an ApifyTasksError, and pickles."""
    kind = ERRORS[name]
    required = {"status": 418} if issubclass(kind, ResponseError) else {}
    error = kind("it failed", offset=0, **required)
    restored = pickle.loads(pickle.dumps(error))

    assert issubclass(kind, ApifyTasksError)
    assert (kind, vars(error)) == (type(restored), vars(restored))


def test_version() -> None:
    """The version is that of a release or a pre-release."""
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc|\.dev)\d+)?", apify_tasks_async.__version__)


def test_types_are_announced() -> None:
    """The package has the marker for type checkers."""
    assert (files(apify_tasks_async) / "py.typed").is_file()


def test_import_is_quiet_and_light() -> None:
    """Importing the package does not import aiohttp, test tools or the command line, and prints nothing."""
    heavy = {"aiohttp", "cattrs", "apify_tasks_async.testing", "apify_tasks_async.cli", "click", "rich", "pytest"}

    assert "set()" == in_new_process(f"import sys, apify_tasks_async; print({heavy!r} & set(sys.modules))")


def test_names_are_listed_before_they_are_used() -> None:
    """`dir` lists every exported name before its first use."""
    assert "set()" == in_new_process("import apify_tasks_async as a; print({*a.__all__} - {*dir(a)})")


@pytest.mark.parametrize("name", EXPORTED)
def test_names_are_found_again(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking up an exported name again gives the same object."""
    if name in LAZY:
        monkeypatch.delattr(apify_tasks_async, name)

    assert getattr(apify_tasks_async, name) is OBJECTS[name]


def test_unknown_names_are_refused() -> None:
    """An unknown name raises an AttributeError or an ImportError that names it."""
    with pytest.raises(AttributeError, match="module 'apify_tasks_async' has no attribute 'TaskClient'"):
        _ = apify_tasks_async.TaskClient
    with pytest.raises(ImportError, match="TaskClient"):
        from apify_tasks_async import TaskClient  # noqa: F401, PLC0415 - it fails


@pytest.mark.parametrize("name", DOCUMENTED)
def test_annotations_can_be_read_at_run_time(name: str) -> None:
    """`typing.get_type_hints` works, which frameworks and run-time type checkers call."""
    things = [DOCUMENTED[name], *(member for path, member in members().items() if path.startswith(f"{name}."))]
    if inspect.isclass(things[0]):
        things.append(things[0].__init__)
    for thing in things:
        function = thing.fget if isinstance(thing, property) else thing
        if inspect.isclass(function) or inspect.isfunction(function):
            get_type_hints(function)
