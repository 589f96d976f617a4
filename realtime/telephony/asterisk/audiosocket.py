"""AudioSocket, the wire of Asterisk's application and channel driver of that name; no I/O.

    bytes of a TCP connection ──Reader.receive──► Named, Sound, Pressed, HungUp, Failed
    audio(rate, pcm), HANG_UP ──► bytes

A message is its kind (one byte), the length of its payload (two bytes, the high one first) and the payload. Asterisk
calls us and names the call first; from then on both sides send 20 ms of sound each 20 ms. Asterisk passes on what it
gets the moment it gets it, so whoever sends keeps the pace, and there is nothing to take back at a cut. It is picky: an
empty message of sound, or any kind that only it may send, makes it hang up; nothing here makes such a one.

Source: Asterisk's res_audiosocket and its documentation of the protocol, versions 18 to 23.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final
from uuid import UUID

_HEAD: Final = 3
NAME_LENGTH: Final = _HEAD + 16
"""Bytes of the first message."""

MAX_PAYLOAD: Final = 0xFFFF


class Kind(IntEnum):
    """The kinds of messages but those of sound: 0x10 to 0x18, see `RATES`."""

    HANG_UP = 0x00
    NAME = 0x01
    KEY = 0x03
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
"""Samples a second of 16-bit signed little-endian mono sound, by the kind of its messages."""

_KINDS: Final = {rate: kind for kind, rate in RATES.items()}

_ERRORS: Final = {1: "the caller hung up", 2: "sound could not be passed on", 4: "memory ran out"}

HANG_UP: Final = bytes((Kind.HANG_UP, 0, 0))
"""Ends Asterisk's application; the call goes on in the dialplan."""


class WireBroken(Exception):
    """The other side does not speak AudioSocket; the message says what came."""


@dataclass(frozen=True, slots=True)
class Named:
    """The first message: the call's id, as the dialplan chose it."""

    name: UUID


@dataclass(frozen=True, slots=True)
class Heard:
    """Sound of the caller: 16-bit signed little-endian mono."""

    rate: int
    pcm: bytes


@dataclass(frozen=True, slots=True)
class Pressed:
    """A key was pressed and let go."""

    key: str


@dataclass(frozen=True, slots=True)
class HungUp:
    """The call is over."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Asterisk ran into an error."""

    why: str


Event = Named | Heard | Pressed | HungUp | Failed


class Reader:
    """One connection's incoming bytes."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._named = False

    def receive(self, data: bytes) -> Iterator[Event]:
        """What these bytes complete, in order. Raises `WireBroken` where they make no sense; kinds that are not known
        are passed over."""
        self._bytes += data
        while len(self._bytes) >= _HEAD:
            kind, length = self._bytes[0], int.from_bytes(self._bytes[1:_HEAD], "big")
            if not self._named and (kind, length) not in ((Kind.NAME, 16), (Kind.ERROR, 0), (Kind.ERROR, 1)):
                raise WireBroken(
                    f"expected the call's id first (kind 0x01, 16 bytes), got kind {kind:#04x}, {length} bytes"
                )
            if len(self._bytes) < _HEAD + length:
                return
            payload = bytes(self._bytes[_HEAD : _HEAD + length])
            del self._bytes[: _HEAD + length]
            if (event := self._read(kind, payload)) is not None:
                yield event

    def _read(self, kind: int, payload: bytes) -> Event | None:
        if rate := RATES.get(kind):
            if len(payload) % 2:
                raise WireBroken(f"expected 16-bit samples, got {len(payload)} bytes of sound")
            return Heard(rate, payload)
        match kind:
            case Kind.NAME:
                if self._named:
                    raise WireBroken("the call's id came twice")
                self._named = True
                return Named(UUID(bytes=payload))
            case Kind.KEY:
                if len(payload) != 1:
                    raise WireBroken(f"expected one key, got {len(payload)} bytes")
                return Pressed(payload.decode("latin-1"))
            case Kind.HANG_UP:
                return HungUp()
            case Kind.ERROR:
                return Failed(_ERRORS.get(payload[0] if payload else 0, "an error without a code"))
        return None


def audio(rate: int, pcm: bytes) -> bytes:
    """One message of sound. Raises ValueError for sound that Asterisk would hang up over: none, too much, half a
    sample, or a rate that has no kind."""
    if rate not in _KINDS:
        raise ValueError(f"expected one of {', '.join(map(str, _KINDS))} Hz, not {rate}")
    if not 0 < len(pcm) <= MAX_PAYLOAD or len(pcm) % 2:
        raise ValueError(f"expected 1 to {MAX_PAYLOAD // 2} samples of 16 bits, not {len(pcm)} bytes")
    return bytes((_KINDS[rate],)) + len(pcm).to_bytes(2, "big") + pcm
