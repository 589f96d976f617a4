"""Limits of phone calls: per caller, for all together, and loops."""

from __future__ import annotations

from itertools import count

import pytest

from vivavoce.realtime.admission.auth import Denied
from vivavoce.realtime.telephony import Direction, PhoneCall
from vivavoce.realtime.telephony.call_limits import LOOP_SECONDS, CallLimits, Limits, sip_status

ANNA = "sip:anna@example.org"
NUMBERS = count()


def call(caller: str = ANNA, headers: tuple[tuple[str, str], ...] = (), direction: Direction = "incoming") -> PhoneCall:
    return PhoneCall(f"rtc_{next(NUMBERS)}", "sip", direction, caller, headers=headers)


def admit(guard: CallLimits, call: PhoneCall, now: float, stays: bool = True) -> int:
    """The SIP status of the answer; 180: it rings."""
    try:
        guard.admit(call, now)
    except Denied as denied:
        return sip_status(denied)
    if not stays:
        guard.release(call)
    return 180


def test_a_caller_may_call_again_after_hanging_up() -> None:
    guard = CallLimits(Limits(per_caller=1))
    for minute in range(3):
        one = call()
        assert admit(guard, one, 60.0 * minute) == 180
        assert len(guard) == 1
        guard.release(one)
        assert len(guard) == 0


def test_calls_of_one_caller_are_limited_in_every_notation() -> None:
    guard = CallLimits(Limits(per_caller=2))
    assert admit(guard, call("sip:anna@example.org"), 0) == 180
    assert admit(guard, call('"Anna" <sip:ANNA@example.org;user=phone>;tag=1'), 10) == 180
    assert admit(guard, call("anna@example.org"), 20) == 486
    assert admit(guard, call("sip:bob@example.org"), 21) == 180


def test_calls_of_one_caller_are_limited_per_minute() -> None:
    guard = CallLimits(Limits(per_minute=3))
    assert [admit(guard, call(), second, stays=False) for second in (0, 10, 20, 31, 95)] == [180, 180, 180, 180, 180]
    guard = CallLimits(Limits(per_minute=2))
    assert [admit(guard, call(), second, stays=False) for second in (0, 5, 10, 95)] == [180, 180, 503, 180]


def test_calls_of_all_callers_are_limited() -> None:
    guard = CallLimits(Limits(calls=2))
    assert [admit(guard, call(str(n)), 0) for n in range(3)] == [180, 180, 503]
    assert admit(guard, call(direction="outgoing"), 0) == 503
    guard = CallLimits(Limits(all_per_minute=2))
    assert [admit(guard, call(str(n)), 0) for n in range(3)] == [180, 180, 503]
    assert admit(guard, call(direction="outgoing"), 0) == 180


def test_a_call_without_hops_left_is_denied() -> None:
    guard = CallLimits(Limits())
    assert admit(guard, call(headers=(("Max-Forwards", "1"),)), 0) == 180
    assert admit(guard, call(headers=(("max-forwards", " 0 "),)), 10) == 483


def test_a_call_from_this_server_is_a_loop() -> None:
    guard = CallLimits(Limits())
    guard.claim(("sip:voice@10.0.0.5", "10.0.0.5:5060"))
    assert admit(guard, call("sip:voice@10.0.0.5"), 0) == 482
    hops = "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1, SIP/2.0/UDP 10.0.0.5:5060;rport;branch=z9hG4bK2"
    assert admit(guard, call(headers=(("Via", hops),)), 10) == 482
    assert admit(guard, call(headers=(("Via", hops.split(",")[0]), ("Via", " , ;"))), 20) == 180


def test_rapid_calls_are_a_loop_and_redialling_is_not() -> None:
    def redials(pause: float) -> list[int]:
        guard = CallLimits(Limits(per_minute=100))
        return [admit(guard, call(), number * pause, stays=False) for number in range(8)]

    assert redials(LOOP_SECONDS / 4) == [180, 180, 180, 482, 482, 482, 482, 482]  # for as long as it goes on
    assert redials(LOOP_SECONDS / 2) == [180] * 8


def test_callers_with_a_withheld_number_have_only_the_limits_for_all() -> None:
    guard = CallLimits(Limits(per_caller=1, per_minute=1, calls=20))
    for withheld in ("", "sip:anonymous@anonymous.invalid", "Restricted", "unknown") * 4:
        assert admit(guard, call(withheld), 0) == 180
    assert len(guard) == 16


def test_a_denial_names_no_number() -> None:
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
