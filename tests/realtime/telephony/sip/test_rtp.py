"""The audio of SIP calls without a network: SDP, RTP, telephone-events, RTCP, G.722."""

from __future__ import annotations

import numpy as np
import pytest
from aiortp.dtmf import DtmfEvent
from aiortp.packet import RtcpPacket, RtcpSrPacket, RtpPacket

from vivavoce.codecs import g722
from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.realtime.telephony import DtmfReceived
from vivavoce.realtime.telephony.errors import SdpNotAcceptable
from vivavoce.realtime.telephony.sip import rtp
from vivavoce.realtime.telephony.sip.rtp import END_PACKETS, KEY_FRAMES, KEY_GAP, TelephoneEvents
from vivavoce.realtime.telephony.sip.sdp import LocalSdp, NegotiatedMedia, accept_answer, create_answer, create_offer
from vivavoce.realtime.transports.webrtc.jitter_buffer import JitterBuffer, Packet

LOCAL = LocalSdp("192.0.2.1", 40_000)
HERE = ("192.0.2.9", 5004)
MEDIA = NegotiatedMedia("pcmu", 0, *HERE, 5005, event_type=101)

PHONE = """v=0
o=- 1 1 IN IP4 192.0.2.9
s=-
c=IN IP4 192.0.2.9
t=0 0
m=audio 5004 RTP/AVP 0 8 9 101
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:9 G722/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
"""


# --- SDP ------------------------------------------------------------------------------------------------


def test_the_preferred_codec_of_an_offer_is_taken() -> None:
    text, media = create_answer(PHONE, LOCAL)
    assert (media.codec, media.payload_type, media.event_type, media.host, media.port) == ("g722", 9, 101, *HERE)
    assert "m=audio 40000 RTP/AVP 9 101" in text
    assert accept_answer(text, LocalSdp("192.0.2.9", 5004)).codec == "g722"


def test_the_settings_order_the_codecs() -> None:
    assert create_answer(PHONE, LocalSdp("192.0.2.1", 40_000, ("pcma", "pcmu")))[1].codec == "pcma"


def test_static_payload_types_need_no_rtpmap() -> None:
    bare = PHONE.split("a=rtpmap", maxsplit=1)[0]
    assert create_answer(bare, LocalSdp("192.0.2.1", 40_000, ("pcmu",)))[1].payload_type == 0


def test_opus_keeps_the_payload_type_of_the_offer() -> None:
    text = create_offer(LOCAL).replace("107", "111")
    ours, media = create_answer(text, LocalSdp("192.0.2.9", 5004))
    assert (media.codec, media.payload_type, media.event_type, media.event_clock_hz) == ("opus", 111, 102, 48_000)
    assert "a=rtpmap:111 opus/48000/2" in ours
    assert "useinbandfec=1" in ours


def test_other_media_of_an_offer_are_rejected_in_their_place() -> None:
    video = "m=video 6000 RTP/AVP 96\na=rtpmap:96 VP8/90000\n"
    text, _ = create_answer(PHONE.replace("m=audio", f"{video}m=audio"), LOCAL)
    lines = [line for line in text.split("\r\n") if line.startswith("m=")]
    assert lines == ["m=video 0 RTP/AVP 96", "m=audio 40000 RTP/AVP 9 101"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("RTP/AVP", "RTP/SAVP"),
        ("audio 5004", "audio 0"),
        ("audio 5004", "audio 70000"),
        ("audio 5004", "audio x"),
        ("c=IN IP4 192.0.2.9", "c=IN IP4 phone.example.org"),
        ("c=IN IP4 192.0.2.9", "c=IN IP4 224.0.0.1"),
        ("c=IN IP4 192.0.2.9\n", ""),
        ("0 8 9 101", "18"),
        ("v=0", "v=x"),
        ("s=-", "s=" + "x" * 20_000),
    ],
)
def test_offers_that_are_not_acceptable_are_rejected(old: str, new: str) -> None:
    with pytest.raises(SdpNotAcceptable):
        create_answer(PHONE.replace(old, new), LOCAL)


@pytest.mark.parametrize(
    ("direction", "can_send", "can_receive", "ours"),
    [
        ("sendrecv", True, True, "sendrecv"),
        ("sendonly", False, True, "recvonly"),
        ("recvonly", True, False, "sendonly"),
        ("inactive", False, False, "inactive"),
    ],
)
def test_directions_are_answered_in_kind(direction: str, can_send: bool, can_receive: bool, ours: str) -> None:
    text, media = create_answer(f"{PHONE}a={direction}\n", LOCAL)
    assert (media.can_send, media.can_receive) == (can_send, can_receive)
    assert f"a={ours}\r\n" in text


