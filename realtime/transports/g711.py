"""G.711, the codec of the telephone: 8 kHz, one byte a sample, mu-law (PCMU) or A-law (PCMA).

    bytes ──expand, x3──► Samples (24 kHz)          Samples ──÷3, compress──► bytes

Tables follow ITU-T G.711; the payload format is RFC 3551 section 4.5.14. Rates are changed by a linear-phase filter
whose delay is 2.6 ms; it keeps its history, so any frame length (a multiple of three samples) gives the same sound.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vivavoce.model.dialogue import SAMPLE_RATE, Samples
from vivavoce.realtime.transports.microphone import BadPacket

CLOCK_HZ = 8_000
_RATIO = SAMPLE_RATE // CLOCK_HZ
_TAPS = 127  # at 24 kHz

Law = Literal["pcmu", "pcma"]


class Decoder:
    """G.711 packets to speech; implements `microphone.Decoder`."""

    clock_hz = CLOCK_HZ

    def __init__(self, law: Law) -> None:
        self._levels = levels(law)
        self._filter = _Filter()
        self._last = np.zeros(SAMPLE_RATE // 50, np.float32)
        self._guessed = 0

    def decode(self, payload: bytes) -> Samples:
        """The sound of one packet. Raises `BadPacket`."""
        if len(payload) > CLOCK_HZ // 4:
            raise BadPacket(f"{len(payload)} bytes of G.711 in one packet; at most {CLOCK_HZ // 4} (250 ms)")
        if not payload:
            return np.zeros(0, np.float32)
        spread = np.zeros(len(payload) * _RATIO, np.float32)
        spread[::_RATIO] = self._levels[np.frombuffer(payload, np.uint8)] * _RATIO
        self._last, self._guessed = self._filter(spread), 0
        return self._last.copy()

    def recover(self, payload: bytes, n: int) -> None:
        """G.711 carries no redundancy."""

    def conceal(self, n: int) -> Samples:
        """The last sound backwards and forwards: no jump, and about the right colour."""
        mirrored = np.concatenate([self._last[::-1], self._last])
        start, self._guessed = self._guessed, self._guessed + n
        return mirrored[np.arange(start, start + n) % len(mirrored)]


class Encoder:
    """Speech to G.711 packets."""

    def __init__(self, law: Law) -> None:
        self._codes = _codes(law)
        self._filter = _Filter()

    def encode(self, samples: Samples) -> bytes:
        """One packet of a frame whose length is a multiple of three samples."""
        narrow = self._filter(samples)[::_RATIO]
        return self._codes[(np.clip(narrow, -1, 1) * 32767).astype(np.int32) + 32768].tobytes()


@cache
def levels(law: Law) -> NDArray[np.float32]:
    """What each of the 256 codes stands for, -1..1."""
    code = np.arange(256)
    if law == "pcmu":
        code = ~code & 0xFF
        magnitude = (((code & 0x0F) << 3) + 132 << ((code & 0x70) >> 4)) - 132
        negative = code & 0x80
    else:
        code = code ^ 0x55
        segment, step = (code & 0x70) >> 4, ((code & 0x0F) << 4) + 8
        magnitude = np.where(segment == 0, step, (step + 256) << np.maximum(segment - 1, 0))
        negative = ~code & 0x80
    return (np.where(negative, -magnitude, magnitude) / 32768).astype(np.float32)


@cache
def _codes(law: Law) -> NDArray[np.uint8]:
    """The nearest code for each 16-bit sample, -32768 first."""
    level = levels(law)
    order = np.argsort(level, kind="stable").astype(np.uint8)
    middles = (level[order][1:] + level[order][:-1]) / 2
    return order[np.searchsorted(middles, np.arange(-32768, 32768) / 32768)]


class _Filter:
    """Lets pass what 8 kHz can carry: a windowed sinc, cut off at 3.7 kHz."""

    def __init__(self) -> None:
        reach = np.arange(_TAPS) - _TAPS // 2
        taps = np.sinc(reach * 2 * 3700 / SAMPLE_RATE) * np.hamming(_TAPS)
        self._taps = (taps / taps.sum()).astype(np.float32)
        self._history = np.zeros(_TAPS - 1, np.float32)

    def __call__(self, samples: Samples) -> Samples:
        line = np.concatenate([self._history, samples])
        self._history = line[len(line) - _TAPS + 1 :]
        return np.convolve(line, self._taps, "valid")
