"""The checks of arguments, and those that the client makes."""

import functools
import math
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from helpers.documents import property_test
from hypothesis import example, given
from hypothesis import strategies as st

from apify_tasks_async import ConfigurationError, TasksClient
from apify_tasks_async._arguments import (
    check_boolean,
    check_instance,
    check_integer,
    check_number,
    check_plain_function,
    check_text,
    check_token,
    normalise_base_url,
    short_repr,
    validator,
)

TOKEN = "apify_api_0123456789abcdefghijklmnopqrstuvwxyz"
SECRET = "hunter2"
TOO_LARGE = 10**5000
"""An integer that is too large for a float, and for `str`."""


@pytest.mark.parametrize("value", [0, 1, 2, 1000])
def test_integers_within_bounds(value: int) -> None:
    """Both bounds are within."""
    check_integer("limit", value, minimum=0, maximum=1000)
    check_integer("limit", value, minimum=0)


@pytest.mark.parametrize("value", [True, False, 2.0, "2", None, [2]])
def test_other_types_are_no_integers(value: Any) -> None:
    """Another type is a TypeError that names the argument and the value."""
    with pytest.raises(TypeError) as caught:
        check_integer("limit", value, minimum=0)

    assert f"limit must be an integer, got {value!r}" == str(caught.value)


@pytest.mark.parametrize(
    ("value", "most", "expected"),
    [
        (0, None, "limit must be at least 1, got 0"),
        (-1, None, "limit must be at least 1, got -1"),
        (0, 1000, "limit must be from 1 to 1000, got 0"),
        (1001, 1000, "limit must be from 1 to 1000, got 1001"),
        (TOO_LARGE, None, "limit must fit into 64 bits, got an integer of 16610 bits"),
        (-TOO_LARGE, None, "limit must fit into 64 bits, got an integer of 16610 bits"),
    ],
    ids=["zero", "negative", "below", "above", "too large", "too small"],
)
def test_integers_out_of_bounds(value: int, most: int | None, expected: str) -> None:
    """An integer out of bounds is a ValueError that names the argument, the bounds and the value."""
    with pytest.raises(ValueError, match=r"\Alimit must ") as caught:
        check_integer("limit", value, minimum=1, maximum=most)

    assert expected == str(caught.value)


@pytest.mark.parametrize("value", [1, 0.001, 1e300, 5e-324])
def test_numbers_within_bounds(value: float) -> None:
    """Integers and fractions are numbers."""
    check_number("timeout", value, above=0)
    check_number("timeout", value, minimum=0)


def test_least_number_is_within_bounds() -> None:
    """The least value is accepted."""
    check_number("base_delay", 0, minimum=0)
    check_number("base_delay", -0.0, minimum=0)


@pytest.mark.parametrize("value", [True, False, "1", None, 1j, [1]])
def test_other_types_are_no_numbers(value: Any) -> None:
    """Another type is a TypeError that names the argument and the value."""
    with pytest.raises(TypeError) as caught:
        check_number("timeout", value)

    assert f"timeout must be a number, got {value!r}" == str(caught.value)


@pytest.mark.parametrize(
    ("value", "bounds", "expected"),
    [
        (math.nan, {}, "timeout must be finite, got nan"),
        (math.inf, {"above": 0}, "timeout must be finite, got inf"),
        (-math.inf, {"minimum": 0}, "timeout must be finite, got -inf"),
        (TOO_LARGE, {"above": 0}, "timeout must be finite, got an integer of 16610 bits"),
        (0, {"above": 0}, "timeout must be greater than 0, got 0"),
        (-0.5, {"above": 0}, "timeout must be greater than 0, got -0.5"),
        (-0.5, {"minimum": 0}, "timeout must be at least 0, got -0.5"),
    ],
    ids=["nan", "inf", "minus inf", "too large", "zero", "not above", "below"],
)
def test_numbers_out_of_bounds(value: float, bounds: dict[str, float], expected: str) -> None:
    """A number that is infinite or out of bounds is a ValueError that names the argument and the value."""
    with pytest.raises(ValueError, match=r"\Atimeout must be ") as caught:
        check_number("timeout", value, **bounds)

    assert expected == str(caught.value)