def test_rtcp_goes_to_the_port_that_the_far_end_names() -> None:
    assert create_answer(PHONE, LOCAL)[1].rtcp_port == 5005
    assert create_answer(f"{PHONE}a=rtcp:5099\n", LOCAL)[1].rtcp_port == 5099
    text, media = create_answer(f"{PHONE}a=rtcp-mux\n", LOCAL)
    assert (media.rtcp_port, media.rtcp_mux) == (5004, True)
    assert "a=rtcp-mux" in text


# --- RTP ---------------------------------------------------------------------------------------------------------


def _packet(sequence: int, payload: bytes = b"\xff" * 160, kind: int = 0, timestamp: int | None = None) -> bytes:
    ticks = 160 * sequence if timestamp is None else timestamp
    return RtpPacket(kind, 0, sequence, ticks, 7, payload).serialize()


def test_packets_of_the_negotiated_payload_type_are_received() -> None:
    receiver = rtp.RtpReceiver(MEDIA)
    assert receiver.receive(_packet(3), HERE, 0.0) == Packet(7, 3, 480, b"\xff" * 160)
    assert receiver.receive(_packet(4, kind=96), HERE, 0.0) is None
    assert receiver.receive(b"\x80\x00", HERE, 0.0) is None


def test_the_first_packet_latches_the_address_of_the_phone() -> None:
    receiver, behind_a_router = rtp.RtpReceiver(MEDIA), ("198.51.100.1", 61_000)
    assert receiver.receive(_packet(0), behind_a_router, 0.0) is not None
    assert receiver.latch.address == behind_a_router


def test_another_address_cannot_take_over_the_call() -> None:
    receiver, other = rtp.RtpReceiver(MEDIA), ("203.0.113.5", 4000)
    receiver.receive(_packet(0), HERE, 0.0)
    assert receiver.receive(_packet(1), other, 1.0) is None
    assert receiver.latch.address == HERE


def test_a_phone_that_moved_is_latched_again_once_it_is_silent() -> None:
    receiver, elsewhere = rtp.RtpReceiver(MEDIA), ("198.51.100.1", 61_000)
    receiver.receive(_packet(0), HERE, 0.0)
    assert receiver.receive(_packet(1), elsewhere, rtp.LATCH_TIMEOUT + 0.1) is not None
    assert receiver.latch.address == elsewhere
    assert (
        receiver.receive(_packet(2), HERE, rtp.LATCH_TIMEOUT + 0.2) is not None
    )  # the negotiated address is always accepted


def _key(event: int, duration: int, end: bool = False) -> bytes:
    return DtmfEvent(event, end, 10, duration).serialize()


def test_a_key_is_reported_once_and_at_its_first_packet() -> None:
    receiver = rtp.RtpReceiver(MEDIA)
    lengths = [160, 320, 480, 640, 640, 640]
    received = [
        receiver.receive(_packet(n, _key(5, length, n > 2), 101, 1000), HERE, n / 50)
        for n, length in enumerate(lengths)
    ]
    assert received[0] == DtmfReceived("5")
    assert not any(isinstance(each, DtmfReceived) for each in received[1:])


def test_the_same_key_twice_is_two_keys() -> None:
    receiver = rtp.RtpReceiver(MEDIA)
    received = [
        receiver.receive(_packet(0, _key(11, 160), 101, 1000), HERE, 0.0),
        receiver.receive(_packet(1, _key(11, 160), 101, 3000), HERE, 0.3),
    ]
    assert received == [DtmfReceived("#"), DtmfReceived("#")]


def test_late_packets_of_a_key_are_not_another_key() -> None:
    receiver = rtp.RtpReceiver(MEDIA)
    receiver.receive(_packet(0, _key(1, 160), 101, 1000), HERE, 0.0)
    receiver.receive(_packet(2, _key(2, 160), 101, 3000), HERE, 0.3)
    assert not isinstance(receiver.receive(_packet(1, _key(1, 800, True), 101, 1000), HERE, 0.4), DtmfReceived)


def test_a_flood_of_keys_is_dropped() -> None:
    receiver = rtp.RtpReceiver(MEDIA)
    received = [receiver.receive(_packet(n, _key(1, 160), 101, 5000 * n), HERE, n / 1000) for n in range(1000)]
    assert sum(isinstance(each, DtmfReceived) for each in received) <= 25


@pytest.mark.parametrize("payload", [b"", b"\x01", b"\x10\x0a\x00\xa0", b"\xff\xff\xff\xff"])
def test_events_that_are_not_keys_are_ignored(payload: bytes) -> None:
    assert not isinstance(rtp.RtpReceiver(MEDIA).receive(_packet(0, payload, 101), HERE, 0.0), DtmfReceived)


