"""Phone calls: the interface that every wire implements, and the values that all of them share.

    call comes in ──► adapter: PhoneCall (caller) + PhoneConnection (audio, DTMF) ──► Switchboard.take ──► a session
                                                                                           └──► busy prompt, hang-up

    package       wire                                                         PhoneConnection
    providers/    media streams of Twilio, Telnyx, Plivo, Exotel, Vonage       MediaStreamConnection
    sip/          SIP and RTP, by a user agent of our own                      SipConnection
    asterisk/     AudioSocket over TCP                                         AudioSocketConnection
                  chan_websocket over a WebSocket                              ChanWebSocketConnection

An adapter answers its call, makes a `PhoneConnection` of it and gives both to the switchboard, which greets, runs the
session and closes the connection. Adapters know codecs, pacing and their wire; they decide nothing about the
conversation.

Phone numbers are in no `repr`, so in no log.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from vivavoce.realtime.transports import Ending, Intake, Pull

DTMF_KEYS: Final = frozenset("0123456789*#ABCD")
"""The keys of a telephone (RFC 4733 section 3.2)."""

Direction = Literal["incoming", "outgoing"]


@dataclass(frozen=True, slots=True)
class PhoneCall:
    """One call, as its adapter knows it before the session begins.

    `id` is "rtc_…", as in URLs and webhooks. `dialect` names the wire in one word ("twilio", "sip", "audiosocket").
    `caller` and `called` are numbers or addresses as the wire gave them. `headers`: SIP headers, or the parameters that
    a provider passed on, in their order."""

    id: str
    dialect: str
    direction: Direction = "incoming"
    caller: str = field(default="", repr=False)
    called: str = field(default="", repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class DtmfReceived:
    """The far end pressed a key of `DTMF_KEYS`; reported once for each press."""

    key: str


class PhoneConnection(Protocol):
    """One answered phone call: audio and DTMF in both directions. Audio is `SAMPLE_RATE` float32 mono on this side."""

    async def connected(self) -> None:
        """Returns when audio can pass in both directions. Raises `PeerGone` when that takes too long."""

    async def receive(self, intake: Intake) -> None:
        """Hands `Sound` without gaps to `intake`, and `Keys` once for each key, until the far end hangs up: then raises
        `PeerGone`."""

    async def speak(self, pull: Pull) -> None:
        """Pulls `FRAME` samples every 20 ms and sends them, for ever. A connection whose far end buffers may pull some
        frames ahead if it can `recall` them; others pull in real time."""

    def recall(self) -> int | None:
        """Barge-in: makes the far end drop the audio it has received and not played (Twilio's "clear"). Returns how
        many of the pulled frames were played; None where none is ever ahead. Must not wait."""

    async def send_dtmf(self, keys: str) -> None:
        """Sends keys of `DTMF_KEYS` to the far end, in order. Raises `ActionFailed`."""

    async def transfer(self, target: str) -> None:
        """Transfers the caller to `target`, a number or address from the settings; the far end then hangs up. Raises
        `ActionFailed`."""

    async def close(self, ending: Ending) -> None:
        """Hangs up, unless the far end has, and frees everything. Plays the pulled frames to their end first, for at
        most 2 s."""
