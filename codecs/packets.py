"""The contract of packet codecs (Opus, G.711, G.722, linear PCM), and loss concealment for those without their own.

    Samples (24 kHz) ──Encoder.encode──► payload ~~~ wire ~~~ payload ──Decoder.decode──► Samples (24 kHz)
                                                    a lost one ──recover, conceal──► Samples

A codec object belongs to one stream in one direction. It knows no RTP, no clock and no jitter.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from vivavoce.codecs.audio import FRAME, Samples


class Decoder(Protocol):
    """Payloads to sound, of one stream."""

    clock_hz: int
    """Ticks per second of the codec's RTP timestamps."""

    def decode(self, payload: bytes) -> Samples:
        """Decodes one packet; shape (n,). Raises `BadPacket`."""

    def recover(self, payload: bytes, n: int) -> Samples | None:
        """Decodes the `n` samples lost before `payload` from its redundancy, shape (n,); None if it carries none."""

    def conceal(self, n: int) -> Samples:
        """Continues the last decoded sound for `n` lost samples; shape (n,)."""


class Encoder(Protocol):
    """Sound to payloads, of one stream."""

    def encode(self, samples: Samples) -> bytes:
        """Encodes one frame, shape (FRAME,), as one payload."""


class Concealment:
    """Fills gaps with the last packet backwards, forwards, backwards ...: no jump, and about the same timbre.

    Silence until the first packet."""

    def __init__(self) -> None:
        self._last: Samples = np.zeros(FRAME, np.float32)
        self._filled = 0  # samples since the last packet

    def remember(self, samples: Samples) -> Samples:
        """Keeps what was decoded, shape (n,); returns a copy. Empty packets change nothing."""
        if len(samples):
            self._last, self._filled = samples, 0
        return samples.copy()

    def fill(self, n: int) -> Samples:
        """The next `n` samples of the gap; shape (n,)."""
        mirrored = np.concatenate([self._last[::-1], self._last])
        start, self._filled = self._filled, self._filled + n
        return mirrored[np.arange(start, start + n) % len(mirrored)]
