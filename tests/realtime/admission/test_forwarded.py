"""realtime/admission/forwarded.py: whose address counts when proxies stand in between."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.realtime.admission.forwarded import client_address
from vivavoce.realtime.config import ServerConfig

PROXIES = ServerConfig(trusted_proxies=("10.0.0.0/8", "2001:db8::1")).is_proxy


@pytest.mark.parametrize(
    ("peer", "x_forwarded_for", "forwarded", "client"),
    [
        ("192.0.2.1", "198.51.100.7", "for=198.51.100.7", "192.0.2.1"),  # anyone can write such a header
        ("10.0.0.1", "", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7", "", "198.51.100.7"),
        ("::ffff:10.0.0.1", "198.51.100.7", "", "198.51.100.7"),
        ("2001:db8::1", "2001:db8::99", "", "2001:db8::99"),
        ("10.0.0.1", "1.2.3.4, 198.51.100.7", "", "198.51.100.7"),  # the client wrote the first one itself
        ("10.0.0.1", "198.51.100.7, 10.0.0.2", "", "198.51.100.7"),  # two proxies of ours
        ("10.0.0.1", "198.51.100.7:4711", "", "198.51.100.7"),
        ("10.0.0.1", "[2001:db8::99]:4711", "", "2001:db8::99"),
        ("10.0.0.1", "198.51.100.7, unknown", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7,", "", "10.0.0.1"),
        ("10.0.0.1", "", "for=198.51.100.7;proto=https;by=10.0.0.1", "198.51.100.7"),
        ("10.0.0.1", "", 'for=1.2.3.4, For="[2001:db8::99]:4711"', "2001:db8::99"),
        ("10.0.0.1", "", "proto=https", "10.0.0.1"),
        ("10.0.0.1", "", "for=_hidden", "10.0.0.1"),
        ("10.0.0.1", "", "for=1.2.3.4;for=198.51.100.7", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7", "for=198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "198.51.100.7", "for=1.2.3.4", "10.0.0.1"),  # one of them passed our proxy unread
    ],
)
def test_a_header_is_believed_as_far_as_proxies_are_trusted(
    peer: str, x_forwarded_for: str, forwarded: str, client: str
) -> None:
    assert client_address(peer, x_forwarded_for, forwarded, PROXIES) == client


@given(st.text(max_size=60), st.text(max_size=60))
def test_whatever_the_headers_say_the_answer_is_an_address(x_forwarded_for: str, forwarded: str) -> None:
    client = client_address("10.0.0.1", x_forwarded_for, forwarded, PROXIES)
    assert client
    assert client_address("192.0.2.1", x_forwarded_for, forwarded, PROXIES) == "192.0.2.1"


def test_without_a_setting_no_proxy_is_trusted() -> None:
    assert not ServerConfig().is_proxy("127.0.0.1")
