"""The dialects of media streams: Twilio, Telnyx, Plivo, Exotel, Vonage.

Each reads the provider's frames and writes ours; `detect.py` tells by the first messages who is calling. A core."""

from __future__ import annotations

from vivavoce.realtime.telephony.streams import (
    BadFrame,
    Encoding,
    Left,
    Marked,
    Media,
    Opened,
    StreamEvent,
    frames,
)


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
