"""The connections of a session that many clients share: how many requests may use them at once.

aiohttp lets the others wait, and counts that as time of their requests. Here they wait before they begin.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from weakref import WeakKeyDictionary

import aiohttp

Places = AbstractAsyncContextManager[None]
"""Waits until a connection is free, first come, first served, and holds it."""

_places: WeakKeyDictionary[aiohttp.BaseConnector, dict[str, Places]] = WeakKeyDictionary()


def places_of(connector: aiohttp.BaseConnector | None, host: str) -> Places | None:
    """Return the places on the connections of a session for a host, the same for all clients; `None`: no limit.

    Args:
        connector: The connector of the session; `None` if it is closed.
        host: The host.
    """
    if connector is None or not (limits := [n for n in (connector.limit_per_host, connector.limit) if n]):
        return None
    key = host if connector.limit_per_host else ""
    return _places.setdefault(connector, {}).setdefault(key, asyncio.Semaphore(min(limits)))
