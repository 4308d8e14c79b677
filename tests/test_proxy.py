"""Proxies: how they are found, what they are sent, and who is at fault when one fails."""

import asyncio
import ipaddress
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from helpers.faults import TOKEN, authority, tls_of, trusting
from helpers.leaks import leaks
from helpers.processes import COMMAND, SECONDS, environment
from helpers.proxy_server import ProxyServer
from helpers.raw_server import RawServer, Reply, Then, message
from helpers.support import until
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from apify_tasks_async import (
    ApifyTasksError,
    CertificateError,
    ConfigurationError,
    ProxyError,
    RequestTimeoutError,
    RetryPolicy,
    TasksClient,
    TransportError,
    _environment,
    iter_tasks,
)
from apify_tasks_async._proxy import Proxy, read_proxy
from apify_tasks_async._secret import Secret
from apify_tasks_async.testing import FakeApify

PASSWORD = "correct-horse-battery"
USER = f"alice:{PASSWORD}"


def client_of(url: str, proxy: str, *, attempts: int = 1, **options: Any) -> TasksClient:
    """Return a client that does not wait between its attempts."""
    retry = RetryPolicy(attempts=attempts, base_delay=0)
    settings: dict[str, Any] = {"base_url": url, "proxy": proxy, "retry": retry, "rate_limit": None}
    return TasksClient(TOKEN, **settings | options)


async def failure_of(client: TasksClient) -> ApifyTasksError:
    """Return the error of a request, in which neither the token nor a password shows."""
    with pytest.raises(ApifyTasksError) as caught:
        await client.list_tasks()
    assert [] == leaks(caught.value, TOKEN) + leaks(caught.value, PASSWORD)
    assert [] == leaks(client, TOKEN) + leaks(client, PASSWORD)
    return caught.value


# Through a proxy.


@pytest.mark.asyncio
async def test_https_goes_through_a_tunnel() -> None:
    """The proxy gets the host and its own password with CONNECT; neither the token nor the request."""
    async with (
        RawServer(message(), tls=tls_of("api.example")) as server,
        ProxyServer(server.url, user=USER) as proxy,
        aiohttp.ClientSession(connector=trusting()) as session,
        client_of("https://api.example", proxy.url, session=session) as client,
    ):
        assert [0, 0] == [await client.count(), await client.count()]
        assert [] == leaks(client, PASSWORD)
    [head] = proxy.requests
    assert head.startswith("CONNECT api.example:443 HTTP/1.1\r\n")
    assert TOKEN not in head
    assert 2 == len(server.requests)
    assert "Proxy-Authorization" not in server.requests[0]


@pytest.mark.asyncio
@pytest.mark.parametrize("tunnel", [False, True])
async def test_a_proxy_behind_tls(*, tunnel: bool) -> None:
    """The proxy itself may be reached over TLS, with the connection to the API in it."""
    async with (
        RawServer(message(), tls=tls_of("api.example") if tunnel else None) as server,
        ProxyServer(server.url, user=USER, tls=tls_of()) as proxy,
        aiohttp.ClientSession(connector=trusting()) as session,
        client_of("https://api.example" if tunnel else server.url, proxy.url, session=session) as client,
    ):
        assert [0, 0] == [await client.count(), await client.count()]
    assert 2 == len(server.requests)


@pytest.mark.asyncio
async def test_a_proxy_that_is_not_trusted() -> None:
    """The certificate of the proxy is checked, too, and the error names its host."""
    async with (
        ProxyServer("http://127.0.0.1:9", tls=tls_of()) as proxy,
        client_of("https://api.example", proxy.url, attempts=3) as client,
    ):
        error = await failure_of(client)
    assert (CertificateError, 1) == (type(error), error.attempts)
    assert f"127.0.0.1:{proxy.port}" in error.problem


@pytest.mark.asyncio
async def test_plain_http_is_forwarded() -> None:
    """With the client's own session, the proxy gets the whole request, and the password of the proxy."""
    async with FakeApify(tasks=3, token=TOKEN) as api, ProxyServer(api.url, user=USER) as proxy:
        async with client_of(api.url, proxy.url) as client:
            assert 3 == len(await client.all_tasks())
        assert 3 == len([task async for task in iter_tasks(TOKEN, base_url=api.url, proxy=proxy.url)])
        assert all(head.startswith(f"GET {api.url}/v2/actor-tasks?") for head in proxy.requests)


