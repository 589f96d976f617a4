"""Media streams: providers that carry a phone call over a WebSocket (Twilio, and those that work alike).

    webhook ──► routes: signature? ──► "connect the call to wss://…/stream/TICKET"
    socket  ──► routes: ticket?    ──► dialects: which provider ──► media_stream ──► Switchboard

    frames ──Dialect.parse──► Media, DtmfReceived, MarkReached, StreamStopped      from the provider
    media, mark, clear ──Dialect──► frames                                         to the provider

The dialects differ in names and in the codec only. Here are the values that they share.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from vivavoce.codecs.phone import Encoding
from vivavoce.realtime.telephony import DtmfReceived


@dataclass(frozen=True, slots=True)
class StreamStarted:
    """The first messages of a stream. `stream`, `call`, `account`: the provider's ids. `parameters`: custom parameters
    of the application that connected the call."""

    stream: str
    call: str
    account: str = ""
    caller: str = field(default="", repr=False)
    called: str = field(default="", repr=False)
    parameters: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Media:
    """Encoded audio. `at`: milliseconds since the stream began, None if the provider does not tell."""

    payload: bytes
    at: int | None = None


@dataclass(frozen=True, slots=True)
class MarkReached:
    """All audio before the mark `name` has been played, or was dropped by a clear."""

    name: str


@dataclass(frozen=True, slots=True)
class StreamStopped:
    """The caller hung up."""


StreamEvent = Media | DtmfReceived | MarkReached | StreamStopped


class Dialect(Protocol):
    """One provider's protocol, for one call."""

    name: str
    started: StreamStarted
    encoding: Encoding
    rate: int
    """Samples per second of the codec."""
    batch: int
    """The least number of 20 ms frames in one of our media messages."""

    def parse(self, frame: str | bytes) -> StreamEvent | None:
        """The event in a frame; None for one that does not matter. Raises `BadFrame`."""

    def media(self, payload: bytes) -> str | bytes:
        """Audio for the caller: the provider queues it and plays it in order."""

    def mark(self, name: str) -> str:
        """Asks the provider to report when all audio before the mark was played."""

    def clear(self) -> str:
        """Makes the provider drop its queue."""