@pytest.mark.parametrize("value", [True, False])
def test_booleans(value: Any) -> None:
    """True and False are booleans."""
    check_boolean("desc", value)


@pytest.mark.parametrize("value", [0, 1, None, "true", ""])
def test_other_types_are_no_booleans(value: Any) -> None:
    """Another type is a TypeError that names the argument and the value."""
    with pytest.raises(TypeError) as caught:
        check_boolean("desc", value)

    assert f"desc must be True or False, got {value!r}" == str(caught.value)


class Unshowable:
    """Fails in `repr`."""

    def __repr__(self) -> str:
        raise LookupError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, "True"),
        (2**64 - 1, "18446744073709551615"),
        (TOO_LARGE, "an integer of 16610 bits"),
        ([TOO_LARGE], "an object of list"),
        (Unshowable(), "an object of Unshowable"),
        ("x" * 10**6, f"'{'x' * 199}..."),
        (type("X", (), {"__repr__": lambda _: "two\nlines"})(), "two lines"),
    ],
    ids=["boolean", "integer", "giant", "list of a giant", "none", "too long", "two lines"],
)
def test_values_in_messages(value: object, expected: str) -> None:
    """A message shows any value on one line of bounded length."""
    assert expected == short_repr(value)


async def asynchronous(_: object) -> None:
    """Return, once awaited."""


class AsynchronousCallable:
    """Is called like a function, and returns a coroutine."""

    __call__ = staticmethod(asynchronous)

    def method(self, _: object) -> None:
        """Do nothing."""


class AsynchronousMethod:
    """Is called like a function, and returns a coroutine."""

    async def __call__(self, _: object) -> None:
        """Return, once awaited."""


@pytest.mark.parametrize("value", [print, [].append, AsynchronousCallable().method, int, functools.partial(print, 1)])
def test_plain_functions(value: Callable[..., object]) -> None:
    """A callable that does not return a coroutine is a plain function."""
    check_plain_function("on_attempt", value)


@pytest.mark.parametrize(
    "value", [None, "print", 1, asynchronous, functools.partial(asynchronous, 1), AsynchronousMethod()]
)
def test_no_plain_functions(value: Any) -> None:
    """A value that is not callable, or returns a coroutine, is a TypeError that names the argument and the value."""
    with pytest.raises(TypeError) as caught:
        check_plain_function("on_attempt", value)

    assert f"on_attempt must be a plain function, got {value!r}" == str(caught.value)


@pytest.mark.parametrize("token", [TOKEN, "x", "!~", "with:colon=and/slash+plus"])
def test_usable_tokens(token: str) -> None:
    """Every token of visible ASCII characters is accepted."""
    check_token(token)


@pytest.mark.parametrize(
    "token",
    [
        f"{TOKEN} ",
        f" {TOKEN}",
        f"{TOKEN}\n",
        f"{TOKEN}\r\nX-Injected: yes",
        f"{TOKEN}\x00",
        f"{TOKEN}\x7f",
        f"{TOKEN}é",
        f"{TOKEN}\ud800",
        f"two {TOKEN}",
        " ",
        "\n",
    ],
)
def test_unusable_tokens(token: str) -> None:
    """A token that does not fit into a header is refused, with a hint, and not shown."""
    with pytest.raises(ConfigurationError) as caught:
        check_token(token)

    expected = "token must consist of visible ASCII characters; is there a space or a line break at its end?"
    assert expected == str(caught.value)


def test_empty_token() -> None:
    """An empty token, such as that of an unset variable of a deployment, is refused with what to do."""
    with pytest.raises(ConfigurationError) as caught:
        check_token("")

    assert "token is empty; set APIFY_TOKEN, or pass a token from Apify Console" == str(caught.value)


