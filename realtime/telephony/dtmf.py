"""Keys as sound: the two tones of each key (ITU-T Q.23), put over whatever is being said.

    press("12#") ──► [ 100 ms tone, 80 ms pause, … ] ──mix──► frames as they leave

For lines that offer no other way to press a key. A core."""

from __future__ import annotations

from typing import Final

import numpy as np

from vivavoce.codecs.audio import SAMPLE_RATE, Samples

TONE: Final = SAMPLE_RATE // 10
PAUSE: Final = SAMPLE_RATE * 8 // 100
LEVEL: Final = 0.25
"""Of each of the two tones: some 9 dB below the loudest."""

_ROWS: Final = (697, 770, 852, 941)
_COLUMNS: Final = (1209, 1336, 1477, 1633)
_LAYOUT: Final = "123A456B789C*0#D"


class Tones:
    """What is still to be sounded."""

    def __init__(self) -> None:
        self._waiting = np.zeros(0, np.float32)

    def press(self, keys: str) -> int:
        """Sounds `keys`; returns how many samples that will take, with what is still waiting."""
        self._waiting = np.concatenate([self._waiting, *(tone(key) for key in keys)])
        return len(self._waiting)

    def mix(self, frame: Samples) -> Samples:
        """A frame as it leaves; while keys sound, nothing else does."""
        if not len(self._waiting):
            return frame
        now, self._waiting = self._waiting[: len(frame)], self._waiting[len(frame) :]
        mixed = np.zeros(len(frame), np.float32)
        mixed[: len(now)] = now
        return mixed


def tone(key: str) -> Samples:
    """One key of `0`-`9`, `*`, `#`, `A`-`D`, and the pause behind it. Raises `ValueError` for others."""
    place = _LAYOUT.index(key)
    at = np.arange(TONE, dtype=np.float32) / SAMPLE_RATE
    low, high = _ROWS[place // 4], _COLUMNS[place % 4]
    sound = LEVEL * (np.sin(2 * np.pi * low * at) + np.sin(2 * np.pi * high * at))
    return np.concatenate((sound, np.zeros(PAUSE))).astype(np.float32)
