"""Is this the user's voice, or people behind them? From the level alone, where the background itself is voices.

    level, heard as voice? ──► floor: the softest 0.16 s of the last 6 s ──► is what lies near the floor voice, too?
                                                                              no: whatever is voice is the user's
                                                                              yes: what stands out of it by 11.5 dB

The speech net hears a crowd, a radio or the next table as speech, and a turn would never end among them. In noise that
is no voice, and where it is quiet, nothing is decided here. Pure.
"""

from __future__ import annotations

from collections import deque
from math import log10
from typing import Final

SMOOTHED: Final = 5
"""Windows (160 ms) whose mean level counts as one."""
BLOCK: Final = 16
"""Windows (0.5 s) of which the softest is kept."""
BLOCKS: Final = 12
"""So many blocks are remembered: 6 s. Nobody speaks for so long without a breath."""
KNOWN: Final = 4
"""Blocks (2 s) before anything is known of it: whoever speaks from the first moment on is no crowd."""
NEAR_FLOOR_DB: Final = 6.0
"""What is at most so much louder than the floor is background."""
LEARNING: Final = 0.07
"""By how much a window of background changes the opinion of it: 0.4 s to be convinced."""
VOICES: Final = 0.6
"""Background that is voice so often is people."""
APART_DB: Final = 11.5
"""The user stands out of them by more: a crowd swings by 5 dB to both sides of its mean."""
RECENT: Final = 4
"""Windows (128 ms) of which the loudest counts: syllables have soft ends."""


class Crowd:
    """Keeps what the background is like."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=SMOOTHED)  # levels, dBFS
        self._softest: deque[float] = deque(maxlen=BLOCKS)
        self._windows = 0
        self._voices = 0.0

    def hides(self, voiced: bool, level: float) -> bool:
        """Takes whether the next window sounds like voice, and its level; whether it belongs to the background."""
        self._recent.append(level)
        smooth = 10 * log10(sum(10 ** (decibels / 10) for decibels in self._recent) / len(self._recent))
        if self._windows % BLOCK == 0:
            self._softest.append(smooth)
        self._windows += 1
        self._softest[-1] = min(self._softest[-1], smooth)
        floor = min(self._softest)
        if smooth < floor + NEAR_FLOOR_DB:
            self._voices += LEARNING * (voiced - self._voices)
        known = self._voices > VOICES and len(self._softest) >= KNOWN
        return known and max(list(self._recent)[-RECENT:]) < floor + APART_DB