def test_a_long_key_leaves_no_gap_in_the_audio() -> None:
    receiver, jitter_buffer, decoded = rtp.RtpReceiver(MEDIA), JitterBuffer(g722.Decoder()), 0
    for n in range(200):
        pressed = 50 <= n < 150
        data = _packet(n, _key(1, 160 * (n - 49)), 101, 160 * 50) if pressed else _packet(n)
        packet = receiver.receive(data, HERE, n / 50)
        if isinstance(packet, Packet):
            decoded += sum(map(len, jitter_buffer.receive(packet, n / 50)))
    assert decoded == pytest.approx(200 * SAMPLE_RATE / 50, abs=SAMPLE_RATE / 25)


def test_sequence_numbers_and_timestamps_count_up_and_wrap() -> None:
    sender = rtp.RtpSender(7, 0xFFFF, (1 << 32) - 160)
    packets = [RtpPacket.parse(sender.packet(0, b"x", 160 * n, n == 0)) for n in range(3)]
    assert [packet.sequence_number for packet in packets] == [0xFFFF, 0, 1]
    assert [packet.timestamp for packet in packets] == [(1 << 32) - 160, 0, 160]
    assert [packet.marker for packet in packets] == [1, 0, 0]


def test_a_report_counts_the_lost_packets() -> None:
    receiver, sender = rtp.RtpReceiver(MEDIA), rtp.RtpSender(9, 0, 0)
    for n in [*range(50), *range(60, 100)]:
        receiver.receive(_packet(n), HERE, n / 50)
    sender.packet(0, b"x" * 160, 0)
    (report, *_) = RtcpPacket.parse(sender.report(receiver.reception, 1e9, b"nobody"))
    assert isinstance(report, RtcpSrPacket)
    (block,) = report.reports
    assert (block.ssrc, block.packets_lost, block.highest_sequence, block.fraction_lost) == (7, 10, 99, 25)
    assert report.sender_info.packet_count == 1


def test_the_loss_of_our_stream_is_read_from_reports() -> None:
    theirs, receiver = rtp.RtpSender(7, 0, 0), rtp.RtpReceiver(MEDIA)
    receiver.receive(_packet(0), HERE, 0.0)
    receiver.receive(_packet(5), HERE, 0.1)
    report = theirs.report(receiver.reception, 1e9, b"nobody")
    assert rtp.is_rtcp_packet(report)
    assert rtp.reported_loss(report, 7) == 4
    assert rtp.reported_loss(report, 8) is None
    assert rtp.reported_loss(report[:-3], 7) is None


# --- telephone-events ----------------------------------------------------------------------------------------------


def test_a_key_that_we_send_lasts_and_its_end_is_sent_three_times() -> None:
    events = TelephoneEvents(8_000)
    events.add("5#")
    sent = [events.next() for _ in range(2 * (KEY_FRAMES + END_PACKETS - 1 + KEY_GAP))]
    first = [DtmfEvent.parse(event.payload) for event in sent[: KEY_FRAMES + END_PACKETS - 1] if event]
    assert [event.duration for event in first] == [160 * n for n in (*range(1, 9), 8, 8)]
    assert [event.end for event in first] == [False] * 7 + [True] * 3
    assert {event.digit for event in first} == {"5"}
    assert sent[KEY_FRAMES + END_PACKETS - 1 : KEY_FRAMES + END_PACKETS - 1 + KEY_GAP] == [None] * KEY_GAP
    assert [event.since for event in sent if event] == [*range(10), *range(10)]
    assert events.idle
    assert events.next() is None


def test_characters_that_are_not_keys_are_rejected() -> None:
    with pytest.raises(ValueError, match="keys"):
        TelephoneEvents(8_000).add("5x")
    with pytest.raises(ValueError, match="64"):
        TelephoneEvents(8_000).add("5" * 65)


# --- G.722 -------------------------------------------------------------------------------------------------------


def test_g722_carries_speech_to_the_sample() -> None:
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    tone = (0.3 * np.sin(2 * np.pi * 3000 * time)).astype(np.float32)
    encoder, decoder = g722.Encoder(), g722.Decoder()
    packets = [encoder.encode(tone[start : start + 480]) for start in range(0, len(tone), 480)]
    assert {len(packet) for packet in packets} == {160}
    decoded = np.concatenate([decoder.decode(packet) for packet in packets])
    assert len(decoded) == len(tone)
    spectrum = np.abs(np.fft.rfft(decoded[2400:]))
    assert np.argmax(spectrum) * SAMPLE_RATE / len(decoded[2400:]) == pytest.approx(3000, abs=5)


def test_g722_rejects_packets_that_are_too_long() -> None:
    with pytest.raises(ValueError, match="2000"):
        g722.Decoder().decode(b"x" * 2001)
