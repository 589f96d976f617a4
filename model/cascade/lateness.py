"""How late has work been, lately? The worst of the last ten seconds says whether a machine has enough to do."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Final

REMEMBERED: Final = 10.0
"""Seconds for which a delay counts as the state of things."""


class Lateness:
    """Delays in seconds, noted by any thread. Moments are those of `time.monotonic()`."""

    def __init__(self) -> None:
        self._late: deque[tuple[float, float]] = deque()  # when it was noted, and how late
        self._lock = threading.Lock()

    def note(self, late: float) -> None:
        """Something was done `late` seconds after it should have been; below 0: early."""
        with self._lock:
            now = time.monotonic()
            self._late.append((now, late))
            while self._late[0][0] < now - REMEMBERED:
                self._late.popleft()

    @property
    def worst(self) -> float:
        """The longest delay of late; 0 when there was none."""
        with self._lock:
            recent = time.monotonic() - REMEMBERED
            return max((late for at, late in self._late if at > recent), default=0.0)
