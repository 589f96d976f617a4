"""Whole SIP calls between two user agents in memory: who may say what when, on good lines and bad ones."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from aiosipua import SipMessage, SipRequest, SipResponse

from harness.sip_pair import Pair, Sent, message_name, names
from vivavoce.realtime.telephony.sip import sdp as offers
from vivavoce.realtime.telephony.sip.dialog import (
    Answered,
    HungUp,
    MediaChanged,
    Pressed,
    Rang,
    Referred,
    Refused,
    State,
)
from vivavoce.realtime.telephony.sip.messages import Remote


def test_a_call_rings_is_answered_and_ends() -> None:
    pair = Pair()
    ours, theirs = pair.talk()
    assert [type(event) for event in pair.anna.events] == [Rang, Answered]
    assert ours.media is not None
    assert theirs.media is not None
    assert (ours.media.codec, ours.media.host, ours.media.port) == ("opus", "10.0.0.2", 40_000)
    assert (theirs.media.codec, theirs.media.host, theirs.media.keys_hz) == ("opus", "10.0.0.1", 48_000)
    ours.hang_up()
    pair.settle()
    assert pair.bob.events == [HungUp("the far end hung up")]
    expected = ["INVITE", "100 INVITE", "180 INVITE", "200 INVITE", "ACK", "BYE", "200 BYE"]
    assert names(pair.sent) == expected


def test_whoever_answered_may_hang_up_too() -> None:
    pair = Pair()
    _, theirs = pair.talk()
    theirs.hang_up()
    pair.settle()
    assert pair.anna.events[-1] == HungUp("the far end hung up")
    assert not len(pair.anna.agent)


@pytest.mark.parametrize("seed", range(25))
def test_a_call_survives_lost_messages(seed: int) -> None:
    dice = random.Random(seed)
    pair = Pair(lost=lambda number, message: dice.random() < 0.3)
    ours = pair.call()
    while not pair.bob.facts:
        pair.later(1)
    pair.bob.leg.answer(pair.bob.own)
    pair.later(31)
    assert ours.state is State.TALKING
    assert pair.bob.leg.state is State.TALKING
    ours.hang_up()
    pair.later(31)
    assert pair.bob.leg.state is State.ENDED


def test_nothing_is_repeated_over_tcp() -> None:
    pair = Pair(wire="TCP", lost=lambda number, message: message_name(message) == "ACK")
    pair.talk()
    pair.later(20)
    assert (pair.said("INVITE"), pair.said("200 INVITE")) == (1, 1)


def test_a_call_that_is_never_acknowledged_ends() -> None:
    pair = Pair(lost=lambda number, message: message_name(message) == "ACK")
    pair.talk()
    pair.later(40)
    assert HungUp("the far end is gone") in pair.bob.events
    assert pair.said("200 INVITE") >= 8
    assert pair.said("BYE") >= 1


def test_a_repeated_invite_is_one_call() -> None:
    pair = Pair()
    pair.call()
    invite = bytes(pair.sent[0])
    for _ in range(3):
        pair.bob.facts += pair.bob.agent.receive(invite, pair.anna.at, pair.now)
    assert len(pair.bob.agent) == 1
    assert len(pair.bob.facts) == 1


def test_nobody_there_is_408_after_half_a_minute() -> None:
    pair = Pair(lost=lambda number, message: True)
    pair.call()
    pair.later(33)
    assert pair.anna.events == [Refused(408)]
    assert pair.said("INVITE") == 7


@pytest.mark.parametrize("status", [486, 503, 603])
def test_a_refusal_is_told_and_acknowledged(status: int) -> None:
    pair = Pair()
    pair.call()
    pair.bob.leg.refuse(status, {"Retry-After": "30"})
    pair.settle()
    assert pair.anna.events == [Refused(status)]
    assert names(pair.sent)[-2:] == [f"{status} INVITE", "ACK"]
    pair.later(40)
    assert pair.said(f"{status} INVITE") == 1
    assert not len(pair.anna.agent)
    assert not len(pair.bob.agent)


def test_who_gives_up_ringing_cancels() -> None:
    pair = Pair()
    ours = pair.call()
    pair.bob.leg.ring()
    pair.settle()
    ours.cancel()
    pair.settle()
    assert pair.bob.events == [HungUp("the far end gave up ringing")]
    assert pair.anna.events == [Rang(), Refused(487)]
    assert not len(pair.bob.agent)


def test_an_answer_that_crosses_the_cancel_is_hung_up() -> None:
    pair = Pair()
    ours = pair.call()
    pair.bob.leg.answer(pair.bob.own)
    ours.cancel()
    pair.settle()
    assert pair.anna.events == [Refused(487)]
    assert HungUp("the far end hung up") in pair.bob.events


def test_nothing_can_be_answered_after_the_caller_gave_up() -> None:
    pair = Pair()
    ours = pair.call()
    leg = pair.bob.leg
    ours.cancel()
    pair.settle()
    with pytest.raises(offers.NotAcceptable):
        leg.answer(pair.bob.own)


def test_hold_and_resume_change_the_media() -> None:
    pair = Pair()
    ours, theirs = pair.talk()
    for direction, sends in (("sendonly", False), ("inactive", False), ("sendrecv", True)):
        _reinvite(pair, ours, lambda sdp, word=direction: sdp.replace("a=sendrecv", f"a={word}"))
        changed = pair.bob.events[-1]
        assert isinstance(changed, MediaChanged)
        assert changed.media.sends is sends
    assert "a=recvonly" in _last(pair, "200 INVITE", 3).text
    assert theirs.state is State.TALKING


def test_old_phones_hold_by_an_address_of_zeros() -> None:
    pair = Pair()
    ours, _ = pair.talk()
    _reinvite(pair, ours, lambda sdp: sdp.replace("10.0.0.1", "0.0.0.0"))
    changed = pair.bob.events[-1]
    assert isinstance(changed, MediaChanged)
    assert changed.media.held


def test_a_change_that_cannot_be_leaves_the_call_as_it_was() -> None:
    pair = Pair()
    ours, theirs = pair.talk()
    before = theirs.media
    _reinvite(pair, ours, lambda sdp: sdp.replace("RTP/AVP", "RTP/SAVP"))
    assert pair.said("488 INVITE") == 1
    assert theirs.media == before


def test_an_invite_without_an_offer_gets_one() -> None:
    pair = Pair()
    pair.call()
    invite = pair.sent[0]
    assert isinstance(invite, SipRequest)
    bare = _changed(invite, branch="z9hG4bKbare", call_id="bare", body="")
    pair.bob.facts += pair.bob.agent.receive(bare, pair.anna.at, pair.now)
    leg = pair.bob.leg
    assert leg.answer(pair.bob.own) is None
    (sent, _), *_ = [out for out in pair.bob.agent.to_send() if b"SIP/2.0 200" in out[0]]
    accepted = SipMessage.parse(sent)
    assert "m=audio 40000" in accepted.text
    ack = SipRequest(method="ACK", uri="sip:bob@10.0.0.2")
    for name in ("From", "Call-ID"):
        ack.headers.set_single(name, accepted.headers.get_first(name) or "")
    ack.headers.set_single("Via", "SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKack")
    ack.headers.set_single("To", accepted.headers.get_first("to") or "")
    ack.headers.set_single("CSeq", "1 ACK")
    ack.text, _ = offers.answer(accepted.text, pair.anna.own)
    pair.bob.facts += pair.bob.agent.receive(bytes(ack), pair.anna.at, pair.now)
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
def test_keys_come_by_info_too(kind: str, body: str, key: str) -> None:
    pair = Pair()
    ours, _ = pair.talk()
    pair.anna.agent.outbox.send(pair.anna.agent.outbox.draft(ours.dialog, "INFO", pair.bob.at, body, kind), pair.bob.at)
    pair.settle()
    assert pair.bob.events == [Pressed(key)]
    assert pair.said("200 INFO") == 1


def test_our_own_key_by_info_is_understood() -> None:
    pair = Pair()
    ours, _ = pair.talk()
    ours.inform("7")
    pair.settle()
    assert pair.bob.events == [Pressed("7")]


def test_who_calls_us_cannot_make_us_call() -> None:
    pair = Pair()
    ours, theirs = pair.talk()
    ours.refer("sip:+900123@10.0.0.9")
    pair.settle()
    assert pair.anna.events[-1] == Referred(603)
    assert theirs.state is State.TALKING


def test_the_news_of_a_transfer_are_told() -> None:
    pair = Pair()
    ours, theirs = pair.talk()
    for line in ("SIP/2.0 100 Trying", "SIP/2.0 200 OK"):
        notify = pair.bob.agent.outbox.draft(theirs.dialog, "NOTIFY", pair.anna.at, line, "message/sipfrag")
        notify.headers.set_single("Event", "refer")
        pair.bob.agent.outbox.send(notify, pair.anna.at)
        pair.settle()
    assert pair.anna.events[-2:] == [Referred(100), Referred(200)]
    assert ours.state is State.TALKING


def test_a_session_is_refreshed_and_lives() -> None:
    pair = Pair()
    ours, theirs = pair.talk()
    assert ours.timer.interval == theirs.timer.interval == 1800
    pair.later(4 * 3600)
    assert ours.state is theirs.state is State.TALKING
    assert pair.said("UPDATE") == 16


def test_a_session_whose_far_end_vanished_ends_on_both_sides() -> None:
    gone = False
    pair = Pair(lost=lambda number, message: gone)
    ours, theirs = pair.talk()
    gone = True
    pair.later(1800)
    assert ours.state is theirs.state is State.ENDED


def test_a_session_is_refreshed_by_invite_where_update_is_not_known() -> None:
    pair = Pair()
    ours, theirs = pair.talk()
    ours.timer.by_update = False
    pair.later(1000)
    assert pair.said("UPDATE") == 0
    assert pair.said("INVITE") == 2
    assert pair.said("ACK") == 2
    assert isinstance(pair.bob.events[-1], MediaChanged)
    assert ours.state is theirs.state is State.TALKING


def test_an_interval_that_is_too_short_is_refused_with_ours() -> None:
    pair = Pair()
    pair.call()
    short = _changed(pair.sent[0], branch="z9hG4bKshort", call_id="short", headers={"Session-Expires": "20"})
    pair.bob.agent.receive(short, pair.anna.at, pair.now)
    assert b"SIP/2.0 422" in pair.bob.agent.to_send()[-1][0]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"Require": "100rel"}, 420),
        ({"Content-Type": "application/isup"}, 415),
        ({"Session-Expires": "1"}, 422),
    ],
)
def test_what_we_cannot_do_is_refused_before_it_rings(change: dict[str, str], status: int) -> None:
    pair = Pair()
    pair.call()
    data = _changed(pair.sent[0], branch="z9hG4bKx", call_id="x", headers=change)
    assert pair.bob.agent.receive(data, pair.anna.at, pair.now) == []
    assert f"SIP/2.0 {status}".encode() in pair.bob.agent.to_send()[-1][0]


def test_encrypted_sound_is_refused_before_it_rings() -> None:
    pair = Pair()
    pair.call()
    invite = pair.sent[0]
    data = _changed(invite, branch="z9hG4bKs", call_id="s", body=invite.text.replace("RTP/AVP", "RTP/SAVP"))
    assert pair.bob.agent.receive(data, pair.anna.at, pair.now) == []
    assert b"SIP/2.0 488" in pair.bob.agent.to_send()[-1][0]


def test_a_call_that_comes_in_a_circle_is_refused() -> None:
    pair = Pair()
    pair.call()
    twice = _changed(pair.sent[0], branch="z9hG4bKother")
    assert pair.bob.agent.receive(twice, pair.anna.at, pair.now) == []
    assert b"SIP/2.0 482" in pair.bob.agent.to_send()[-1][0]


@pytest.mark.parametrize("method", ["BYE", "INFO", "UPDATE", "REFER", "NOTIFY"])
def test_requests_of_no_call_are_told_so(method: str) -> None:
    pair = Pair()
    ours, _ = pair.talk()
    stray = pair.anna.agent.outbox.draft(replace(ours.dialog, local_tag="guessed"), method, pair.bob.at)
    pair.anna.agent.outbox.send(stray, pair.bob.at)
    pair.settle()
    assert pair.said(f"481 {method}") == 1
    assert pair.bob.leg.state is State.TALKING


def test_an_old_request_is_not_obeyed() -> None:
    pair = Pair()
    ours, theirs = pair.talk()
    ours.dialog.local_cseq = 0
    ours.hang_up()
    pair.settle()
    assert pair.said("500 BYE") == 1
    assert theirs.state is State.TALKING


def test_options_say_what_we_can() -> None:
    pair = Pair()
    pair.call()
    invite = pair.sent[0]
    data = _changed(invite, branch="z9hG4bKo", call_id="o", body="").replace(b"INVITE sip", b"OPTIONS sip")
    pair.bob.agent.receive(data.replace(b"1 INVITE", b"1 OPTIONS"), pair.anna.at, pair.now)
    answer = SipMessage.parse(pair.bob.agent.to_send()[-1][0])
    assert isinstance(answer, SipResponse)
    assert answer.status_code == 200
    assert "INVITE" in ", ".join(answer.headers.get("allow"))


def test_the_way_through_proxies_is_kept() -> None:
    pair = Pair()
    pair.call()
    via = _changed(pair.sent[0], branch="z9hG4bKp", call_id="p", headers={"Record-Route": "<sip:10.0.0.7;lr>"})
    pair.bob.facts += pair.bob.agent.receive(via, Remote("10.0.0.7", 5060), pair.now)
    pair.bob.leg.answer(pair.bob.own)
    pair.bob.leg.hang_up()
    sent = [SipMessage.parse(data) for data, _ in pair.bob.agent.to_send()]
    assert sent[-2].headers.get("record-route") == ["<sip:10.0.0.7;lr>"]
    assert isinstance(sent[-1], SipRequest)
    assert sent[-1].headers.get("route") == ["<sip:10.0.0.7;lr>"]


def test_our_own_requests_take_the_way_that_the_answer_came() -> None:
    pair = Pair()
    ours = pair.call()
    pair.bob.leg.answer(pair.bob.own)
    (data, _), *_ = [out for out in pair.bob.agent.to_send() if b"SIP/2.0 200" in out[0]]
    routed = data.replace(b"\r\nServer:", b"\r\nRecord-Route: <sip:10.0.0.7;lr>\r\nServer:")
    pair.anna.facts += pair.anna.agent.receive(routed, pair.bob.at, pair.now)
    ours.hang_up()
    sent = [SipMessage.parse(data) for data, _ in pair.anna.agent.to_send()]
    assert [message.headers.get("route") for message in sent] == [["<sip:10.0.0.7;lr>"]] * 2


def test_whoever_is_not_welcome_gets_no_answer() -> None:
    pair = Pair()
    pair.bob.agent._welcome = lambda remote: False
    pair.call()
    pair.later(40)
    assert names(pair.sent) == ["INVITE"] * 7
    assert not pair.bob.facts


def _reinvite(pair: Pair, leg: object, change: object) -> None:
    """Anna asks for another sound, and tells Bob that she has heard his answer."""
    outbox, ours = pair.anna.agent.outbox, pair.anna.agent
    (dialog,) = [leg.dialog for leg in ours._legs.values()]
    sdp = change(offers.offer(pair.anna.own))  # type: ignore[operator]
    invite = outbox.draft(dialog, "INVITE", pair.bob.at, sdp, "application/sdp")
    outbox.send(invite, pair.bob.at)
    pair.settle()
    response = pair.sent[-1]
    assert isinstance(response, SipResponse | SipRequest)
    if isinstance(response, SipResponse) and response.status_code == 200:
        outbox.acknowledge(dialog, response, invite, pair.bob.at)
        pair.settle()


def _last(pair: Pair, what: str, back: int = 1) -> Sent:
    return [message for message in pair.sent if message_name(message) == what][-back]


def _changed(
    message: Sent, branch: str, call_id: str = "", body: str | None = None, headers: dict[str, str] | None = None
) -> bytes:
    """A message once more, with other words in it."""
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
