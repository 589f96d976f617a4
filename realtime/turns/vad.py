"""Speech probabilities to voiced and unvoiced windows, with hysteresis."""

from __future__ import annotations

from typing import Final

HYSTERESIS: Final = 0.15
"""Speech ends this far below the probability at which it begins; Silero's own recipe."""


class Vad:
    """Keeps whether the user is speaking, and for how many windows that has been so."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.voiced = False
        self.run = 0  # windows since `voiced` last changed, this one included

    def receive(self, probability: float) -> bool:
        """Takes the speech probability of the next window (0..1); returns whether it is voiced."""
        level = self.threshold - HYSTERESIS if self.voiced else self.threshold
        voiced = probability >= level
        self.run = self.run + 1 if voiced == self.voiced else 1
        self.voiced = voiced
        return voiced
