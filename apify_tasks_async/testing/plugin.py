"""The pytest plugin: the fixture `fake_apify`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from apify_tasks_async.testing import FakeApify

__all__ = ["fake_apify", "pytest_configure"]


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers", "fake_apify(tasks=0, **options): the arguments of FakeApify for the fixture fake_apify."
    )


@pytest.fixture
def fake_apify(request: pytest.FixtureRequest) -> Iterator[FakeApify]:
    """A running `FakeApify`, with a `url` and a `token`.

    It starts without tasks. Create some, or mark the test with `pytest.mark.fake_apify(tasks=2500)`; the marker takes
    every argument of `FakeApify`. A function's marker adds to that of its class, and a mapping as an indirect parameter
    adds to both. The server runs in a separate thread and calls `on_request` there.

    Yields:
        The server.

    Example:
        ::

            async def test_listing(fake_apify):
                fake_apify.create_task(name="mine")
                async with TasksClient(fake_apify.token, base_url=fake_apify.url) as client:
                    assert [task.name for task in await client.all_tasks()] == ["mine"]
    """
    # A thread works for every test: synchronous, pytest-asyncio or anyio, and with a blocked or closed event loop.
    from apify_tasks_async.testing import FakeApify  # noqa: PLC0415 - pytest loads plugins in every session

    with FakeApify(**_read_arguments(request)) as api:
        yield api


def _read_arguments(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the arguments of the markers, those of the function last, and then those of an indirect parameter."""
    arguments: dict[str, Any] = {}
    for marker in reversed(list(request.node.iter_markers("fake_apify"))):
        arguments |= dict(zip(("tasks",), marker.args, strict=False)) | marker.kwargs
        if len(marker.args) > 1:
            raise TypeError(f"pytest.mark.fake_apify takes one positional argument, tasks; got {marker.args!r}")
    parameter = getattr(request, "param", {})
    if not isinstance(parameter, Mapping):
        raise TypeError(f"an indirect parameter of fake_apify is a mapping of FakeApify's arguments; got {parameter!r}")
    return arguments | dict(parameter)
