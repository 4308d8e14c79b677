"""The pytest plugin, in separate pytest sessions."""

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points

import pytest

PLUGIN = "apify_tasks_async.testing.plugin"


RunInner = Callable[..., pytest.RunResult]


@pytest.fixture
def run_inner(pytester: pytest.Pytester) -> RunInner:
    """Run an inner session that has the plugin, whether the library is installed or only on the path."""
    pytester.makeini(
        "[pytest]\n"
        "strict = true\n"
        "filterwarnings = error\n"
        "asyncio_mode = strict\n"
        "asyncio_default_fixture_loop_scope = function\n"
    )
    installed = PLUGIN in {point.value for point in entry_points(group="pytest11")}
    plugin = () if installed else ("-p", PLUGIN)

    def run(source: str = "", *arguments: str) -> pytest.RunResult:
        pytester.makepyfile(source)
        return pytester.runpytest_inprocess("-p", "no:cacheprovider", *plugin, *arguments)

    return run


def test_offers_a_running_server(run_inner: RunInner) -> None:
    """Each test, asynchronous or not, gets a new running server."""
    result = run_inner(
        """
        import asyncio
        import json
        import urllib.request

        import pytest

        from apify_tasks_async.testing import FakeApify
        from apify_tasks_async import iter_tasks


        def names(api):
            request = urllib.request.Request(
                f"{api.url}/v2/actor-tasks", headers={"Authorization": f"Bearer {api.token}"}
            )
            with urllib.request.urlopen(request) as response:
                return [item["name"] for item in json.load(response)["data"]["items"]]


        async def walked(api):
            return [task.name async for task in iter_tasks(api.token, base_url=api.url)]


        def test_without_asyncio(fake_apify):
            assert isinstance(fake_apify, FakeApify)
            assert names(fake_apify) == []
            fake_apify.create_task(name="mine")
            assert names(fake_apify) == ["mine"]


        def test_with_a_loop_of_its_own(fake_apify):
            fake_apify.create_task(name="mine")
            assert asyncio.run(walked(fake_apify)) == ["mine"]


        @pytest.mark.asyncio
        async def test_with_pytest_asyncio(fake_apify):
            assert fake_apify.requests == []
            fake_apify.create_task(name="mine")
            assert await walked(fake_apify) == ["mine"]


        @pytest.mark.fake_apify(3, token="another-token")
        def test_with_a_marker(fake_apify):
            assert fake_apify.token == "another-token"
            assert len(names(fake_apify)) == 3
        """
    )

    result.assert_outcomes(passed=4)


def test_lets_tests_fail(run_inner: RunInner) -> None:
    """A test that fails is one failure, no error: the server is stopped as after any other."""
    result = run_inner(
        """
        import threading


        def test_failing(fake_apify):
            assert fake_apify.url == "http://api.apify.com"


        def test_next():
            assert "FakeApify" not in [thread.name for thread in threading.enumerate()]
        """
    )

    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*AssertionError*", "*127.0.0.1*"])


def test_refuses_wrong_arguments_of_the_marker(run_inner: RunInner) -> None:
    """What `FakeApify` does not take is an error of that test that says so."""
    result = run_inner(
        """
        import pytest


        @pytest.mark.fake_apify(latency=-1)
        def test_never_runs(fake_apify):
            pass
        """
    )

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*latency must be at least 0, got -1"])


def test_arguments_from_several_places(run_inner: RunInner) -> None:
    """A function's marker adds to that of its class, and a parameter to both."""
    result = run_inner(
        """
        import pytest


        @pytest.mark.fake_apify(2, token="of-the-class")
        class TestMarked:
            def test_the_class(self, fake_apify):
                assert (2, "of-the-class") == (len(fake_apify.tasks), fake_apify.token)

            @pytest.mark.fake_apify(tasks=3)
            def test_the_function(self, fake_apify):
                assert (3, "of-the-class") == (len(fake_apify.tasks), fake_apify.token)

            @pytest.mark.parametrize("fake_apify", [{"tasks": 4}, {"token": "of-the-parameter"}], indirect=True)
            def test_a_parameter(self, fake_apify):
                expected = [(4, "of-the-class"), (2, "of-the-parameter")]
                assert (len(fake_apify.tasks), fake_apify.token) in expected


        @pytest.mark.parametrize("fake_apify", [5], indirect=True)
        def test_another_parameter(fake_apify):
            pass


        @pytest.mark.fake_apify(5, "token")
        def test_too_many(fake_apify):
            pass
        """
    )

    result.assert_outcomes(passed=4, errors=2)
    result.stdout.fnmatch_lines(["*is a mapping of FakeApify's arguments; got 5", "*takes one positional*"])


def test_explains_itself(run_inner: RunInner) -> None:
    """The lists of fixtures and markers have the fixture and the marker, with what they are."""
    fixtures = run_inner("", "--fixtures").stdout.str()
    markers = run_inner("", "--markers").stdout.str()

    assert "A running `FakeApify`, with a `url` and a `token`." in fixtures
    assert "@pytest.mark.fake_apify(tasks=0, **options)" in markers


def test_imports_nothing_more_than_the_package() -> None:
    """Loading the plugin imports no server: pytest loads it in every session of everyone who has the library."""
    code = (
        "import sys, pytest, apify_tasks_async\n"
        "before = set(sys.modules)\n"
        f"import {PLUGIN}\n"
        "print(*sorted(set(sys.modules) - before))"
    )

    imported = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()

    assert imported == ["apify_tasks_async.testing", PLUGIN]
