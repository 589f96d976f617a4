"""Audio of Asterisk's wires: conversion of formats, and silence where none arrives; no I/O.

bytes of any rate ──decode──► Samples (24 kHz)          one frame (24 kHz) ──encode──► bytes of exactly 20 ms
"""

from __future__ import annotations

from typing import Final

import numpy as np

from vivavoce.codecs import g711
from vivavoce.codecs.audio import FRAME, SAMPLE_RATE, Samples
from vivavoce.codecs.resample import Resampler

_FULL_SCALE: Final = 32_768


class AsteriskCodec:
    """One call's conversion in both directions. `law`: of G.711; None for 16-bit signed little-endian samples."""

    def __init__(self, rate: int, law: g711.Law | None = None) -> None:
        """`rate`: samples a second, a multiple of 50."""
        self.rate = rate
        self._law = law
        self._frame = rate // 50  # samples
        self._from_wire = Resampler(rate, SAMPLE_RATE)
        self._to_wire = Resampler(SAMPLE_RATE, rate)
        self._pending = np.zeros(0, np.float32)

    def decode(self, content: bytes) -> Samples:
        """The caller's audio; the last 2 ms follow with the next call."""
        if self._law is not None:
            return self._from_wire.push(g711.decode(content, self._law))
        return self._from_wire.push(np.frombuffer(content, "<i2").astype(np.float32) / np.float32(_FULL_SCALE))

    def encode(self, samples: Samples) -> bytes:
        """One frame, shape (`FRAME`,), as 20 ms in the format of the wire."""
        assert len(samples) == FRAME
        ready = np.concatenate([self._pending, self._to_wire.push(samples)])
        if len(ready) < self._frame:  # the first frame: the look-ahead of the filter comes before it, as silence
            ready = np.concatenate([np.zeros(self._frame - len(ready), np.float32), ready])
        frame, self._pending = ready[: self._frame], ready[self._frame :]
        if self._law is not None:
            return g711.encode(frame, self._law)
        return bytes(np.clip(np.rint(frame * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1).astype("<i2").tobytes())


MAX_DELAY: Final = 0.1
"""Seconds by which audio may be late before silence takes its place: more than networks and machines usually delay."""


class SilenceFiller:
    """Fills one connection's gaps with silence, where a telephone sends nothing (voice activity detection, hold, a
    stalled link): otherwise a caller who stops speaking would never reach the end of the turn.

        audio arrives ──received──┐
        time passes ─────missing──┴──► samples of silence to insert, so that audio and clock agree

    `now` is in seconds, on any clock that does not run backwards."""

    def __init__(self, now: float) -> None:
        self._until = now  # there is audio up to this time

    def received(self, samples: int, now: float) -> None:
        """Counts samples that arrived. A burst after a stall does not count ahead of time."""
        self._until = min(self._until + samples / SAMPLE_RATE, now) if samples else self._until

    @property
    def deadline(self) -> float:
        """When silence is missing, unless audio arrives before."""
        return self._until + MAX_DELAY

    def missing(self, now: float) -> int:
        """Samples of silence to insert at `now`; counts them as received."""
        late = now - self._until
        if late < MAX_DELAY:
            return 0
        self._until = now
        return round(late * SAMPLE_RATE)
