"""chan_websocket, against frames that Asterisk 22.10.1 sent (data/asterisk), and the model of its queue."""

from __future__ import annotations

import gzip
import json
from typing import Any

import numpy as np
import pytest

from harness import DATA
from harness.tones import pitch
from vivavoce.realtime.telephony import DtmfReceived
from vivavoce.realtime.telephony.asterisk import chan_websocket
from vivavoce.realtime.telephony.asterisk.audio import AsteriskCodec
from vivavoce.realtime.telephony.asterisk.chan_websocket import (
    AHEAD,
    MARK_EVERY,
    PERIOD,
    CommandRejected,
    FlowChanged,
    MarkReached,
    MediaStarted,
    QueueDrained,
    QueueReported,
    RemoteQueue,
    UnknownEvent,
)
from vivavoce.realtime.telephony.errors import BadChanWebSocket, FormatNotSupported


def captured(name: str) -> bytes:
    return gzip.decompress((DATA / "asterisk" / f"{name}.gz").read_bytes())


@pytest.mark.parametrize(
    ("name", "plain", "rate", "frame"), [("websocket_200", False, 16_000, 640), ("websocket_201", True, 8_000, 160)]
)
def test_a_call_of_asterisk_is_parsed_in_both_formats(name: str, plain: bool, rate: int, frame: int) -> None:
    log: list[tuple[float, str]] = json.loads(captured(f"{name}.json"))
    texts = [text for _, text in log if "{" in text or text[:4].isupper()]
    events = [chan_websocket.parse(text) for text in texts]
    started = events[0]
    assert isinstance(started, MediaStarted)
    assert (started.plain, started.rate, started.frame, started.connection) == (plain, rate, frame, "vivavoce")
    assert ("DIALEDPEERNUMBER" in started.variables) != plain
    five, hash_ = DtmfReceived("5"), DtmfReceived("#")
    assert events[1:] == [QueueReported(50), five, MarkReached("50"), hash_, QueueReported(0), QueueDrained()]
    frames = [bytes.fromhex(text) for _, text in log if text not in texts]
    assert {len(one) for one in frames} == {frame}
    codec = AsteriskCodec(rate, "mu" if plain else None)
    assert pitch(np.concatenate([codec.decode(one) for one in frames])[6000:20000]) == pytest.approx(440, abs=5)


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ('{"event":"MEDIA_XOFF","channel_id":"1.2"}', FlowChanged(full=True)),
        ("MEDIA_XON", FlowChanged(full=False)),
        ("MEDIA_MARK_PROCESSED a b:c", MarkReached("a b:c")),
        (
            "ERROR channel_id:1.2 error_text:FLUSH_MEDIA not supported: no",
            CommandRejected("FLUSH_MEDIA not supported: no"),
        ),
        ('{"event":"ERROR","error_text":"no"}', CommandRejected("no")),
        ("DTMF_END digit:* channel_id:1.2", DtmfReceived("*")),
        ("A_NEW_EVENT of:tomorrow", UnknownEvent("A_NEW_EVENT")),
    ],
)
def test_events_are_parsed(text: str, event: chan_websocket.Event) -> None:
    assert chan_websocket.parse(text) == event


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
def test_what_is_not_supported_is_named(text: str, words: str) -> None:
    with pytest.raises(BadChanWebSocket, match=words):
        chan_websocket.parse(text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('{"event":"DTMF_END","digits":"4711"}', "an event that cannot be read: DTMF_END"),
        ("the PIN is 4711", "an event that cannot be read: without a name"),
        ('{"event":{"PIN":4711}}', "an event that cannot be read: without a name"),
        (start(channel_variables=["4711"]), "an event that cannot be read: MEDIA_START"),
        (start(ptime=1e999), "an event that cannot be read: MEDIA_START"),
    ],
)
def test_the_fault_of_an_event_is_named_without_its_content(text: str, kind: str) -> None:
    with pytest.raises(BadChanWebSocket) as bad:
        chan_websocket.parse(text)
    assert str(bad.value) == kind
    assert not isinstance(bad.value, FormatNotSupported)


def test_commands_are_written_in_both_formats() -> None:
    assert chan_websocket.command(True, "FLUSH_MEDIA") == "FLUSH_MEDIA"
    assert chan_websocket.command(True, "MARK_MEDIA", "25") == "MARK_MEDIA 25"
    assert json.loads(chan_websocket.command(False, "MARK_MEDIA", "25")) == {
        "command": "MARK_MEDIA",
        "correlation_id": "25",
    }
    with pytest.raises(ValueError, match="127"):
        chan_websocket.command(False, "MARK_MEDIA", "x" * 100)


# --- RemoteQueue -----------------------------------------------------------------------------------------------


def test_the_queue_is_kept_short_and_never_runs_empty() -> None:
    queue, now = RemoteQueue(10.0), 10.0
    for sent in range(1, 500):
        now = queue.due(now)
        queue.send(now)
        waiting = sent - queue.played(now)
        assert 1 <= waiting <= AHEAD
    assert now == pytest.approx(10 + (499 - AHEAD) * PERIOD)


def test_after_a_stall_the_queue_is_filled_again() -> None:
    queue, now = RemoteQueue(0.0), 0.0
    for _ in range(10):
        now = queue.due(now)
        queue.send(now)
    now += 1.0  # a stall of ours, while Asterisk plays silence
    burst = 0
    while queue.due(now) <= now:
        queue.send(now)
        burst += 1
    assert burst == AHEAD
    assert queue.sent == 10 + AHEAD


def test_the_first_word_after_silence_waits_behind_one_frame_of_it_at_most() -> None:
    queue, now = RemoteQueue(0.0), 0.0
    for sent in range(1, 50):
        now = queue.due(now)
        queue.send(now, audible=False)
        assert sent - queue.played(now) == 1
    now = queue.due(now)
    queue.send(now)
    for _ in range(AHEAD - 1):
        assert queue.due(now) == now
        queue.send(now)
    assert queue.due(now) > now


def test_the_frames_played_at_a_flush_are_exact() -> None:
    queue = RemoteQueue(0.0)
    for _ in range(AHEAD):
        queue.send(0.0)
    assert queue.played(0.0) == 0
    assert queue.played(PERIOD * 1.5) == 1
    assert queue.flush(PERIOD * 2) == 2
    assert queue.due(PERIOD * 2) == PERIOD * 2  # empty: the next one may leave at once
    queue.send(PERIOD * 2)
    assert queue.played(PERIOD * 2) == AHEAD  # the flushed frame counts as gone


def test_marks_correct_the_clock() -> None:
    queue, now, marks = RemoteQueue(0.0), 0.0, []
    for _ in range(MARK_EVERY):
        now = queue.due(now)
        marks.append(queue.send(now))
    assert marks == [""] * (MARK_EVERY - 1) + [str(MARK_EVERY)]
    queue.send(now)
    queue.mark_reached(str(MARK_EVERY), now + 0.1)  # later than by the clock
    assert queue.played(now + 0.1) == MARK_EVERY
    assert queue.played(now + 0.1 + PERIOD) == MARK_EVERY + 1
    for nonsense in ("", "x", "٣", "999999"):
        queue.mark_reached(nonsense, now + 9)
    assert queue.played(now + 0.1) == MARK_EVERY
