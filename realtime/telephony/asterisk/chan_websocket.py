"""The protocol of Asterisk's WebSocket channel driver (chan_websocket), and a model of its queue; no I/O.

    text frames ──parse──► MediaStarted, DtmfReceived, QueueReported, MarkReached, QueueDrained, FlowChanged, ...
    command(plain, name, id) ──► text frames, in the format that the call began with

Audio travels in binary frames, without a header; everything else in text frames, either as JSON (`f(json)` in the dial
string) or as one line of plain text, the older format. The first text frame tells which, and names the codec and the
size of a frame. Asterisk keeps the pace: it plays one frame every 20 ms out of a queue that we fill, reports a mark
when all audio before it has been played, and flushes the queue on command. Marks in the queue are then dropped without
a report.

Source: Asterisk's chan_websocket.c and its documentation, versions 20.18, 22.8 and 23.2.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Final

from vivavoce.realtime.telephony import DtmfReceived
from vivavoce.realtime.telephony.errors import BadChanWebSocket, FormatNotSupported

SUBPROTOCOL: Final = "media"

MAX_COMMAND: Final = 127
"""Bytes of a command; Asterisk ignores longer ones."""

FORMATS: Final = {
    "ulaw": 8_000,
    "alaw": 8_000,
    "slin": 8_000,
    "slin12": 12_000,
    "slin16": 16_000,
    "slin24": 24_000,
    "slin32": 32_000,
    "slin44": 44_100,
    "slin48": 48_000,
}
"""Samples a second of the supported formats: G.711 of both laws, and 16-bit signed little-endian."""


@dataclass(frozen=True, slots=True)
class MediaStarted:
    """The first event. `frame`: bytes of 20 ms of audio. `plain`: Asterisk writes plain text, and expects it.
    `variables`: of the channel, in JSON only."""

    connection: str
    channel: str
    format: str
    frame: int
    plain: bool
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def rate(self) -> int:
        """Samples a second."""
        return FORMATS[self.format]


@dataclass(frozen=True, slots=True)
class QueueReported:
    """The number of frames in Asterisk's queue."""

    length: int


@dataclass(frozen=True, slots=True)
class MarkReached:
    """All audio before the mark of this name has been played."""

    mark: str


@dataclass(frozen=True, slots=True)
class QueueDrained:
    """The queue has run empty; reported once for each request."""


@dataclass(frozen=True, slots=True)
class FlowChanged:
    """`full`: the queue is full, so stop sending (XOFF); else go on (XON)."""

    full: bool


@dataclass(frozen=True, slots=True)
class CommandRejected:
    """Asterisk did not carry out a command."""

    reason: str


@dataclass(frozen=True, slots=True)
class UnknownEvent:
    """An event of a later version."""

    name: str


Event = (
    MediaStarted
    | DtmfReceived
    | QueueReported
    | MarkReached
    | QueueDrained
    | FlowChanged
    | CommandRejected
    | UnknownEvent
)


def parse(text: str) -> Event:
    """Parses one text frame. Raises `BadChanWebSocket` for one that cannot be read, and `FormatNotSupported`."""
    plain = not text.lstrip().startswith("{")
    name = ""
    try:
        fields = _plain_fields(text) if plain else json.loads(text, strict=False)
        name = str(fields["event"])
        return _event(name, fields, plain)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        known = name if re.fullmatch("[A-Z_]{1,40}", name) else "without a name"
        raise BadChanWebSocket(f"an event that cannot be read: {known}") from error


def command(plain: bool, name: str, correlation_id: str = "") -> str:
    """One text frame for Asterisk. Raises ValueError for an id that makes it longer than Asterisk accepts."""
    if plain:
        text = f"{name} {correlation_id}" if correlation_id else name
    else:
        fields = {"command": name} | ({"correlation_id": correlation_id} if correlation_id else {})
        text = json.dumps(fields, separators=(",", ":"))
    if len(text.encode()) > MAX_COMMAND:
        raise ValueError(f"expected at most {MAX_COMMAND} bytes, got {len(text.encode())}")
    return text


