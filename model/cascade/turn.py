"""The user's turn as the ears hear it: what has come, what has been looked at, when to look again."""

from __future__ import annotations

import asyncio
from typing import Final

from vivavoce.codecs.resample import Resampler
from vivavoce.model.cascade.ears import SAMPLE_RATE as EARS_RATE
from vivavoce.model.cascade.ears import Listening
from vivavoce.model.dialogue import SAMPLE_RATE, Samples

UPDATE: Final = EARS_RATE // 4
"""The ears look again after this much new sound: a quarter of a second."""


class Turn:
    """One turn. Counts in samples at `EARS_RATE`."""

    def __init__(self, listening: Listening) -> None:
        self.listening = listening
        self.pushed = 0
        self.seen = 0  # pushed when the last look began
        self.voiced_end = 0
        self.paused = False  # a pause has begun that no look has covered
        self.id = ""  # set when the turn is closed
        self.overflowed = False  # more sound came than the ears could take
        self.final: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._resampler = Resampler(SAMPLE_RATE, EARS_RATE)

    @property
    def wants_look(self) -> bool:
        return bool(self.id) or self.paused or self.pushed - self.seen >= UPDATE

    def look(self) -> bool:
        """All that was pushed is about to be looked at. Whether it ends in a pause that nobody has looked at."""
        paused, self.paused, self.seen = self.paused, False, self.pushed
        return paused

    def push(self, samples: Samples, voiced: bool) -> None:
        """Takes more of it, at `SAMPLE_RATE`."""
        sound = self._resampler.push(samples)
        try:
            self.listening.push(sound)
        except BufferError:
            self.overflowed = True
        self.paused = not voiced and (self.paused or self.voiced_end == self.pushed)
        self.pushed += len(sound)
        if voiced:
            self.voiced_end = self.pushed
