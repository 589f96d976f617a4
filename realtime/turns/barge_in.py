"""Is this sound the user taking the floor?

In quiet, three voiced windows in a row (about 100 ms) are enough: the turn is dated back to the first of them, so
nothing is lost by waiting. While the assistant is speaking more is asked, since a cough, a click or the assistant's
own echo must not stop it: voiced windows must make up a quarter of a second, nearly without a break.
"""

from __future__ import annotations

from collections import deque
from typing import Final

ONSET_WINDOWS: Final = 3
REAL_SPEECH_WINDOWS: Final = 7  # 224 ms voiced ...
REAL_SPEECH_SPAN: Final = 9  # ... within 288 ms


class BargeIn:
    """Counts voiced windows until they are taken for a turn."""

    def __init__(self) -> None:
        self._recent: deque[bool] = deque(maxlen=REAL_SPEECH_SPAN)

    def receive(self, voiced: bool, audible: bool) -> int:
        """Takes the next window; `audible`: the assistant's voice can be heard now.

        Returns 0 while there is no turn; else how many windows ago its first voiced window was (1: this one)."""
        self._recent.append(voiced)
        if not voiced:
            return 0
        spoken = sum(self._recent)
        if audible:
            return self._age_of_first() if spoken >= REAL_SPEECH_WINDOWS else 0
        if len(self._recent) >= ONSET_WINDOWS and all(list(self._recent)[-ONSET_WINDOWS:]):
            return self._age_of_first()
        return 0

    def reset(self) -> None:
        self._recent.clear()

    def _age_of_first(self) -> int:
        return len(self._recent) - self._recent.index(True)
