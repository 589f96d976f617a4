"""G.722, the wideband codec of desk phones: 16 kHz at 64 kbit/s, with RTP timestamps of 8 kHz.

    payload ──decode──► 16 kHz ──► Samples (24 kHz)          Samples ──► 16 kHz ──encode──► payload

FFmpeg's codec, through PyAV. The clock of 8 kHz is an error of RFC 1890 that was kept (RFC 3551 section 4.5.2).
"""

from __future__ import annotations

from typing import Literal

import av
import numpy as np

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.codecs.errors import BadPacket
from vivavoce.codecs.packets import Concealment
from vivavoce.codecs.resample import Resampler

CLOCK_HZ = 8_000
RATE_HZ = 16_000
MAX_BYTES = 2_000
"""Bytes of one packet: 250 ms."""


class Decoder:
    """G.722 payloads to speech; implements `packets.Decoder`."""

    clock_hz = CLOCK_HZ

    def __init__(self) -> None:
        self._codec = _open("r")
        self._resampler = Resampler(RATE_HZ, SAMPLE_RATE)
        self._concealment = Concealment()

    def decode(self, payload: bytes) -> Samples:
        """Decodes one packet, exact to the sample; shape (n,). Raises `BadPacket`."""
        if len(payload) > MAX_BYTES:
            raise BadPacket(f"{len(payload)} bytes of G.722 in one packet; at most {MAX_BYTES}")
        if not payload:
            return np.zeros(0, np.float32)
        try:
            frames = self._codec.decode(av.Packet(payload))
        except av.FFmpegError as error:
            raise BadPacket(str(error)) from error
        narrow = [frame.to_ndarray()[0].astype(np.float32) / 32768 for frame in frames]
        sound = self._resampler.push(np.concatenate([np.zeros(0, np.float32), *narrow]))
        length = len(payload) * 2 * SAMPLE_RATE // RATE_HZ
        if len(sound) < length:  # the filter holds back some milliseconds of the stream's first packet
            sound = np.concatenate((np.zeros(length - len(sound), np.float32), sound))
        return self._concealment.remember(sound[:length])

    def recover(self, payload: bytes, n: int) -> None:
        """None: G.722 carries no redundancy."""

    def conceal(self, n: int) -> Samples:
        """See `Concealment`."""
        return self._concealment.fill(n)


class Encoder:
    """Speech to G.722 payloads; implements `packets.Encoder`."""

    def __init__(self) -> None:
        self._codec = _open("w")
        self._resampler = Resampler(SAMPLE_RATE, RATE_HZ)
        self._waiting = np.zeros(0, np.int16)

    def encode(self, samples: Samples) -> bytes:
        """Encodes one frame, shape (n,); every payload covers as long as its frame."""
        narrow = (np.clip(self._resampler.push(samples), -1, 1) * 32767).astype(np.int16)
        length = len(samples) * RATE_HZ // SAMPLE_RATE
        self._waiting = np.concatenate((self._waiting, narrow))
        if len(self._waiting) < length:  # the filter holds back some milliseconds, once
            self._waiting = np.concatenate((np.zeros(length - len(self._waiting), np.int16), self._waiting))
        ready, self._waiting = self._waiting[:length], self._waiting[length:]
        frame = av.AudioFrame.from_ndarray(ready[None, :], "s16", "mono")
        frame.sample_rate = RATE_HZ
        return b"".join(bytes(packet) for packet in self._codec.encode(frame))


def _open(mode: Literal["r", "w"]) -> av.AudioCodecContext:
    codec = av.CodecContext.create("g722", mode)
    codec.sample_rate, codec.layout, codec.format = RATE_HZ, "mono", "s16"
    codec.open()
    return codec