@pytest.mark.asyncio
@pytest.mark.parametrize("home", ["1", "true", "True"])
async def test_inside_an_actor(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the platform, the API has plain http and a private address. Nothing needs to be set for that."""
    async with FakeApify(tasks=3, token=TOKEN) as api, ProxyServer(api.url) as platform:
        monkeypatch.setenv("APIFY_IS_AT_HOME", home)
        monkeypatch.setenv("APIFY_API_BASE_URL", "http://10.0.32.27:8010")
        monkeypatch.setenv("APIFY_TOKEN", TOKEN)
        async with TasksClient(proxy=platform.url) as client:
            assert 3 == await client.count()
        assert 3 == len([task async for task in iter_tasks(proxy=platform.url)])
    assert platform.requests[0].startswith("GET http://10.0.32.27:8010/v2/actor-tasks?")


@pytest.mark.asyncio
async def test_insecure_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere, the function needs the permission that the class needs."""
    monkeypatch.setenv("APIFY_API_BASE_URL", "http://10.0.32.27:8010")
    with pytest.raises(ConfigurationError, match="allow_insecure=True"):
        iter_tasks(TOKEN)
    async with FakeApify(tasks=3, token=TOKEN) as api, ProxyServer(api.url) as platform:
        tasks = iter_tasks(TOKEN, allow_insecure=True, proxy=platform.url)
        assert 3 == len([task async for task in tasks])


@pytest.mark.asyncio
async def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client takes the proxy from the environment if it is asked to, and only then."""
    async with FakeApify(tasks=3, token=TOKEN) as api, ProxyServer(api.url, user=USER) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        async with TasksClient(TOKEN, base_url=api.url) as client:
            await client.count()
        assert 0 == len(proxy.requests)
        async with client_of(api.url, "env") as client:
            await client.count()
        assert 1 == len(proxy.requests)
        monkeypatch.setenv("NO_PROXY", "127.0.0.0/8")
        async with client_of(api.url, "env") as client:
            await client.count()
        assert 1 == len(proxy.requests)


# Who is at fault.


@pytest.mark.asyncio
async def test_a_proxy_that_wants_a_password() -> None:
    """A 407 names the proxy, says what to do, and is not tried again."""
    async with ProxyServer("http://127.0.0.1:9", user=USER) as proxy:
        url = f"http://alice:wrong-password@127.0.0.1:{proxy.port}"
        async with client_of("https://api.example", url, attempts=3) as client:
            error = await failure_of(client)
    assert isinstance(error, ProxyError)
    assert (407, 1, 1) == (error.status, error.attempts, len(proxy.requests))
    assert (
        f"the proxy 127.0.0.1:{proxy.port} answered 407 (Proxy Authentication Required), and did not connect to the "
        "API (offset=0, limit=1000, desc=False, after 1 attempt); check the user and the password in the URL of the "
        "proxy"
    ) == str(error)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "attempts", "advice"),
    [
        ("403 Forbidden", 1, "ask the owner of the proxy to let requests to the API through"),
        ("502 Bad Gateway", 3, "the proxy works, but does not reach the API: try again later, or ask its owner"),
        (
            "503 Service Unavailable",
            3,
            "the proxy works, but does not reach the API: try again later, or ask its owner",
        ),
    ],
)
async def test_a_proxy_that_refuses(status: str, attempts: int, advice: str) -> None:
    """A proxy that does not connect is at fault, and tried again only if that may help."""
    refusal = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()
    async with (
        ProxyServer("http://127.0.0.1:9", refusal=refusal) as proxy,
        client_of("https://api.example", proxy.url, attempts=3) as client,
    ):
        error = await failure_of(client)
    assert isinstance(error, ProxyError)
    assert (attempts, attempts, advice) == (error.attempts, len(proxy.requests), error.advice)


@pytest.mark.asyncio
@pytest.mark.parametrize("api", ["https://api.example", "http://127.0.0.1:9"])
async def test_a_proxy_that_hangs_up(api: str) -> None:
    """A proxy that hangs up without an answer is at fault, also where it would forward the request."""
    async with ProxyServer(api, refusal=b"") as proxy, client_of(api, proxy.url, attempts=2) as client:
        error = await failure_of(client)
    assert ProxyError is type(error)
    assert f"the proxy 127.0.0.1:{proxy.port} gave no usable answer: " in error.problem
    assert 2 == len(proxy.requests)


@pytest.mark.asyncio
async def test_a_proxy_that_is_none() -> None:
    """A server that speaks another protocol is no proxy."""
    async with (
        ProxyServer("http://127.0.0.1:9", refusal=b"220 mail.example ESMTP\r\n\r\n") as proxy,
        client_of("https://api.example", proxy.url) as client,
    ):
        error = await failure_of(client)
    assert ProxyError is type(error)
    assert "gave no usable answer: Bad status line" in error.problem


@pytest.mark.asyncio
@pytest.mark.parametrize("borrowed", [False, True])
@pytest.mark.parametrize("api", ["https://api.example", "http://127.0.0.1:9"])
async def test_no_proxy_there(api: str, *, borrowed: bool) -> None:
    """A proxy that cannot be reached is named, without its password."""
    async with RawServer(message()) as server:
        port = URL(server.url).port
    url = f"http://{USER}@127.0.0.1:{port}"
    async with (
        aiohttp.ClientSession() as session,
        client_of(api, url, attempts=2, session=session if borrowed else None) as client,
    ):
        error = await failure_of(client)
    assert isinstance(error, ProxyError)
    assert (None, 2) == (error.status, error.attempts)
    assert f"cannot connect to the proxy 127.0.0.1:{port}: " in error.problem
    assert "check the address of the proxy, and whether it is running" == error.advice


@pytest.mark.asyncio
async def test_an_unknown_proxy() -> None:
    """A proxy whose name is unknown is at fault."""
    async with client_of("https://api.example", "http://proxy.invalid:3128") as client:
        error = await failure_of(client)
    assert ProxyError is type(error)
    assert "cannot connect to the proxy proxy.invalid:3128: " in error.problem


@pytest.mark.asyncio
async def test_an_api_that_is_at_fault() -> None:
    """If the API behind the tunnel fails, the error is about the API, and says through which proxy."""
    async with (
        RawServer(Reply(then=Then.CLOSE), tls=tls_of("api.example")) as server,
        ProxyServer(server.url) as proxy,
        aiohttp.ClientSession(connector=trusting()) as session,
        client_of("https://api.example", proxy.url, session=session) as client,
    ):
        error = await failure_of(client)
    assert TransportError is type(error)
    assert f"the connection to https://api.example through the proxy 127.0.0.1:{proxy.port} broke: " in error.problem


@pytest.mark.asyncio
async def test_certificates_are_checked_through_the_tunnel() -> None:
    """A proxy that replaces the certificate is not trusted."""
    async with (
        RawServer(message(), tls=tls_of("api.example")) as server,
        ProxyServer(server.url) as proxy,
        client_of("https://api.example", proxy.url, attempts=3) as client,
    ):
        error = await failure_of(client)
    assert (CertificateError, 1) == (type(error), error.attempts)
    assert "api.example" in error.problem


@pytest.mark.asyncio
async def test_silence_behind_a_proxy() -> None:
    """A timeout says through which proxy: either may be at fault."""
    async with (
        RawServer(Reply(then=Then.HANG)) as server,
        ProxyServer(server.url) as proxy,
        client_of(server.url, proxy.url, timeout=0.05) as client,
    ):
        error = await failure_of(client)
        await until(lambda: not server.open)
        where = f"{server.url} through the proxy 127.0.0.1:{proxy.port}"
    assert RequestTimeoutError is type(error)
    assert f"no complete response from {where} within 0.05 s" == error.problem


# The command line.


async def run(*arguments: str, **variables: str) -> tuple[int | None, str, str]:
    """Run the command with the variables of the environment; return its exit code, stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *arguments, stdout=PIPE, stderr=PIPE, env=environment(None, APIFY_TOKEN=TOKEN, **variables)
    )
    async with asyncio.timeout(SECONDS):
        out, err = await process.communicate()
    assert PASSWORD not in (out + err).decode()
    return process.returncode, out.decode(), err.decode()


