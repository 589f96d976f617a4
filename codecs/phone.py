"""The codecs of media streams, at both ends: bytes to 24 kHz and back.

    pcmu, pcma   8 kHz, one byte a sample              transports/g711.py
    l16          8, 16 or 24 kHz, 16 bit little-endian
    g722         16 kHz in 64 kbit/s                   sip/g722.py

Rates are changed by a low pass that lets 92 % of the band through and delays by 2 ms (codecs/resample.py)."""

from __future__ import annotations

from typing import Literal

import numpy as np

from vivavoce.codecs import g711, g722
from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.codecs.packets import BadPacket, Decoder, Encoder
from vivavoce.codecs.resample import Resampler

Encoding = Literal["pcmu", "pcma", "l16", "g722"]
"""G.711 in two laws, linear 16 bit little-endian, G.722."""


MAX_PIECE = 48_000
"""Bytes of one piece of sound: a second at the highest rate."""


class LinearDecoder:
    """16-bit samples."""

    def __init__(self, rate: int) -> None:
        self.clock_hz = rate
        self._resampler = Resampler(rate, SAMPLE_RATE)
        self._last = np.zeros(SAMPLE_RATE // 50, np.float32)
        self._guessed = 0

    def decode(self, payload: bytes) -> Samples:
        """The sound of one piece, to the sample. Raises `BadPacket`."""
        if len(payload) > MAX_PIECE or len(payload) % 2:
            raise BadPacket(f"{len(payload)} bytes are no 16-bit sound of at most {MAX_PIECE}")
        sound = self._resampler.push(np.frombuffer(payload, "<i2").astype(np.float32) / np.float32(32768))
        length = len(payload) // 2 * SAMPLE_RATE // self.clock_hz
        if len(sound) < length:  # what the filter holds back, once: counts agree from then on
            sound = np.concatenate((np.zeros(length - len(sound), np.float32), sound))
        self._last, self._guessed = sound, 0
        return sound.copy()

    def recover(self, payload: bytes, n: int) -> None:
        """It carries no redundancy."""

    def conceal(self, n: int) -> Samples:
        """The last sound backwards and forwards."""
        mirrored = np.concatenate([self._last[::-1], self._last])
        start, self._guessed = self._guessed, self._guessed + n
        return mirrored[np.arange(start, start + n) % len(mirrored)]


class LinearEncoder:
    """16-bit samples, as they are sent."""

    def __init__(self, rate: int) -> None:
        self._resampler = Resampler(SAMPLE_RATE, rate)
        self._frame = rate // 50
        self._ready = np.zeros(0, np.float32)

    def encode(self, samples: Samples) -> bytes:
        """One frame; always as long as it should be."""
        self._ready = np.concatenate((self._ready, self._resampler.push(samples)))
        if len(self._ready) < self._frame:  # the filter holds back 2 ms, once
            self._ready = np.concatenate((np.zeros(self._frame - len(self._ready), np.float32), self._ready))
        frame, self._ready = self._ready[: self._frame], self._ready[self._frame :]
        return np.clip(np.rint(frame * 32768), -32768, 32767).astype("<i2").tobytes()


def decoder(encoding: Encoding, rate: int) -> Decoder:
    """For what comes."""
    if encoding == "l16":
        return LinearDecoder(rate)
    return g722.Decoder() if encoding == "g722" else g711.Decoder(encoding)


def encoder(encoding: Encoding, rate: int) -> Encoder:
    """For what goes."""
    if encoding == "l16":
        return LinearEncoder(rate)
    return g722.Encoder() if encoding == "g722" else g711.Encoder(encoding)


def width(encoding: Encoding) -> int:
    """Bytes of one tick of the codec's clock."""
    return 2 if encoding == "l16" else 1
