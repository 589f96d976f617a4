"""DTMF in band: the two tones of each key (ITU-T Q.23), in place of speech.

    add("12#") ──► [ 100 ms tone, 80 ms pause, … ] ──mix──► frames as they leave

For connections without DTMF events. A core."""

from __future__ import annotations

from typing import Final

import numpy as np

from vivavoce.codecs.audio import SAMPLE_RATE, Samples

TONE: Final = SAMPLE_RATE // 10
PAUSE: Final = SAMPLE_RATE * 8 // 100
"""Samples of a tone, and of the silence after it: 100 and 80 ms."""

LEVEL: Final = 0.25
"""Amplitude of each of the two tones: together they have 9 dB less power than a full-scale sine."""

_ROWS: Final = (697, 770, 852, 941)
_COLUMNS: Final = (1209, 1336, 1477, 1633)
_LAYOUT: Final = "123A456B789C*0#D"


class DtmfTones:
    """The tones that have not been sent yet."""

    def __init__(self) -> None:
        self._pending = np.zeros(0, np.float32)

    def add(self, keys: str) -> int:
        """Queues the tones of `keys`; returns the number of pending samples."""
        self._pending = np.concatenate([self._pending, *(tone(key) for key in keys)])
        return len(self._pending)

    def mix(self, frame: Samples) -> Samples:
        """The frame to send: pending tones replace speech."""
        if not len(self._pending):
            return frame
        tones, self._pending = self._pending[: len(frame)], self._pending[len(frame) :]
        mixed = np.zeros(len(frame), np.float32)
        mixed[: len(tones)] = tones
        return mixed


def tone(key: str) -> Samples:
    """The tone of one key of `0`-`9`, `*`, `#`, `A`-`D`, and the pause after it. Raises `ValueError` for others."""
    position = _LAYOUT.index(key)
    at = np.arange(TONE, dtype=np.float32) / SAMPLE_RATE
    low, high = _ROWS[position // 4], _COLUMNS[position % 4]
    wave = LEVEL * (np.sin(2 * np.pi * low * at) + np.sin(2 * np.pi * high * at))
    return np.concatenate((wave, np.zeros(PAUSE))).astype(np.float32)