@pytest.mark.parametrize("token", [TOKEN.encode(), [TOKEN], {"token": TOKEN}, 1, True])
def test_other_types_are_no_tokens(token: Any) -> None:
    """Another type is a TypeError that names the type, and does not show the value."""
    with pytest.raises(TypeError) as caught:
        check_token(token)

    assert f"token must be a string, got {type(token).__name__}" == str(caught.value)


@given(st.text(min_size=1))
@property_test
def test_tokens_are_never_shown(token: str) -> None:
    """No error shows the token."""
    shown = ""
    try:
        check_token(f"{SECRET}{token}")
    except ConfigurationError as error:
        shown = f"{error!r} {error}"
    assert SECRET not in shown


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        ("https://api.apify.com", "https://api.apify.com"),
        ("https://api.apify.com/", "https://api.apify.com"),
        ("https://api.apify.com//", "https://api.apify.com"),
        ("https://api.apify.com/v2", "https://api.apify.com"),
        ("https://api.apify.com/v2/", "https://api.apify.com"),
        ("https://api.apify.com//v2//", "https://api.apify.com"),
        ("HTTPS://API.Apify.COM/v2", "https://api.apify.com"),
        (" https://api.apify.com\n", "https://api.apify.com"),
        ("https://proxy.example/apify/v2/", "https://proxy.example/apify"),
        ("https://proxy.example/v22", "https://proxy.example/v22"),
        ("https://proxy.example/v2/apify", "https://proxy.example/v2/apify"),
        ("https://proxy.example/a%2Fb%20c/v2", "https://proxy.example/a%2Fb%20c"),
        ("https://proxy.example:8443", "https://proxy.example:8443"),
        ("https://api.apify.com:443", "https://api.apify.com"),
        ("https://192.0.2.1", "https://192.0.2.1"),
        ("https://[2001:db8::1]:8443/v2", "https://[2001:db8::1]:8443"),
        ("https://under_score.example", "https://under_score.example"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        (f"https://{'a' * 63}.example", f"https://{'a' * 63}.example"),
        ("http://localhost:8000/v2", "http://localhost:8000"),
        ("http://LocalHost", "http://localhost"),
        ("http://api.localhost", "http://api.localhost"),
        ("http://127.0.0.1", "http://127.0.0.1"),
        ("http://127.255.255.254:81", "http://127.255.255.254:81"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_usable_base_urls(base_url: str, expected: str) -> None:
    """A base URL may have a port, a path and an address, and may end with the `/v2` that the documentation has."""
    assert expected == str(normalise_base_url(base_url, allow_insecure=False))


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        ("http://proxy.example", "http://proxy.example"),
        ("http://10.0.0.1:8080/v2", "http://10.0.0.1:8080"),
        ("http://127.0.0.1.example", "http://127.0.0.1.example"),
        ("http://notlocalhost", "http://notlocalhost"),
        ("http://localhost.example", "http://localhost.example"),
        ("http://0.0.0.0", "http://0.0.0.0"),
        ("http://[2001:db8::1]", "http://[2001:db8::1]"),
    ],
)
def test_insecure_base_urls(base_url: str, expected: str) -> None:
    """Plain http to a host that is not loopback needs to be allowed."""
    with pytest.raises(ConfigurationError) as caught:
        normalise_base_url(base_url, allow_insecure=False)

    assert (
        f"base_url must begin with https:// unless the host is loopback, got {base_url!r}; "
        "allow_insecure=True sends the token in the clear"
    ) == str(caught.value)
    assert expected == str(normalise_base_url(base_url, allow_insecure=True))


