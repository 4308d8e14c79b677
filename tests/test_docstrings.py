"""The examples in docstrings work."""

import doctest
import importlib
import pkgutil

import pytest

import apify_tasks_async

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(apify_tasks_async.__path__, "apify_tasks_async.")
    if not module.name.endswith("__main__")
)


@pytest.mark.parametrize("name", ["apify_tasks_async", *MODULES])
def test_examples_work(name: str) -> None:
    """The examples of a module print the lines below them."""
    module = importlib.import_module(name)
    # Examples leave out the import of public names.
    names = {name: getattr(apify_tasks_async, name) for name in apify_tasks_async.__all__} | vars(module)
    assert doctest.testmod(module, extraglobs=names).failed == 0
