"""How much of what was sent the caller has heard, by the clock and by marks.

    sent(frames) ──► [ played │ under way │ waiting at the provider ]
                             ▲                        │
      marks come back ───────┘       clear ───────────┘ dropped: never heard

A mark comes back one round trip after its sound was played; the shortest delay seen is the round trip, and what exceeds
it is a stall: the provider had nothing to play for a while, so all that follows is later, too. `heard` asked at a cut
says what will have been played when the "clear" arrives, which takes as long as the mark's way back did.

Frames are of 20 ms. A core; `now` in seconds."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import ceil
from typing import Final

from vivavoce.realtime.transports.pacing import PERIOD

STUCK: Final = 1.0
"""Seconds by which a mark may be late before nothing but marks is believed."""


@dataclass(frozen=True, slots=True)
class _Mark:
    name: str
    frames: int
    due: float  # when its sound will have been played if it travels in no time


class Playback:
    """One call's."""

    def __init__(self) -> None:
        self._frames = 0  # pulled from the call so far
        self._last = 0  # of these, up to the last one that was sent
        self._ends = 0.0  # when all that was sent will have been played, if it travels in no time
        self._trip: float | None = None
        self._stall = 0.0
        self._confirmed = 0
        self._round = 0  # of clears
        self._marks: deque[_Mark] = deque()

    def sent(self, frames: int, now: float) -> None:
        """So many frames were sent."""
        if self._ends + self._stall < now:
            self._ends, self._stall = now, 0.0
        self._ends += frames * PERIOD
        self._frames += frames
        self._last = self._frames

    def passed(self) -> None:
        """A frame was silent, and was not sent."""
        self._frames += 1

    def mark(self) -> str:
        """The name of a mark that is being sent now."""
        name = f"{self._round}.{self._frames}"
        self._marks.append(_Mark(name, self._frames, self._ends))
        return name

    def echoed(self, name: str, now: float) -> None:
        """A mark came back; those of an earlier round say nothing."""
        if not any(mark.name == name for mark in self._marks):
            return
        while (mark := self._marks.popleft()).name != name:
            pass
        late = now - mark.due
        self._trip = late if self._trip is None else min(self._trip, late)
        self._stall = max(0.0, late - self._trip)
        self._confirmed = mark.frames

    def heard(self, now: float) -> int:
        """How many frames will have been played when what is sent now arrives."""
        if self._marks and self._trip is not None and self._marks[0].due + self._trip + STUCK < now:
            return self._confirmed
        left = self._ends + self._stall - now
        if left <= 0:
            return self._frames
        return max(self._confirmed, self._last - ceil(round(left / PERIOD, 6)))

    def clear(self, now: float) -> int:
        """What waits at the provider is dropped; returns what was heard until then."""
        heard = self.heard(now)
        self._round += 1
        self._marks.clear()
        self._ends, self._stall = now, 0.0
        return heard

    def left(self, now: float) -> float:
        """Seconds until all that was sent will have been heard, and we know it."""
        return max(0.0, self._ends + self._stall + (self._trip or 0.0) - now)
