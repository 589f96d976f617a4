"""Media streams: providers that carry a phone call over a WebSocket (Twilio and those who do it like Twilio).

    webhook ──► routes: signature? ──► answers.py: "connect the call to wss://…/stream/TICKET"
    socket  ──► routes: ticket?    ──► detect.py: which dialect ──► line.py ──► Switchboard

    frames ──Dialect.read──► Media, Pressed, Marked, Left          what the provider tells
    media, mark, clear ──Dialect──► frames                          what it is told

The dialects differ in names and in the codec, not in what can be said. Here stand the values they have in common.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from vivavoce.codecs.phone import Encoding


class BadFrame(ValueError):
    """A frame that no dialect, or not this one, could mean; the message says why."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What the first messages say of a call. `stream`, `call`, `account`: the provider's ids. `parameters` were given
    along by whoever connected the call."""

    stream: str
    call: str
    account: str = ""
    caller: str = field(default="", repr=False)
    called: str = field(default="", repr=False)
    parameters: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Media:
    """Sound, as the codec left it; `at`: milliseconds since the stream began, if the provider says."""

    payload: bytes
    at: int | None = None


@dataclass(frozen=True, slots=True)
class Pressed:
    """A key of the telephone."""

    key: str


@dataclass(frozen=True, slots=True)
class Marked:
    """All that was sent before the mark `name` has been played, or was dropped at a `clear`."""

    name: str


@dataclass(frozen=True, slots=True)
class Left:
    """The stream is over: the caller hung up."""


StreamEvent = Media | Pressed | Marked | Left


class Dialect(Protocol):
    """One provider's language, for one call."""

    name: str
    opened: Opened
    encoding: Encoding
    rate: int
    """Samples per second of the codec."""
    batch: int
    """Frames of 20 ms that one message of ours holds at least."""

    def read(self, frame: str | bytes) -> StreamEvent | None:
        """What a frame says; None for what does not matter. Raises `BadFrame`."""

    def media(self, payload: bytes) -> str | bytes:
        """Sound for the caller; it is queued at the far end and played in order."""

    def mark(self, name: str) -> str:
        """Asks to be told when all sound before it was played."""

    def clear(self) -> str:
        """Drops what was queued."""
