"""The sound of SIP calls without a network: descriptions, packets, keys, reports, G.722."""

from __future__ import annotations

import numpy as np
import pytest
from aiortp.dtmf import DtmfEvent
from aiortp.packet import RtcpPacket, RtcpSrPacket, RtpPacket

from vivavoce.codecs import g722
from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.realtime.telephony.sip import rtp
from vivavoce.realtime.telephony.sip.media import FRAMES, GAP, LASTS, Keys
from vivavoce.realtime.telephony.sip.sdp import LocalSdp, Media, NotAcceptable, answer, offer, settle
from vivavoce.realtime.transports.webrtc.jitter_buffer import JitterBuffer, Packet

OWN = LocalSdp("192.0.2.1", 40_000)
HERE = ("192.0.2.9", 5004)
MEDIA = Media("pcmu", 0, *HERE, 5005, keys=101)

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


# --- descriptions ------------------------------------------------------------------------------------------------


def test_of_what_is_offered_we_take_what_we_like_best() -> None:
    text, media = answer(PHONE, OWN)
    assert (media.codec, media.payload_type, media.keys, media.host, media.port) == ("g722", 9, 101, *HERE)
    assert "m=audio 40000 RTP/AVP 9 101" in text
    assert settle(text, LocalSdp("192.0.2.9", 5004)).codec == "g722"


def test_the_settings_say_what_we_like() -> None:
    assert answer(PHONE, LocalSdp("192.0.2.1", 40_000, ("pcma", "pcmu")))[1].codec == "pcma"


def test_static_payload_types_need_no_description() -> None:
    bare = PHONE.split("a=rtpmap", maxsplit=1)[0]
    assert answer(bare, LocalSdp("192.0.2.1", 40_000, ("pcmu",)))[1].payload_type == 0


def test_opus_keeps_the_number_that_the_far_end_gave_it() -> None:
    text = offer(OWN).replace("107", "111")
    ours, media = answer(text, LocalSdp("192.0.2.9", 5004))
    assert (media.codec, media.payload_type, media.keys, media.keys_hz) == ("opus", 111, 102, 48_000)
    assert "a=rtpmap:111 opus/48000/2" in ours
    assert "useinbandfec=1" in ours


def test_all_that_is_offered_beside_sound_is_declined_in_its_place() -> None:
    video = "m=video 6000 RTP/AVP 96\na=rtpmap:96 VP8/90000\n"
    text, _ = answer(PHONE.replace("m=audio", f"{video}m=audio"), OWN)
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
        ("PCMU/8000", "PCMU/x"),
        ("v=0", "v=x"),
        ("s=-", "s=" + "x" * 20_000),
    ],
)
def test_offers_that_cannot_be_taken_are_refused(old: str, new: str) -> None:
    with pytest.raises(NotAcceptable):
        answer(PHONE.replace(old, new), OWN)


@pytest.mark.parametrize(
    ("direction", "sends", "hears", "ours"),
    [
        ("sendrecv", True, True, "sendrecv"),
        ("sendonly", False, True, "recvonly"),
        ("recvonly", True, False, "sendonly"),
        ("inactive", False, False, "inactive"),
    ],
)
def test_directions_are_answered_in_kind(direction: str, sends: bool, hears: bool, ours: str) -> None:
    text, media = answer(f"{PHONE}a={direction}\n", OWN)
    assert (media.sends, media.hears) == (sends, hears)
    assert f"a={ours}\r\n" in text


def test_reports_go_where_the_far_end_wants_them() -> None:
    assert answer(PHONE, OWN)[1].reports == 5005
    assert answer(f"{PHONE}a=rtcp:5099\n", OWN)[1].reports == 5099
    text, media = answer(f"{PHONE}a=rtcp-mux\n", OWN)
    assert (media.reports, media.muxed) == (5004, True)
    assert "a=rtcp-mux" in text


# --- packets -----------------------------------------------------------------------------------------------------


def _packet(sequence: int, payload: bytes = b"\xff" * 160, kind: int = 0, timestamp: int | None = None) -> bytes:
    ticks = 160 * sequence if timestamp is None else timestamp
    return RtpPacket(kind, 0, sequence, ticks, 7, payload).serialize()


