"""realtime/admission/auth.py."""

from collections.abc import Mapping
from typing import Any

import pytest

from vivavoce.realtime.admission.auth import KEY_PROTOCOL, SECRET_PREFIX, Denied, check, check_session
from vivavoce.realtime.config import ServerConfig

OPEN = ServerConfig()
KEYED = ServerConfig(host="0.0.0.0", keys=("sesame", "schlüssel"))
HOST = {"host": "talk.example.org"}
SECRETS = {SECRET_PREFIX + "open": {"voice": "joe"}}


def authenticate(
    config: ServerConfig, headers: dict[str, str], protocols: tuple[str, ...] = ()
) -> Mapping[str, Any] | None:
    return check_session(config, headers, SECRETS.get, protocols)


def denial(config: ServerConfig, headers: dict[str, str], protocols: tuple[str, ...] = ()) -> tuple[int, str]:
    with pytest.raises(Denied) as denied:
        authenticate(config, headers, protocols)
    return denied.value.status, denied.value.code


@pytest.mark.parametrize("host", ["localhost:8790", "127.0.0.1:8790", "127.0.0.2", "[::1]:8790", "LOCALHOST"])
def test_without_keys_loopback_hosts_are_allowed(host: str) -> None:
    for headers in ({"host": host}, {"host": host, "origin": f"http://{host}"}):
        assert authenticate(OPEN, headers) is None
        check(OPEN, headers)


@pytest.mark.parametrize("host", ["evil.example.org", "localhost.evil.org", "10.0.0.1", "", "[::1", "["])
def test_without_keys_other_hosts_are_refused(host: str) -> None:
    assert denial(OPEN, {"host": host}) == (403, "wrong_host")


def test_without_keys_a_request_without_host_is_refused() -> None:
    assert denial(OPEN, {}) == (403, "wrong_host")


@pytest.mark.parametrize("origin", ["https://evil.example.org", "null", "", "http://localhost:9999", "http://["])
def test_other_origins_are_refused(origin: str) -> None:
    assert denial(OPEN, {"host": "localhost:8790", "origin": origin}) == (403, "wrong_origin")


@pytest.mark.parametrize("origins", [("https://app.example.org",), ("*",)])
def test_allowed_origins_are_accepted(origins: tuple[str, ...]) -> None:
    config = ServerConfig(keys=("sesame",), origins=origins)
    authenticate(config, {**HOST, "origin": "https://app.example.org", "authorization": "Bearer sesame"})


def test_our_own_page_needs_the_key_too() -> None:
    assert denial(KEYED, {**HOST, "origin": "https://talk.example.org"}) == (401, "missing_api_key")


@pytest.mark.parametrize(
    "presented",
    [
        {"headers": {"authorization": "Bearer sesame"}},
        {"headers": {"authorization": "bearer  sesame "}},
        {"headers": {"authorization": "Bearer schlüssel"}},
        {"headers": {}, "protocols": ("realtime", KEY_PROTOCOL + "sesame")},
    ],
)
def test_a_key_is_accepted(presented: dict[str, Any]) -> None:
    assert authenticate(KEYED, HOST | presented["headers"], presented.get("protocols", ())) is None


@pytest.mark.parametrize(
    ("headers", "protocols", "code"),
    [
        ({"authorization": "Bearer sesam"}, (), "invalid_api_key"),
        ({"authorization": "Bearer "}, (), "missing_api_key"),
        ({"authorization": "Basic sesame"}, (), "missing_api_key"),
        ({}, ("realtime",), "missing_api_key"),
        ({}, (KEY_PROTOCOL + "sesam",), "invalid_api_key"),
    ],
)
def test_a_wrong_key_is_refused(headers: dict[str, str], protocols: tuple[str, ...], code: str) -> None:
    assert denial(KEYED, HOST | headers, protocols) == (401, code)


def test_a_denial_reveals_nothing_of_the_keys() -> None:
    with pytest.raises(Denied) as denied:
        authenticate(KEYED, HOST | {"authorization": "Bearer guess"})
    assert not any(word in str(denied.value) for word in ("sesame", "guess"))


@pytest.mark.parametrize("config", [KEYED, OPEN])
def test_a_client_secret_opens_its_session_and_nothing_else(config: ServerConfig) -> None:
    headers = {"host": "localhost", "authorization": f"Bearer {SECRET_PREFIX}open"}
    assert authenticate(config, headers) == {"voice": "joe"}
    with pytest.raises(Denied, match="not known here, or has expired"):
        authenticate(config, {"host": "localhost"}, (f"{KEY_PROTOCOL}{SECRET_PREFIX}guess",))
    if config.keys:
        with pytest.raises(Denied, match="API key is not known"):
            check(config, headers)


def test_a_subprotocol_key_opens_sessions_only() -> None:
    check(KEYED, HOST | {"authorization": "Bearer sesame"})
    with pytest.raises(Denied, match="An API key is needed"):
        check(KEYED, HOST)
