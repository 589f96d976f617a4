"""realtime/config/dial_rules.py: who may be called, and who may call."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.realtime.admission.auth import Denied
from vivavoce.realtime.config.dial_rules import Dialling, bad_pattern, canonical
from vivavoce.realtime.config.errors import NotAllowed
from vivavoce.realtime.telephony import Direction, PhoneCall
from vivavoce.realtime.telephony.call_limits import LOOP_SECONDS, CallLimits, Limits, sip_status

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


# --- incoming ------------------------------------------------------------------------------------------------------

NUMBERS = count()


def call(caller: str = ANNA, headers: tuple[tuple[str, str], ...] = (), direction: Direction = "incoming") -> PhoneCall:
    return PhoneCall(f"rtc_{next(NUMBERS)}", "sip", direction, caller, headers=headers)


def admit(guard: CallLimits, call: PhoneCall, now: float, stays: bool = True) -> int:
    """The answer as SIP gives it: 180, it rings."""
    try:
        guard.admit(call, now)
    except Denied as denied:
        return sip_status(denied)
    if not stays:
        guard.left(call)
    return 180


def test_a_caller_may_call_and_again_when_it_has_hung_up() -> None:
    guard = CallLimits(Limits(per_caller=1))
    for minute in range(3):
        one = call()
        assert admit(guard, one, 60.0 * minute) == 180
        assert len(guard) == 1
        guard.left(one)
        assert len(guard) == 0


def test_one_caller_has_so_many_calls_at_a_time_however_it_writes_itself() -> None:
    guard = CallLimits(Limits(per_caller=2))
    assert admit(guard, call("sip:anna@example.org"), 0) == 180
    assert admit(guard, call('"Anna" <sip:ANNA@example.org;user=phone>;tag=1'), 10) == 180
    assert admit(guard, call("anna@example.org"), 20) == 486
    assert admit(guard, call("sip:bob@example.org"), 21) == 180


def test_one_caller_begins_so_many_calls_a_minute() -> None:
    guard = CallLimits(Limits(per_minute=3))
    assert [admit(guard, call(), second, stays=False) for second in (0, 10, 20, 31, 95)] == [180, 180, 180, 180, 180]
    guard = CallLimits(Limits(per_minute=2))
    assert [admit(guard, call(), second, stays=False) for second in (0, 5, 10, 95)] == [180, 180, 503, 180]


def test_all_callers_together_have_limits_too() -> None:
    guard = CallLimits(Limits(calls=2))
    assert [admit(guard, call(str(n)), 0) for n in range(3)] == [180, 180, 503]
    assert admit(guard, call(direction="outgoing"), 0) == 503
    guard = CallLimits(Limits(all_per_minute=2))
    assert [admit(guard, call(str(n)), 0) for n in range(3)] == [180, 180, 503]
    assert admit(guard, call(direction="outgoing"), 0) == 180


def test_a_call_that_has_come_too_far_is_refused() -> None:
    guard = CallLimits(Limits())
    assert admit(guard, call(headers=(("Max-Forwards", "1"),)), 0) == 180
    assert admit(guard, call(headers=(("max-forwards", " 0 "),)), 10) == 483


def test_a_call_of_our_own_is_a_loop() -> None:
    guard = CallLimits(Limits())
    guard.claim(("sip:voice@10.0.0.5", "10.0.0.5:5060"))
    assert admit(guard, call("sip:voice@10.0.0.5"), 0) == 482
    hops = "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1, SIP/2.0/UDP 10.0.0.5:5060;rport;branch=z9hG4bK2"
    assert admit(guard, call(headers=(("Via", hops),)), 10) == 482
    assert admit(guard, call(headers=(("Via", hops.split(",")[0]), ("Via", " , ;"))), 20) == 180


def test_a_machine_that_calls_in_a_circle_is_a_loop_and_a_person_who_redials_is_not() -> None:
    def redials(pause: float) -> list[int]:
        guard = CallLimits(Limits(per_minute=100))
        return [admit(guard, call(), number * pause, stays=False) for number in range(8)]

    assert redials(LOOP_SECONDS / 4) == [180, 180, 180, 482, 482, 482, 482, 482]  # for as long as it goes on
    assert redials(LOOP_SECONDS / 2) == [180] * 8


def test_callers_who_withhold_their_number_share_only_the_limits_for_all() -> None:
    guard = CallLimits(Limits(per_caller=1, per_minute=1, calls=20))
    for withheld in ("", "sip:anonymous@anonymous.invalid", "Restricted", "unknown") * 4:
        assert admit(guard, call(withheld), 0) == 180
    assert len(guard) == 16


def test_a_refusal_names_no_number() -> None:
    guard = CallLimits(Limits(per_caller=1))
    guard.claim(("+493012345",))
    guard.admit(call("+49301"), 0)
    for caller in ("+49301", "+493012345"):
        with pytest.raises(Denied) as denied:
            guard.admit(call(caller), 10)
        assert "4930" not in str(denied.value)


def test_callers_are_forgotten_before_they_fill_the_memory() -> None:
    guard = CallLimits(Limits(calls=10**6, all_per_minute=10**6))
    for number in range(6000):
        assert admit(guard, call(str(number)), number / 100, stays=False) == 180
    assert len(guard._recent) <= 4096
    assert len(guard) == 0
