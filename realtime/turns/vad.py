"""Voice activity detection: speech probabilities to voiced windows, with hysteresis, and a debounce for turn starts.

    probability, level ──► hysteresis ─► level drop ─► background speech ──► voiced?           Vad
    voiced, voiced, voiced ──► a turn begins, dated back to the first of them                  Debounce

The network needs some 130 ms to report the end of speech: it looks back. The level drops at once where it is quiet: a
window 30 dB below the words before it holds no voice, whatever the network says. In noise the level never drops so far,
and the network decides alone. Background speech is removed (background_speech.py).

Where the assistant is silent, three voiced windows in a row (about 100 ms) begin a turn. Nothing is lost by waiting for
them. Speech over the assistant has to pass barge_in.py instead.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from vivavoce.realtime.turns.background_speech import BackgroundSpeech

HYSTERESIS: Final = 0.15
"""Speech ends this far below the probability at which it begins; Silero's own recipe."""

DROP_DB: Final = 30.0
"""A window this far below the loudest of the last second is silence."""

PEAK_DECAY_DB: Final = 0.5
"""Decay of the loudest level with each window of 32 ms: 16 dB in a second, so that soft words after loud ones count."""

SILENT_DB: Final = -100.0


class Vad:
    """The voice activity of one call's user."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.voiced = False
        self._peak = SILENT_DB
        self._background = BackgroundSpeech()

    def receive(self, probability: float, level: float = 0.0, audible: bool = False) -> bool:
        """Takes the speech probability of the next window (0..1), its level in dBFS, and whether the assistant is
        audible. Returns whether the window holds the user's voice; `voiced` is the same for any voice."""
        self._peak = max(level, self._peak - PEAK_DECAY_DB)
        limit = self.threshold - HYSTERESIS if self.voiced else self.threshold
        voiced = probability >= limit and level > self._peak - DROP_DB
        self.voiced = voiced
        background = self._background.receive(voiced, level, audible)
        return voiced and not background


DEBOUNCE_WINDOWS: Final = 3
LOOK_BACK: Final = 9
"""Windows (288 ms) within which an earlier voiced one belongs to the same speech."""


class Debounce:
    """Counts voiced windows until they begin a turn."""

    def __init__(self) -> None:
        self._recent: deque[bool] = deque(maxlen=LOOK_BACK)

    def receive(self, voiced: bool) -> int:
        """Takes the next window. Returns 0 while there is no turn; else how many windows ago its first voiced window
        was (1: this one)."""
        self._recent.append(voiced)
        if len(self._recent) < DEBOUNCE_WINDOWS or not all(list(self._recent)[-DEBOUNCE_WINDOWS:]):
            return 0
        return len(self._recent) - self._recent.index(True)

    @property
    def pending(self) -> bool:
        """The last window was voiced: a turn may be about to begin."""
        return bool(self._recent) and self._recent[-1]

    def reset(self) -> None:
        self._recent.clear()
