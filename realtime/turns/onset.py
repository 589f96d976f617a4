"""Has somebody begun to speak, in quiet?

Three voiced windows in a row (about 100 ms) are enough: the turn is dated back to the first of them, so nothing is
lost by waiting. What is asked of who speaks over the assistant is said in `overlap.py`.
"""

from __future__ import annotations

from collections import deque
from typing import Final

ONSET_WINDOWS: Final = 3
LOOK_BACK: Final = 9
"""Windows (288 ms) within which an earlier voiced one belongs to the same speech."""


class Onset:
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
