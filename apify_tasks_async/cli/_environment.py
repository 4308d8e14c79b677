"""Options that take their defaults from the environment: `--page-size` from `APIFY_TASKS_PAGE_SIZE`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["combine", "option"]

_Command = TypeVar("_Command", bound=Callable[..., Any])


class _Option(click.Option):
    """An option with a variable, which `--help` shows."""

    def __init__(self, *declarations: Any, **attributes: Any) -> None:
        super().__init__(*declarations, **attributes)
        name = max(self.opts, key=len).lstrip("-").replace("-", "_")
        self.envvar = f"APIFY_TASKS_{name.upper()}"
        self.show_envvar = True


def option(*declarations: str, **attributes: Any) -> Callable[[_Command], _Command]:
    """Return click's decorator for such an option."""
    return click.option(*declarations, cls=_Option, **attributes)


def combine(*options: Callable[[_Command], _Command]) -> Callable[[_Command], _Command]:
    """Return a decorator that adds the options in this order."""

    def decorate(command: _Command) -> _Command:
        for add in reversed(options):
            command = add(command)
        return command

    return decorate
