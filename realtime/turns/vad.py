"""Speech probabilities to voiced and unvoiced windows, with hysteresis; and a quick eye for the end of a word.

The speech net needs some 130 ms to believe that somebody has stopped: it looks back. The level knows at once, where it
is quiet enough: a window 30 dB below what was just said holds no voice, whatever the net still hears. In noise the
level never falls so far, and the net decides alone. Voices in the background are taken out (`crowd.py`).

Has somebody begun to speak, in quiet?

Three voiced windows in a row (about 100 ms) are enough: the turn is dated back to the first of them, so nothing is
lost by waiting. What is asked of who speaks over the assistant is said in `overlap.py`.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

from vivavoce.codecs.audio import Samples
from vivavoce.realtime.turns.background_speech import BackgroundSpeech

HYSTERESIS: Final = 0.15
"""Speech ends this far below the probability at which it begins; Silero's own recipe."""

FALL_DB: Final = 30.0
"""A window that much below the loudest of the last second is silence."""

FORGET_DB: Final = 0.5
"""By which the loudest is forgotten with each window of 32 ms: 16 dB in a second, so that soft words after loud ones
count."""

SILENT_DB: Final = -100.0


class Vad:
    """Keeps whether the user is speaking."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.voiced = False
        self._loudest = SILENT_DB
        self._crowd = BackgroundSpeech()

    def receive(self, probability: float, level: float = 0.0, audible: bool = False) -> bool:
        """Takes the speech probability of the next window (0..1), its level in dBFS, and whether the assistant can be
        heard; returns whether it is the user's voice. `voiced` is what the net says of it, whoever's voice it is."""
        self._loudest = max(level, self._loudest - FORGET_DB)
        limit = self.threshold - HYSTERESIS if self.voiced else self.threshold
        voiced = probability >= limit and level > self._loudest - FALL_DB
        self.voiced = voiced
        hidden = self._crowd.hides(voiced, level, audible)
        return voiced and not hidden


def level_of(samples: Samples) -> float:
    """The level of a window in dBFS; digital silence is -100."""
    return float(10 * np.log10(np.mean(np.square(samples)) + 1e-10))


ONSET_WINDOWS: Final = 3
LOOK_BACK: Final = 9
"""Windows (288 ms) within which an earlier voiced one belongs to the same speech."""


class Debounce:
    """Counts voiced windows until they are taken for a turn."""

    def __init__(self) -> None:
        self._recent: deque[bool] = deque(maxlen=LOOK_BACK)

    def receive(self, voiced: bool) -> int:
        """Takes the next window. Returns 0 while there is no turn; else how many windows ago its first voiced window
        was (1: this one)."""
        self._recent.append(voiced)
        if len(self._recent) < ONSET_WINDOWS or not all(list(self._recent)[-ONSET_WINDOWS:]):
            return 0
        return len(self._recent) - self._recent.index(True)

    @property
    def begun(self) -> bool:
        """The last window was voiced: somebody may be about to have the turn."""
        return bool(self._recent) and self._recent[-1]

    def reset(self) -> None:
        self._recent.clear()
