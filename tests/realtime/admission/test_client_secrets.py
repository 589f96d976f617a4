"""realtime/admission/client_secrets.py."""

import contextlib
import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.realtime.admission.auth import SECRET_PREFIX, Denied
from vivavoce.realtime.admission.client_secrets import DEFAULT_LIFETIME, ClientSecrets, read_request
from vivavoce.realtime.wire.errors import Refused


def counting() -> Callable[[], str]:
    numbers = itertools.count()
    return lambda: str(next(numbers))


def test_a_secret_has_its_session_config_until_it_expires() -> None:
    secrets = ClientSecrets(counting())
    value, expires_at = secrets.issue({"voice": "joe"}, 600, now=1000.7)
    assert value.startswith(SECRET_PREFIX)
    assert expires_at == 1600
    assert secrets.find(value, 1599.9) == {"voice": "joe"}
    assert secrets.find(value, 1599.9) == {"voice": "joe"}, "it opens more than one session"
    assert secrets.find(value, 1600) is None


@pytest.mark.parametrize("value", ["", SECRET_PREFIX, "ek_1 ", "EK_0", "ek_\udcff"])
def test_a_string_that_was_never_issued_is_unknown(value: str) -> None:
    secrets = ClientSecrets(counting())
    secrets.issue({}, 600, 0)
    assert secrets.find(value, 1) is None


def test_secrets_themselves_are_not_kept() -> None:
    secrets = ClientSecrets(lambda: "unforgettable")
    secrets.issue({}, 600, 0)
    assert "unforgettable" not in repr(vars(secrets))


def test_secrets_are_bounded_and_expired_ones_make_room() -> None:
    secrets = ClientSecrets(counting(), max_kept=2)
    secrets.issue({}, 10, 0)
    secrets.issue({}, 20, 0)
    with pytest.raises(Denied, match="2 client secrets"):
        secrets.issue({}, 10, 9)
    value, _ = secrets.issue({}, 10, 10)
    assert secrets.find(value, 15) == {}


def test_each_key_has_a_bound_of_its_own_in_number_and_in_bytes() -> None:
    secrets = ClientSecrets(counting(), max_kept=3, max_bytes=250)
    large = {"instructions": "x" * 100}
    for _ in range(2):
        secrets.issue(large, 10, 0, "greedy")
    with pytest.raises(Denied, match="2 client secrets of this key") as denied:
        secrets.issue(large, 10, 0, "greedy")
    assert (denied.value.status, denied.value.code) == (429, "rate_limit_exceeded")
    secrets.issue({}, 10, 0, "greedy")
    with pytest.raises(Denied, match="3 client secrets"):
        secrets.issue({}, 10, 0, "greedy")
    value, _ = secrets.issue(large, 10, 0, "modest")
    assert secrets.find(value, 1) == large
    secrets.issue(large, 10, 11, "greedy")


@pytest.mark.parametrize(
    ("body", "seconds", "config"),
    [
        (b"", DEFAULT_LIFETIME, {}),
        (b"{}", DEFAULT_LIFETIME, {}),
        (b'{"session": null, "expires_after": null}', DEFAULT_LIFETIME, {}),
        (b'{"expires_after": {"anchor": "created_at", "seconds": 10}}', 10, {}),
        (b'{"session": {"type": "transcription"}}', DEFAULT_LIFETIME, {"type": "transcription"}),
    ],
)
def test_a_request_may_set_lifetime_and_session(body: bytes, seconds: int, config: dict[str, str]) -> None:
    request = read_request(body)
    assert (request.seconds, request.config) == (seconds, config)


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"{", "invalid_json", None),
        (b"\xff", "invalid_json", None),
        (b'{"session": {"a": ' + b"[" * 100_000, "invalid_json", None),
        (b"[]", "invalid_type", None),
        (b'{"sesion": {}}', "unknown_parameter", "sesion"),
        (b'{"session": []}', "invalid_type", "session"),
        (b'{"expires_after": {"seconds": 9}}', "integer_below_min_value", "expires_after.seconds"),
        (b'{"expires_after": {"seconds": 7201}}', "integer_above_max_value", "expires_after.seconds"),
        (b'{"expires_after": {"anchor": "now"}}', "invalid_value", "expires_after.anchor"),
    ],
)
def test_a_request_that_cannot_be_read_is_refused_with_its_path(body: bytes, code: str, param: str | None) -> None:
    with pytest.raises(Refused) as refused:
        read_request(body)
    assert (refused.value.code, refused.value.param) == (code, param)
    assert refused.value.message


@given(st.binary(max_size=200))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(Refused):
        read_request(body)
