"""Walks through real software on the way to the API: nginx, haproxy, squid and varnish.

`nox -s intermediaries` runs them. A test is skipped if its program is missing. The fixtures of all tests check that
nothing is left open.
"""

import asyncio
import contextlib
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme

from apify_tasks_async import (
    ApifyTasksError,
    InvalidResponseError,
    PermissionDeniedError,
    RetryPolicy,
    ServerError,
    TasksClient,
)
from apify_tasks_async.testing import FakeApify, make_task

pytestmark = pytest.mark.asyncio

TASKS = [make_task(number) for number in range(1000)]
WALKS = 5
QUICK = RetryPolicy(base_delay=0.01, max_delay=0.2, attempts=20, budget=200)


def need(program: str) -> str:
    """Return the path of a program, or skip the test."""
    path = shutil.which(program, path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if path is None:
        pytest.skip(f"{program} is missing")
    return path


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@asynccontextmanager
async def running(port: int, *command: str) -> AsyncIterator[subprocess.Popen[bytes]]:
    """Run a program that listens on the port, and end it."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:  # noqa: ASYNC220 - it starts at once
        try:
            await reachable(port, process)
            yield process
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(process.communicate, timeout=5)
            process.kill()


async def reachable(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until something listens on the port."""
    async with asyncio.timeout(20):
        while True:
            if process.poll() is not None:
                assert process.stdout is not None
                pytest.fail(f"{process.args!r}: {process.stdout.read().decode()}")
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                await writer.wait_closed()
                return
            await asyncio.sleep(0.05)


NGINX = """
daemon off; master_process on; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1; user root;
events {{ worker_connections 256; }}
http {{
    access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    proxy_cache_path {folder}/cache keys_zone=pages:1m;
    limit_req_zone $binary_remote_addr zone=paced:1m rate=20r/s;
    upstream api {{ {upstream} }}
    server {{ listen 127.0.0.1:{port} {listen}; {settings}
        location / {{ proxy_pass http://api; proxy_http_version 1.1; proxy_set_header Connection ""; {location} }} }}
}}
"""


@asynccontextmanager
async def nginx(
    folder: Path, *apis: FakeApify, settings: str = "", location: str = "", listen: str = ""
) -> AsyncIterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run nginx in front of APIs; return its URL and its process."""
    program, port = need("nginx"), free_port()
    upstream = " ".join(f"server {api.url.removeprefix('http://')} max_fails=0;" for api in apis)
    config = folder / "nginx.conf"
    config.write_text(
        NGINX.format(folder=folder, port=port, upstream=upstream, settings=settings, location=location, listen=listen)
    )
    async with running(port, program, "-p", str(folder), "-c", str(config)) as process:
        yield f"{'https' if listen else 'http'}://127.0.0.1:{port}", process


HAPROXY = """
global
    maxconn 256
defaults
    mode http
    timeout connect 2s
    timeout client 5s
    timeout server 5s
    {defaults}
frontend front
    bind 127.0.0.1:{port}
    {front}
    default_backend back
backend back
    {back}
    server api {address}
"""


@asynccontextmanager
async def haproxy(
    folder: Path, api: FakeApify, defaults: str = "", front: str = "", back: str = ""
) -> AsyncIterator[str]:
    """Run haproxy in front of an API; return its URL."""
    program, port = need("haproxy"), free_port()
    config = folder / "haproxy.cfg"
    address = api.url.removeprefix("http://")
    config.write_text(HAPROXY.format(port=port, address=address, defaults=defaults, front=front, back=back))
    async with running(port, program, "-db", "-f", str(config)):
        yield f"http://127.0.0.1:{port}"


async def walk(url: str, api: FakeApify, *, walks: int = WALKS, pause: float = 0, **options: Any) -> TasksClient:
    """Walk the list some times, with pauses between, and return the closed client after all was delivered."""
    settings: dict[str, Any] = {"rate_limit": None, "retry": QUICK}
    async with TasksClient(api.token, base_url=url, **settings | options) as client:
        for number in range(walks):
            exact = number % 2 == 1
            tasks = await client.all_tasks(page_size=50, exact=exact, desc=number % 3 == 2)
            assert [*TASKS] == sorted(tasks, key=lambda task: task.created_at)
            await asyncio.sleep(pause)
    return client


SETTINGS = {
    "plain": ("", ""),
    "a connection ends after 3 requests": ("keepalive_requests 3;", ""),
    "no keep-alive": ("keepalive_timeout 0;", ""),
    "no buffering": ("", "proxy_buffering off;"),
    "gzip": ("gzip on; gzip_proxied any; gzip_types application/json;", ""),
    "a rate limit that spaces, 503": ("", "limit_req zone=paced;"),
    "a rate limit that spaces, 429": ("limit_req_status 429;", "limit_req zone=paced;"),
}


@pytest.mark.parametrize("name", SETTINGS)
async def test_nginx(name: str, tmp_path: Path) -> None:
    """Walks through nginx are whole, however it is set up."""
    settings, location = SETTINGS[name]
    walks = 2 if "rate limit" in name else WALKS
    async with FakeApify(TASKS) as api, nginx(tmp_path, api, settings=settings, location=location) as (url, _):
        client = await walk(url, api, walks=walks)
    report(name, client)


async def test_nginx_that_closes_idle_connections(tmp_path: Path) -> None:
    """Pauses that are as long as nginx keeps a connection open cost nothing."""
    async with FakeApify(TASKS) as api, nginx(tmp_path, api, settings="keepalive_timeout 1s;") as (url, _):
        client = await walk(url, api, pause=1.0, retry=RetryPolicy(attempts=1))
    report("keep-alive of a second", client)


async def test_nginx_that_reloads(tmp_path: Path) -> None:
    """Reloads in the midst of walks cost no attempt."""
    async with FakeApify(TASKS) as api, nginx(tmp_path, api) as (url, process):
        served = 0

        def reload(_: object) -> None:
            nonlocal served
            served += 1
            if served % 15 == 0:
                process.send_signal(signal.SIGHUP)

        api.on_request = reload
        client = await walk(url, api)
    report("reloads", client)


async def test_nginx_whose_api_dies(tmp_path: Path) -> None:
    """An API that is gone for a moment is waited for. What nginx says meanwhile is an error of its own."""
    async with FakeApify(TASKS) as api:
        port = int(api.url.rpartition(":")[2])
        async with nginx(tmp_path, api) as (url, _):
            client = await walk(url, api, walks=2)
            await api.stop()
            with pytest.raises(ServerError, match="502"):
                await walk(url, api, walks=1, retry=RetryPolicy(attempts=2, base_delay=0))
            restarted = FakeApify(TASKS, token=api.token, port=port)
            async with restarted:
                client = await walk(url, restarted)
    report("the API dies", client)


async def test_nginx_with_replicas(tmp_path: Path) -> None:
    """Two replicas, of which one lags: a walk delivers all that both show throughout."""
    async with (
        FakeApify(TASKS) as fresh,
        FakeApify(TASKS[:-7], token=fresh.token) as late,
        nginx(tmp_path, fresh, late) as (url, _),
        TasksClient(fresh.token, base_url=url, rate_limit=None) as client,
    ):
        for desc in (False, True, False):
            tasks = await client.all_tasks(page_size=50, exact=True, desc=desc)
            assert {*TASKS[:-7]} <= {*tasks}
            assert len({*tasks}) == len(tasks)
    report("two replicas", client)


async def test_nginx_with_a_cache(tmp_path: Path) -> None:
    """A cache that ignores the query does not pass for a list."""
    cache = "proxy_cache pages; proxy_cache_key $uri; proxy_cache_valid 200 1m;"
    retry = RetryPolicy(attempts=2, base_delay=0)
    async with (
        FakeApify(TASKS) as api,
        nginx(tmp_path, api, location=cache) as (url, _),
        TasksClient(api.token, base_url=url, retry=retry) as client,
    ):
        assert len(TASKS) == await client.count()
        with pytest.raises(ApifyTasksError) as info:
            await client.all_tasks(page_size=50, offset=50)
    assert isinstance(info.value, InvalidResponseError)
    assert "offset: asked for 50, got 0" in info.value.problem
    report("a cache that ignores the query", client)


async def test_nginx_with_tls(tmp_path: Path) -> None:
    """TLS with a private authority."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "certificate.pem"))
    settings = f"ssl_certificate {tmp_path}/certificate.pem; ssl_certificate_key {tmp_path}/key.pem;"
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    async with (
        FakeApify(TASKS) as api,
        nginx(tmp_path, api, settings=settings, listen="ssl") as (url, _),
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusted)) as session,
    ):
        client = await walk(url, api, session=session)
    report("TLS", client)


