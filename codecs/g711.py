"""G.711, the codec of the telephone: 8 kHz, one byte a sample, mu-law (PCMU) or A-law (PCMA).

    bytes ──decode──► 8 kHz samples             8 kHz samples ──encode──► bytes           companding alone
    payload ──Decoder, x3──► Samples (24 kHz)   Samples ──Encoder, /3──► payload          with the change of rate

Both laws are tables: 256 values to decode, and to encode the nearest of them for each 16-bit sample. The payload format
is RFC 3551 section 4.5.14. Rates are changed by a linear-phase filter whose delay is 2.6 ms; it keeps its history, so
any frame length (a multiple of three samples) gives the same sound.
"""

from __future__ import annotations

from functools import cache
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.codecs.errors import BadPacket
from vivavoce.codecs.packets import Concealment

CLOCK_HZ = 8_000
"""Samples per second on the wire."""
MAX_BYTES = CLOCK_HZ // 4
"""Bytes of one packet: 250 ms."""

Law = Literal["mu", "a"]
Encoding = Literal["pcmu", "pcma"]
LAWS: Final[dict[Encoding, Law]] = {"pcmu": "mu", "pcma": "a"}

_SCALE = 32_768  # a sample of 1.0, as a 16-bit integer


def decode(content: bytes, law: Law) -> Samples:
    """Expands G.711 bytes to 8 kHz samples, shape (len(content),), -1..1."""
    return _values(law)[np.frombuffer(content, np.uint8)]


def encode(samples: Samples, law: Law) -> bytes:
    """Compresses 8 kHz samples, shape (n,), to n bytes; beyond -1..1 they are clipped."""
    whole = np.clip(np.rint(samples * _SCALE), -_SCALE, _SCALE - 1).astype(np.int32)
    return _nearest(law)[whole + _SCALE].tobytes()


@cache
def _values(law: Law) -> Samples:
    """The sample that each of the 256 bytes stands for, shape (256,)."""
    values = _levels(law).astype(np.float32) / np.float32(_SCALE)
    values.setflags(write=False)
    return values


@cache
def _nearest(law: Law) -> NDArray[np.uint8]:
    """The nearest byte for each 16-bit sample from -32768 up, shape (65536,). Ties go to the quieter one."""
    levels = _levels(law)
    order = np.lexsort((np.arange(256), levels))[::-1]  # of two bytes for zero, the higher: mu-law's positive zero
    ascending, first = np.unique(levels[order], return_index=True)
    ascending_bytes = order[first].astype(np.uint8)
    samples = np.arange(-_SCALE, _SCALE)
    right = np.clip(np.searchsorted(ascending, samples), 1, len(ascending) - 1)
    below, above = samples - ascending[right - 1], ascending[right] - samples
    nearer_right = (above < below) | ((above == below) & (samples < 0))
    codes = ascending_bytes[np.where(nearer_right, right, right - 1)]
    codes.setflags(write=False)
    return codes


def _levels(law: Law) -> NDArray[np.int32]:
    """The 256 quantisation levels on a 16-bit scale (ITU-T G.711, tables 1 and 2), shape (256,)."""
    byte = np.arange(256, dtype=np.int32)
    if law == "mu":
        byte = ~byte & 0xFF
        segment, step = byte >> 4 & 7, byte & 15
        loudness = ((2 * step + 33) << (segment + 2)) - 132
        return np.where(byte & 0x80, -loudness, loudness)
    byte = byte ^ 0x55
    segment, step = byte >> 4 & 7, byte & 15
    loudness = np.where(segment == 0, (2 * step + 1) << 3, (2 * step + 33) << np.maximum(segment, 1) + 2)
    return np.where(byte & 0x80, loudness, -loudness)


_RATIO = SAMPLE_RATE // CLOCK_HZ
_TAPS = 127  # at 24 kHz


class Decoder:
    """G.711 payloads to speech; implements `packets.Decoder`."""

    clock_hz = CLOCK_HZ

    def __init__(self, law: Encoding) -> None:
        self._law = LAWS[law]
        self._filter = _Filter()
        self._concealment = Concealment()

    def decode(self, payload: bytes) -> Samples:
        """Decodes one packet; shape (n,). Raises `BadPacket`."""
        if len(payload) > MAX_BYTES:
            raise BadPacket(f"{len(payload)} bytes of G.711 in one packet; at most {MAX_BYTES} (250 ms)")
        if not payload:
            return np.zeros(0, np.float32)
        spread = np.zeros(len(payload) * _RATIO, np.float32)
        spread[::_RATIO] = decode(payload, self._law) * _RATIO
        return self._concealment.remember(self._filter(spread))

    def recover(self, payload: bytes, n: int) -> None:
        """None: G.711 carries no redundancy."""

    def conceal(self, n: int) -> Samples:
        """See `Concealment`."""
        return self._concealment.fill(n)


class Encoder:
    """Speech to G.711 payloads; implements `packets.Encoder`."""

    def __init__(self, law: Encoding) -> None:
        self._law = LAWS[law]
        self._filter = _Filter()

    def encode(self, samples: Samples) -> bytes:
        """Encodes one frame, shape (n,), n a multiple of three samples."""
        return encode(self._filter(samples)[::_RATIO], self._law)


class _Filter:
    """A low pass below half of 8 kHz: a windowed sinc, cut off at 3.7 kHz."""

    def __init__(self) -> None:
        reach = np.arange(_TAPS) - _TAPS // 2
        taps = np.sinc(reach * 2 * 3700 / SAMPLE_RATE) * np.hamming(_TAPS)
        self._taps = (taps / taps.sum()).astype(np.float32)
        self._history = np.zeros(_TAPS - 1, np.float32)

    def __call__(self, samples: Samples) -> Samples:
        known = np.concatenate([self._history, samples])
        self._history = known[len(known) - _TAPS + 1 :]
        return np.convolve(known, self._taps, "valid")
