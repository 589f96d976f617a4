"""How many of the frames that Asterisk was sent are still in its queue, and when it wants the next; a core.

    sent ──► [ queue: one frame leaves each 20 ms ] ──► the caller
             └── `due`: never fewer than it needs, never more than `AHEAD`       mark ──► played: the clock is set right

Silence is sent when it is needed and not before, so that the first word after it waits behind nothing.

Asterisk tells when a mark was reached, which is once in half a second; in between, time tells. `now` is in seconds, on
any clock that does not run backwards.
"""

from __future__ import annotations

from math import ceil
from typing import Final

PERIOD: Final = 0.02

AHEAD: Final = 3
"""Frames that may wait: 60 ms bridge what a busy machine makes us late, and are taken back when somebody cuts in."""

MARKED: Final = 25
"""Every so many frames there is a mark."""


class FarQueue:
    """One call's."""

    def __init__(self, now: float) -> None:
        self._empty_at = now
        self._ahead = 1
        self.sent = 0
        """Frames since the call began."""

    def due(self, now: float) -> float:
        """When the next frame should leave."""
        return max(self._empty_at - (self._ahead - 1) * PERIOD, now)

    def send(self, now: float, sounds: bool = True) -> str:
        """A frame leaves, silent or not. Returns the name of a mark that should follow it, or ""."""
        self.sent += 1
        self._ahead = AHEAD if sounds else 1
        late = now - self._empty_at
        self._empty_at = (self._empty_at if late < PERIOD else now) + PERIOD  # a little late keeps the beat
        return str(self.sent) if self.sent % MARKED == 0 else ""

    def played(self, mark: str, now: float) -> None:
        """Asterisk reached a mark: so many frames have left its queue. Names that are not ours are passed over."""
        if mark.isascii() and mark.isdigit() and int(mark) <= self.sent:
            self._empty_at = now + (self.sent - int(mark)) * PERIOD

    def heard(self, now: float) -> int:
        """Frames that have left its queue."""
        return self.sent - max(0, ceil((self._empty_at - now) / PERIOD - 1e-6))

    def flush(self, now: float) -> int:
        """The queue was emptied; returns what `heard` did before."""
        heard = self.heard(now)
        self._empty_at = now
        return heard