def test_a_packet_is_taken_for_what_it_is() -> None:
    incoming = rtp.Incoming(MEDIA)
    assert incoming.receive(_packet(3), HERE, 0.0) == Packet(7, 3, 480, b"\xff" * 160)
    assert incoming.receive(_packet(4, kind=96), HERE, 0.0) is None
    assert incoming.receive(b"\x80\x00", HERE, 0.0) is None


def test_the_phone_is_where_its_first_packet_comes_from() -> None:
    incoming, behind_a_router = rtp.Incoming(MEDIA), ("198.51.100.1", 61_000)
    assert incoming.receive(_packet(0), behind_a_router, 0.0) is not None
    assert incoming.latch.address == behind_a_router


def test_nobody_else_can_take_over_the_call() -> None:
    incoming, stranger = rtp.Incoming(MEDIA), ("203.0.113.5", 4000)
    incoming.receive(_packet(0), HERE, 0.0)
    assert incoming.receive(_packet(1), stranger, 1.0) is None
    assert incoming.latch.address == HERE


def test_a_phone_that_moved_is_followed_once_it_is_silent() -> None:
    incoming, elsewhere = rtp.Incoming(MEDIA), ("198.51.100.1", 61_000)
    incoming.receive(_packet(0), HERE, 0.0)
    assert incoming.receive(_packet(1), elsewhere, rtp.SILENT + 0.1) is not None
    assert incoming.latch.address == elsewhere
    assert incoming.receive(_packet(2), HERE, rtp.SILENT + 0.2) is not None  # the agreed address is always right


def _key(event: int, duration: int, end: bool = False) -> bytes:
    return DtmfEvent(event, end, 10, duration).serialize()


def test_a_key_is_told_once_and_at_once() -> None:
    incoming = rtp.Incoming(MEDIA)
    lengths = [160, 320, 480, 640, 640, 640]
    told = [
        incoming.receive(_packet(n, _key(5, length, n > 2), 101, 1000), HERE, n / 50)
        for n, length in enumerate(lengths)
    ]
    assert told[0] == rtp.Key("5")
    assert not any(isinstance(each, rtp.Key) for each in told[1:])


def test_the_same_key_twice_is_two_keys() -> None:
    incoming = rtp.Incoming(MEDIA)
    told = [
        incoming.receive(_packet(0, _key(11, 160), 101, 1000), HERE, 0.0),
        incoming.receive(_packet(1, _key(11, 160), 101, 3000), HERE, 0.3),
    ]
    assert told == [rtp.Key("#"), rtp.Key("#")]


def test_a_key_that_comes_late_is_not_pressed_again() -> None:
    incoming = rtp.Incoming(MEDIA)
    incoming.receive(_packet(0, _key(1, 160), 101, 1000), HERE, 0.0)
    incoming.receive(_packet(2, _key(2, 160), 101, 3000), HERE, 0.3)
    assert not isinstance(incoming.receive(_packet(1, _key(1, 800, True), 101, 1000), HERE, 0.4), rtp.Key)


def test_a_flood_of_keys_is_not_told() -> None:
    incoming = rtp.Incoming(MEDIA)
    told = [incoming.receive(_packet(n, _key(1, 160), 101, 5000 * n), HERE, n / 1000) for n in range(1000)]
    assert sum(isinstance(each, rtp.Key) for each in told) <= 25


@pytest.mark.parametrize("payload", [b"", b"\x01", b"\x10\x0a\x00\xa0", b"\xff\xff\xff\xff"])
def test_events_that_are_no_keys_are_passed_over(payload: bytes) -> None:
    assert not isinstance(rtp.Incoming(MEDIA).receive(_packet(0, payload, 101), HERE, 0.0), rtp.Key)


def test_a_long_key_leaves_no_hole_in_the_sound() -> None:
    incoming, microphone, heard = rtp.Incoming(MEDIA), JitterBuffer(g722.Decoder()), 0
    for n in range(200):
        pressed = 50 <= n < 150
        data = _packet(n, _key(1, 160 * (n - 49)), 101, 160 * 50) if pressed else _packet(n)
        packet = incoming.receive(data, HERE, n / 50)
        if isinstance(packet, Packet):
            heard += sum(map(len, microphone.receive(packet, n / 50)))
    assert heard == pytest.approx(200 * SAMPLE_RATE / 50, abs=SAMPLE_RATE / 25)


