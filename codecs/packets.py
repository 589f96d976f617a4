"""The contract of packet codecs, at both ends: one payload of a wire to sound, and back."""

from __future__ import annotations

from typing import Protocol

from vivavoce.codecs.audio import Samples


class BadPacket(ValueError):
    """The payload cannot be decoded."""


class Decoder(Protocol):
    """One codec at the receiving end, with its state."""

    clock_hz: int
    """Rate of its RTP timestamps."""

    def decode(self, payload: bytes) -> Samples:
        """The sound of one packet, `SAMPLE_RATE`. Raises `BadPacket`."""

    def recover(self, payload: bytes, n: int) -> Samples | None:
        """The `n` samples that were lost before `payload`, if it carries them."""

    def conceal(self, n: int) -> Samples:
        """`n` samples that carry on what was decoded last; shape (n,)."""


class Encoder(Protocol):
    """One codec at the sending end."""

    def encode(self, samples: Samples) -> bytes:
        """One frame of `FRAME` samples."""