def _event(name: str, fields: Mapping[str, Any], plain: bool) -> Event:
    match name:
        case "MEDIA_START":
            return _media_started(fields, plain)
        case "DTMF_END":
            return DtmfReceived(str(fields["digit"])[:1])
        case "STATUS":
            return QueueReported(int(fields["queue_length"]))
        case "MEDIA_MARK_PROCESSED":
            return MarkReached(str(fields["correlation_id"]))
        case "QUEUE_DRAINED":
            return QueueDrained()
        case "MEDIA_XOFF":
            return FlowChanged(full=True)
        case "MEDIA_XON":
            return FlowChanged(full=False)
        case "ERROR":
            return CommandRejected(str(fields["error_text"]))
        case _ if re.fullmatch("[A-Z_]{1,40}", name):
            return UnknownEvent(name)
        case _:
            raise ValueError(name)


def _media_started(fields: Mapping[str, Any], plain: bool) -> MediaStarted:
    name, frame, ptime = str(fields["format"]), int(fields["optimal_frame_size"]), int(fields["ptime"])
    if name not in FORMATS:
        raise FormatNotSupported(f"the format {name[:20]!r}; expected one of {', '.join(FORMATS)}, such as c(slin16)")
    expected = FORMATS[name] // 50 * (1 if name.endswith("law") else 2)
    if (ptime, frame) != (20, expected):
        raise FormatNotSupported(f"frames of {frame} bytes in {ptime} ms of {name}; expected {expected} in 20 ms")
    variables = fields.get("channel_variables") or {}
    pairs = {str(key): str(value) for key, value in variables.items()}
    return MediaStarted(str(fields["connection_id"]), str(fields["channel"]), name, frame, plain, pairs)


def _plain_fields(text: str) -> dict[str, str]:
    """ "NAME key:value key:value" as the same fields that JSON has."""
    name, _, rest = text.strip().partition(" ")
    if name in ("MEDIA_MARK_PROCESSED", "MEDIA_BUFFERING_COMPLETED"):
        return {"event": name, "correlation_id": rest}
    before, error, words = rest.partition("error_text:")
    pairs = (word.partition(":") for word in before.split())
    return {"event": name} | {key: value for key, _, value in pairs} | ({"error_text": words} if error else {})


PERIOD: Final = 0.02
"""Seconds of one frame."""

AHEAD: Final = 3
"""Frames that may wait in Asterisk's queue: 60 ms cover the delays of a busy machine, and are flushed at a barge-in."""

MARK_EVERY: Final = 25
"""Frames (0.5 s) between two marks."""


class RemoteQueue:
    """Models Asterisk's queue: how many of the frames sent are still in it, and when to send the next.

        sent ──► [ queue: one frame leaves every 20 ms ] ──► the caller
                 └── `due`: at least one frame, at most `AHEAD`           mark ──► mark_reached: corrects the clock

    Silence is sent when it is due and not ahead, so that the first word after it waits behind one frame.

    Asterisk reports a mark once in half a second; in between the clock counts. `now` is in seconds, on any clock that
    does not run backwards."""

    def __init__(self, now: float) -> None:
        self._empty_at = now
        self._ahead = 1
        self.sent = 0
        """Frames since the call began."""

    def due(self, now: float) -> float:
        """When to send the next frame."""
        return max(self._empty_at - (self._ahead - 1) * PERIOD, now)

    def send(self, now: float, audible: bool = True) -> str:
        """Counts a frame that is sent, silent or not. Returns the name of a mark to send after it, or ""."""
        self.sent += 1
        self._ahead = AHEAD if audible else 1
        late = now - self._empty_at
        self._empty_at = (self._empty_at if late < PERIOD else now) + PERIOD  # a little late keeps the beat
        return str(self.sent) if self.sent % MARK_EVERY == 0 else ""

    def mark_reached(self, mark: str, now: float) -> None:
        """Asterisk has played all frames before a mark. Ignores names that are not ours."""
        if mark.isascii() and mark.isdigit() and int(mark) <= self.sent:
            self._empty_at = now + (self.sent - int(mark)) * PERIOD

    def played(self, now: float) -> int:
        """Frames that have left the queue."""
        return self.sent - max(0, ceil((self._empty_at - now) / PERIOD - 1e-6))

    def flush(self, now: float) -> int:
        """The queue is flushed; returns the frames that were played before."""
        played = self.played(now)
        self._empty_at = now
        return played
