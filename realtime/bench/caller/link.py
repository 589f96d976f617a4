"""How a caller is connected. A link moves sound and events and decides nothing; the caller owns clock and record.

speak(frame, number) ──►  the server  ──► Sink.heard(samples, item), Sink.told(event)
tell(event) ───────────►
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

from vivavoce.codecs.audio import Samples
from vivavoce.realtime.config import is_loopback


class Refused(Exception):
    """The server takes no call. `retry_after`: seconds after which it would, if it says so."""

    def __init__(self, status: int, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"HTTP {status}: {message}")
        self.status = status
        self.retry_after = retry_after

    @property
    def full(self) -> bool:
        """It has no room: no fault of the call."""
        return self.status in (429, 503)


class Broken(Exception):
    """The connection failed, or ended before the call did."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server of the OpenAI Realtime protocol. `url` with or without `/v1`. `extras`: it is ours, and tells its stage
    times."""

    url: str
    key: str = ""
    model: str = "vivavoce"
    extras: bool = False

    @property
    def base(self) -> str:
        """The address up to `/v1`."""
        url = self.url.rstrip("/")
        return url if url.endswith("/v1") else f"{url}/v1"

    @property
    def headers(self) -> dict[str, str]:
        """Those that every request needs."""
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    @property
    def loopback(self) -> bool:
        """It runs on this machine."""
        return is_loopback(urlsplit(self.url).hostname or "")

    def address(self, path: str) -> str:
        """The address of `path` below `/v1`, with the query that opens a session."""
        query = {"model": self.model} | ({"extras": "true"} if self.extras else {})
        return f"{self.base}{path}?{urlencode(query)}"


@dataclass(frozen=True, slots=True)
class Sink:
    """Where a link puts what comes. Both are called on the event loop, must be quick and must not raise."""

    heard: Callable[[Samples, str], None]
    told: Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """The session that the caller asks for; JSON values of the protocol. `detection` None: what the server does by
    itself."""

    instructions: str = "Answer in one short sentence."
    detection: Mapping[str, Any] | None = None
    tools: tuple[Mapping[str, Any], ...] = field(default=())

    def session(self, sound: str | None) -> dict[str, Any]:
        """The session object; `sound` is the format of sound in messages, such as audio/pcm."""
        heard: dict[str, Any] = {} if self.detection is None else {"turn_detection": dict(self.detection)}
        spoken: dict[str, Any] = {}
        if sound is not None:
            shape = {"type": sound} | ({"rate": 24_000} if sound == "audio/pcm" else {})
            heard, spoken = heard | {"format": shape}, {"format": shape}
        audio = {name: value for name, value in (("input", heard), ("output", spoken)) if value}
        session: dict[str, Any] = {"type": "realtime", "instructions": self.instructions}
        if audio:
            session["audio"] = audio
        return session | ({"tools": [dict(tool) for tool in self.tools]} if self.tools else {})


class Link(Protocol):
    """One connection of one caller."""

    live: bool
    """The server paces the sound (RTP); else it sends ahead and the caller plays."""

    sound: str | None
    """Format of sound in messages; None where sound does not travel in messages."""

    @property
    def concealed(self) -> float:
        """Seconds of the server's sound that the line lost."""

    async def connect(self, sink: Sink) -> None:
        """Returns when events and sound can flow. Raises `Refused`, `Broken`."""

    async def run(self) -> None:
        """Lasts as long as the connection; raises `Broken` when the server ends it."""

    def speak(self, frame: Samples, number: int) -> None:
        """Sends 20 ms of the microphone."""

    def tell(self, event: Mapping[str, Any]) -> None:
        """Sends a client event."""

    async def close(self) -> None:
        """Hangs up."""
