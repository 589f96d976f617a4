"""AudioSocket, against bytes that Asterisk 22.10.1 sent (data/asterisk)."""

from __future__ import annotations

import gzip
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import DATA
from harness.tones import pitch
from vivavoce.codecs.audio import FRAME
from vivavoce.realtime.telephony import DtmfReceived
from vivavoce.realtime.telephony.asterisk.audio import AsteriskCodec
from vivavoce.realtime.telephony.asterisk.audiosocket import (
    HANG_UP,
    AudioReceived,
    ErrorReceived,
    Event,
    HungUp,
    Identified,
    Parser,
    Unreadable,
    audio_message,
)
from vivavoce.realtime.telephony.errors import BadAudioSocket

IDENTIFICATION = bytes.fromhex("010010") + bytes(range(16))


def captured(name: str) -> bytes:
    return gzip.decompress((DATA / "asterisk" / f"{name}.gz").read_bytes())


@pytest.mark.parametrize(("name", "rate"), [("audiosocket_100", 8_000), ("audiosocket_101", 16_000)])
def test_a_call_of_asterisk_is_parsed_to_the_last_byte(name: str, rate: int) -> None:
    events = list(Parser().receive(captured(name)))
    assert isinstance(events[0], Identified)
    assert [event.key for event in events if isinstance(event, DtmfReceived)] == ["5", "#"]
    audio = [event for event in events if isinstance(event, AudioReceived)]
    assert {(event.rate, len(event.pcm)) for event in audio} == {(rate, rate // 50 * 2)}
    codec = AsteriskCodec(rate)
    decoded = np.concatenate([codec.decode(event.pcm) for event in audio])
    assert len(decoded) == pytest.approx(len(audio) * FRAME, abs=100)
    assert pitch(decoded[6000:20000]) == pytest.approx(440, abs=5)


@given(st.lists(st.integers(1, 700), min_size=1, max_size=30))
def test_any_chunking_of_the_bytes_gives_the_same_events(cuts: list[int]) -> None:
    data = captured("audiosocket_100")[:9000]
    events: list[Event] = []
    parser, at = Parser(), 0
    for cut in [*cuts, len(data)]:
        events += parser.receive(data[at : at + cut])
        at += cut
    assert events == list(Parser().receive(data))


def test_unknown_kinds_are_skipped_and_errors_are_named() -> None:
    parser = Parser()
    assert list(parser.receive(IDENTIFICATION)) == [Identified(UUID(bytes=bytes(range(16))))]
    assert list(parser.receive(b"\x05\x00\x02ab\x00\x00\x00")) == [HungUp()]
    assert list(parser.receive(b"\xff\x00\x01\x02\xff\x00\x00")) == [
        ErrorReceived("audio could not be passed on"),
        ErrorReceived("an error without a code"),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"SSH-2.0-x\r\n",
        b"\x01\x00\x11" + bytes(17),
    ],
)
def test_bytes_that_are_not_audiosocket_are_rejected(data: bytes) -> None:
    with pytest.raises(BadAudioSocket):
        list(Parser().receive(data))


@pytest.mark.parametrize("early", [b"\x10\x01\x40" + bytes(320), b"\x03\x00\x015", b"\x05\x00\x02ab", b"\x10\x00\x01a"])
def test_what_comes_before_the_id_is_dropped(early: bytes) -> None:
    assert list(Parser().receive(3 * early + IDENTIFICATION)) == [Identified(UUID(bytes=bytes(range(16))))]


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (IDENTIFICATION, "the call's id came twice"),
        (b"\x10\x00\x03abc", "audio that is not of whole samples"),
        (b"\x03\x00\x02ab", "a key that is not one byte"),
        (b"\x03\x00\x00", "a key that is not one byte"),
    ],
)
def test_a_message_that_cannot_be_read_is_named_and_passed_over(message: bytes, kind: str) -> None:
    after = audio_message(8_000, b"ab")
    events = list(Parser().receive(IDENTIFICATION + message + after))
    assert events[1:] == [Unreadable(kind), AudioReceived(8_000, b"ab")]


def test_a_header_of_an_id_alone_is_waited_for() -> None:
    parser = Parser()
    assert list(parser.receive(IDENTIFICATION[:3])) == []
    assert list(parser.receive(IDENTIFICATION[3:])) == [Identified(UUID(bytes=bytes(range(16))))]


@given(st.binary(max_size=400))
def test_any_bytes_are_events_or_bad_audiosocket(data: bytes) -> None:
    parser = Parser()
    try:
        for event in parser.receive(IDENTIFICATION + data):
            assert isinstance(event, Identified | AudioReceived | DtmfReceived | HungUp | ErrorReceived | Unreadable)
    except BadAudioSocket:
        pass


def test_audio_messages_have_the_format_of_asterisk() -> None:
    assert audio_message(8_000, bytes(320)) == b"\x10\x01\x40" + bytes(320)
    assert audio_message(16_000, b"\x01\x02")[:3] == b"\x12\x00\x02"
    assert HANG_UP == b"\0\0\0"
    written = IDENTIFICATION + audio_message(48_000, bytes(1920))
    assert list(Parser().receive(written))[1] == AudioReceived(48_000, bytes(1920))


@pytest.mark.parametrize(("rate", "pcm"), [(8_000, b""), (8_000, b"abc"), (11_025, b"ab"), (8_000, bytes(65536))])
def test_audio_that_makes_asterisk_hang_up_is_not_written(rate: int, pcm: bytes) -> None:
    with pytest.raises(ValueError, match="expected"):
        audio_message(rate, pcm)
