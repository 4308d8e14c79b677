"""The headers that hold secrets: they become texts where a request is sent, below all that records requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp
from multidict import CIMultiDict

from apify_tasks_async._secret import Secret, as_header

_READ_EARLY = {"cookie", "expect", "content-encoding"}
"""Headers whose text aiohttp reads while it makes a request."""


def as_request_headers(headers: Mapping[str, str | Secret]) -> dict[str, Any]:
    """Return the headers that aiohttp makes a request with: a `Secret` stays one, unless aiohttp reads it."""
    return {name: as_header(value) if name.lower() in _READ_EARLY else value for name, value in headers.items()}


def as_texts(headers: Mapping[str, str | Secret]) -> dict[str, str]:
    """Return the headers as texts."""
    return {name: as_header(value) for name, value in headers.items()}


async def reveal(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Let the secrets of a request become texts. A middleware of aiohttp."""
    request.headers = _revealed(request.headers)
    if request.proxy_headers is not None:
        request.proxy_headers = _revealed(request.proxy_headers)
    response: aiohttp.ClientResponse = await handler(request)
    return response


def _revealed(headers: Mapping[str, str | Secret]) -> CIMultiDict[str]:
    return CIMultiDict((name, as_header(value)) for name, value in headers.items())  # a name may come twice
