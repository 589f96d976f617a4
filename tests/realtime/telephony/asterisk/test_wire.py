"""The wires of Asterisk, against bytes that Asterisk 22.10.1 sent (data/asterisk): audiosocket.py, asterisk.py,
asterisk_queue.py, asterisk_sound.py, gaps.py."""

from __future__ import annotations

import gzip
import json
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import DATA
from vivavoce.codecs import g711
from vivavoce.codecs.audio import FRAME, SAMPLE_RATE, Samples
from vivavoce.realtime.telephony.asterisk import audiosocket
from vivavoce.realtime.telephony.asterisk import websocket as asterisk
from vivavoce.realtime.telephony.asterisk.audiosocket import (
    HANG_UP,
    Event,
    Heard,
    HungUp,
    Named,
    Pressed,
    Reader,
    WireBroken,
    audio,
)
from vivavoce.realtime.telephony.asterisk.audiosocket_line import PATIENCE, Gaps
from vivavoce.realtime.telephony.asterisk.pcm import WireSound
from vivavoce.realtime.telephony.asterisk.websocket import (
    Began,
    Drained,
    Failed,
    Held,
    Played,
    Standing,
    Unknown,
)
from vivavoce.realtime.telephony.asterisk.websocket_line import AHEAD, MARKED, PERIOD, FarQueue

CAPTURED = DATA / "asterisk"
NAME = bytes.fromhex("010010") + bytes(range(16))


def captured(name: str) -> bytes:
    return gzip.decompress((CAPTURED / f"{name}.gz").read_bytes())


