"""Tell the user's voice from speech in the background (a crowd, a radio, the next table), by level alone.

    level, voiced ──► noise floor: the softest 0.16 s of the last 6 s ──► is sound near the noise floor voiced, too?
                                   │                                          no: every voiced window is the user's
                                   ▼                                          yes: ──────────┐
                                median level of the background ──► the user begins 7.5 dB above it,
                                                                   and lasts while 4 dB above it

The VAD takes background speech for speech, and a turn would never end in it. In noise that is not voiced, and in quiet,
nothing is removed here. The level of a crowd swings: its softest moments lie 6 to 10 dB below the median, its loudest 4
to 6 above. So the median describes a crowd better than the noise floor, and the noise floor finds the median again
after long speech, or when the crowd has grown. Pure.
"""

from __future__ import annotations

from collections import deque
from math import inf, log10
from typing import Final

SMOOTHING: Final = 5
"""Windows (160 ms) whose mean level counts as one."""
BLOCK: Final = 16
"""Windows (0.5 s) of which the softest is kept."""
BLOCKS: Final = 12
"""Blocks that are kept: 6 s. Nobody speaks for so long without a breath."""
WARM_UP: Final = 3
"""Blocks that must have begun (1 s) before background is assumed. Speech from the first moment on is no background:
its first pause shows it."""
NEAR_FLOOR_DB: Final = 6.0
"""Sound at most this far above the noise floor is background."""
LEARNING_RATE: Final = 0.07
"""Weight of one window of background in the share of voiced ones: a time constant of 0.4 s."""
VOICED_SHARE: Final = 0.6
"""Share of voiced windows from which on the background is speech."""

ABOVE_FLOOR_DB: Final = (4.0, 9.0)
"""Range in which the median level of the background lies above the noise floor."""
STEP_DB: Final = 0.1
"""By which a window of background moves the median: 3 dB in a second."""
BEGINS_DB: Final = 7.5
"""The user's speech begins this far above the median, on the mean of `BEGINS` windows (96 ms) ..."""
BEGINS: Final = 3
LASTS_DB: Final = 4.0
"""... and lasts while the loudest of the last `HANGOVER` windows (128 ms) is this far above it: syllables have soft
ends."""
HANGOVER: Final = 4
QUIET_DB: Final = -60.0
"""No background speech is softer. The first windows of a call count only below it: codec and front end fade in."""
AFTER_PLAYBACK: Final = 40
"""Windows (1.3 s) after the assistant from which on the background is undisturbed: the last 0.8 s of a question count
as silent (`Playout.interruptible`), and the client plays a little later than the server sends."""


class BackgroundSpeech:
    """Follows the background of one call."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=SMOOTHING)  # levels, dBFS
        self._softest: deque[float] = deque(maxlen=BLOCKS)
        self._windows = 0
        self._voiced_share = 0.0
        self._median = -inf  # of the background's levels, dBFS
        self._standing_out = 0  # windows for which the user has stood out
        self._since_playback = AFTER_PLAYBACK  # windows since the assistant was audible

    def receive(self, voiced: bool, level: float, audible: bool = False) -> bool:
        """Takes whether the next window is voiced, and its level in dBFS. Returns whether it belongs to background
        speech.

        `audible`: the assistant is audible. Its echo is cancelled, and much of the background with it, so nothing is
        learned from this window, nor from those soon after."""
        self._recent.append(level)
        self._standing_out = self._standing_out + 1 if self._stands_out() else 0
        self._since_playback = 0 if audible else self._since_playback + 1
        if self._since_playback >= AFTER_PLAYBACK and (len(self._recent) == SMOOTHING or level < QUIET_DB):
            self._learn(voiced)
        speech = self._voiced_share > VOICED_SHARE and len(self._softest) >= WARM_UP
        return speech and not self._standing_out

    def _learn(self, voiced: bool) -> None:
        smooth = _mean(list(self._recent))
        if self._windows % BLOCK == 0:
            self._softest.append(smooth)
        self._windows += 1
        self._softest[-1] = min(self._softest[-1], smooth)
        noise_floor = min(self._softest)
        if smooth < noise_floor + NEAR_FLOOR_DB:
            self._voiced_share += LEARNING_RATE * (voiced - self._voiced_share)
        if not 0 < self._standing_out < BLOCK * BLOCKS:  # not while the user speaks; 6 s without a breath are no user
            self._median += STEP_DB if smooth > self._median else -STEP_DB
        lowest, highest = ABOVE_FLOOR_DB
        self._median = min(max(self._median, noise_floor + lowest), noise_floor + highest)

    def _stands_out(self) -> bool:
        levels = list(self._recent)
        if self._standing_out:
            return max(levels[-HANGOVER:]) > self._median + LASTS_DB
        return _mean(levels[-BEGINS:]) > self._median + BEGINS_DB


def _mean(levels: list[float]) -> float:
    """The mean level, by power, of several windows."""
    return 10 * log10(sum(10 ** (decibels / 10) for decibels in levels) / len(levels))
