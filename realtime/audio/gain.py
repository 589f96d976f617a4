"""Amplifies quiet speech, slowly and only as far as the noise allows. Never attenuates: loud speech does no harm.

    samples, probability of speech ──► level of the speech, level of the noise ──► gain ──► samples

The gain follows speech alone, so that pauses, noise and the assistant's echo do not move it. The module is a core."""

from __future__ import annotations

from math import log10
from typing import Final

import numpy as np

from vivavoce.codecs.audio import SAMPLE_RATE, Samples

TARGET: Final = -23.0
"""dBFS (RMS) of speech: the level of a headset at an arm's length, and of the training data of ASRs."""

NOISE: Final = -50.0
"""dBFS that noise is never raised above."""

SPEECH: Final = 0.7
"""Probability from which a block counts as speech."""

ABOVE_NOISE: Final = 8.0
"""dB by which a block of speech stands out of the noise."""

_MEMORY = 0.5  # seconds of speech over which its level is averaged
_UP, _DOWN = 20.0, 60.0  # dB per second
_RISE = 2.0  # dB per second at which the estimate of the noise forgets quieter moments
_SILENT = -90.0
_PEAK = 0.9


class Gain:
    """The gain of one microphone. `db`: the present gain."""

    def __init__(self, most: float) -> None:
        """`most`: the highest gain, in dB."""
        self._most = most
        self._speech: float | None = None  # mean square of it
        self._noise = 0.0  # dBFS
        self.db = 0.0

    def receive(self, samples: Samples, speech: float) -> Samples:
        """Takes the next block, shape (n,), and the probability (0..1) that it is speech; returns it amplified."""
        if not len(samples):
            return samples
        seconds = len(samples) / SAMPLE_RATE
        power = float(np.dot(samples, samples)) / len(samples)
        level = _db(power)
        self._noise = max(min(level, self._noise + _RISE * seconds), _SILENT)
        before = self.db
        if speech >= SPEECH and level > self._noise + ABOVE_NOISE:
            self._follow(power, seconds)
        self.db = min(self.db, self._bound(samples))
        if before == self.db == 0.0:
            return samples
        ramp = np.linspace(10 ** (before / 20), 10 ** (self.db / 20), len(samples), dtype=np.float32)
        louder: Samples = np.clip(samples * ramp, -1, 1)
        return louder

    def _follow(self, power: float, seconds: float) -> None:
        share = min(seconds / _MEMORY, 1.0)
        self._speech = power if self._speech is None else self._speech + share * (power - self._speech)
        target = max(min(TARGET - _db(self._speech), NOISE - self._noise, self._most), 0.0)
        self.db += max(min(target - self.db, _UP * seconds), -_DOWN * seconds)

    @staticmethod
    def _bound(samples: Samples) -> float:
        """Gain in dB at which the loudest sample reaches the highest peak allowed; at least 0."""
        loudest = float(np.abs(samples).max())
        return max(20 * log10(_PEAK / loudest), 0.0) if loudest else 100.0


def _db(power: float) -> float:
    return 10 * log10(power + 1e-10)
