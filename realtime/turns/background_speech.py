"""Is this the user's voice, or people behind them? From the level alone, where the background itself is voices.

    level, heard as voice? ──► floor: the softest 0.16 s of the last 6 s ──► is what lies near the floor voice, too?
                                   │                                          no: whatever is voice is the user's
                                   ▼                                          yes: ──────────┐
                                usual: the middle of the background's levels ──► user: begins 7.5 dB above it,
                                                                                 and lasts while 4 dB above it

The speech net hears a crowd, a radio or the next table as speech, and a turn would never end among them. In noise that
is no voice, and where it is quiet, nothing is decided here. A crowd swings: its softest moments lie 6 to 10 dB below
the middle of its levels, its loudest 4 to 6 above, so that the middle says more of it than the floor, and the floor is
there to find it again when somebody has spoken for long, or the crowd has grown. Pure.
"""

from __future__ import annotations

from collections import deque
from math import inf, log10
from typing import Final

SMOOTHED: Final = 5
"""Windows (160 ms) whose mean level counts as one."""
BLOCK: Final = 16
"""Windows (0.5 s) of which the softest is kept."""
BLOCKS: Final = 12
"""So many blocks are remembered: 6 s. Nobody speaks for so long without a breath."""
KNOWN: Final = 3
"""Blocks that must have begun (1 s) before anything is known of it. Who speaks from the first moment on is no crowd:
their first pause shows it."""
NEAR_FLOOR_DB: Final = 6.0
"""What is at most so much louder than the floor is background."""
LEARNING: Final = 0.07
"""By how much a window of background changes the opinion of it: 0.4 s to be convinced."""
VOICES: Final = 0.6
"""Background that is voice so often is people."""

ABOVE_FLOOR_DB: Final = (4.0, 9.0)
"""Between these the middle of the background's levels lies above the floor."""
STEP_DB: Final = 0.1
"""By which a window of background moves the middle: 3 dB in a second."""
BEGINS_DB: Final = 7.5
"""The user stands out of the middle by more, on the mean of `BEGINS` windows (96 ms) ..."""
BEGINS: Final = 3
LASTS_DB: Final = 4.0
"""... and stays above this with the loudest of the last `LASTS` windows (128 ms): syllables have soft ends."""
LASTS: Final = 4
QUIET_DB: Final = -60.0
"""No people are softer. The first windows of a call count only when they are: codec and front end begin softly."""
AFTER: Final = 40
"""Windows (1.3 s) from which on the background is again what it is: the last 0.8 s of a question count as silent
(`playout.py`), and the client plays a little later than we send."""


class BackgroundSpeech:
    """Keeps what the background is like."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=SMOOTHED)  # levels, dBFS
        self._softest: deque[float] = deque(maxlen=BLOCKS)
        self._windows = 0
        self._voices = 0.0
        self._usual = -inf  # the middle of the background's levels, dBFS
        self._lasts = 0  # windows for which the user has stood out
        self._played = AFTER  # windows since the assistant was heard

    def hides(self, voiced: bool, level: float, audible: bool = False) -> bool:
        """Takes whether the next window sounds like voice, and its level; whether it belongs to the background.

        `audible`: the assistant is heard. Its echo is taken out, and much of the background with it, so that nothing is
        learned of this, nor soon after."""
        self._recent.append(level)
        self._lasts = self._lasts + 1 if self._stands_out() else 0
        self._played = 0 if audible else self._played + 1
        if self._played >= AFTER and (len(self._recent) == SMOOTHED or level < QUIET_DB):
            self._learn(voiced)
        people = self._voices > VOICES and len(self._softest) >= KNOWN
        return people and not self._lasts

    def _learn(self, voiced: bool) -> None:
        smooth = _mean(list(self._recent))
        if self._windows % BLOCK == 0:
            self._softest.append(smooth)
        self._windows += 1
        self._softest[-1] = min(self._softest[-1], smooth)
        floor = min(self._softest)
        if smooth < floor + NEAR_FLOOR_DB:
            self._voices += LEARNING * (voiced - self._voices)
        if not 0 < self._lasts < BLOCK * BLOCKS:  # nobody: neither speaks anyone for so long without a breath
            self._usual += STEP_DB if smooth > self._usual else -STEP_DB
        lowest, highest = ABOVE_FLOOR_DB
        self._usual = min(max(self._usual, floor + lowest), floor + highest)

    def _stands_out(self) -> bool:
        levels = list(self._recent)
        if self._lasts:
            return max(levels[-LASTS:]) > self._usual + LASTS_DB
        return _mean(levels[-BEGINS:]) > self._usual + BEGINS_DB


def _mean(levels: list[float]) -> float:
    """The level of several windows together."""
    return 10 * log10(sum(10 ** (decibels / 10) for decibels in levels) / len(levels))
