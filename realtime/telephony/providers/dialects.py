"""The dialects of media streams: Twilio, Telnyx, Plivo, Exotel, Vonage.

Each reads the provider's frames and writes ours; `detect.py` tells by the first messages who is calling. A core.

Which provider calls, by the first messages of its stream. Numbers come as text with some and as numbers with others;
both are taken. A core.

Frames of JSON: read with care, written briefly. A core.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from vivavoce.codecs.phone import Encoding
from vivavoce.realtime.telephony import KEYS
from vivavoce.realtime.telephony.providers import BadFrame, Dialect, Left, Marked, Media, Opened, Pressed, StreamEvent
from vivavoce.realtime.telephony.providers import dialects as frames


class _Json:
    """What dialects of JSON share. `NAME`, and the paths of what is to be read."""

    name = ""
    batch = 1

    def __init__(self, opened: Opened, encoding: Encoding, rate: int) -> None:
        self.opened = opened
        self.encoding: Encoding = encoding
        self.rate = rate

    def read(self, frame: str | bytes) -> StreamEvent | None:
        said = frames.parse(frame)
        match said.get("event"):
            case "media":
                media = frames.table(said, "media")
                if str(media.get("track") or "inbound").startswith("outbound"):
                    return None  # a copy of what we said ourselves
                return Media(frames.payload(media.get("payload")), frames.number(media.get("timestamp")))
            case "dtmf":
                return frames.pressed(frames.table(said, "dtmf").get("digit"))
            case "mark":
                return Marked(frames.text(frames.table(said, "mark"), "name"))
            case "stop":
                return Left()
        return None


class Twilio(_Json):
    """Twilio Media Streams, bidirectional (`<Connect><Stream>`)."""

    name = "twilio"

    def media(self, payload: bytes) -> str:
        return frames.write(
            {"event": "media", "streamSid": self.opened.stream, "media": {"payload": frames.base64_text(payload)}}
        )

    def mark(self, name: str) -> str:
        return frames.write({"event": "mark", "streamSid": self.opened.stream, "mark": {"name": name}})

    def clear(self) -> str:
        return frames.write({"event": "clear", "streamSid": self.opened.stream})


class Telnyx(_Json):
    """Telnyx media streaming with `stream_bidirectional_mode=rtp`."""

    name = "telnyx"

    def media(self, payload: bytes) -> str:
        return frames.write({"event": "media", "media": {"payload": frames.base64_text(payload)}})

    def mark(self, name: str) -> str:
        return frames.write({"event": "mark", "mark": {"name": name}})

    def clear(self) -> str:
        return frames.write({"event": "clear"})


class Plivo(_Json):
    """Plivo audio streams, bidirectional."""

    name = "plivo"

    def read(self, frame: str | bytes) -> StreamEvent | None:
        said = frames.parse(frame)
        if said.get("event") == "playedStream":
            return Marked(frames.text(said, "name"))
        return super().read(frame)

    def media(self, payload: bytes) -> str:
        kind = "audio/x-l16" if self.encoding == "l16" else "audio/x-mulaw"
        media = {"contentType": kind, "sampleRate": self.rate, "payload": frames.base64_text(payload)}
        return frames.write({"event": "playAudio", "streamId": self.opened.stream, "media": media})

    def mark(self, name: str) -> str:
        return frames.write({"event": "checkpoint", "streamId": self.opened.stream, "name": name})

    def clear(self) -> str:
        return frames.write({"event": "clearAudio", "streamId": self.opened.stream})


class Exotel(_Json):
    """Exotel's Voicebot applet: linear sound, and no message of less than 3.2 kB."""

    name = "exotel"

    def __init__(self, opened: Opened, encoding: Encoding, rate: int) -> None:
        super().__init__(opened, encoding, rate)
        frame = rate // 50 * (2 if encoding == "l16" else 1)
        self.batch = -(-3200 // frame)

    def media(self, payload: bytes) -> str:
        return frames.write(
            {"event": "media", "stream_sid": self.opened.stream, "media": {"payload": frames.base64_text(payload)}}
        )

    def mark(self, name: str) -> str:
        return frames.write({"event": "mark", "stream_sid": self.opened.stream, "mark": {"name": name}})

    def clear(self) -> str:
        return frames.write({"event": "clear", "stream_sid": self.opened.stream})


class Vonage:
    """Vonage (Nexmo) Voice WebSockets: sound in binary frames, everything else as JSON."""

    name = "vonage"
    batch = 1

    def __init__(self, opened: Opened, rate: int) -> None:
        self.opened = opened
        self.encoding: Encoding = "l16"
        self.rate = rate

    def read(self, frame: str | bytes) -> StreamEvent | None:
        if isinstance(frame, bytes):
            if len(frame) > frames.MAX_FRAME or len(frame) % 2:
                raise BadFrame(f"{len(frame)} bytes are no linear sound of at most {frames.MAX_FRAME}")
            return Media(frame)
        said = frames.parse(frame)
        match said.get("event"):
            case "websocket:dtmf":
                return frames.pressed(said.get("digit"))
            case "websocket:notify":
                return Marked(frames.text(frames.table(said, "payload"), "name"))
            case "websocket:disconnected":
                return Left()
        return None

    def media(self, payload: bytes) -> bytes:
        return payload

    def mark(self, name: str) -> str:
        return frames.write({"action": "notify", "payload": {"name": name}})

    def clear(self) -> str:
        return frames.write({"action": "clear"})


_ENCODINGS: Final[dict[str, Encoding]] = {
    "audio/x-mulaw": "pcmu",
    "mulaw": "pcmu",
    "pcmu": "pcmu",
    "audio/x-alaw": "pcma",
    "pcma": "pcma",
    "g722": "g722",
}


def detect(frame: str | bytes) -> Dialect | None:
    """The dialect that a first message belongs to; None while it may still be any. Raises `BadFrame`."""
    said = frames.parse(frame)
    match said.get("event"):
        case "connected":
            return None
        case "websocket:connected":
            return _vonage(said)
        case "start":
            return _started(said, frames.table(said, "start"))
    raise BadFrame("a stream begins with 'connected', 'start' or 'websocket:connected'")


def _started(said: Mapping[str, Any], start: Mapping[str, Any]) -> Dialect:
    if "streamSid" in start and "callSid" in start:
        opened = Opened(
            frames.text(start, "streamSid"),
            frames.text(start, "callSid"),
            str(start.get("accountSid") or ""),
            parameters=frames.parameters(start.get("customParameters")),
        )
        return Twilio(opened, *_format(start.get("mediaFormat"), "pcmu"))
    if "stream_id" in said and "call_control_id" in start:
        opened = Opened(
            frames.text(said, "stream_id"),
            frames.text(start, "call_control_id"),
            caller=str(start.get("from") or ""),
            called=str(start.get("to") or ""),
            parameters=frames.parameters(start.get("custom_parameters")),
        )
        return Telnyx(opened, *_format(start.get("media_format"), "pcmu"))
    if "streamId" in start and "callId" in start:
        opened = Opened(frames.text(start, "streamId"), frames.text(start, "callId"), str(start.get("accountId") or ""))
        return Plivo(opened, *_format(start.get("mediaFormat"), "pcmu"))
    if "stream_sid" in start and "call_sid" in start:
        opened = Opened(
            frames.text(start, "stream_sid"),
            frames.text(start, "call_sid"),
            str(start.get("account_sid") or ""),
            str(start.get("from") or ""),
            str(start.get("to") or ""),
            frames.parameters(start.get("custom_parameters")),
        )
        return Exotel(opened, *_format(start.get("media_format"), "l16"))
    raise BadFrame("the ids in 'start' are those of no provider known here")


def _vonage(said: Mapping[str, Any]) -> Vonage:
    kind = str(said.get("content-type") or "")
    found = re.fullmatch(r"audio/l16;\s*rate=(8000|16000|24000)", kind)
    if found is None:
        raise BadFrame("the content-type must be audio/l16 with a rate of 8000, 16000 or 24000")
    given = {key: value for key, value in said.items() if key not in ("event", "content-type")}
    ids = str(given.get("uuid") or given.get("ticket") or "")
    return Vonage(Opened(ids, ids, parameters=frames.parameters(given)), int(found[1]))


def _format(said: object, usual: Encoding) -> tuple[Encoding, int]:
    """Encoding and rate of a `mediaFormat`, by whatever names."""
    given = said if isinstance(said, Mapping) else {}
    name = str(given.get("encoding") or "").lower()
    encoding = _ENCODINGS.get(name) or ("l16" if "l16" in name or "slin" in name else usual)
    rate = frames.number(given.get("sampleRate") or given.get("sample_rate")) or 8000
    allowed = (8000,) if encoding in ("pcmu", "pcma") else (8000, 16000, 24000)
    if encoding == "g722":
        return encoding, 16000  # what it is announced as (8000 by RFC 3551) says nothing
    if rate not in allowed:
        raise BadFrame(f"{encoding} at {rate} Hz is not known here")
    return encoding, rate


MAX_FRAME: Final = 128 * 1024
"""Characters or bytes of one frame; the largest are Exotel's, of some 16 KiB."""


def parse(frame: str | bytes) -> dict[str, Any]:
    """A frame of JSON text. Raises `BadFrame`."""
    if isinstance(frame, bytes):
        raise BadFrame("a binary frame where JSON text was expected")
    if len(frame) > MAX_FRAME:
        raise BadFrame(f"a frame of {len(frame)} characters; at most {MAX_FRAME}")
    try:
        said = json.loads(frame)
    except (ValueError, RecursionError) as error:
        raise BadFrame("a frame is not JSON") from error
    if not isinstance(said, dict):
        raise BadFrame("a frame is not a JSON object")
    return said


def text(table: Mapping[str, Any], name: str) -> str:
    """A text that has to be there, of at most 512 characters. Raises `BadFrame`."""
    value = table.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 512:
        raise BadFrame(f"'{name}' must be a text")
    return value


def pressed(key: object) -> Pressed:
    """A key. Raises `BadFrame`."""
    if not isinstance(key, str | int) or str(key).upper() not in KEYS:
        raise BadFrame("'digit' must be a key of a telephone")
    return Pressed(str(key).upper())


def table(said: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object that has to be there. Raises `BadFrame`."""
    value = said.get(name)
    if not isinstance(value, Mapping):
        raise BadFrame(f"'{name}' must be an object")
    return value


def number(value: object) -> int | None:
    """A whole number, written as one or as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return int(float(value))
    except (ValueError, OverflowError):
        return None


def payload(value: object) -> bytes:
    """Sound in base64. Raises `BadFrame`."""
    if not isinstance(value, str):
        raise BadFrame("'payload' must be base64 text")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadFrame("'payload' is not base64") from error


def parameters(value: object) -> tuple[tuple[str, str], ...]:
    """At most 64 names and values, cut to a bearable length."""
    given = value if isinstance(value, Mapping) else {}
    return tuple((str(key)[:128], str(one)[:512]) for key, one in list(given.items())[:64])


def base64_text(payload: bytes) -> str:
    """Sound as it travels in JSON."""
    return base64.b64encode(payload).decode("ascii")


def write(message: dict[str, Any]) -> str:
    """A frame of ours."""
    return json.dumps(message, separators=(",", ":"))
