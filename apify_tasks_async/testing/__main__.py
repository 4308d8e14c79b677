"""`python -m apify_tasks_async.testing` serves `FakeApify` on a port, for tests in any language."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from collections.abc import Callable, Sequence

from apify_tasks_async.testing import (
    OPENAPI,
    Disconnect,
    FakeApify,
    Fault,
    Hang,
    MalformedItem,
    MalformedJson,
    SlowBody,
    Status,
    TruncatedBody,
)

__all__ = ["main"]

_PLAIN: dict[str, Fault] = {
    "disconnect": Disconnect(),
    "hang": Hang(),
    "malformed-item": MalformedItem(),
    "malformed-json": MalformedJson(),
    "truncated-body": TruncatedBody(),
}

_VALUED: dict[str, Callable[[str], Fault]] = {
    "slow-body": lambda seconds: SlowBody(float(seconds)),
    "status": lambda status: Status(int(status)),
}

_DESCRIPTION = """\
Serve GET /v2/actor-tasks of a fake Apify account, by default on loopback. When ready, it prints one line: the address,
a space and the token. Ctrl-C or SIGTERM stops it."""


def _read_fault(text: str) -> tuple[Fault, float]:
    kind, _, rest = text.partition(":")
    value, _, probability = rest.rpartition(":")
    try:
        return _VALUED[kind](value) if value else _PLAIN[kind], float(probability)
    except (KeyError, ValueError):
        pass
    names = ", ".join(f"{kind}:PROBABILITY" for kind in _PLAIN)
    raise argparse.ArgumentTypeError(
        f"must be status:200-599:PROBABILITY, slow-body:SECONDS:PROBABILITY, {names}, got {text!r}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m apify_tasks_async.testing", description=_DESCRIPTION, allow_abbrev=False
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="the address to listen on, such as 0.0.0.0 in a container (default: %(default)s)",
    )
    parser.add_argument("--port", type=int, default=0, help="the port to listen on (default: a free one)")
    parser.add_argument("--tasks", type=int, default=2500, help="the number of tasks (default: %(default)s)")
    parser.add_argument(
        "--token", default="fake-token-of-no-account", help="the token to accept (default: %(default)s)"
    )
    parser.add_argument(
        "--latency", type=float, default=0.0, metavar="SECONDS", help="the time before each answer (default: 0)"
    )
    parser.add_argument(
        "--rate-limit", type=float, metavar="RATE", help="requests per second; more get a 429 (default: unlimited)"
    )
    parser.add_argument("--seed", type=int, default=0, help="the seed of the random faults (default: %(default)s)")
    parser.add_argument(
        "--fault",
        dest="faults",
        type=_read_fault,
        action="append",
        default=[],
        metavar="FAULT:PROBABILITY",
        help="such as status:503:0.1, slow-body:2:0.1 or disconnect:0.05; may be repeated",
    )
    parser.add_argument("--openapi", action="store_true", help="print the OpenAPI document and exit")
    return parser


def _make_api(options: argparse.Namespace) -> FakeApify:
    api = FakeApify(
        options.tasks,
        token=options.token,
        latency=options.latency,
        rate_limit=options.rate_limit,
        seed=options.seed,
        port=options.port,
        host=options.host,
    )
    for fault, probability in options.faults:
        api.fail(fault, times=None, probability=probability)
    return api


async def _serve(api: FakeApify) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    # Windows has no loop.add_signal_handler.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: loop.call_soon_threadsafe(ended.set))
    async with api:
        print(api.url, api.token, flush=True)  # noqa: T201 - the ready line
        await ended.wait()


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Args:
        arguments: The options. `None` means those of this process.

    Raises:
        SystemExit: With code 2 if an option is invalid, 1 if the port is taken.

    Example:
        `python -m apify_tasks_async.testing --port 8080 --tasks 5000 --fault status:503:0.1`
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.openapi:
        print(json.dumps(OPENAPI, indent=2))  # noqa: T201 - the output of --openapi
        return
    try:
        api = _make_api(options)
    except ValueError as error:
        parser.error(str(error))
    try:
        asyncio.run(_serve(api))
    except OSError as error:
        parser.exit(1, f"{parser.prog}: error: {error.strerror}\n")


if __name__ == "__main__":
    main()
