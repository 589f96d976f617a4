"""The dialects of media streams: Twilio, Telnyx, Plivo, Exotel, Vonage. A core.

    first messages ──detect──► Dialect          frames ──parse──► events          media, mark, clear ──► frames

Numbers come as text from some providers and as numbers from others; both are read. So is base64 with line breaks, in
the alphabet of URLs, or without its padding. Unknown events are None. A frame that cannot be read is a `BadFrame`: its
message names the fault and nothing of the content, and the caller passes the frame over.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

from vivavoce.codecs.phone import Encoding
from vivavoce.realtime.telephony import DTMF_KEYS, DtmfReceived
from vivavoce.realtime.telephony.errors import BadFrame, StreamNotSupported
from vivavoce.realtime.telephony.providers import Dialect, MarkReached, Media, StreamEvent, StreamStarted, StreamStopped

MAX_FRAME: Final = 128 * 1024
"""Characters or bytes of one frame; the largest are Exotel's, of some 16 KiB."""

MAX_NUMBER: Final = 1 << 53
"""Greatest whole number that is read: JSON's numbers are exact up to here."""


class _JsonDialect:
    """The common part of the dialects in JSON."""

    name = ""
    batch = 1

    def __init__(self, started: StreamStarted, encoding: Encoding, rate: int) -> None:
        self.started = started
        self.encoding: Encoding = encoding
        self.rate = rate

    def parse(self, frame: str | bytes) -> StreamEvent | None:
        fields = _parse(frame)
        match fields.get("event"):
            case "media":
                media = _table(fields, "media")
                if str(media.get("track") or "inbound").startswith("outbound"):
                    return None  # a copy of our own audio
                return Media(_payload(media.get("payload")), _number(media.get("timestamp")))
            case "dtmf":
                return _dtmf(_table(fields, "dtmf").get("digit"))
            case "mark":
                return MarkReached(_text(_table(fields, "mark"), "name"))
            case "stop":
                return StreamStopped()
        return None


class Twilio(_JsonDialect):
    """Twilio Media Streams, bidirectional (`<Connect><Stream>`)."""

    name = "twilio"

    def media(self, payload: bytes) -> str:
        return _write({"event": "media", "streamSid": self.started.stream, "media": {"payload": _base64_text(payload)}})

    def mark(self, name: str) -> str:
        return _write({"event": "mark", "streamSid": self.started.stream, "mark": {"name": name}})

    def clear(self) -> str:
        return _write({"event": "clear", "streamSid": self.started.stream})


class Telnyx(_JsonDialect):
    """Telnyx media streaming with `stream_bidirectional_mode=rtp`."""

    name = "telnyx"

    def media(self, payload: bytes) -> str:
        return _write({"event": "media", "media": {"payload": _base64_text(payload)}})

    def mark(self, name: str) -> str:
        return _write({"event": "mark", "mark": {"name": name}})

    def clear(self) -> str:
        return _write({"event": "clear"})


class Plivo(_JsonDialect):
    """Plivo audio streams, bidirectional."""

    name = "plivo"

    def parse(self, frame: str | bytes) -> StreamEvent | None:
        fields = _parse(frame)
        if fields.get("event") == "playedStream":
            return MarkReached(_text(fields, "name"))
        return super().parse(frame)

    def media(self, payload: bytes) -> str:
        kind = "audio/x-l16" if self.encoding == "l16" else "audio/x-mulaw"
        media = {"contentType": kind, "sampleRate": self.rate, "payload": _base64_text(payload)}
        return _write({"event": "playAudio", "streamId": self.started.stream, "media": media})

    def mark(self, name: str) -> str:
        return _write({"event": "checkpoint", "streamId": self.started.stream, "name": name})

    def clear(self) -> str:
        return _write({"event": "clearAudio", "streamId": self.started.stream})


