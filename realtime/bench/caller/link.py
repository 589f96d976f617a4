"""Connect a caller to a server. A link moves audio and events and decides nothing; the caller owns clock and record.

send_frame(frame, number) ──►  server  ──► Sink.audio(samples, item), Sink.event(body)
send(event) ────────────────►
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

from vivavoce.codecs.audio import Samples
from vivavoce.realtime.bench import BenchError
from vivavoce.realtime.config import is_loopback


class CallError(BenchError):
    """A call failed."""


class CallRefused(CallError):
    """The server takes no call. `retry_after`: seconds after which it may, if it says so."""

    def __init__(self, status: int, message: str, retry_after: float | None = None) -> None:
        super().__init__(status, message, retry_after)  # as they are: a load test carries it between processes
        self.status = status
        self.message = message
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"HTTP {self.status}: {self.message}"

    @property
    def full(self) -> bool:
        """Whether the server is at its limit of calls, which is no fault of the call."""
        return self.status in (429, 503)


class CallBroken(CallError):
    """The connection failed, or ended before the call did."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server of the OpenAI Realtime protocol. `url` with or without `/v1`. `extras`: it is ours, and sends its
    latency marks."""

    url: str
    key: str = ""
    model: str = "vivavoce"
    extras: bool = False

    @property
    def base(self) -> str:
        """The URL up to `/v1`."""
        url = self.url.rstrip("/")
        return url if url.endswith("/v1") else f"{url}/v1"

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every request."""
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    @property
    def loopback(self) -> bool:
        """Whether the server runs on this machine."""
        return is_loopback(urlsplit(self.url).hostname or "")

    def address(self, path: str) -> str:
        """The URL of `path` below `/v1`, with the query that opens a session."""
        query = {"model": self.model} | ({"extras": "true"} if self.extras else {})
        return f"{self.base}{path}?{urlencode(query)}"


@dataclass(frozen=True, slots=True)
class Sink:
    """Takes the server's audio, with its item, and events. Both are called on the event loop, must be quick and must
    not raise."""

    audio: Callable[[Samples, str], None]
    event: Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """The session that the caller requests, as JSON values of the protocol. `detection` None: the server's default."""

    instructions: str = "Answer in one short sentence."
    detection: Mapping[str, Any] | None = None
    tools: tuple[Mapping[str, Any], ...] = field(default=())

    def session(self, sound: str | None) -> dict[str, Any]:
        """The session object; `sound`: the format of audio in messages, such as audio/pcm."""
        inputs: dict[str, Any] = {} if self.detection is None else {"turn_detection": dict(self.detection)}
        outputs: dict[str, Any] = {}
        if sound is not None:
            form = {"type": sound} | ({"rate": 24_000} if sound == "audio/pcm" else {})
            inputs, outputs = inputs | {"format": form}, {"format": form}
        audio = {name: value for name, value in (("input", inputs), ("output", outputs)) if value}
        session: dict[str, Any] = {"type": "realtime", "instructions": self.instructions}
        if audio:
            session["audio"] = audio
        return session | ({"tools": [dict(tool) for tool in self.tools]} if self.tools else {})


class Link(Protocol):
    """One connection of one caller."""

    live: bool
    """Whether the server paces the audio (RTP); else it sends ahead, and the caller plays."""

    sound: str | None
    """Format of audio in messages; None where audio does not travel in messages."""

    @property
    def concealed(self) -> float:
        """Seconds of the server's audio that were lost."""

    async def connect(self, sink: Sink) -> None:
        """Returns when events and audio can flow. Raises `CallRefused`, `CallBroken`."""

    async def run(self) -> None:
        """Lasts as long as the connection; raises `CallBroken` when the server ends it."""

    def send_frame(self, frame: Samples, number: int) -> None:
        """Sends 20 ms of the microphone."""

    def send(self, event: Mapping[str, Any]) -> None:
        """Sends a client event."""

    async def close(self) -> None:
        """Hangs up."""