@pytest.fixture
def trusting_environment(tmp_path: Path) -> dict[str, str]:
    """Return variables that let a command trust the servers of the tests."""
    authority().cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    return {"SSL_CERT_FILE": str(tmp_path / "authority.pem")}


@pytest.mark.asyncio
@pytest.mark.parametrize("option", [False, True])
async def test_the_command_goes_through_a_tunnel(trusting_environment: dict[str, str], *, option: bool) -> None:
    """The command reaches a host that only the proxy knows, over TLS. The option beats the variable."""
    async with (
        RawServer(message(), tls=tls_of("api.invalid")) as server,
        ProxyServer(server.url, user=USER) as proxy,
    ):
        variables = trusting_environment | {"HTTPS_PROXY": "http://127.0.0.1:9" if option else proxy.url}
        options = ["--proxy", proxy.url] if option else []
        assert (0, "0\n", "") == await run("count", "--base-url", "https://api.invalid", *options, **variables)
    assert proxy.requests[0].startswith("CONNECT api.invalid:443 ")


@pytest.mark.asyncio
@pytest.mark.parametrize("option", [False, True])
async def test_the_command_goes_without_a_proxy(trusting_environment: dict[str, str], *, option: bool) -> None:
    """NO_PROXY and an empty option keep the proxy of the environment out."""
    async with RawServer(message(), tls=tls_of()) as server, ProxyServer(server.url) as proxy:
        variables = trusting_environment | {"HTTPS_PROXY": proxy.url} | ({} if option else {"NO_PROXY": "127.0.0.0/8"})
        options = ["--proxy", ""] if option else []
        assert (0, "0\n", "") == await run("count", "--base-url", server.url, *options, **variables)
    assert [] == proxy.requests


