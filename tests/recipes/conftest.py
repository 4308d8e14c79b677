"""What the tests of the recipes share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from hosting import RECIPES, Recipe, website

from apify_tasks_async.testing import FakeApify


@pytest.fixture
def account(fake_apify: FakeApify, monkeypatch: pytest.MonkeyPatch) -> FakeApify:
    """Return an API to which the environment leads, as the accounts ALICE and BOB too."""
    monkeypatch.setenv("APIFY_API_BASE_URL", fake_apify.url)
    for name in ("APIFY_TOKEN", "APIFY_TOKEN_ALICE", "APIFY_TOKEN_BOB"):
        monkeypatch.setenv(name, fake_apify.token)
    return fake_apify


@pytest.fixture
def recipe(tmp_path: Path, account: FakeApify) -> Recipe:
    """Return what runs recipes, in a folder where nothing else is."""
    (tmp_path / "recipes").symlink_to(RECIPES)
    return Recipe(tmp_path)


@pytest_asyncio.fixture
async def site() -> AsyncIterator[str]:
    """Return the address of a website that has every page."""
    async with website() as url:
        yield url