async def test_haproxy(tmp_path: Path) -> None:
    """Walks through haproxy, which closes idle connections after 50 ms, are whole."""
    async with FakeApify(TASKS) as api, haproxy(tmp_path, api, "timeout http-keep-alive 50ms") as url:
        client = await walk(url, api, pause=0.05, retry=RetryPolicy(attempts=1))
    report("haproxy, keep-alive of 50 ms", client)


async def test_haproxy_that_sends_an_unasked_408(tmp_path: Path) -> None:
    """The 408 that haproxy sends on a connection that says nothing is no answer."""
    options = "timeout http-request 50ms\n    timeout http-keep-alive 50ms\n    option http-server-close"
    async with FakeApify(TASKS) as api, haproxy(tmp_path, api, options) as url:
        client = await walk(url, api, pause=0.1, retry=RetryPolicy(attempts=1))
    report("haproxy, 408", client)


async def test_haproxy_that_denies(tmp_path: Path) -> None:
    """A rule of haproxy that denies is told from the API's own refusal."""
    async with FakeApify(TASKS) as api, haproxy(tmp_path, api, front="http-request deny") as url:
        with pytest.raises(PermissionDeniedError) as info:
            await walk(url, api)
    assert "scope" not in info.value.advice


async def test_haproxy_whose_api_dies(tmp_path: Path) -> None:
    """Haproxy's 503 is a server error."""
    async with FakeApify(TASKS) as api, haproxy(tmp_path, api) as url:
        await api.stop()
        with pytest.raises(ServerError, match="503"):
            await walk(url, api, retry=RetryPolicy(attempts=2, base_delay=0))


