"""Pacing of sound that goes out: one frame every 20 ms, without drift and without bursts.

`Pace` is the arithmetic (a core). `pull_in_real_time` pulls at that pace and drops the frames: it stands for the
loudspeaker of a client that plays by itself."""

from __future__ import annotations

import asyncio
from typing import Never

from vivavoce.realtime.transports import Pull

PERIOD = 0.02
"""Seconds of one frame."""

STALL = 0.1
"""Seconds of lateness up to which missed frames are made up for. Beyond, they are skipped: the far end has played
silence meanwhile, and a burst would only fill its buffer and stay there as delay."""


class Pace:
    """When each frame is due. Frame `n` is due at the start plus n * 20 ms, so errors of single sleeps never add up."""

    def __init__(self) -> None:
        self._start: float | None = None
        self._number = -1

    def next(self, now: float) -> tuple[int, float]:
        """Number and due time of the next frame. Numbers that are left out are frames skipped in a stall."""
        if self._start is None:
            self._start = now
        self._number += 1
        late = now - self._due
        if late > STALL:
            self._number += round(late / PERIOD)
        return self._number, self._due

    @property
    def _due(self) -> float:
        return (self._start or 0.0) + self._number * PERIOD


async def pull_in_real_time(pull: Pull) -> Never:
    """Pulls frames in real time, for ever, and drops them."""
    loop = asyncio.get_running_loop()
    pace = Pace()
    while True:
        _, due = pace.next(loop.time())
        await asyncio.sleep(due - loop.time())
        pull()
