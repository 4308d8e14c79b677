"""The pytest plugin: the fixture `fake_apify`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from apify_tasks_async.testing import FakeApify

__all__ = ["fake_apify", "pytest_configure"]


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers", "fake_apify(tasks=0, **options): how the fixture fake_apify is made: the arguments of FakeApify."
    )


@pytest.fixture
def fake_apify(request: pytest.FixtureRequest) -> Iterator[FakeApify]:
    """A running `FakeApify`, with a `url` and a `token`.

    It has no tasks: create some, or mark the test with `pytest.mark.fake_apify(tasks=2500)`; the marker takes every
    argument of `FakeApify`. Its server runs in a thread of its own, `on_request` is called there.

    Yields:
        The server.

    Example:
        ::

            async def test_listing(fake_apify):
                fake_apify.create_task(name="mine")
                async with TasksClient(fake_apify.token, base_url=fake_apify.url) as client:
                    assert [task.name for task in await client.all_tasks()] == ["mine"]
    """
    # Neither an async fixture, which needs pytest-asyncio or anyio, in a mode and with a loop that they agree on, nor
    # a server in the loop of the test, which a synchronous test has not: a thread works with all of them, and in an
    # event loop that is blocked or closed.
    from apify_tasks_async.testing import FakeApify  # noqa: PLC0415 - pytest loads plugins in every session

    marker = request.node.get_closest_marker("fake_apify")
    with FakeApify(*marker.args, **marker.kwargs) if marker else FakeApify() as api:
        yield api
