"""Search for a secret in everything that a logger, a debugger or an error tracker writes about an object."""

import copy
import itertools
import json
import pickle
import pprint
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from rich.traceback import Traceback

__all__ = ["leaks", "places", "reports"]


def leaks(thing: object, secret: str) -> list[str]:
    """Return each place that shows the secret, and each aiohttp error behind an error of ours."""
    found = [place for place, text in places(thing).items() if secret in text]
    if isinstance(thing, BaseException):
        found += [name for name, text in reports(thing).items() if secret in text]
        for error in filter(None, (thing.__cause__, thing.__context__)):
            if type(error).__module__.startswith("aiohttp"):
                found.append(repr(type(error)))
            found += leaks(error, secret)
    return found


def places(thing: object) -> dict[str, str]:
    """Return the texts that the usual functions make of an object, and of our objects that it refers to."""
    texts = {"str": str(thing), "repr": repr(thing), "pformat": pprint.pformat(thing)}
    for path, value in _reachable("", thing, set()):
        texts[f"repr{path}"] = repr(value)
    with suppress(TypeError, pickle.PicklingError, AttributeError):
        texts |= {f"pickle {protocol}": repr(pickle.dumps(thing, protocol)) for protocol in range(6)}
        texts["copy"] = repr(copy.deepcopy(thing))
    return texts


def reports(error: BaseException) -> dict[str, str]:
    """Return reports of an error with the locals of each frame, from our first frame on."""
    start = error.__traceback__
    while start and not start.tb_frame.f_globals["__name__"].startswith("apify_tasks_async"):
        start = start.tb_next  # the variables of the caller are not ours
    # rich and structlog show a piece of a long text.
    trace = Traceback.extract(type(error), error, start, show_locals=True, locals_max_string=20)
    shown = [node for stack in trace.stacks for frame in stack.frames for node in (frame.locals or {}).values()]
    texts = {"rich": "\n".join(map(str, shown))}
    report = traceback.TracebackException(type(error), error, start, capture_locals=True)
    texts["traceback"] = "".join(report.format())
    for frame, _ in traceback.walk_tb(start):
        texts[f"locals of {frame.f_code.co_qualname}"] = repr(list(frame.f_locals.items()))
        # Rollbar writes texts as they are, and the repr of what JSON does not have. Sentry enters all mappings.
        for name, default in (("JSON", repr), ("mappings", _as_object)):
            with suppress(ValueError, RecursionError):
                text = json.dumps(dict(frame.f_locals), default=default, skipkeys=True)
                texts[f"{name} of {frame.f_code.co_qualname}"] = text
    return texts


def _as_object(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else repr(value)


def _reachable(path: str, thing: object, seen: set[int]) -> Iterator[tuple[str, object]]:
    """Yield the values in containers and in our objects, at any depth."""
    if id(thing) in seen or path.count(".") > 8:
        return
    seen.add(id(thing))
    yield path, thing
    for name, value in _parts(thing):
        yield from _reachable(f"{path}.{name}", value, seen)


def _parts(thing: object) -> Iterable[tuple[str, Any]]:
    if isinstance(thing, Mapping):
        return ((str(key), value) for key, value in thing.items())
    if isinstance(thing, list | tuple | set | frozenset):
        return ((str(index), value) for index, value in enumerate(thing))
    if not type(thing).__module__.startswith("apify_tasks_async"):
        return ()
    slots = itertools.chain.from_iterable(getattr(kind, "__slots__", ()) for kind in type(thing).__mro__)
    names = {*getattr(thing, "__dict__", {}), *slots} - {"__weakref__"}
    return ((name, getattr(thing, name)) for name in sorted(names) if hasattr(thing, name))