@pytest.mark.asyncio
async def test_the_command_names_the_proxy() -> None:
    """The command says that the proxy refused, and which one."""
    async with ProxyServer("http://127.0.0.1:9", user=USER) as proxy:
        url = f"http://alice:{PASSWORD}x@127.0.0.1:{proxy.port}"
        code, _, err = await run("count", HTTPS_PROXY=url)
    assert 1 == code
    assert (
        f"apify-tasks: error: the proxy 127.0.0.1:{proxy.port} answered 407 (Proxy Authentication Required), and did "
        "not connect to the API (after 1 attempt); check the user and the password in the URL of the proxy\n"
    ) == err


@pytest.mark.asyncio
async def test_the_command_inside_an_actor() -> None:
    """Plain http to a private address works inside an Actor, and elsewhere with an option."""
    async with FakeApify(tasks=3, token=TOKEN) as api, ProxyServer(api.url) as platform:
        variables = {"APIFY_API_BASE_URL": "http://10.0.32.27:8010", "HTTP_PROXY": platform.url}
        assert (0, "3\n", "") == await run("count", **variables, APIFY_IS_AT_HOME="1")
        assert (0, "3\n", "") == await run("count", "--allow-insecure", **variables)
        code, _, err = await run("count", **variables)
    assert 2 == code
    assert (
        "apify-tasks: error: the base URL must begin with https:// unless the host is loopback, got "
        "'http://10.0.32.27:8010'; --allow-insecure sends the token in the clear"
    ) == err.splitlines()[0]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("variables", "options", "says"),
    [
        ({"ALL_PROXY": f"socks5://{USER}@h"}, [], "ALL_PROXY must be http://host:port or https://host:port, got "),
        ({"https_proxy": f"socks5://{USER}@h"}, [], "https_proxy must be http://host:port or https://host:port, got "),
        ({}, ["--proxy", f"ftp://{USER}@h"], "--proxy must be http://host:port or https://host:port, got "),
        ({}, ["--proxy", f"http://{USER}@h:x"], "--proxy is not a usable URL: "),
    ],
)
async def test_the_command_refuses_a_proxy(variables: dict[str, str], options: list[str], says: str) -> None:
    """An unusable proxy is a usage error that names the option or the variable."""
    code, _, err = await run("count", *options, **variables)
    assert 2 == code
    assert err.startswith(f"apify-tasks: error: {says}")


# Which proxy.


