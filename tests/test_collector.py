"""The garbage collector while pages are built."""

import gc
import sys
import weakref
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from apify_tasks_async import TasksClient
from apify_tasks_async._collector import Collector
from apify_tasks_async.models import TaskPage
from apify_tasks_async.testing import FakeApify

pytestmark = pytest.mark.fake_apify(tasks=50)


@pytest.fixture
def places() -> Iterator[list[str]]:
    """Let the collector run as often as it can; give the names of the functions that it interrupted."""
    seen: list[str] = []

    def note(phase: str, _: dict[str, Any]) -> None:
        frame: FrameType | None = sys._getframe(1)
        # The head of a page is read with no items.
        if phase == "start" and frame is not None and frame.f_locals.get("structs") != []:
            seen.append(frame.f_code.co_name)

    thresholds = gc.get_threshold()
    gc.callbacks.append(note)
    gc.set_threshold(1, 1, 1)
    yield seen
    gc.set_threshold(*thresholds)
    gc.callbacks.remove(note)


@pytest.fixture(autouse=True)
def _enabled() -> Iterator[None]:
    """Leave the collector as it was."""
    enabled = gc.isenabled()
    yield
    assert gc.isenabled() is enabled
    gc.enable()


def page() -> TaskPage:
    """Return a page without tasks."""
    return TaskPage(total=0, offset=0, limit=10, desc=False, count=0, items=())


@pytest.mark.asyncio
@pytest.mark.parametrize("pause_gc", [True, False])
async def test_a_page_is_built_without_collections(fake_apify: FakeApify, places: list[str], *, pause_gc: bool) -> None:
    """By default the collector does not interrupt the building of a page; one argument turns that off."""
    async with TasksClient(fake_apify.token, base_url=fake_apify.url, pause_gc=pause_gc) as client:
        assert 50 == len([task async for task in client.iter_tasks()])

    assert ("build_tasks" in places) is not pause_gc
    assert places  # it did run elsewhere


@pytest.mark.asyncio
async def test_the_last_page_is_let_go(fake_apify: FakeApify) -> None:
    """At the end of a walk, and once it is closed, no task is held."""
    async with TasksClient(fake_apify.token, base_url=fake_apify.url) as client:
        pages = client.iter_pages(page_size=20)
        tasks = [weakref.ref(one.items[0]) async for one in pages]
        assert [None] * 3 == [task() for task in tasks]

        pages = client.iter_pages(page_size=20)
        task = weakref.ref((await anext(pages)).items[0])
        assert task() is not None
        await pages.aclose()
        assert task() is None


def test_the_page_before_is_freed_during_the_pause() -> None:
    """So the objects of one page take the place of those of the other in the collector's count."""
    collector = Collector(pauses=True)
    freed: list[bool] = []
    weakref.finalize(collector.hold(page()), lambda: freed.append(gc.isenabled()))

    with collector.paused():
        assert not freed
    assert [False] == freed


def test_a_failure_ends_the_pause() -> None:
    """Whatever is raised, the collector goes on."""
    with pytest.raises(KeyError), Collector(pauses=True).paused():
        assert not gc.isenabled()
        raise KeyError
    assert gc.isenabled()


def test_a_collector_that_is_off_stays_off() -> None:
    """A program that runs without collector keeps it so, and its pages are not held longer than until the next."""
    gc.disable()
    try:
        collector = Collector(pauses=True)
        old = weakref.ref(collector.hold(page()))
        with collector.paused():
            pass
        assert not gc.isenabled()
        assert old() is None
    finally:
        gc.enable()


def test_nothing_is_held_without_pauses() -> None:
    """There is no reason to hold a page."""
    collector = Collector(pauses=False)
    held = weakref.ref(collector.hold(page()))
    assert held() is None


def test_pause_gc_must_be_a_boolean() -> None:
    """As every other switch."""
    with pytest.raises(TypeError, match="pause_gc must be True or False, got 1"):
        TasksClient("token", pause_gc=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
