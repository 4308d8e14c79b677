"""`python -m apify_tasks_async.testing` as a process.

The tests that start a process take over one second: Python and aiohttp have to load.
"""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from subprocess import PIPE, Popen
from typing import Any
from urllib.error import HTTPError

import attrs
import pytest

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
    make_task,
)
from apify_tasks_async.testing.__main__ import _make_api, _parser, main

COMMAND = (sys.executable, "-m", "apify_tasks_async.testing")
PROGRAM = "python -m apify_tasks_async.testing"
SECONDS = 30
"""How long a process may take that hangs."""


@attrs.frozen
class Server:
    """A running server."""

    process: Popen[str]
    url: str
    token: str

    def get(self, **parameters: object) -> dict[str, Any]:
        """Return a page."""
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        request = urllib.request.Request(
            f"{self.url}/v2/actor-tasks?{query}", headers={"Authorization": f"Bearer {self.token}"}
        )
        with urllib.request.urlopen(request, timeout=SECONDS) as response:
            data: dict[str, Any] = json.load(response)["data"]
            return data

    def status(self) -> int:
        """Return the status of an answer."""
        try:
            self.get()
        except HTTPError as error:
            with error:
                return error.code
        return 200

    def end(self, number: signal.Signals) -> tuple[int, str, str]:
        """Send a signal, and return the exit code, and what more was printed and complained."""
        self.process.send_signal(number)
        output, errors = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, output, errors


@contextlib.contextmanager
def started(*arguments: object) -> Iterator[Server]:
    """Start the server; it does not outlive the block."""
    # Nobody else's wish that output is not buffered is to hide that it was not flushed.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = (*COMMAND, *map(str, arguments))
    with Popen(command, stdout=PIPE, stderr=PIPE, text=True, env=environment) as process:
        # A server that says nothing would be waited for without an end.
        watchdog = threading.Timer(SECONDS, process.kill)
        watchdog.start()
        try:
            assert process.stdout
            url, _, token = process.stdout.readline().rstrip("\n").partition(" ")
            yield Server(process, url, token)
        finally:
            watchdog.cancel()
            process.kill()


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=SECONDS
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_serves_until_a_signal(number: signal.Signals) -> None:
    """It prints one line, answers, and ends with code 0 and without a word on Ctrl-C and SIGTERM."""
    with started("--tasks", 3) as server:
        page = server.get(desc=1)
        ended = server.end(number)

    assert ["my-task-2", "my-task-1", "my-task-0"] == [item["name"] for item in page["items"]]
    assert (0, "", "") == ended


def test_ends_while_it_answers() -> None:
    """An answer that takes long does not keep it from ending."""
    with started("--fault", "slow-body:1000:1") as server:
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=SECONDS)
        connection.request("GET", "/v2/actor-tasks")
        response = connection.getresponse()
        ended = server.end(signal.SIGTERM)
        response.close()
        connection.close()

    assert (401, (0, "", "")) == (response.status, ended)


def test_serves_what_it_was_told() -> None:
    """The number of tasks and the token are those of the options."""
    with started("--tasks", 1001, "--token", "a token") as server:
        page = server.get(offset=1000)

    assert "a token" == server.token
    assert (1001, [make_task(1000).id]) == (page["total"], [item["id"] for item in page["items"]])


def test_has_tasks_by_default() -> None:
    """Without options there are three pages of tasks, at a free port."""
    with started() as server:
        assert 2500 == server.get(limit=1)["total"]


def made(*arguments: object) -> FakeApify:
    """Return what the options describe, without a separate process."""
    return _make_api(_parser().parse_args(list(map(str, arguments))))


