"""G.711, the sound of telephones: mu-law and A-law, 8 kHz, one byte a sample.

    bytes ──decode──► float32 samples          float32 samples ──encode──► bytes

Both laws are tables: 256 values to decode, and to encode the nearest of them for each 16-bit sample. Sample rates are
resample.py's business.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 8_000

Law = Literal["mu", "a"]
Samples = NDArray[np.float32]

_SCALE = 32_768  # a sample of 1.0, as a 16-bit integer


def decode(content: bytes, law: Law) -> Samples:
    """The samples behind G.711 bytes, shape (len(content),), -1..1."""
    return _heard(law)[np.frombuffer(content, np.uint8)]


def encode(samples: Samples, law: Law) -> bytes:
    """Mono samples, shape (n,), as n bytes; beyond -1..1 they are clipped."""
    whole = np.clip(np.rint(samples * _SCALE), -_SCALE, _SCALE - 1).astype(np.int32)
    return _codes(law)[whole + _SCALE].tobytes()


@cache
def _heard(law: Law) -> Samples:
    """What each of the 256 bytes sounds like, shape (256,)."""
    values = _levels(law).astype(np.float32) / np.float32(_SCALE)
    values.setflags(write=False)
    return values


@cache
def _codes(law: Law) -> NDArray[np.uint8]:
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