def test_packets_that_leave_count_up() -> None:
    outgoing = rtp.Outgoing(7, 0xFFFF, (1 << 32) - 160)
    packets = [RtpPacket.parse(outgoing.packet(0, b"x", 160 * n, n == 0)) for n in range(3)]
    assert [packet.sequence_number for packet in packets] == [0xFFFF, 0, 1]
    assert [packet.timestamp for packet in packets] == [(1 << 32) - 160, 0, 160]
    assert [packet.marker for packet in packets] == [1, 0, 0]


def test_a_report_says_what_was_lost() -> None:
    incoming, outgoing = rtp.Incoming(MEDIA), rtp.Outgoing(9, 0, 0)
    for n in [*range(50), *range(60, 100)]:
        incoming.receive(_packet(n), HERE, n / 50)
    outgoing.packet(0, b"x" * 160, 0)
    (report, *_) = RtcpPacket.parse(outgoing.report(incoming.reception, 1e9, b"nobody"))
    assert isinstance(report, RtcpSrPacket)
    (block,) = report.reports
    assert (block.ssrc, block.packets_lost, block.highest_sequence, block.fraction_lost) == (7, 10, 99, 25)
    assert report.sender_info.packet_count == 1


def test_reports_about_us_are_read_and_others_not() -> None:
    theirs, incoming = rtp.Outgoing(7, 0, 0), rtp.Incoming(MEDIA)
    incoming.receive(_packet(0), HERE, 0.0)
    incoming.receive(_packet(5), HERE, 0.1)
    report = theirs.report(incoming.reception, 1e9, b"nobody")
    assert rtp.is_report(report)
    assert rtp.lost_there(report, 7) == 4
    assert rtp.lost_there(report, 8) is None
    assert rtp.lost_there(report[:-3], 7) is None


# --- keys that we press --------------------------------------------------------------------------------------------


def test_a_key_of_ours_lasts_and_its_end_is_said_three_times() -> None:
    keys = Keys(8_000)
    keys.press("5#")
    told = [keys.next() for _ in range(2 * (FRAMES + LASTS - 1 + GAP))]
    first = [DtmfEvent.parse(event.payload) for event in told[: FRAMES + LASTS - 1] if event]
    assert [event.duration for event in first] == [160 * n for n in (*range(1, 9), 8, 8)]
    assert [event.end for event in first] == [False] * 7 + [True] * 3
    assert {event.digit for event in first} == {"5"}
    assert told[FRAMES + LASTS - 1 : FRAMES + LASTS - 1 + GAP] == [None] * GAP
    assert [event.since for event in told if event] == [*range(10), *range(10)]
    assert keys.idle
    assert keys.next() is None


def test_what_is_no_key_is_refused() -> None:
    with pytest.raises(ValueError, match="keys"):
        Keys(8_000).press("5x")
    with pytest.raises(ValueError, match="64"):
        Keys(8_000).press("5" * 65)


# --- G.722 -------------------------------------------------------------------------------------------------------


def test_g722_carries_speech_to_the_sample() -> None:
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    tone = (0.3 * np.sin(2 * np.pi * 3000 * time)).astype(np.float32)
    encoder, decoder = g722.Encoder(), g722.Decoder()
    packets = [encoder.encode(tone[start : start + 480]) for start in range(0, len(tone), 480)]
    assert {len(packet) for packet in packets} == {160}
    heard = np.concatenate([decoder.decode(packet) for packet in packets])
    assert len(heard) == len(tone)
    spectrum = np.abs(np.fft.rfft(heard[2400:]))
    assert np.argmax(spectrum) * SAMPLE_RATE / len(heard[2400:]) == pytest.approx(3000, abs=5)


def test_g722_refuses_what_is_too_long() -> None:
    with pytest.raises(ValueError, match="2000"):
        g722.Decoder().decode(b"x" * 2001)
