"""Calls by telephone: what all adapters have in common, whatever wire they speak.

    it rings ──► adapter: PhoneCall (who) + PhoneLine (sound, keys) ──► Switchboard.take ──► a session like any other
                 streams/      Twilio, Telnyx, Plivo, Exotel, Vonage         │
                 sip/          a user agent of our own                       └──► no place: the busy line, and the end
                 audiosocket   Asterisk, over TCP or WebSockets

An adapter answers its call, makes a `PhoneLine` of it and gives both to the switchboard, which greets, runs the
session and closes the line. Adapters know codecs, pace and their wire; they decide nothing about the conversation.

Numbers of callers are in no `repr`, so in no log.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Protocol

if TYPE_CHECKING:  # the settings import this package, and shall not wait for the models' libraries
    from vivavoce.realtime.transports import Ending, Intake, Pull

KEYS: Final = frozenset("0123456789*#ABCD")
"""The keys of a telephone (RFC 4733 section 3.2)."""

Direction = Literal["incoming", "outgoing"]


@dataclass(frozen=True, slots=True)
class PhoneCall:
    """One call, as its adapter knows it before anybody has spoken.

    `id` is "rtc_…", as in URLs and webhooks. `dialect` names the wire in one word ("twilio", "sip", "audiosocket").
    `caller` and `called` are numbers or addresses as the wire gave them. `headers`: SIP headers, or the parameters that
    a provider passed on, in their order."""

    id: str
    dialect: str
    direction: Direction = "incoming"
    caller: str = field(default="", repr=False)
    called: str = field(default="", repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


class CannotDo(Exception):
    """The line cannot do what was asked of it (transfer, press keys); the message is fit to be said to the model."""


class PhoneLine(Protocol):
    """One answered phone call: sound and keys both ways. All sound is `SAMPLE_RATE` float32 mono on this side."""

    async def connected(self) -> None:
        """Returns when sound can pass in both directions. Raises `PeerGone` when that does not come about in time."""

    async def receive(self, intake: Intake) -> None:
        """Hands `Sound` without gaps to `intake`, and `Keys` once for each key, until the far end hangs up: then raises
        `PeerGone`."""

    async def speak(self, pull: Pull) -> None:
        """Pulls `FRAME` samples every 20 ms and sends them, for ever. Lines whose far end buffers may pull some frames
        ahead, and then know how to `recall` them; others pull in real time."""

    def recall(self) -> int | None:
        """Somebody cut in: has the far end drop what it was sent and has not played (Twilio's "clear"). Returns how
        many of the pulled frames were heard; None where nothing is ever ahead. Must not wait."""

    async def press(self, keys: str) -> None:
        """Sends keys of `KEYS` to the far end, one after the other. Raises `CannotDo`."""

    async def transfer(self, target: str) -> None:
        """Hands the caller over to `target`, a number or address from the settings. The far end then hangs up on us.
        Raises `CannotDo`."""

    async def close(self, ending: Ending) -> None:
        """Hangs up, if the far end has not, and frees everything. What was pulled is played to its end before, but for
        at most 2 s."""
