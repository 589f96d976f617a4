"""AudioSocket, the protocol of Asterisk's application and channel driver of that name; no I/O.

    bytes of a TCP connection ──Parser.receive──► Identified, AudioReceived, DtmfReceived, HungUp, ErrorReceived,
                                                  Unreadable
    audio_message(rate, pcm), HANG_UP ──► bytes

A message is its kind (one byte), the length of its payload (two bytes, big-endian) and the payload. Asterisk connects
and identifies the call, first or behind some audio; from then on both sides send 20 ms of audio every 20 ms. Asterisk
plays audio when it arrives, so the sender keeps the pace, and nothing can be taken back at a cut. An empty audio
message, or a kind that only Asterisk may send, makes it hang up; nothing here produces one.

Source: Asterisk's res_audiosocket and its documentation of the protocol, versions 18 to 23.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final
from uuid import UUID

from vivavoce.realtime.telephony import DtmfReceived
from vivavoce.realtime.telephony.errors import BadAudioSocket

_HEADER: Final = 3
_ID_PAYLOAD: Final = 16

MAX_PAYLOAD: Final = 0xFFFF

MAX_EARLY: Final = 8192
"""Bytes of a message that may come before the call's id: 20 ms of audio at the highest rate have 7680. What other
protocols begin with ("GET / ", "SSH-") reads as a longer one."""


class Kind(IntEnum):
    """The kinds of messages but those of audio: 0x10 to 0x18, see `RATES`."""

    HANG_UP = 0x00
    ID = 0x01
    DTMF = 0x03
    ERROR = 0xFF


RATES: Final = {
    0x10: 8_000,
    0x11: 12_000,
    0x12: 16_000,
    0x13: 24_000,
    0x14: 32_000,
    0x15: 44_100,
    0x16: 48_000,
    0x17: 96_000,
    0x18: 192_000,
}
"""Samples a second of 16-bit signed little-endian mono audio, by the kind of its messages."""

_KINDS: Final = {rate: kind for kind, rate in RATES.items()}

_ERRORS: Final = {1: "the caller hung up", 2: "audio could not be passed on", 4: "memory ran out"}

HANG_UP: Final = bytes((Kind.HANG_UP, 0, 0))
"""Ends Asterisk's application; the call goes on in the dialplan."""


@dataclass(frozen=True, slots=True)
class Identified:
    """The first message: the call's id, chosen by the dialplan."""

    id: UUID


@dataclass(frozen=True, slots=True)
class AudioReceived:
    """Audio of the caller: 16-bit signed little-endian mono."""

    rate: int
    pcm: bytes


@dataclass(frozen=True, slots=True)
class HungUp:
    """The call is over."""


@dataclass(frozen=True, slots=True)
class ErrorReceived:
    """Asterisk reports an error."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A message that does not keep to the protocol, and is passed over. `kind`: its fault, without its content."""

    kind: str


Event = Identified | AudioReceived | DtmfReceived | HungUp | ErrorReceived | Unreadable


class Parser:
    """Parses one connection's incoming bytes."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._identified = False

    def receive(self, data: bytes) -> Iterator[Event]:
        """Yields the messages that these bytes complete, in order; skips unknown kinds, and all but errors before the
        call's id. Raises `BadAudioSocket` when what comes before the id is another protocol."""
        self._bytes += data
        while len(self._bytes) >= _HEADER:
            kind, length = self._bytes[0], int.from_bytes(self._bytes[1:_HEADER], "big")
            if not self._identified and (length > MAX_EARLY or (kind == Kind.ID and length != _ID_PAYLOAD)):
                raise BadAudioSocket(
                    f"expected the call's id first (kind 0x01, 16 bytes), got kind {kind:#04x}, {length} bytes"
                )
            if len(self._bytes) < _HEADER + length:
                return
            payload = bytes(self._bytes[_HEADER : _HEADER + length])
            del self._bytes[: _HEADER + length]
            early = not self._identified and kind not in (Kind.ID, Kind.ERROR, Kind.HANG_UP)
            if not early and (event := self._parse(kind, payload)) is not None:
                yield event

    def _parse(self, kind: int, payload: bytes) -> Event | None:
        if rate := RATES.get(kind):
            if len(payload) % 2:
                return Unreadable("audio that is not of whole samples")
            return AudioReceived(rate, payload)
        match kind:
            case Kind.ID:
                if self._identified:
                    return Unreadable("the call's id came twice")
                self._identified = True
                return Identified(UUID(bytes=payload))
            case Kind.DTMF:
                if len(payload) != 1:
                    return Unreadable("a key that is not one byte")
                return DtmfReceived(payload.decode("latin-1"))
            case Kind.HANG_UP:
                return HungUp()
            case Kind.ERROR:
                return ErrorReceived(_ERRORS.get(payload[0] if payload else 0, "an error without a code"))
        return None


def audio_message(rate: int, pcm: bytes) -> bytes:
    """One message of audio. Raises ValueError for audio that would make Asterisk hang up: none, too much, half a
    sample, or a rate that has no kind."""
    if rate not in _KINDS:
        raise ValueError(f"expected one of {', '.join(map(str, _KINDS))} Hz, not {rate}")
    if not 0 < len(pcm) <= MAX_PAYLOAD or len(pcm) % 2:
        raise ValueError(f"expected 1 to {MAX_PAYLOAD // 2} samples of 16 bits, not {len(pcm)} bytes")
    return bytes((_KINDS[rate],)) + len(pcm).to_bytes(2, "big") + pcm