NO_HOST = "base_url must begin with https:// and a host name, got "
NO_USER = "base_url must not contain a user or a password; the token is enough"
NO_CONTROL = "base_url must not contain control characters, got "
NO_QUERY = "base_url must have neither query nor fragment, got "
UNUSABLE = "base_url is not a usable URL: "


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        ("", f"{NO_HOST}''"),
        ("api.apify.com", f"{NO_HOST}'api.apify.com'"),
        ("//api.apify.com", f"{NO_HOST}'//api.apify.com'"),
        ("/v2", f"{NO_HOST}'/v2'"),
        ("https://", f"{NO_HOST}'https://'"),
        ("https:///v2", f"{NO_HOST}'https:///v2'"),
        ("https:api.apify.com", f"{NO_HOST}'https:api.apify.com'"),
        ("ftp://api.apify.com", f"{NO_HOST}'ftp://api.apify.com'"),
        ("file:///etc/passwd", f"{NO_HOST}'file:///etc/passwd'"),
        ("https://api.apify.com ", f"{NO_HOST}'https://api.apify.com '"),
        ("https://api apify.com", f"{NO_HOST}'https://api apify.com'"),
        ("https://api.ap\tify.com", f"{NO_CONTROL}'https://api.ap\\tify.com'"),
        ("https://api.apify.com\n.example", f"{NO_CONTROL}'https://api.apify.com\\n.example'"),
        ("\x01https://api.apify.com", f"{NO_CONTROL}'\\x01https://api.apify.com'"),
        ("https://api.apify.com/\x1b[31m", f"{NO_CONTROL}'https://api.apify.com/\\x1b[31m'"),
        ("https://api.apify.com/\u202ea", f"{NO_CONTROL}'https://api.apify.com/\\u202ea'"),
        (f"https://\x00:{SECRET}@api.apify.com", f"{NO_CONTROL}'https://...@api.apify.com'"),
        (f"https://{SECRET}@api.apify.com", NO_USER),
        (f"https://user:{SECRET}@api.apify.com", NO_USER),
        (f"https://:{SECRET}@api.apify.com", NO_USER),
        (f"user:{SECRET}@api.apify.com", f"{NO_HOST}'...@api.apify.com'"),
        (f"https:user:{SECRET}@api.apify.com", f"{NO_HOST}'...@api.apify.com'"),
        (f"https:\\\\user:{SECRET}@api.apify.com", f"{NO_HOST}'...@api.apify.com'"),
        (f"ftp://api.apify.com?token={SECRET}", f"{NO_HOST}'ftp://api.apify.com?...'"),
        (f"https://api.apify.com?token={SECRET}", f"{NO_QUERY}'https://api.apify.com?...'"),
        (f"https://api.apify.com/v2?token={SECRET}#x", f"{NO_QUERY}'https://api.apify.com/v2?...'"),
        (f"https://api.apify.com#{SECRET}", f"{NO_QUERY}'https://api.apify.com#...'"),
    ],
)
def test_unusable_base_urls(base_url: str, expected: str) -> None:
    """An unusable base URL is refused with the reason, and shown without possible secrets."""
    with pytest.raises(ConfigurationError) as caught:
        normalise_base_url(base_url, allow_insecure=True)

    assert expected == str(caught.value)


@pytest.mark.parametrize(
    ("base_url", "shown"),
    [
        ("https://api.apify.com:99999", "https://api.apify.com:99999"),
        ("https://api.apify.com:https", "https://api.apify.com:https"),
        ("https://[::1", "https://[::1"),
        ("https://api..apify.com", "https://api..apify.com"),
        (f"https://{'a' * 64}.example", f"https://{'a' * 64}.example"),
        (f"https://{'a' * 300}", f"https://{'a' * 300}"),
        ("https://\ud800.example", "https://\ud800.example"),
        (f"https://user:{SECRET}@api.apify.com:x", "https://...@api.apify.com:x"),
        (f"https://user:{SECRET}/@api.apify.com:x", "https://...@api.apify.com:x"),
        (f"https://user:{SECRET}\n@[api", "https://...@[api"),
        (f"https://user:{SECRET}?x@api.apify.com:x", "https://..."),
        (f"https://{SECRET}@[]@", "https://...@"),
        (f"https://user:{SECRET}@\u2100.example", "https://...@\u2100.example"),
    ],
)
def test_unparsable_base_urls(base_url: str, shown: str) -> None:
    """A malformed base URL is refused in one line that shows 200 characters of it, and no password."""
    with pytest.raises(ConfigurationError) as caught:
        normalise_base_url(base_url, allow_insecure=True)

    message = str(caught.value)
    assert message.startswith(f"{UNUSABLE}{repr(shown)[:200]}")
    assert SECRET not in message
    assert message.isprintable()