SQUID = """
http_port 127.0.0.1:{port}
{rules}
cache deny all
access_log none
cache_log /dev/null
pid_filename none
shutdown_lifetime 0 seconds
"""


@asynccontextmanager
async def squid(folder: Path, rules: str) -> AsyncIterator[str]:
    """Run squid as a proxy; return its URL."""
    program, port = need("squid"), free_port()
    config = folder / "squid.conf"
    config.write_text(SQUID.format(port=port, rules=rules))
    async with running(port, program, "-N", "-d", "1", "-n", f"test{port}", "-f", str(config)):
        yield f"http://127.0.0.1:{port}"


async def test_squid(tmp_path: Path) -> None:
    """Walks through a proxy are whole."""
    async with FakeApify(TASKS) as api, squid(tmp_path, "http_access allow all") as proxy:
        client = await walk(api.url, api, proxy=proxy)
    report("squid", client)


async def test_squid_that_denies(tmp_path: Path) -> None:
    """A rule of the proxy that denies is told from the API's own refusal."""
    async with FakeApify(TASKS) as api, squid(tmp_path, "http_access deny all") as proxy:
        with pytest.raises(ApifyTasksError, match="403") as info:
            await walk(api.url, api, proxy=proxy)
        assert [] == api.requests
    assert "squid" in str(info.value)
    assert "scope" not in info.value.advice


async def test_varnish(tmp_path: Path) -> None:
    """Walks through varnish are whole; when the API dies, its 503 is a server error."""
    program, port = need("varnishd"), free_port()
    async with FakeApify(TASKS) as api:
        host, _, upstream = api.url.removeprefix("http://").partition(":")
        vcl = f'vcl 4.0; backend default {{ .host = "{host}"; .port = "{upstream}"; }}'
        (tmp_path / "default.vcl").write_text(vcl)
        command = (
            program,
            "-j",
            "none",
            "-F",
            "-a",
            f"127.0.0.1:{port}",
            "-f",
            f"{tmp_path}/default.vcl",
            "-n",
            f"{tmp_path}/varnish",
        )
        async with running(port, *command):
            client = await walk(f"http://127.0.0.1:{port}", api)
            await api.stop()
            with pytest.raises(ServerError, match="503"):
                await walk(f"http://127.0.0.1:{port}", api, retry=RetryPolicy(attempts=2, base_delay=0))
    report("varnish", client)


def report(name: str, client: TasksClient) -> None:
    """Print the figures of the walks; `pytest -s` shows them."""
    stats = client.stats
    print(  # noqa: T201 - these figures are what the run is for
        f"{name}: {stats.requests} requests, {stats.retries} retries, {stats.reconnects} reconnects, "
        f"{stats.rate_limited} refused, {stats.tasks} tasks, 0 lost, 0 left over"
    )