@pytest.mark.parametrize(
    ("proxy", "expected", "user"),
    [
        ("http://proxy.example:3128", "http://proxy.example:3128", None),
        ("proxy.example:3128", "http://proxy.example:3128", None),
        ("https://proxy.example/", "https://proxy.example", None),
        ("http://[2001:db8::1]:3128", "http://[2001:db8::1]:3128", None),
        ("http://alice@proxy.example", "http://proxy.example", "Basic YWxpY2U6"),
        ("http://alice:a%40b@proxy.example", "http://proxy.example", "Basic YWxpY2U6YUBi"),
        ("http://:secret@proxy.example", "http://proxy.example", "Basic OnNlY3JldA=="),
    ],
)
def test_usable_proxies(proxy: str, expected: str, user: str | None) -> None:
    """A proxy may have a user and a password, which are decoded."""
    found = read_proxy(Secret(proxy), URL("https://api.apify.com"))
    assert found is not None
    credentials = found.credentials and found.credentials.get_secret_value()
    assert (expected, user) == (str(found.url), credentials)
    assert "'secret'" not in repr(found)


@pytest.mark.parametrize(
    ("proxy", "says"),
    [
        ("", "proxy must not be empty; None means no proxy"),
        ("socks5://alice:hunter2@proxy.example", "got 'socks5://...@proxy.example'"),
        ("http://alice:hunter2@", "proxy is not a usable URL: 'http://...@'"),
        ("http://", "proxy must be http://host:port or https://host:port, got 'http://'"),
        ("http:///", "proxy must be http://host:port or https://host:port, got 'http:///'"),
        ("http://alice:hunter2@proxy.example/path", "proxy must have neither path nor query, got"),
        ("http://proxy.example?x=hunter2", "proxy must have neither path nor query, got 'http://proxy.example?...'"),
        ("http://alice:hunter2@proxy.example:port", "proxy is not a usable URL: 'http://...@proxy.example:port'"),
        ("http://alice:hun#ter2@proxy.example", "proxy "),
    ],
)
def test_unusable_proxies(proxy: str, says: str) -> None:
    """An unusable proxy is refused at once, and its password is not shown."""
    with pytest.raises(ConfigurationError) as caught:
        TasksClient(TOKEN, proxy=proxy)
    assert says in str(caught.value)
    assert [] == leaks(caught.value, "hunter2")


@pytest.mark.parametrize("proxy", [URL("http://alice:hunter2@proxy.example"), 1, b"http://proxy.example"])
def test_other_types_are_no_proxies(proxy: Any) -> None:
    """Another type is a TypeError that does not show what may be a password."""
    with pytest.raises(TypeError, match=f"proxy must be a string, got {type(proxy).__name__}$"):
        TasksClient(TOKEN, proxy=proxy)


@given(st.text(), st.text())
def test_any_user_and_password(user: str, password: str) -> None:
    """Every user and password survive the way through a URL."""
    text = f"{quote(user, safe='', errors='replace')}:{quote(password, safe='', errors='replace')}"
    found = Proxy.parse("proxy", Secret(f"http://{text}@proxy.example:1"))
    assert URL("http://proxy.example:1") == found.url