@pytest.mark.parametrize("base_url", [b"https://api.apify.com", 1, ["https://api.apify.com"]])
def test_other_types_are_no_base_urls(base_url: Any) -> None:
    """Another type is a TypeError."""
    with pytest.raises(TypeError) as caught:
        normalise_base_url(base_url, allow_insecure=True)

    assert f"base_url must be a string, got {base_url!r}" == str(caught.value)


def refusal(base_url: str) -> str:
    """Return the error of a base URL, or an empty text."""
    try:
        url = normalise_base_url(base_url, allow_insecure=True)
    except ConfigurationError as error:
        return f"{error!r} {error}"
    assert (None, None, "", "") == (url.user, url.password, url.query_string, url.fragment)
    return ""


url_texts = st.text(st.sampled_from("h0aé:/?#[]@%.\\ \n\x00\ud800\u2100٣"), max_size=12)


@given(st.text() | url_texts | url_texts.map("https://{}".format))
@property_test
def test_base_url_is_usable_or_a_configuration_error(base_url: str) -> None:
    """Any text is a usable URL, or an error of one line."""
    assert refusal(base_url).isprintable()


@given(st.sampled_from(["https://", "http://", "https:", "", "//"]), url_texts, url_texts, url_texts)
@example("https://", "user:", "[", "[")
@property_test
def test_passwords_are_never_shown(scheme: str, before: str, after: str, host: str) -> None:
    """No error shows the part of a base URL before its @."""
    assert SECRET not in refusal(f"{scheme}{before}{SECRET}{after}@{host}")


@given(st.sampled_from("?#"), url_texts, url_texts)
@property_test
def test_queries_are_never_shown(mark: str, before: str, after: str) -> None:
    """No error shows the query or fragment of a base URL, which may contain a token."""
    assert SECRET not in refusal(f"https://h{mark}{before}{SECRET}{after}")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"token": ""}, ConfigurationError, "token is empty"),
        ({"token": 1}, TypeError, "token must be a string, got int"),
        ({"token": "with space"}, ConfigurationError, "token must consist of visible ASCII characters"),
        ({"base_url": 5}, TypeError, "base_url must be a string, got 5"),
        ({"base_url": "api.apify.com"}, ConfigurationError, "base_url must begin with https://"),
        ({"base_url": "http://proxy.example"}, ConfigurationError, "allow_insecure=True"),
        ({"session": "x"}, TypeError, "session must be an aiohttp.ClientSession, got 'x'"),
        ({"session": object}, TypeError, "session must be an aiohttp.ClientSession, got <class 'object'>"),
        ({"concurrency": 0}, ValueError, "concurrency must be at least 1, got 0"),
        ({"concurrency": 2.0}, TypeError, "concurrency must be an integer, got 2.0"),
        ({"rate_limit": "60"}, TypeError, "rate_limit must be a number, got '60'"),
        ({"rate_limit": 0}, ValueError, "rate_limit must be greater than 0, got 0"),
        ({"rate_limit": 1e-310}, ValueError, "rate_limit must be at least 1e-06, got 1e-310"),
        ({"timeout": math.inf}, ValueError, "timeout must be finite, got inf"),
        ({"timeout": 0.0}, ValueError, "timeout must be greater than 0, got 0.0"),
        ({"timeout": None}, TypeError, "timeout must be a number, got None"),
        ({"retry": 3}, TypeError, "retry must be a RetryPolicy, got 3"),
        ({"max_body_bytes": 2.0}, TypeError, "max_body_bytes must be an integer, got 2.0"),
        ({"max_body_bytes": 0}, ValueError, "max_body_bytes must be at least 1, got 0"),
        ({"allow_insecure": 1}, TypeError, "allow_insecure must be True or False, got 1"),
        ({"on_attempt": 1}, TypeError, "on_attempt must be a plain function, got 1"),
        pytest.param({"on_attempt": asynchronous}, TypeError, "on_attempt must be a plain function", id="asynchronous"),
    ],
    ids=str,
)
def test_client_refuses_what_it_cannot_use(options: dict[str, Any], error: type[Exception], message: str) -> None:
    """The client checks every argument when it is created."""
    with pytest.raises(error, match=message):
        TasksClient(**({"token": TOKEN} | options))


