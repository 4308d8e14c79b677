"""An answer, sent over a connection, and cut short on demand."""

from __future__ import annotations

import asyncio
import gzip
from typing import cast

from aiohttp import hdrs, web

from apify_tasks_async.testing._faults import Disconnect, Fault, SlowBody, TruncatedBody
from apify_tasks_async.testing._protocol import Answer, accepts_gzip

__all__ = ["send"]

_SLOW_PIECES = 10


async def send(request: web.BaseRequest, answer: Answer, fault: Fault | None = None) -> web.StreamResponse:
    """Send an answer as its fault has it. If the client disconnects, it waits for aiohttp to cancel the handler."""
    try:
        return await _send(request, answer, fault)
    except ConnectionError:
        # The client disconnected, or the server stopped. aiohttp is about to notice.
        return await _until_cancelled()


def _response(request: web.BaseRequest, answer: Answer) -> web.Response:
    headers = dict(answer.headers)
    body = answer.body
    if body and accepts_gzip(request.headers.get(hdrs.ACCEPT_ENCODING, "")):
        headers[hdrs.CONTENT_ENCODING] = "gzip"
        # The lowest level: on loopback, time costs more than bytes.
        body = gzip.compress(body, compresslevel=1, mtime=0)
    return web.Response(status=answer.status, body=body, headers=headers)


async def _send(request: web.BaseRequest, answer: Answer, fault: Fault | None) -> web.StreamResponse:
    # A handler is cancelled when its connection is lost, so a running one has a transport.
    transport = cast(asyncio.Transport, request.transport)
    response = _response(request, answer)
    has_body = request.method != hdrs.METH_HEAD
    match fault:
        case Disconnect():
            transport.abort()
            return await _until_cancelled()
        case TruncatedBody() if has_body:
            body = cast(bytes, response.body)
            await (await _begin(request, response)).write(body[: len(body) // 2])
            transport.close()
            return await _until_cancelled()
        case SlowBody(seconds) if has_body:
            pieces = _pieces(cast(bytes, response.body), _SLOW_PIECES)
            stream = await _begin(request, response)
            for piece in pieces:
                await asyncio.sleep(seconds / len(pieces))
                await stream.write(piece)
            return stream
        case _:
            return response


async def _begin(request: web.BaseRequest, response: web.Response) -> web.StreamResponse:
    """Send the head of a response."""
    stream = web.StreamResponse(status=response.status, headers=response.headers)
    stream.content_length = len(cast(bytes, response.body))
    await stream.prepare(request)
    return stream


async def _until_cancelled() -> web.StreamResponse:
    """Wait until aiohttp notices that the connection is lost, and cancels the handler."""
    never: asyncio.Future[web.StreamResponse] = asyncio.get_running_loop().create_future()
    return await never


def _pieces(body: bytes, count: int) -> list[bytes]:
    size = max(len(body) // count, 1)
    return [body[start : start + size] for start in range(0, len(body), size)]
