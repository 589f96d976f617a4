"""Packet codecs of telephone media streams, chosen by the name of their encoding.

    pcmu, pcma   8 kHz, one byte a sample                   g711.py
    l16          8, 16 or 24 kHz, 16 bit little-endian      here
    g722         16 kHz at 64 kbit/s                        g722.py

Rates are changed by resample.py: 92 % of the band passes, 2 ms of delay.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from vivavoce.codecs import g711, g722
from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.codecs.errors import BadPacket
from vivavoce.codecs.packets import Concealment, Decoder, Encoder
from vivavoce.codecs.resample import Resampler

Encoding = Literal["pcmu", "pcma", "l16", "g722"]
"""G.711 in two laws, linear 16 bit little-endian, G.722."""

MAX_BYTES = 48_000
"""Bytes of one linear packet: a second at the highest rate."""


class LinearDecoder:
    """Linear 16-bit payloads to speech; implements `packets.Decoder`."""

    def __init__(self, rate: int) -> None:
        self.clock_hz = rate
        self._resampler = Resampler(rate, SAMPLE_RATE)
        self._concealment = Concealment()

    def decode(self, payload: bytes) -> Samples:
        """Decodes one packet, exact to the sample; shape (n,). Raises `BadPacket`."""
        if len(payload) > MAX_BYTES or len(payload) % 2:
            raise BadPacket(f"{len(payload)} bytes are no 16-bit sound of at most {MAX_BYTES}")
        sound = self._resampler.push(np.frombuffer(payload, "<i2").astype(np.float32) / np.float32(32768))
        length = len(payload) // 2 * SAMPLE_RATE // self.clock_hz
        if len(sound) < length:  # the filter holds back 2 ms, once: counts agree from then on
            sound = np.concatenate((np.zeros(length - len(sound), np.float32), sound))
        return self._concealment.remember(sound)

    def recover(self, payload: bytes, n: int) -> None:
        """None: linear sound carries no redundancy."""

    def conceal(self, n: int) -> Samples:
        """See `Concealment`."""
        return self._concealment.fill(n)


class LinearEncoder:
    """Speech to linear 16-bit payloads; implements `packets.Encoder`."""

    def __init__(self, rate: int) -> None:
        self._resampler = Resampler(SAMPLE_RATE, rate)
        self._frame = rate // 50
        self._ready = np.zeros(0, np.float32)

    def encode(self, samples: Samples) -> bytes:
        """Encodes one frame, shape (FRAME,); every payload holds 20 ms."""
        self._ready = np.concatenate((self._ready, self._resampler.push(samples)))
        if len(self._ready) < self._frame:  # the filter holds back 2 ms, once
            self._ready = np.concatenate((np.zeros(self._frame - len(self._ready), np.float32), self._ready))
        frame, self._ready = self._ready[: self._frame], self._ready[self._frame :]
        return np.clip(np.rint(frame * 32768), -32768, 32767).astype("<i2").tobytes()


def decoder(encoding: Encoding, rate: int) -> Decoder:
    """A decoder for one stream; `rate`, in Hz, is that of linear sound."""
    if encoding == "l16":
        return LinearDecoder(rate)
    return g722.Decoder() if encoding == "g722" else g711.Decoder(encoding)


def encoder(encoding: Encoding, rate: int) -> Encoder:
    """An encoder for one stream; `rate`, in Hz, is that of linear sound."""
    if encoding == "l16":
        return LinearEncoder(rate)
    return g722.Encoder() if encoding == "g722" else g711.Encoder(encoding)


def width(encoding: Encoding) -> int:
    """Bytes per tick of the codec's clock."""
    return 2 if encoding == "l16" else 1
