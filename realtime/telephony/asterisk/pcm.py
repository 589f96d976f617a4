"""Sound as Asterisk sends it, to sound as we have it, and back; pure.

bytes of any rate ──hear──► Samples (24 kHz)          one frame (24 kHz) ──say──► bytes of exactly 20 ms
"""

from __future__ import annotations

from typing import Final

import numpy as np

from vivavoce.codecs import g711
from vivavoce.codecs.audio import FRAME, SAMPLE_RATE, Samples
from vivavoce.codecs.resample import Resampler

_FULL: Final = 32_768


class WireSound:
    """One call's sound, both ways. `law`: G.711's; None for 16-bit signed little-endian samples."""

    def __init__(self, rate: int, law: g711.Law | None = None) -> None:
        """`rate`: samples a second, a multiple of 50."""
        self.rate = rate
        self._law = law
        self._frame = rate // 50  # samples
        self._from_wire = Resampler(rate, SAMPLE_RATE)
        self._to_wire = Resampler(SAMPLE_RATE, rate)
        self._waiting = np.zeros(0, np.float32)

    def hear(self, content: bytes) -> Samples:
        """What the caller said; the last 2 ms follow with the next stretch."""
        if self._law is not None:
            return self._from_wire.push(g711.decode(content, self._law))
        return self._from_wire.push(np.frombuffer(content, "<i2").astype(np.float32) / np.float32(_FULL))

    def say(self, samples: Samples) -> bytes:
        """One frame, shape (`FRAME`,), as 20 ms of the wire's."""
        assert len(samples) == FRAME
        ready = np.concatenate([self._waiting, self._to_wire.push(samples)])
        if len(ready) < self._frame:  # the first one: what the filter looks ahead comes before it, as silence
            ready = np.concatenate([np.zeros(self._frame - len(ready), np.float32), ready])
        frame, self._waiting = ready[: self._frame], ready[self._frame :]
        if self._law is not None:
            return g711.encode(frame, self._law)
        return bytes(np.clip(np.rint(frame * _FULL), -_FULL, _FULL - 1).astype("<i2").tobytes())