@pytest.mark.parametrize(
    ("variables", "url", "expected"),
    [
        ({}, "https://api.apify.com", None),
        ({"HTTPS_PROXY": "a"}, "https://api.apify.com", ("HTTPS_PROXY", "a")),
        ({"https_proxy": "b", "HTTPS_PROXY": "a"}, "https://api.apify.com", ("https_proxy", "b")),
        ({"https_proxy": "", "HTTPS_PROXY": "a"}, "https://api.apify.com", ("HTTPS_PROXY", "a")),
        ({"HTTP_PROXY": "a"}, "https://api.apify.com", None),
        ({"HTTP_PROXY": "a"}, "http://localhost", ("HTTP_PROXY", "a")),
        ({"HTTP_PROXY": "a", "REQUEST_METHOD": "GET"}, "http://localhost", None),
        ({"http_proxy": "a", "REQUEST_METHOD": "GET"}, "http://localhost", ("http_proxy", "a")),
        ({"ALL_PROXY": "a"}, "https://api.apify.com", ("ALL_PROXY", "a")),
        ({"ALL_PROXY": "a", "HTTPS_PROXY": "b"}, "https://api.apify.com", ("HTTPS_PROXY", "b")),
        *(
            ({"HTTPS_PROXY": "a", name: hosts}, url, None if excluded else ("HTTPS_PROXY", "a"))
            for name in ("NO_PROXY", "no_proxy")
            for hosts, url, excluded in [
                ("*", "https://api.apify.com", True),
                ("apify.com", "https://api.apify.com", True),
                (".apify.com", "https://api.apify.com", True),
                ("API.Apify.com", "https://api.apify.com", True),
                ("api.apify.com", "https://api.apify.com.", True),
                ("localhost, apify.com", "https://api.apify.com", True),
                ("localhost apify.com", "https://api.apify.com", True),
                ("ify.com", "https://api.apify.com", False),
                ("xapi.apify.com", "https://api.apify.com", False),
                (",", "https://api.apify.com", False),
                (".", "https://api.apify.com", False),
                ("10.0.0.0/8", "https://10.1.2.3", True),
                ("10.1.2.3", "https://10.1.2.3", True),
                ("2.3", "https://10.1.2.3", False),
                ("10.0.0.0/8", "https://11.1.2.3", False),
                ("10.0.0.0/8", "https://[2001:db8::1]", False),
                ("[2001:db8::1]", "https://[2001:db8::1]", True),
                ("2001:db8::/32", "https://[2001:db8::1]", True),
            ]
        ),
    ],
)
def test_variables(
    variables: dict[str, str], url: str, expected: tuple[str, str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variables mean what they mean to curl."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    source, secret = _environment.proxy(URL(url).scheme, URL(url).host or "")
    assert expected == ((source, secret.get_secret_value()) if secret else None)


def test_other_errors_hide_the_password() -> None:
    """A traceback of another error shows no password either."""
    for make in (TasksClient, iter_tasks):
        with pytest.raises(ValueError, match="concurrency") as caught:
            make(TOKEN, proxy=f"http://{USER}@proxy.example", concurrency=0)
        assert [] == leaks(caught.value, PASSWORD)


def test_a_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unusable proxy from the environment is refused by the name of its variable."""
    monkeypatch.setenv("ALL_PROXY", "socks5://alice:hunter2@proxy.example")
    with pytest.raises(ConfigurationError, match=r"^ALL_PROXY must be http://host:port .*, got 'socks5://\.\.\.@"):
        TasksClient(TOKEN, proxy="env")


@given(st.ip_addresses(), st.ip_addresses(v=4), st.integers(0, 32))
def test_networks(address: Any, network: Any, prefix: int) -> None:
    """An address is excluded exactly if it is in the network."""
    pattern = ipaddress.ip_network((network, prefix), strict=False)
    assert (address in pattern) == _environment._matches(str(pattern), str(address))


# At home.

PRIVATE = [
    *("10.0.32.27", "172.16.0.1", "172.31.255.254", "192.168.1.1", "169.254.1.1"),
    *("fc00::1", "fd12:3456::1", "fe80::1"),
]
PUBLIC = [
    "11.0.0.1",
    "172.32.0.1",
    "192.0.2.1",
    "100.64.0.1",
    "8.8.8.8",
    "2001:db8::1",
    "api.internal",
    "10.0.0.1.example",
]


@pytest.mark.parametrize(
    ("host", "private"), [*((host, True) for host in PRIVATE), *((host, False) for host in PUBLIC)]
)
@pytest.mark.parametrize(
    ("home", "at_home"), [("1", True), ("true", True), ("0", False), ("False", False), ("", False), (None, False)]
)
def test_plain_http_at_home(
    host: str, home: str | None, monkeypatch: pytest.MonkeyPatch, *, private: bool, at_home: bool
) -> None:
    """Plain http is accepted inside an Actor alone, and only to an address of a private network."""
    if home is not None:
        monkeypatch.setenv("APIFY_IS_AT_HOME", home)
    url = f"http://{f'[{host}]' if ':' in host else host}:8010"
    if private and at_home:
        assert url in repr(TasksClient(TOKEN, base_url=url))
    else:
        with pytest.raises(ConfigurationError, match="allow_insecure=True"):
            TasksClient(TOKEN, base_url=url)
    assert url in repr(TasksClient(TOKEN, base_url=url, allow_insecure=True))
