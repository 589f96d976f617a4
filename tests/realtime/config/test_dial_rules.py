"""Dial rules: numbers and addresses that may be called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.realtime.config.dial_rules import Dialling, bad_pattern, canonical
from vivavoce.realtime.config.errors import NotAllowed

ANNA = "sip:anna@example.org"


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("+49 (30) 123-45", "+493012345"),
        ("tel:+49.30.12345", "+493012345"),
        ("TEL:112", "112"),
        ("100", "100"),
        ("sip:Anna@EXAMPLE.org.", "sip:Anna@example.org"),
        ("SIPS:100@10.0.0.1:5061", "sips:100@10.0.0.1:5061"),
        ("sip:a@[2001:db8::1]:5070", "sip:a@[2001:db8::1]:5070"),
    ],
)
def test_an_address_has_one_form(written: str, plain: str) -> None:
    assert canonical(written) == plain


@pytest.mark.parametrize(
    "trick",
    [
        "",
        "anna@example.org",
        "http://example.org",
        "tel:+49;postd=900",
        "tel:+49;phone-context=+1900",
        "sip:100@pbx.example.org;transport=tcp",
        "sip:100@pbx.example.org?Replaces=x",
        "sip:100@pbx.example.org@evil.example",
        "sip:100:secret@pbx.example.org",
        "sip:%2B1900@pbx.example.org",
        "sip:100@pbx.example.org\r\nRefer-To: sip:evil@example.com",
        "+49\n1900",
        "٠١٢٣",  # digits, but of another script
        "1" * 300,
        "sip:@example.org",
    ],
)
def test_what_could_slip_past_a_pattern_is_no_address(trick: str) -> None:
    with pytest.raises(NotAllowed):
        canonical(trick)


def test_nothing_may_be_dialled_unless_the_settings_say_so() -> None:
    for target in ("+493012345", ANNA, "100"):
        with pytest.raises(NotAllowed, match=r"phone\.outbound"):
            Dialling(()).check(target)


def test_patterns_allow_and_forbid_and_forbidding_wins() -> None:
    dialling = Dialling(("+49*", "!+49900*", "sip:*@PBX.example.org", "!sip:0*@pbx.example.org", "100"))
    assert dialling.check("tel:+49-30-12345") == "+493012345"
    assert dialling.check("100") == "100"
    assert dialling.check("sip:anna@pbx.example.org") == "sip:anna@pbx.example.org"
    for refused in (
        "+499001234",
        "+1900555",
        "1001",
        "10",
        "sip:00499001234@pbx.example.org",
        "sip:anna@pbx.example.org:5080",
        "sip:anna@pbx.example.org.evil.example",
        ANNA,
    ):
        with pytest.raises(NotAllowed):
            dialling.check(refused)


def test_a_number_never_matches_a_pattern_of_addresses_nor_the_other_way_round() -> None:
    with pytest.raises(NotAllowed):
        Dialling(("sip:*@*",)).check("+49301")
    with pytest.raises(NotAllowed):
        Dialling(("+49*",)).check("sip:+49301@example.org")


@pytest.mark.parametrize("pattern", ["*", "+*", "", "!", "4*9", "sip:*", "anna@example.org", "+49 30", "http://*@x"])
def test_a_pattern_that_is_none_or_allows_the_world_is_named(pattern: str) -> None:
    assert repr(pattern) in bad_pattern(pattern)
    with pytest.raises(ValueError, match=r"pattern|every number"):
        Dialling((pattern,))


def test_targets_of_the_settings_may_be_called_as_they_are() -> None:
    dialling = Dialling((), targets=("+49 30 12345", "sip:desk@pbx.example.org"))
    assert dialling.check("tel:+493012345") == "+493012345"
    assert dialling.check("sip:desk@PBX.example.org") == "sip:desk@pbx.example.org"
    with pytest.raises(NotAllowed):
        dialling.check("+4930123456")


def test_what_is_refused_names_no_number() -> None:
    with pytest.raises(NotAllowed) as refused:
        Dialling(("+49*",)).check("+15551234")
    assert "555" not in str(refused.value)


@given(st.text(max_size=60))
def test_whatever_is_asked_for_only_what_matches_is_dialled(target: str) -> None:
    try:
        plain = Dialling(("+49*", "sip:*@pbx.example.org")).check(target)
    except NotAllowed:
        return
    assert plain.isascii()
    assert plain.startswith("+49") or plain.endswith("@pbx.example.org")
    assert not set(plain) & set(" \r\n;?&%<>\"'")