def tone(hz: float, seconds: float, rate: int = SAMPLE_RATE) -> Samples:
    return (0.25 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def pitch(samples: Samples, rate: int = SAMPLE_RATE) -> float:
    """The strongest frequency."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * rate / len(samples)


# --- AudioSocket ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "rate"), [("audiosocket_100", 8_000), ("audiosocket_101", 16_000)])
def test_a_call_of_asterisk_is_read_to_the_last_byte(name: str, rate: int) -> None:
    events = list(Reader().receive(captured(name)))
    assert isinstance(events[0], Named)
    assert [event.key for event in events if isinstance(event, Pressed)] == ["5", "#"]
    heard = [event for event in events if isinstance(event, Heard)]
    assert {(event.rate, len(event.pcm)) for event in heard} == {(rate, rate // 50 * 2)}
    sound = WireSound(rate)
    said = np.concatenate([sound.hear(event.pcm) for event in heard])
    assert len(said) == pytest.approx(len(heard) * FRAME, abs=100)
    assert pitch(said[6000:20000]) == pytest.approx(440, abs=5)


@given(st.lists(st.integers(1, 700), min_size=1, max_size=30))
def test_however_tcp_cuts_the_bytes_the_events_are_the_same(cuts: list[int]) -> None:
    data = captured("audiosocket_100")[:9000]
    reader, events, at = Reader(), list[Event](), 0
    for cut in [*cuts, len(data)]:
        events += reader.receive(data[at : at + cut])
        at += cut
    assert events == list(Reader().receive(data))


def test_kinds_that_are_not_known_are_passed_over_and_errors_are_named() -> None:
    reader = Reader()
    assert list(reader.receive(NAME)) == [Named(UUID(bytes=bytes(range(16))))]
    assert list(reader.receive(b"\x05\x00\x02ab\x00\x00\x00")) == [HungUp()]
    assert list(reader.receive(b"\xff\x00\x01\x02\xff\x00\x00")) == [
        audiosocket.Failed("sound could not be passed on"),
        audiosocket.Failed("an error without a code"),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"\x10\x01\x40" + bytes(320),  # sound before the name
        b"GET / HTTP/1.1\r\n",
        b"\x01\x00\x10",  # only the head: a name is 16 bytes, and what follows is waited for
        b"\x01\x00\x11" + bytes(17),
        NAME + NAME,
        NAME + b"\x10\x00\x03abc",
        NAME + b"\x03\x00\x02ab",
        NAME + b"\x03\x00\x00",
    ],
)
def test_what_is_not_audiosocket_is_refused_at_once(data: bytes) -> None:
    reader = Reader()
    if data == b"\x01\x00\x10":
        assert list(reader.receive(data)) == []
        return
    with pytest.raises(WireBroken):
        list(reader.receive(data))


@given(st.binary(max_size=400))
def test_whatever_comes_the_reader_says_what_it_is_or_that_it_is_none(data: bytes) -> None:
    reader = Reader()
    try:
        for event in reader.receive(NAME + data):
            assert isinstance(event, Named | Heard | Pressed | HungUp | audiosocket.Failed)
    except WireBroken:
        pass


def test_sound_is_written_as_asterisk_reads_it() -> None:
    assert audio(8_000, bytes(320)) == b"\x10\x01\x40" + bytes(320)
    assert audio(16_000, b"\x01\x02")[:3] == b"\x12\x00\x02"
    assert HANG_UP == b"\0\0\0"
    written = NAME + audio(48_000, bytes(1920))
    assert list(Reader().receive(written))[1] == Heard(48_000, bytes(1920))


@pytest.mark.parametrize(("rate", "pcm"), [(8_000, b""), (8_000, b"abc"), (11_025, b"ab"), (8_000, bytes(65536))])
def test_nothing_is_written_over_which_asterisk_would_hang_up(rate: int, pcm: bytes) -> None:
    with pytest.raises(ValueError, match="expected"):
        audio(rate, pcm)


# --- chan_websocket ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "plain", "rate", "frame"), [("websocket_200", False, 16_000, 640), ("websocket_201", True, 8_000, 160)]
)
def test_a_websocket_of_asterisk_is_read_in_both_ways_of_writing(name: str, plain: bool, rate: int, frame: int) -> None:
    log: list[tuple[float, str]] = json.loads(captured(f"{name}.json"))
    texts = [text for _, text in log if "{" in text or text[:4].isupper()]
    events = [asterisk.read(text) for text in texts]
    began = events[0]
    assert isinstance(began, Began)
    assert (began.plain, began.rate, began.frame, began.connection) == (plain, rate, frame, "vivavoce")
    assert ("DIALEDPEERNUMBER" in began.variables) != plain
    five, hash_ = asterisk.Pressed("5"), asterisk.Pressed("#")
    assert events[1:] == [Standing(50), five, Played("50"), hash_, Standing(0), Drained()]
    sounds = [bytes.fromhex(text) for _, text in log if text not in texts]
    assert {len(sound) for sound in sounds} == {frame}
    sound = WireSound(rate, "mu" if plain else None)
    assert pitch(np.concatenate([sound.hear(one) for one in sounds])[6000:20000]) == pytest.approx(440, abs=5)


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ('{"event":"MEDIA_XOFF","channel_id":"1.2"}', Held(full=True)),
        ("MEDIA_XON", Held(full=False)),
        ("MEDIA_MARK_PROCESSED a b:c", Played("a b:c")),
        ("ERROR channel_id:1.2 error_text:FLUSH_MEDIA not supported: no", Failed("FLUSH_MEDIA not supported: no")),
        ('{"event":"ERROR","error_text":"no"}', Failed("no")),
        ("DTMF_END digit:* channel_id:1.2", asterisk.Pressed("*")),
        ("A_NEW_EVENT of:tomorrow", Unknown("A_NEW_EVENT")),
    ],
)
def test_events_are_read(text: str, event: asterisk.Event) -> None:
    assert asterisk.read(text) == event


def start(**changes: Any) -> str:
    plain = {"event": "MEDIA_START", "connection_id": "c", "channel": "WebSocket/c", "format": "slin16"}
    return json.dumps(plain | {"optimal_frame_size": 640, "ptime": 20} | changes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "cannot be read"),
        ("{", "cannot be read"),
        ("[" * 2000, "cannot be read"),
        ('{"event":' * 2000, "cannot be read"),
        ("get / http/1.1", "cannot be read"),
        ('{"event":"STATUS","queue_length":"many"}', "cannot be read"),
        ('{"event":"DTMF_END"}', "cannot be read"),
        (start(format="opus"), r"c\(slin16\)"),
        (start(optimal_frame_size=160), "expected 640 in 20 ms"),
        (start(ptime=10), "expected 640 in 20 ms"),
    ],
)
def test_what_cannot_be_spoken_with_is_said(text: str, words: str) -> None:
    with pytest.raises(asterisk.WireBroken, match=words):
        asterisk.read(text)


def test_commands_are_written_in_both_ways() -> None:
    assert asterisk.command(True, "FLUSH_MEDIA") == "FLUSH_MEDIA"
    assert asterisk.command(True, "MARK_MEDIA", "25") == "MARK_MEDIA 25"
    assert json.loads(asterisk.command(False, "MARK_MEDIA", "25")) == {"command": "MARK_MEDIA", "correlation_id": "25"}
    with pytest.raises(ValueError, match="127"):
        asterisk.command(False, "MARK_MEDIA", "x" * 100)


# --- the far queue -------------------------------------------------------------------------------------------------


def test_the_far_queue_is_kept_short_and_never_runs_dry() -> None:
    queue, now = FarQueue(10.0), 10.0
    for sent in range(1, 500):
        now = queue.due(now)
        queue.send(now)
        waiting = sent - queue.heard(now)
        assert 1 <= waiting <= AHEAD
    assert now == pytest.approx(10 + (499 - AHEAD) * PERIOD)


def test_after_a_stall_the_queue_is_filled_again_and_nothing_is_left_out() -> None:
    queue, now = FarQueue(0.0), 0.0
    for _ in range(10):
        now = queue.due(now)
        queue.send(now)
    now += 1.0  # the machine was busy; the far end has played silence
    burst = 0
    while queue.due(now) <= now:
        queue.send(now)
        burst += 1
    assert burst == AHEAD
    assert queue.sent == 10 + AHEAD


def test_the_first_word_after_silence_waits_behind_one_frame_of_it_at_most() -> None:
    queue, now = FarQueue(0.0), 0.0
    for sent in range(1, 50):
        now = queue.due(now)
        queue.send(now, sounds=False)
        assert sent - queue.heard(now) == 1
    now = queue.due(now)
    queue.send(now)
    for _ in range(AHEAD - 1):
        assert queue.due(now) == now
        queue.send(now)
    assert queue.due(now) > now


def test_what_was_heard_at_a_cut_is_known_to_the_frame() -> None:
    queue = FarQueue(0.0)
    for _ in range(AHEAD):
        queue.send(0.0)
    assert queue.heard(0.0) == 0
    assert queue.heard(PERIOD * 1.5) == 1
    assert queue.flush(PERIOD * 2) == 2
    assert queue.due(PERIOD * 2) == PERIOD * 2  # empty: the next one may leave at once
    queue.send(PERIOD * 2)
    assert queue.heard(PERIOD * 2) == AHEAD  # the lost one counts as gone


def test_marks_set_the_clock_right() -> None:
    queue, now, marks = FarQueue(0.0), 0.0, []
    for _ in range(MARKED):
        now = queue.due(now)
        marks.append(queue.send(now))
    assert marks == [""] * (MARKED - 1) + [str(MARKED)]
    queue.send(now)
    queue.played(str(MARKED), now + 0.1)  # later than thought
    assert queue.heard(now + 0.1) == MARKED
    assert queue.heard(now + 0.1 + PERIOD) == MARKED + 1
    for nonsense in ("", "x", "٣", "999999"):
        queue.played(nonsense, now + 9)
    assert queue.heard(now + 0.1) == MARKED


# --- sound ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8_000, 12_000, 16_000, 24_000, 32_000, 44_100, 48_000])
def test_sound_survives_the_wire_and_each_frame_is_20_ms(rate: int) -> None:
    sound, said = WireSound(rate), tone(440, 1.0)
    wire = [sound.say(said[at : at + FRAME]) for at in range(0, len(said), FRAME)]
    assert {len(one) for one in wire} == {rate // 50 * 2}
    back = np.concatenate([sound.hear(one) for one in wire])
    late = int(np.argmax(np.correlate(back, said[4800:9600], "valid"))) - 4800
    assert late < 0.005 * SAMPLE_RATE
    assert np.abs(back[4800 + late : 9600 + late] - said[4800:9600]).max() < 0.01


def test_sound_survives_g711() -> None:
    sound = WireSound(8_000, "a")
    said = tone(440, 0.5)
    wire = b"".join(sound.say(said[at : at + FRAME]) for at in range(0, len(said), FRAME))
    assert len(wire) == 4000
    assert pitch(g711.decode(wire, "a"), 8_000) == pytest.approx(440, abs=5)
    assert pitch(sound.hear(wire)) == pytest.approx(440, abs=5)


def test_sound_that_is_too_loud_is_clipped_and_not_wrapped() -> None:
    sound = WireSound(24_000)
    pcm = np.frombuffer(sound.say(np.full(FRAME, 1.5, np.float32)), "<i2")
    assert set(pcm) == {32767}


# --- gaps ----------------------------------------------------------------------------------------------------------


def test_sound_that_comes_as_it_should_has_no_gaps() -> None:
    gaps = Gaps(0.0)
    for number in range(1, 500):
        now = number * 0.02 + (number % 3) * 0.02
        gaps.heard(FRAME, now)
        assert gaps.missing(now) == 0
        assert gaps.deadline > now


def test_silence_takes_the_place_of_what_does_not_come() -> None:
    gaps = Gaps(0.0)
    gaps.heard(FRAME, 0.02)
    assert gaps.deadline == pytest.approx(0.02 + PATIENCE)
    assert gaps.missing(0.02 + PATIENCE) == pytest.approx(PATIENCE * SAMPLE_RATE, abs=1)
    assert gaps.missing(0.15) == 0
    assert gaps.missing(1.12) == pytest.approx(SAMPLE_RATE, abs=1)


def test_a_burst_after_a_stall_is_no_credit_for_the_next_one() -> None:
    gaps = Gaps(0.0)
    gaps.missing(0.5)
    for _ in range(25):
        gaps.heard(FRAME, 0.51)
    assert gaps.missing(0.51 + PATIENCE + 0.001) == pytest.approx((PATIENCE + 0.001) * SAMPLE_RATE, abs=1)
