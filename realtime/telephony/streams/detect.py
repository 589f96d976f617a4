"""Which provider calls, by the first messages of its stream. Numbers come as text with some and as numbers with others;
both are taken. A core."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from vivavoce.realtime.telephony.streams import BadFrame, Dialect, Encoding, Opened, frames
from vivavoce.realtime.telephony.streams.dialects import Exotel, Plivo, Telnyx, Twilio, Vonage

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
