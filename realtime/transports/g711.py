"""G.711, the codec of the telephone: 8 kHz, one byte a sample, mu-law (PCMU) or A-law (PCMA).

    bytes ──expand, x3──► Samples (24 kHz)          Samples ──÷3, compress──► bytes

Companding is codecs/g711.py; the payload format is RFC 3551 section 4.5.14. Rates are changed by a linear-phase filter
whose delay is 2.6 ms; it keeps its history, so any frame length (a multiple of three samples) gives the same sound.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np

from vivavoce.codecs import g711 as companding
from vivavoce.model.dialogue import SAMPLE_RATE, Samples
from vivavoce.realtime.transports.microphone import BadPacket

CLOCK_HZ = 8_000
_RATIO = SAMPLE_RATE // CLOCK_HZ
_TAPS = 127  # at 24 kHz

Law = Literal["pcmu", "pcma"]
LAWS: Final[dict[Law, companding.Law]] = {"pcmu": "mu", "pcma": "a"}


class Decoder:
    """G.711 packets to speech; implements `microphone.Decoder`."""

    clock_hz = CLOCK_HZ

    def __init__(self, law: Law) -> None:
        self._law = LAWS[law]
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
        spread[::_RATIO] = companding.decode(payload, self._law) * _RATIO
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
        self._law = LAWS[law]
        self._filter = _Filter()

    def encode(self, samples: Samples) -> bytes:
        """One packet of a frame whose length is a multiple of three samples."""
        return companding.encode(self._filter(samples)[::_RATIO], self._law)


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
