"""Whole SIP calls between two user agents in memory, with and without lost messages."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from aiosipua import SipMessage, SipRequest, SipResponse

from harness.sip_pair import Message, Pair, message_name, names
from vivavoce.realtime.telephony import DtmfReceived
from vivavoce.realtime.telephony.errors import CallCancelled
from vivavoce.realtime.telephony.sip.dialog import (
    Answered,
    CallFailed,
    MediaChanged,
    Rang,
    Referred,
    State,
    Terminated,
)
from vivavoce.realtime.telephony.sip.messages import Remote
from vivavoce.realtime.telephony.sip.sdp import create_answer, create_offer


def test_a_call_rings_is_answered_and_ends() -> None:
    pair = Pair()
    ours, theirs = pair.talk()
    assert [type(event) for event in pair.anna.events] == [Rang, Answered]
    assert ours.media is not None
    assert theirs.media is not None
    assert (ours.media.codec, ours.media.host, ours.media.port) == ("opus", "10.0.0.2", 40_000)
    assert (theirs.media.codec, theirs.media.host, theirs.media.event_clock_hz) == ("opus", "10.0.0.1", 48_000)
    ours.hang_up()
    pair.settle()
    assert pair.bob.events == [Terminated("the far end hung up")]
    expected = ["INVITE", "100 INVITE", "180 INVITE", "200 INVITE", "ACK", "BYE", "200 BYE"]
    assert names(pair.sent) == expected


def test_the_called_side_may_hang_up_too() -> None:
    pair = Pair()
    _, theirs = pair.talk()
    theirs.hang_up()
    pair.settle()
    assert pair.anna.events[-1] == Terminated("the far end hung up")
    assert not len(pair.anna.user_agent)


@pytest.mark.parametrize("seed", range(25))
def test_a_call_survives_lost_messages(seed: int) -> None:
    dice = random.Random(seed)
    pair = Pair(lost=lambda number, message: dice.random() < 0.3)
    ours = pair.call()
    while not pair.bob.all_events:
        pair.later(1)
    pair.bob.dialog.answer(pair.bob.local)
    pair.later(31)
    theirs = pair.bob.dialog
    assert [ours.state, theirs.state] == [State.CONFIRMED] * 2
    ours.hang_up()
    pair.later(31)
    assert [ours.state, theirs.state] == [State.TERMINATED] * 2


def test_nothing_is_retransmitted_over_tcp() -> None:
    pair = Pair(protocol="TCP", lost=lambda number, message: message_name(message) == "ACK")
    pair.talk()
    pair.later(20)
    assert (pair.count("INVITE"), pair.count("200 INVITE")) == (1, 1)


def test_a_call_that_is_never_acknowledged_ends() -> None:
    pair = Pair(lost=lambda number, message: message_name(message) == "ACK")
    pair.talk()
    pair.later(40)
    assert Terminated("the far end is gone") in pair.bob.events
    assert pair.count("200 INVITE") >= 8
    assert pair.count("BYE") >= 1


def test_a_repeated_invite_is_one_call() -> None:
    pair = Pair()
    pair.call()
    invite = bytes(pair.sent[0])
    for _ in range(3):
        pair.bob.all_events += pair.bob.user_agent.receive(invite, pair.anna.at, pair.now)
    assert len(pair.bob.user_agent) == 1
    assert len(pair.bob.all_events) == 1


def test_no_response_is_408_after_half_a_minute() -> None:
    pair = Pair(lost=lambda number, message: True)
    pair.call()
    pair.later(33)
    assert pair.anna.events == [CallFailed(408)]
    assert pair.count("INVITE") == 7


@pytest.mark.parametrize("status", [486, 503, 603])
def test_a_rejection_is_reported_and_acknowledged(status: int) -> None:
    pair = Pair()
    pair.call()
    pair.bob.dialog.reject(status, {"Retry-After": "30"})
    pair.settle()
    assert pair.anna.events == [CallFailed(status)]
    assert names(pair.sent)[-2:] == [f"{status} INVITE", "ACK"]
    pair.later(40)
    assert pair.count(f"{status} INVITE") == 1
    assert not len(pair.anna.user_agent)
    assert not len(pair.bob.user_agent)


def test_giving_up_a_ringing_call_sends_cancel() -> None:
    pair = Pair()
    ours = pair.call()
    pair.bob.dialog.ring()
    pair.settle()
    ours.cancel()
    pair.settle()
    assert pair.bob.events == [Terminated("the far end gave up ringing")]
    assert pair.anna.events == [Rang(), CallFailed(487)]
    assert not len(pair.bob.user_agent)


def test_an_answer_that_crosses_the_cancel_is_hung_up() -> None:
    pair = Pair()
    ours = pair.call()
    pair.bob.dialog.answer(pair.bob.local)
    ours.cancel()
    pair.settle()
    assert pair.anna.events == [CallFailed(487)]
    assert Terminated("the far end hung up") in pair.bob.events


def test_a_cancelled_call_cannot_be_answered() -> None:
    pair = Pair()
    ours = pair.call()
    dialog = pair.bob.dialog
    ours.cancel()
    pair.settle()
    with pytest.raises(CallCancelled):
        dialog.answer(pair.bob.local)


def test_hold_and_resume_change_the_media() -> None:
    pair = Pair()
    _, theirs = pair.talk()
    for direction, can_send in (("sendonly", False), ("inactive", False), ("sendrecv", True)):
        _reinvite(pair, _replace("a=sendrecv", f"a={direction}"))
        changed = pair.bob.events[-1]
        assert isinstance(changed, MediaChanged)
        assert changed.media.can_send is can_send
    assert "a=recvonly" in _last(pair, "200 INVITE", 3).text
    assert theirs.state is State.CONFIRMED


def test_an_address_of_zeros_holds_the_call() -> None:
    pair = Pair()
    pair.talk()
    _reinvite(pair, _replace("10.0.0.1", "0.0.0.0"))
    changed = pair.bob.events[-1]
    assert isinstance(changed, MediaChanged)
    assert not changed.media.can_send


def test_an_offer_that_is_not_acceptable_leaves_the_call_as_it_was() -> None:
    pair = Pair()
    _, theirs = pair.talk()
    before = theirs.media
    _reinvite(pair, _replace("RTP/AVP", "RTP/SAVP"))
    assert pair.count("488 INVITE") == 1
    assert theirs.media == before


def test_an_invite_without_an_offer_gets_one() -> None:
    pair = Pair()
    pair.call()
    invite = pair.sent[0]
    assert isinstance(invite, SipRequest)
    bare = _changed(invite, branch="z9hG4bKbare", call_id="bare", body="")
    pair.bob.all_events += pair.bob.user_agent.receive(bare, pair.anna.at, pair.now)
    dialog = pair.bob.dialog
    assert dialog.answer(pair.bob.local) is None
    (sent, _), *_ = [out for out in pair.bob.user_agent.to_send() if b"SIP/2.0 200" in out[0]]
    accepted = SipMessage.parse(sent)
    assert "m=audio 40000" in accepted.text
    ack = SipRequest(method="ACK", uri="sip:bob@10.0.0.2")
    for name in ("From", "Call-ID"):
        ack.headers.set_single(name, accepted.headers.get_first(name) or "")
    ack.headers.set_single("Via", "SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKack")
    ack.headers.set_single("To", accepted.headers.get_first("to") or "")
    ack.headers.set_single("CSeq", "1 ACK")
    ack.text, _ = create_answer(accepted.text, pair.anna.local)
    pair.bob.all_events += pair.bob.user_agent.receive(bytes(ack), pair.anna.at, pair.now)
    changed = pair.bob.events[-1]
    assert isinstance(changed, MediaChanged)
    assert changed.media.host == "10.0.0.1"


@pytest.mark.parametrize(
    ("kind", "body", "key"),
    [
        ("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", "5"),
        ("application/dtmf-relay", "Signal= *\r\nDuration= 160\r\n", "*"),
        ("application/dtmf-relay", "Signal=11\r\nDuration=160\r\n", "#"),
        ("application/dtmf", "d", "D"),
    ],
)
def test_dtmf_by_info_is_received(kind: str, body: str, key: str) -> None:
    pair = Pair()
    ours, _ = pair.talk()
    pair.anna.user_agent.sender.send(
        pair.anna.user_agent.sender.create_request(ours.ids, "INFO", pair.bob.at, body, kind), pair.bob.at
    )
    pair.settle()
    assert pair.bob.events == [DtmfReceived(key)]
    assert pair.count("200 INFO") == 1


def test_dtmf_that_we_send_by_info_is_received() -> None:
    pair = Pair()
    ours, _ = pair.talk()
    ours.send_info("7")
    pair.settle()
    assert pair.bob.events == [DtmfReceived("7")]


def test_refer_from_a_caller_is_declined() -> None:
    pair = Pair()
    ours, theirs = pair.talk()
    ours.refer("sip:+900123@10.0.0.9")
    pair.settle()
    assert pair.anna.events[-1] == Referred(603)
    assert theirs.state is State.CONFIRMED


def test_the_progress_of_a_transfer_is_reported() -> None:
    pair = Pair()
    ours, theirs = pair.talk()
    for line in ("SIP/2.0 100 Trying", "SIP/2.0 200 OK"):
        notify = pair.bob.user_agent.sender.create_request(theirs.ids, "NOTIFY", pair.anna.at, line, "message/sipfrag")
        notify.headers.set_single("Event", "refer")
        pair.bob.user_agent.sender.send(notify, pair.anna.at)
        pair.settle()
    assert pair.anna.events[-2:] == [Referred(100), Referred(200)]
    assert ours.state is State.CONFIRMED


def test_a_session_is_refreshed_and_goes_on() -> None:
    pair = Pair()
    ours, theirs = pair.talk()
    assert ours.timer.interval == theirs.timer.interval == 1800
    pair.later(4 * 3600)
    assert ours.state is theirs.state is State.CONFIRMED
    assert pair.count("UPDATE") == 16


def test_a_session_whose_far_end_vanished_ends_on_both_sides() -> None:
    gone = False
    pair = Pair(lost=lambda number, message: gone)
    ours, theirs = pair.talk()
    gone = True
    pair.later(1800)
    assert ours.state is theirs.state is State.TERMINATED


def test_a_session_is_refreshed_by_invite_where_update_is_not_supported() -> None:
    pair = Pair()
    ours, theirs = pair.talk()
    ours.timer.by_update = False
    pair.later(1000)
    assert pair.count("UPDATE") == 0
    assert pair.count("INVITE") == 2
    assert pair.count("ACK") == 2
    assert isinstance(pair.bob.events[-1], MediaChanged)
    assert ours.state is theirs.state is State.CONFIRMED


def test_a_session_interval_that_is_too_short_is_rejected_with_ours() -> None:
    pair = Pair()
    pair.call()
    short = _changed(pair.sent[0], branch="z9hG4bKshort", call_id="short", headers={"Session-Expires": "20"})
    pair.bob.user_agent.receive(short, pair.anna.at, pair.now)
    assert b"SIP/2.0 422" in pair.bob.user_agent.to_send()[-1][0]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"Require": "100rel"}, 420),
        ({"Content-Type": "application/isup"}, 415),
        ({"Session-Expires": "1"}, 422),
    ],
)
def test_unsupported_requests_are_rejected_before_they_ring(change: dict[str, str], status: int) -> None:
    pair = Pair()
    pair.call()
    data = _changed(pair.sent[0], branch="z9hG4bKx", call_id="x", headers=change)
    assert pair.bob.user_agent.receive(data, pair.anna.at, pair.now) == []
    assert f"SIP/2.0 {status}".encode() in pair.bob.user_agent.to_send()[-1][0]


def test_encrypted_audio_is_rejected_before_it_rings() -> None:
    pair = Pair()
    pair.call()
    invite = pair.sent[0]
    data = _changed(invite, branch="z9hG4bKs", call_id="s", body=invite.text.replace("RTP/AVP", "RTP/SAVP"))
    assert pair.bob.user_agent.receive(data, pair.anna.at, pair.now) == []
    assert b"SIP/2.0 488" in pair.bob.user_agent.to_send()[-1][0]


def test_a_call_in_a_loop_is_rejected() -> None:
    pair = Pair()
    pair.call()
    twice = _changed(pair.sent[0], branch="z9hG4bKother")
    assert pair.bob.user_agent.receive(twice, pair.anna.at, pair.now) == []
    assert b"SIP/2.0 482" in pair.bob.user_agent.to_send()[-1][0]


@pytest.mark.parametrize("method", ["BYE", "INFO", "UPDATE", "REFER", "NOTIFY"])
def test_requests_outside_of_a_call_get_481(method: str) -> None:
    pair = Pair()
    ours, _ = pair.talk()
    stray = pair.anna.user_agent.sender.create_request(replace(ours.ids, local_tag="guessed"), method, pair.bob.at)
    pair.anna.user_agent.sender.send(stray, pair.bob.at)
    pair.settle()
    assert pair.count(f"481 {method}") == 1
    assert pair.bob.dialog.state is State.CONFIRMED


def test_an_old_request_is_not_carried_out() -> None:
    pair = Pair()
    ours, theirs = pair.talk()
    ours.ids.local_cseq = 0
    ours.hang_up()
    pair.settle()
    assert pair.count("500 BYE") == 1
    assert theirs.state is State.CONFIRMED


def test_options_lists_our_methods() -> None:
    pair = Pair()
    pair.call()
    invite = pair.sent[0]
    data = _changed(invite, branch="z9hG4bKo", call_id="o", body="").replace(b"INVITE sip", b"OPTIONS sip")
    pair.bob.user_agent.receive(data.replace(b"1 INVITE", b"1 OPTIONS"), pair.anna.at, pair.now)
    answer = SipMessage.parse(pair.bob.user_agent.to_send()[-1][0])
    assert isinstance(answer, SipResponse)
    assert answer.status_code == 200
    assert "INVITE" in ", ".join(answer.headers.get("allow"))


def test_record_route_of_a_request_becomes_the_route_set() -> None:
    pair = Pair()
    pair.call()
    via = _changed(pair.sent[0], branch="z9hG4bKp", call_id="p", headers={"Record-Route": "<sip:10.0.0.7;lr>"})
    pair.bob.all_events += pair.bob.user_agent.receive(via, Remote("10.0.0.7", 5060), pair.now)
    pair.bob.dialog.answer(pair.bob.local)
    pair.bob.dialog.hang_up()
    sent = [SipMessage.parse(data) for data, _ in pair.bob.user_agent.to_send()]
    assert sent[-2].headers.get("record-route") == ["<sip:10.0.0.7;lr>"]
    assert isinstance(sent[-1], SipRequest)
    assert sent[-1].headers.get("route") == ["<sip:10.0.0.7;lr>"]


def test_record_route_of_an_answer_becomes_the_route_set() -> None:
    pair = Pair()
    ours = pair.call()
    pair.bob.dialog.answer(pair.bob.local)
    (data, _), *_ = [out for out in pair.bob.user_agent.to_send() if b"SIP/2.0 200" in out[0]]
    routed = data.replace(b"\r\nServer:", b"\r\nRecord-Route: <sip:10.0.0.7;lr>\r\nServer:")
    pair.anna.all_events += pair.anna.user_agent.receive(routed, pair.bob.at, pair.now)
    ours.hang_up()
    sent = [SipMessage.parse(data) for data, _ in pair.anna.user_agent.to_send()]
    assert [message.headers.get("route") for message in sent] == [["<sip:10.0.0.7;lr>"]] * 2


def test_an_address_that_is_not_allowed_gets_no_response() -> None:
    pair = Pair()
    pair.bob.user_agent._is_allowed = lambda remote: False
    pair.call()
    pair.later(40)
    assert names(pair.sent) == ["INVITE"] * 7
    assert not pair.bob.all_events


def _reinvite(pair: Pair, change: Callable[[str], str]) -> None:
    """Anna sends a re-INVITE with a changed offer, and acknowledges Bob's answer."""
    sender = pair.anna.user_agent.sender
    (dialog,) = pair.anna.user_agent._dialogs.values()
    sdp = change(create_offer(pair.anna.local))
    invite = sender.create_request(dialog.ids, "INVITE", pair.bob.at, sdp, "application/sdp")
    sender.send(invite, pair.bob.at)
    pair.settle()
    response = pair.sent[-1]
    if isinstance(response, SipResponse) and response.status_code == 200:
        sender.acknowledge(dialog.ids, response, invite, pair.bob.at)
        pair.settle()


def _replace(old: str, new: str) -> Callable[[str], str]:
    return lambda sdp: sdp.replace(old, new)


def _last(pair: Pair, name: str, back: int = 1) -> Message:
    return [message for message in pair.sent if message_name(message) == name][-back]


def _changed(
    message: Message, branch: str, call_id: str = "", body: str | None = None, headers: dict[str, str] | None = None
) -> bytes:
    """A copy of a message with other fields."""
    copy = SipMessage.parse(bytes(message))
    via = copy.via[0]
    copy.headers.set_single("Via", f"SIP/2.0/UDP {via.host}:{via.port};branch={branch};rport")
    if call_id:
        copy.headers.set_single("Call-ID", call_id)
    for name, value in (headers or {}).items():
        copy.headers.set_single(name, value)
    if body is not None:
        copy.text = body
    return bytes(copy)