class Exotel(_JsonDialect):
    """Exotel's Voicebot applet: linear PCM, and no message of less than 3.2 kB."""

    name = "exotel"

    def __init__(self, started: StreamStarted, encoding: Encoding, rate: int) -> None:
        super().__init__(started, encoding, rate)
        frame = rate // 50 * (2 if encoding == "l16" else 1)
        self.batch = -(-3200 // frame)

    def media(self, payload: bytes) -> str:
        return _write(
            {"event": "media", "stream_sid": self.started.stream, "media": {"payload": _base64_text(payload)}}
        )

    def mark(self, name: str) -> str:
        return _write({"event": "mark", "stream_sid": self.started.stream, "mark": {"name": name}})

    def clear(self) -> str:
        return _write({"event": "clear", "stream_sid": self.started.stream})


class Vonage:
    """Vonage (Nexmo) Voice WebSockets: audio in binary frames, everything else as JSON."""

    name = "vonage"
    batch = 1

    def __init__(self, started: StreamStarted, rate: int) -> None:
        self.started = started
        self.encoding: Encoding = "l16"
        self.rate = rate

    def parse(self, frame: str | bytes) -> StreamEvent | None:
        if isinstance(frame, bytes):
            if len(frame) > MAX_FRAME or len(frame) % 2:
                raise BadFrame(f"a binary frame that is not linear PCM of at most {MAX_FRAME} bytes")
            return Media(frame)
        fields = _parse(frame)
        match fields.get("event"):
            case "websocket:dtmf":
                return _dtmf(fields.get("digit"))
            case "websocket:notify":
                return MarkReached(_text(_table(fields, "payload"), "name"))
            case "websocket:disconnected":
                return StreamStopped()
        return None

    def media(self, payload: bytes) -> bytes:
        return payload

    def mark(self, name: str) -> str:
        return _write({"action": "notify", "payload": {"name": name}})

    def clear(self) -> str:
        return _write({"action": "clear"})


_ENCODINGS: Final[dict[str, Encoding]] = {
    "audio/x-mulaw": "pcmu",
    "mulaw": "pcmu",
    "pcmu": "pcmu",
    "audio/x-alaw": "pcma",
    "pcma": "pcma",
    "g722": "g722",
}


def detect(frame: str | bytes) -> Dialect | None:
    """The dialect of a stream by its start message; None for any other frame, which may come before it: "connected",
    sound, keys. Raises `BadFrame` for a frame that cannot be read, and `StreamNotSupported`."""
    if isinstance(frame, bytes):
        return None  # sound, whose format is not known yet
    fields = _parse(frame)
    match fields.get("event"):
        case "websocket:connected":
            return _vonage(fields)
        case "start":
            return _started(fields, _table(fields, "start"))
    return None


def _started(fields: Mapping[str, Any], start: Mapping[str, Any]) -> Dialect:
    if "streamSid" in start and "callSid" in start:
        started = StreamStarted(
            _text(start, "streamSid"),
            _text(start, "callSid"),
            str(start.get("accountSid") or ""),
            parameters=_parameters(start.get("customParameters")),
        )
        return Twilio(started, *_format(start.get("mediaFormat"), "pcmu"))
    if "stream_id" in fields and "call_control_id" in start:
        started = StreamStarted(
            _text(fields, "stream_id"),
            _text(start, "call_control_id"),
            caller=str(start.get("from") or ""),
            called=str(start.get("to") or ""),
            parameters=_parameters(start.get("custom_parameters")),
        )
        return Telnyx(started, *_format(start.get("media_format"), "pcmu"))
    if "streamId" in start and "callId" in start:
        started = StreamStarted(_text(start, "streamId"), _text(start, "callId"), str(start.get("accountId") or ""))
        return Plivo(started, *_format(start.get("mediaFormat"), "pcmu"))
    if "stream_sid" in start and "call_sid" in start:
        started = StreamStarted(
            _text(start, "stream_sid"),
            _text(start, "call_sid"),
            str(start.get("account_sid") or ""),
            str(start.get("from") or ""),
            str(start.get("to") or ""),
            _parameters(start.get("custom_parameters")),
        )
        return Exotel(started, *_format(start.get("media_format"), "l16"))
    raise StreamNotSupported("the ids in 'start' are those of no supported provider")


def _vonage(fields: Mapping[str, Any]) -> Vonage:
    kind = str(fields.get("content-type") or "")
    found = re.fullmatch(r"audio/l16;\s*rate=(8000|16000|24000)", kind)
    if found is None:
        raise StreamNotSupported("the content-type must be audio/l16 with a rate of 8000, 16000 or 24000")
    custom = {key: value for key, value in fields.items() if key not in ("event", "content-type")}
    call = str(custom.get("uuid") or custom.get("ticket") or "")
    return Vonage(StreamStarted(call, call, parameters=_parameters(custom)), int(found[1]))


def _format(value: object, default: Encoding) -> tuple[Encoding, int]:
    """Encoding and rate of a `mediaFormat`, in each provider's names."""
    given = value if isinstance(value, Mapping) else {}
    name = str(given.get("encoding") or "").lower()
    encoding = _ENCODINGS.get(name) or ("l16" if "l16" in name or "slin" in name else default)
    rate = _number(given.get("sampleRate") or given.get("sample_rate")) or 8000
    allowed = (8000,) if encoding in ("pcmu", "pcma") else (8000, 16000, 24000)
    if encoding == "g722":
        return encoding, 16000  # the announced rate (8000 by RFC 3551) is not the audio's
    if rate not in allowed:
        raise StreamNotSupported(f"{encoding} at {rate} Hz is not supported")
    return encoding, rate


def _parse(frame: str | bytes) -> dict[str, Any]:
    """A frame of JSON text. Raises `BadFrame`."""
    if isinstance(frame, bytes):
        raise BadFrame("a binary frame where JSON text was expected")
    if len(frame) > MAX_FRAME:
        raise BadFrame(f"a frame of more than {MAX_FRAME} characters")
    try:
        fields = json.loads(frame.removeprefix("\ufeff"), strict=False)
    except (ValueError, RecursionError) as error:
        raise BadFrame("a frame is not JSON") from error
    if not isinstance(fields, dict):
        raise BadFrame("a frame is not a JSON object")
    return fields


def _text(table: Mapping[str, Any], name: str) -> str:
    """A required text of at most 512 characters. Raises `BadFrame`."""
    value = table.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 512:
        raise BadFrame(f"'{name}' must be a text")
    return value


def _dtmf(key: object) -> DtmfReceived:
    """A key. Raises `BadFrame`."""
    if not isinstance(key, str | int) or str(key).upper() not in DTMF_KEYS:
        raise BadFrame("'digit' must be a key of a telephone")
    return DtmfReceived(str(key).upper())


def _table(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A required object. Raises `BadFrame`."""
    value = fields.get(name)
    if not isinstance(value, Mapping):
        raise BadFrame(f"'{name}' must be an object")
    return value


def _number(value: object) -> int | None:
    """A whole number, written as one or as text; None for anything else, and beyond `MAX_NUMBER`."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return int(number) if math.isfinite(number) and abs(number) <= MAX_NUMBER else None


def _payload(value: object) -> bytes:
    """Audio in base64. Raises `BadFrame`."""
    if not isinstance(value, str):
        raise BadFrame("'payload' must be base64 text")
    text = "".join(value.split()).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadFrame("'payload' is not base64") from error


def _parameters(value: object) -> tuple[tuple[str, str], ...]:
    """At most 64 names and values, truncated."""
    given = value if isinstance(value, Mapping) else {}
    return tuple((str(key)[:128], str(text)[:512]) for key, text in list(given.items())[:64])


def _base64_text(payload: bytes) -> str:
    """Audio as text in JSON."""
    return base64.b64encode(payload).decode("ascii")


def _write(message: dict[str, Any]) -> str:
    """A frame to the provider."""
    return json.dumps(message, separators=(",", ":"))