@pytest.mark.parametrize(
    ("on_invalid", "error", "message"),
    [
        ("ignore", ValueError, "on_invalid must be 'raise', 'skip' or a function, got 'ignore'"),
        (None, ValueError, "on_invalid must be 'raise', 'skip' or a function, got None"),
        (asynchronous, TypeError, "on_invalid must be a plain function, got <function asynchronous"),
    ],
    ids=["word", "none", "asynchronous"],
)
def test_on_invalid_is_checked(on_invalid: Any, error: type[Exception], message: str) -> None:
    """A walk refuses other words, and functions that return a coroutine."""
    with pytest.raises(error, match=message):
        TasksClient(TOKEN).iter_pages(on_invalid=on_invalid)


def test_number_above_the_maximum() -> None:
    """The maximum itself is valid; a larger number is a ValueError."""
    check_number("probability", 1, maximum=1)
    with pytest.raises(ValueError, match=r"\Aprobability must be at most 1, got 1\.5\Z"):
        check_number("probability", 1.5, maximum=1)


def test_text() -> None:
    """A text is a non-empty string."""
    check_text("name", "x")
    with pytest.raises(TypeError, match=r"\Aname must be a string, got 5\Z"):
        check_text("name", 5)
    with pytest.raises(ValueError, match=r"\Aname must not be empty\Z"):
        check_text("name", "")


@pytest.mark.parametrize("value", [None, True, [], 1.5])
def test_other_types_are_no_instances(value: Any) -> None:
    """A value of another type is a TypeError that names the types. A bool is not an int."""
    check_instance("body", "x", kinds=(str, int))
    with pytest.raises(TypeError) as caught:
        check_instance("body", value, kinds=(str, int))

    assert f"body must be str or int, got {value!r}" == str(caught.value)


@attrs.frozen
class Options:
    """A class with a required and an optional field."""

    _limit: Any = attrs.field(default=1, alias="limit", validator=validator(check_integer, minimum=1))
    delay: Any = attrs.field(default=None, validator=validator(check_number, optional=True, above=0))


def test_validators() -> None:
    """A validator names the argument. Only an optional field accepts None."""
    Options(2, delay=0.5)
    with pytest.raises(ValueError, match=r"\Alimit must be at least 1, got 0\Z"):
        Options(0)
    with pytest.raises(TypeError, match=r"\Alimit must be an integer, got None\Z"):
        Options(None)
    with pytest.raises(ValueError, match=r"\Adelay must be greater than 0, got 0\Z"):
        Options(delay=0)


@pytest.mark.parametrize("quoted", ['"{}"', "'{}'", '{}"'])
def test_a_token_in_quotes(quoted: str) -> None:
    """A token in quotes, as from a file of settings, is refused before the API refuses it."""
    with pytest.raises(ConfigurationError, match=r"^token is in quotes; remove them$"):
        TasksClient(quoted.format(TOKEN))
