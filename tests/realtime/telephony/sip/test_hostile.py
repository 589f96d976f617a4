"""Malformed SIP, SDP and RTP: nothing may raise, and calls go on."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.sip_pair import Pair
from vivavoce.realtime.telephony.errors import SdpNotAcceptable
from vivavoce.realtime.telephony.sip import rtp
from vivavoce.realtime.telephony.sip.dialog import State
from vivavoce.realtime.telephony.sip.messages import BadSipMessage, Remote, parse, response_destination
from vivavoce.realtime.telephony.sip.sdp import LocalSdp, NegotiatedMedia, accept_answer, create_answer, create_offer

SOURCE = Remote("198.51.100.7", 40_001)
LOCAL = LocalSdp("192.0.2.1", 40_000)
QUICK = settings(max_examples=60, deadline=None)

INVITE = (
    "INVITE sip:bob@10.0.0.2 SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKabc;rport\r\n"
    'From: "Anna" <sip:anna@10.0.0.1>;tag=1\r\n'
    "To: <sip:bob@10.0.0.2>\r\n"
    "Call-ID: 1@10.0.0.1\r\n"
    "CSeq: 1 INVITE\r\n"
    "Contact: <sip:anna@10.0.0.1:5060>\r\n"
    "Max-Forwards: 70\r\n"
    "Content-Type: application/sdp\r\n"
    "Session-Expires: 1800;refresher=uac\r\n"
    "Supported: timer\r\n\r\n"
)
SDP = create_offer(LOCAL)


@st.composite
def mutations(draw: st.DrawFn, text: str) -> bytes:
    """A valid message with bytes changed, inserted, cut out and repeated."""
    data = bytearray(text.encode())
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.sampled_from(("change", "insert", "cut", "repeat", "number"))):
            case "change":
                data[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case "insert":
                data[at:at] = draw(
                    st.sampled_from((b"\r\n", b";", b"=", b":", b"<", b"\0", b"\xff", b'"', b"%00", b"["))
                )
            case "cut":
                del data[at : at + draw(st.integers(1, 60))]
            case "repeat":
                data[at:at] = data[at : at + draw(st.integers(1, 60))]
            case "number":
                data[at:at] = draw(
                    st.sampled_from((b"-1", b"99999999999999999999", b"4294967296", b"0x10", b"\xc2\xb2"))
                )
    return bytes(data)


@pytest.mark.slow
@QUICK
@given(mutations(INVITE + SDP))
def test_no_message_breaks_a_user_agent(data: bytes) -> None:
    pair = Pair()
    ours, theirs = pair.talk()
    pair.bob.all_events += pair.bob.user_agent.receive(data, SOURCE, pair.now)
    pair.bob.user_agent.to_send()
    pair.later(40)
    assert ours.state is theirs.state is State.CONFIRMED


@QUICK
@given(st.binary(max_size=300))
def test_no_bytes_break_a_user_agent(data: bytes) -> None:
    pair = Pair()
    assert pair.bob.user_agent.receive(data, SOURCE, pair.now) == []


@pytest.mark.slow
@QUICK
@given(st.data())
def test_no_answer_breaks_a_caller(data: st.DataObject) -> None:
    pair = Pair()
    pair.call()
    pair.bob.dialog.answer(pair.bob.local)
    for good, _ in pair.bob.user_agent.to_send():
        broken = data.draw(mutations(good.decode()))
        pair.anna.all_events += pair.anna.user_agent.receive(broken, pair.bob.at, pair.now)
    pair.later(70)


@QUICK
@given(mutations(SDP))
def test_no_description_breaks_an_answer(data: bytes) -> None:
    text = data.decode(errors="replace")
    try:
        ours, media = create_answer(text, LOCAL)
    except SdpNotAcceptable:
        return
    assert 0 < media.port < 65536
    assert accept_answer(ours, LOCAL).codec == media.codec


@QUICK
@given(st.lists(st.binary(max_size=400), max_size=5), st.integers(0, 127))
def test_no_packet_breaks_the_audio(packets: list[bytes], kind: int) -> None:
    receiver = rtp.RtpReceiver(NegotiatedMedia("pcmu", kind, "192.0.2.9", 5004, 5005, event_type=101))
    for number, data in enumerate(packets):
        for whole in (data, b"\x80" + bytes([kind]) + data, b"\x90\x65" + data, b"\xb1" + data):
            receiver.receive(whole, ("192.0.2.9", 5004), number / 50)
        rtp.reported_loss(b"\x81\xc9\x00" + data, 7)
        rtp.reported_loss(data, 7)


@pytest.mark.parametrize("header", ["Via", "From", "To", "Call-ID", "CSeq"])
def test_a_message_without_a_required_header_is_malformed(header: str) -> None:
    lines = [line for line in INVITE.split("\r\n") if not line.startswith(f"{header}:")]
    with pytest.raises(BadSipMessage):
        parse("\r\n".join(lines).encode(), SOURCE)


@pytest.mark.parametrize(
    ("old", "new"),
    [("CSeq: 1 INVITE", "CSeq: 1 BYE"), ("CSeq: 1", "CSeq: 2147483648"), (";tag=1", ""), ("CSeq: 1", "CSeq: x")],
)
def test_a_request_that_contradicts_itself_gets_400(old: str, new: str) -> None:
    pair = Pair()
    assert pair.bob.user_agent.receive(INVITE.replace(old, new).encode(), SOURCE, pair.now) == []
    (answer,) = pair.bob.user_agent.to_send()
    assert answer[0].startswith(b"SIP/2.0 400")


@pytest.mark.parametrize("cseq", ["x INVITE", "1ID: INVITE", "INVITE", "1"])
def test_the_ack_of_a_malformed_request_is_taken(cseq: str) -> None:
    pair = Pair()
    invite = INVITE.replace("CSeq: 1 INVITE", f"CSeq: {cseq}")
    for text in (invite, INVITE.replace("INVITE", "ACK")):
        assert pair.bob.user_agent.receive(text.encode(), SOURCE, pair.now) == []
    (answer,) = pair.bob.user_agent.to_send()
    assert answer[0].startswith(b"SIP/2.0 400")


def test_responses_go_to_the_source_of_the_request_whatever_its_via() -> None:
    lying = INVITE.replace(";rport", ";rport=1;received=203.0.113.1").replace("10.0.0.1:5060;b", "203.0.113.2:53;b")
    for text in (lying, lying.replace(";rport=1", "")):
        request = parse(text.encode(), SOURCE)
        assert response_destination(request, SOURCE).host == SOURCE.host  # type: ignore[arg-type]  # it is a request


@pytest.mark.slow
def test_a_flood_of_invites_does_not_grow_without_bound() -> None:
    pair = Pair()
    for number in range(1500):
        text = INVITE.replace("z9hG4bKabc", f"z9hG4bK{number}").replace("1@10.0.0.1", f"{number}@10.0.0.1")
        pair.bob.user_agent.receive((text + SDP).encode(), SOURCE, pair.now)
    assert len(pair.bob.user_agent) == 1000
    answers = [data for data, _ in pair.bob.user_agent.to_send()]
    assert sum(data.startswith(b"SIP/2.0 503") for data in answers) == 500
