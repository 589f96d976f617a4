"""Connections to peers. A transport moves sound, pictures and messages; it decides nothing and knows nothing of calls.

peer ──microphone──► Sound   ┐
     ──camera──────► Seen    ├──► the call's inbox (`Intake`), in the order of arrival
     ──messages────► Message │
     ──phone keys──► Keys    ┘
peer ◄─messages───── send(text)
     ◄─loudspeaker── speak(pull): pulls 20 ms at a time, in real time

TransportError
├── PeerGone          the peer has left or can no longer be reached
│   └── PeerLost      the connection broke: the peer may come back over another one
├── OfferError        the SDP offer cannot be answered: the client's fault       (webrtc/sdp.py)
└── AiortcChanged     aiortc is not built as this code expects: a fault of ours  (webrtc/aiortc_patches.py)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, runtime_checkable

from vivavoce.codecs.audio import Samples
from vivavoce.model.dialogue import Picture


@dataclass(frozen=True, slots=True)
class Sound:
    """Sound of the microphone: mono, `SAMPLE_RATE`, any length, without gaps (lost packets are concealed or silent)."""

    samples: Samples


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest camera picture, None when the camera is off. It replaces an older one that still waits."""

    picture: Picture | None


@dataclass(frozen=True, slots=True)
class Message:
    """One client event as it came: JSON text."""

    text: str | bytes


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys pressed on a telephone, each of `0`-`9`, `*`, `#`, `A`-`D`. `at`: unix seconds, 0 until the switchboard has
    read the clock. `whole`: all keys up to a pause or `#`; each of them has come before."""

    keys: str
    at: int = 0
    whole: bool = False


Received = Sound | Seen | Message | Keys
Pull = Callable[[], Samples]
"""Gives the next `FRAME` samples for the loudspeaker."""


class TransportError(Exception):
    """The root of this package's errors."""


class PeerGone(TransportError):
    """The peer has left or can no longer be reached; the message says how."""


class PeerLost(PeerGone):
    """The connection broke without a goodbye: the peer may come back over another one."""


class CloseReason(Enum):
    """Why we close a connection. The values are words of the wire, of logs and of recordings."""

    OVER = "over"  # the call ended as calls end
    EXPIRED = "expired"  # the session reached its age
    IDLE = "idle"  # neither side has said anything for a while
    SHUTDOWN = "shutdown"  # the server is being stopped
    REFUSED = "refused"  # policy: key, rate, size
    BUSY = "busy"  # no room for the call, or no model
    ERROR = "error"  # a fault of ours
    RESUMED = "resumed"  # the call goes on over another connection


@dataclass(frozen=True, slots=True)
class Ending:
    """How we end a call, or one connection of it. `message` may be shown to the user; "": there is nothing to say."""

    reason: CloseReason = CloseReason.OVER
    message: str = ""

    def __str__(self) -> str:
        """As a wire carries it that has one text for both: "busy: All lines are taken." """
        return f"{self.reason.value}: {self.message}" if self.message else self.reason.value


class Intake(Protocol):
    """The call's end of its transports: takes what comes from peers, in the order of arrival (`queues.Inbox`)."""

    def put(self, received: Received) -> None:
        """Takes it at once; for transports whose peer comes by callbacks. Raises `PeerGone` when more waits than the
        call can take."""

    async def deliver(self, received: Received) -> None:
        """Takes it when the call is not too far behind; for transports that read a socket."""


class Transport(Protocol):
    """One connected peer."""

    plays: bool
    """True where the server paces the sound and so knows how much was heard (WebRTC, phones); False where sound is sent
    ahead in messages and the client plays it (WebSocket)."""

    async def connected(self) -> None:
        """Returns when events reach the peer. Raises `PeerGone` when it does not connect in time."""

    async def receive(self, intake: Intake) -> None:
        """Hands all that comes from the peer to `intake`, what came before included, until the peer leaves: then raises
        `PeerGone`; `PeerLost` when it said no goodbye."""

    async def speak(self, pull: Pull) -> None:
        """Pulls `FRAME` samples every 20 ms for the loudspeaker, for ever. Never more than two frames ahead."""

    def send(self, text: bytes) -> None:
        """Queues one server event. Raises `PeerGone` when the peer reads too slowly and the bounded queue is full."""

    async def close(self, ending: Ending) -> None:
        """Sends what is queued, then `ending` where the wire has a place for it, and frees everything. Takes 2 s at
        most."""


@runtime_checkable
class Recalls(Protocol):
    """A transport whose far end can still drop what it was sent (phones)."""

    def recall(self) -> int | None:
        """Drops it there. Returns how many of the frames that `speak` pulled have been heard; None: all of them."""


@runtime_checkable
class ReportsDelivery(Protocol):
    """A transport that learns what has reached the peer (WebRTC, by RTCP receiver reports)."""

    def reached(self, played: int | None = None) -> int | None:
        """Returns how many of the frames that `speak` pulled have reached the peer, as far as is known. `played` is the
        RTP timestamp that the peer itself says it played last."""
