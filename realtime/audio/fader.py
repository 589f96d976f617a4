"""Fades the assistant's speech: full, ducked, or held. Each change is a ramp of up to 20 ms, so nothing clicks.

Gain changes how loud a sample is, never whether it leaves; `room` tells the playout how many may leave.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.realtime.events import Loudness

RAMP: Final = SAMPLE_RATE // 50
"""Samples (20 ms) from silence to full loudness; lesser changes take less."""

DUCKED: Final = 0.126
"""Gain of speech that yields: -18 dB, soft enough to speak over, loud enough to follow."""

GAINS: Final = {"full": 1.0, "ducked": DUCKED, "held": 0.0}


class Fader:
    """The loudness of playback: `gain` now, on its way to `target`."""

    def __init__(self) -> None:
        self.gain = self.target = 1.0
        self._step = 0.0  # per sample
        self._left = 0  # samples of the ramp still to come

    def turn(self, loudness: Loudness) -> None:
        """Begins the ramp to another loudness, from the present gain."""
        target = GAINS[loudness]
        if target != self.target:
            self.target = target
            self._left = round(RAMP * abs(target - self.gain))  # none, where it is there already: silence loses nothing
            self._step = (target - self.gain) / max(self._left, 1)
            if not self._left:
                self.gain = target

    def jump(self) -> None:
        """Sets full loudness at once, while nothing sounds that could click."""
        self.gain = self.target = 1.0
        self._left = 0

    @property
    def room(self) -> int | None:
        """Samples that may leave before the speech is silent; None: no bound."""
        return self._left if self.target == 0.0 else None

    def apply(self, samples: Samples) -> None:
        """Weights `samples` in place, each by the gain half way through it: none is lost in a zero."""
        n = min(self._left, len(samples))
        if n:
            samples[:n] *= (self.gain + self._step * (np.arange(n) + 0.5)).astype(np.float32)
            self._left -= n
            self.gain = self.gain + self._step * n if self._left else self.target
        if self.gain != 1.0:
            samples[n:] *= np.float32(self.gain)
