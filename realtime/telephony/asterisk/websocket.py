"""The wire of Asterisk's WebSocket channel (chan_websocket); no I/O.

    text frames ──read──► Began, Pressed, Standing, Played, Drained, Held, Failed, Unknown
    Speech.answer(), mark(…), flush() … ──► text frames, in the way of writing that the call began with

Sound travels in binary frames, bare; everything else in text frames, either as JSON (`f(json)` in the dial string) or
as one line of plain text, the older way. The first text frame says which, and names the codec and the size of a frame.
Asterisk keeps the pace: it plays one frame each 20 ms out of a queue that we fill, reports a mark when all sound before
it has been played, and empties the queue when it is told to. Marks that were in it are then gone without a word.

Source: Asterisk's chan_websocket.c and its documentation, versions 20.18, 22.8 and 23.2.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

SUBPROTOCOL: Final = "media"

MAX_COMMAND: Final = 127
"""Bytes of a command; Asterisk passes over longer ones."""

MAX_SOUND: Final = 65_500
"""Bytes of one binary frame; at longer ones Asterisk drops the call."""

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
"""Samples a second of the formats we speak: G.711 of both laws, and 16-bit signed little-endian."""


class WireBroken(Exception):
    """The other side does not speak this protocol; the message says what came."""


@dataclass(frozen=True, slots=True)
class Began:
    """The first event. `frame`: bytes of 20 ms of sound. `plain`: Asterisk writes plain text, and wants us to.
    `variables`: of the channel, where they travel."""

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
class Pressed:
    """A key was pressed and let go."""

    key: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How many frames wait in Asterisk's queue."""

    queued: int


@dataclass(frozen=True, slots=True)
class Played:
    """All sound before the mark of this name has been played."""

    mark: str


@dataclass(frozen=True, slots=True)
class Drained:
    """The queue has run empty; told once for each time it was asked for."""


@dataclass(frozen=True, slots=True)
class Held:
    """The queue is (not) full: send no more, or go on."""

    full: bool


@dataclass(frozen=True, slots=True)
class Failed:
    """Asterisk refused a command."""

    why: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """An event of a version to come."""

    name: str


Event = Began | Pressed | Standing | Played | Drained | Held | Failed | Unknown


def read(text: str) -> Event:
    """One text frame. Raises `WireBroken`."""
    plain = not text.lstrip().startswith("{")
    try:
        fields = _plain_fields(text) if plain else json.loads(text)
        return _event(fields, plain)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise WireBroken(f"an event that cannot be read: {text[:80]!r}") from error


def command(plain: bool, name: str, correlation_id: str = "") -> str:
    """One text frame for Asterisk. Raises ValueError for an id that makes it longer than is heeded."""
    if plain:
        text = f"{name} {correlation_id}" if correlation_id else name
    else:
        fields = {"command": name} | ({"correlation_id": correlation_id} if correlation_id else {})
        text = json.dumps(fields, separators=(",", ":"))
    if len(text.encode()) > MAX_COMMAND:
        raise ValueError(f"expected at most {MAX_COMMAND} bytes, got {len(text.encode())}")
    return text


def _event(fields: Mapping[str, Any], plain: bool) -> Event:
    match str(fields["event"]):
        case "MEDIA_START":
            return _began(fields, plain)
        case "DTMF_END":
            return Pressed(str(fields["digit"])[:1])
        case "STATUS":
            return Standing(int(fields["queue_length"]))
        case "MEDIA_MARK_PROCESSED":
            return Played(str(fields["correlation_id"]))
        case "QUEUE_DRAINED":
            return Drained()
        case "MEDIA_XOFF":
            return Held(full=True)
        case "MEDIA_XON":
            return Held(full=False)
        case "ERROR":
            return Failed(str(fields["error_text"]))
        case name if re.fullmatch("[A-Z_]{1,40}", name):
            return Unknown(name)
        case name:
            raise ValueError(name)


def _began(fields: Mapping[str, Any], plain: bool) -> Began:
    spoken, frame, ptime = str(fields["format"]), int(fields["optimal_frame_size"]), int(fields["ptime"])
    if spoken not in FORMATS:
        raise WireBroken(f"the format {spoken[:20]!r}; expected one of {', '.join(FORMATS)}, such as c(slin16)")
    expected = FORMATS[spoken] // 50 * (1 if spoken.endswith("law") else 2)
    if (ptime, frame) != (20, expected):
        raise WireBroken(f"frames of {frame} bytes in {ptime} ms of {spoken}; expected {expected} in 20 ms")
    variables = fields.get("channel_variables") or {}
    pairs = {str(name): str(value) for name, value in variables.items()}
    return Began(str(fields["connection_id"]), str(fields["channel"]), spoken, frame, plain, pairs)


def _plain_fields(text: str) -> dict[str, str]:
    """ "NAME key:value key:value" as the same fields that JSON has."""
    name, _, rest = text.strip().partition(" ")
    if name in ("MEDIA_MARK_PROCESSED", "MEDIA_BUFFERING_COMPLETED"):
        return {"event": name, "correlation_id": rest}
    before, error, words = rest.partition("error_text:")
    pairs = (word.partition(":") for word in before.split())
    return {"event": name} | {key: value for key, _, value in pairs} | ({"error_text": words} if error else {})