@pytest.mark.parametrize(
    ("arguments", "statuses"),
    [
        (("--fault", "status:503:1"), [503, 503]),
        (("--fault", "disconnect:0", "--fault", "status:418:1.0"), [418, 418]),
        (("--rate-limit", 0.001), [200, 429]),
    ],
)
def test_fails_when_told(arguments: tuple[object, ...], statuses: list[int]) -> None:
    """Faults strike with their probabilities while the server runs. The rate limit refuses further requests."""
    with started(*arguments) as server:
        assert statuses == [server.status() for _ in statuses]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("status:429:1", Status(429)),
        ("slow-body:0.5:1", SlowBody(0.5)),
        ("disconnect:1", Disconnect()),
        ("hang:1", Hang()),
        ("malformed-item:1", MalformedItem()),
        ("malformed-json:1", MalformedJson()),
        ("truncated-body:1", TruncatedBody()),
    ],
)
def test_knows_every_fault(text: str, fault: Fault) -> None:
    """Whatever `FakeApify.fail` takes can be said in an option."""
    assert fault == made("--fault", text)._faults.next(0)


def test_depends_on_the_seed() -> None:
    """The same seed fails the same requests."""
    script, same, other = (made("--seed", seed, "--fault", "hang:0.5")._faults for seed in (1, 1, 2))
    struck = [[faults.next(0) for _ in range(20)] for faults in (script, same, other)]

    assert struck[0] == struck[1]
    assert struck[0] != struck[2]


def test_prints_the_contract() -> None:
    """The OpenAPI document is printed for the tools of other languages."""
    printed = run("--openapi")

    assert (0, "") == (printed.returncode, printed.stderr)
    assert json.loads(printed.stdout) == OPENAPI


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return what is said of wrong options, in this process."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    output, errors = capsys.readouterr()

    assert (2, "") == (caught.value.code, output)
    return errors.splitlines()[-1].removeprefix(f"{PROGRAM}: error: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--latency", "nan"), "latency must be finite, got nan"),
        (("--tasks", "-1"), "tasks must be an integer >= 0 or an iterable of Task, got -1"),
        (("--port", "70000"), "port must be from 0 to 65535, got 70000"),
        (("--fault", "disconnect:2"), "probability must be at most 1, got 2.0"),
        (("--token", ""), "token must not be empty"),
        (("--tok", "x"), "unrecognized arguments: --tok x"),
    ],
)
def test_refuses_what_is_out_of_range(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong option prints the usage and one line with its name and value, and exits with code 2."""
    assert message == refusal(capsys, *arguments)


@pytest.mark.parametrize(
    "fault", ["", "status:503", "status:99:0.1", "status:x:1", "slow-body:-1:1", "hang:x:1", "nonsense:1"]
)
def test_refuses_faults_that_there_are_not(fault: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A fault that cannot be read is answered with those that there are."""
    assert (
        "argument --fault: must be status:200-599:PROBABILITY, slow-body:SECONDS:PROBABILITY, "
        "disconnect:PROBABILITY, hang:PROBABILITY, malformed-item:PROBABILITY, malformed-json:PROBABILITY, "
        f"truncated-body:PROBABILITY, got {fault!r}"
    ) == refusal(capsys, "--fault", fault)


def test_says_that_a_port_is_taken() -> None:
    """Somebody else's port is one line, and the code 1."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ended = run("--port", listener.getsockname()[1])

    assert (1, "") == (ended.returncode, ended.stdout)
    assert 1 == len(ended.stderr.splitlines())
    assert ended.stderr.startswith(f"{PROGRAM}: error: ")
    assert "address already in use" in ended.stderr


@pytest.mark.parametrize(("host", "url"), [("0.0.0.0", "http://0.0.0.0:"), ("::1", "http://[::1]:")])
def test_another_host(host: str, url: str) -> None:
    """`--host` says where to listen, for a server in a container."""
    with started("--host", host, "--tasks", 1) as server:
        if not server.url:
            pytest.skip(f"this machine has no {host}")
        assert server.url.startswith(url)
        assert 1 == server.get()["total"]


def test_a_host_that_does_not_exist() -> None:
    """An address of another machine is an error on one line."""
    result = run("--host", "203.0.113.1")
    assert (1, "", 1) == (result.returncode, result.stdout, result.stderr.count("\n"))
    assert result.stderr.startswith(f"{PROGRAM}: error: ")
