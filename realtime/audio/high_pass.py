"""Removes sound below speech: a constant offset of the microphone, the lowest parts of mains hum, rumble.

    x ──► one pole at 30 Hz ──► one pole at 30 Hz ──► y        -0.8 dB at 100 Hz, -5.2 dB at 30 Hz, nothing at 0

Small microphones deliver speech on top of a constant; recognizers and classifiers then hear something else than speech
(an offset of 3 % of full scale costs words, 20 % all of them). An offset that begins or changes in a call is gone after
20 ms, too short for speech. Time is samples: any chunking gives the same sound.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from vivavoce.codecs.audio import SAMPLE_RATE, Samples

CUTOFF_HZ: Final = 30.0
"""Of each of the two poles: an octave and a half below the lowest voices."""

BLOCK: Final = 1024
"""Samples that are filtered at once. The closed form of a pole needs its powers, which must stay in range."""

Sound = NDArray[np.float64]

_POLE: Final = float(np.exp(-2 * np.pi * CUTOFF_HZ / SAMPLE_RATE))
_FALL: Final = _POLE ** np.arange(1, BLOCK + 1)
_RISE: Final = 1 / _FALL


class HighPass:
    """One microphone's filter."""

    def __init__(self) -> None:
        self._stages = [_Stage(), _Stage()]

    def receive(self, samples: Samples) -> Samples:
        """The next samples, shape (n,), without delay."""
        sound = samples.astype(np.float64)
        for stage in self._stages:
            sound = stage.step(sound)
        return np.clip(sound, -1.0, 1.0).astype(np.float32)


class _Stage:
    """y[n] = pole * y[n - 1] + x[n] - x[n - 1]. It begins as if its first sample had been there for ever.

    Sums run over blocks of the input's own count, so that the chunking does not change a bit."""

    def __init__(self) -> None:
        self._x: float | None = None
        self._begin = 0.0  # y before the block
        self._sum = 0.0  # of the block so far
        self._at = 0  # samples of the block so far

    def step(self, x: Sound) -> Sound:
        """The next samples, shape (n,)."""
        y = np.empty_like(x)
        if not len(x):
            return y
        differences = np.empty_like(x)
        differences[0] = 0.0 if self._x is None else x[0] - self._x
        np.subtract(x[1:], x[:-1], out=differences[1:])
        self._x = float(x[-1])
        done = 0
        while done < len(x):
            n = min(BLOCK - self._at, len(x) - done)
            place = slice(self._at, self._at + n)
            weighted = differences[done : done + n] * _RISE[place]
            weighted[0] += self._sum
            sums = weighted.cumsum()
            y[done : done + n] = _FALL[place] * (self._begin + sums)
            self._sum, self._at, done = float(sums[-1]), self._at + n, done + n
            if self._at == BLOCK:
                self._begin, self._sum, self._at = float(y[done - 1]), 0.0, 0
        return y
