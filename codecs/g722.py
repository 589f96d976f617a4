"""G.722, the wideband codec of desk phones: 16 kHz sampled, 64 kbit/s, and counted as if it were 8 kHz.

    bytes ──decode──► 16 kHz ──► Samples (24 kHz)          Samples ──► 16 kHz ──encode──► bytes

The codec is FFmpeg's, by PyAV; RFC 3551 section 4.5.2 is about its strange clock. It carries no redundancy, so lost
packets are guessed."""

from __future__ import annotations

from typing import Literal

import av
import numpy as np

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.codecs.packets import BadPacket
from vivavoce.codecs.resample import Resampler

CLOCK_HZ = 8_000
RATE_HZ = 16_000
MAX_BYTES = 2_000
"""Bytes of one packet: 250 ms."""


class Decoder:
    """G.722 packets to speech; implements `microphone.Decoder`."""

    clock_hz = CLOCK_HZ

    def __init__(self) -> None:
        self._codec = _open("r")
        self._resampler = Resampler(RATE_HZ, SAMPLE_RATE)
        self._last = np.zeros(SAMPLE_RATE // 50, np.float32)
        self._guessed = 0

    def decode(self, payload: bytes) -> Samples:
        """The sound of one packet, to the sample. Raises `BadPacket`."""
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
        wanted = len(payload) * 2 * SAMPLE_RATE // RATE_HZ
        if len(sound) < wanted:  # of the stream's first packet the filter keeps some milliseconds
            sound = np.concatenate((np.zeros(wanted - len(sound), np.float32), sound))
        self._last, self._guessed = sound[:wanted], 0
        return self._last.copy()

    def recover(self, payload: bytes, n: int) -> None:
        """G.722 carries no redundancy."""

    def conceal(self, n: int) -> Samples:
        """The last sound backwards and forwards: no jump, and about the right colour."""
        mirrored = np.concatenate([self._last[::-1], self._last])
        start, self._guessed = self._guessed, self._guessed + n
        return mirrored[np.arange(start, start + n) % len(mirrored)]


class Encoder:
    """Speech to G.722 packets."""

    def __init__(self) -> None:
        self._codec = _open("w")
        self._resampler = Resampler(SAMPLE_RATE, RATE_HZ)
        self._waiting = np.zeros(0, np.int16)

    def encode(self, samples: Samples) -> bytes:
        """One packet of a frame; as long as the frame, from the second on."""
        narrow = (np.clip(self._resampler.push(samples), -1, 1) * 32767).astype(np.int16)
        wanted = len(samples) * RATE_HZ // SAMPLE_RATE
        self._waiting = np.concatenate((self._waiting, narrow))
        if len(self._waiting) < wanted:
            self._waiting = np.concatenate((np.zeros(wanted - len(self._waiting), np.int16), self._waiting))
        ready, self._waiting = self._waiting[:wanted], self._waiting[wanted:]
        frame = av.AudioFrame.from_ndarray(ready[None, :], "s16", "mono")
        frame.sample_rate = RATE_HZ
        return b"".join(bytes(packet) for packet in self._codec.encode(frame))


def _open(mode: Literal["r", "w"]) -> av.AudioCodecContext:
    codec = av.CodecContext.create("g722", mode)
    codec.sample_rate, codec.layout, codec.format = RATE_HZ, "mono", "s16"
    codec.open()
    return codec
