"""Sound of any length to the floor's windows: the shell around the cores of this package.

24 kHz ─┬────────────────────────────────► 768 samples ┐
        └► 16 kHz ─► 512 samples ─► probability ─► p ──┴─► Floor ─► scores of an overlap
               ├──► the last 8 s, for the judge             ▲
               └──► the ear that overhears ─────────────────┘
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.codecs.resample import Resampler
from vivavoce.codecs.ring_buffer import RingBuffer
from vivavoce.realtime.events import TurnSound
from vivavoce.realtime.turns.floor import Floor, FloorFact

WINDOW = 768  # samples at 24 kHz: 32 ms, what the speech net looks at
NET_RATE = 16_000
NET_WINDOW = WINDOW * NET_RATE // SAMPLE_RATE
JUDGED = 8 * NET_RATE  # the judge looks at 8 s


class MicrophoneWindows:
    """Holds one call's microphone: what does not fill a window yet, what the judge will want to hear, and the floor."""

    def __init__(
        self, probability: Callable[[Samples], float], floor: Floor, overhear: Callable[[Samples], None] | None = None
    ) -> None:
        """`probability`: of speech in the next window of 512 samples at 16 kHz; keeps its own state. `overhear`: is
        given the same windows, before the floor may ask what they are."""
        self.floor = floor
        self.probability = probability
        self._overhear = overhear
        self._resampler = Resampler(SAMPLE_RATE, NET_RATE)
        self._sound: Samples = np.zeros(0, np.float32)
        self._net_sound: Samples = np.zeros(0, np.float32)
        self._judged = RingBuffer(JUDGED)

    def receive(self, samples: Samples, audible: bool, busy: bool) -> list[FloorFact]:
        """Takes more sound (24 kHz mono, any length); see `Floor.receive`."""
        self._sound = np.concatenate((self._sound, samples))
        self._net_sound = np.concatenate((self._net_sound, self._resampler.push(samples)))
        facts: list[FloorFact] = []
        while len(self._net_sound) >= NET_WINDOW and len(self._sound) >= WINDOW:
            window, self._sound = self._sound[:WINDOW], self._sound[WINDOW:]
            heard, self._net_sound = self._net_sound[:NET_WINDOW], self._net_sound[NET_WINDOW:]
            self._judged.push(heard)
            if self._overhear is not None:
                self._overhear(heard)
            facts += self.floor.receive(window, self.probability(heard), audible, busy)
        return facts

    def flush(self) -> list[TurnSound]:
        """Gives out the sound that does not fill a window, where a turn is open: the client is about to close it."""
        rest, self._sound = self._sound, np.zeros(0, np.float32)
        self._net_sound = np.zeros(0, np.float32)
        self.floor.position += len(rest)
        return [TurnSound(rest, voiced=False)] if len(rest) else []

    def recent(self) -> Samples:
        """The open turn so far, at most its last 8 s, at 16 kHz: what the judge was trained to look at. What was
        heard before the turn would mislead it."""
        length = (self.floor.position - self.floor.turn_start) * NET_RATE // SAMPLE_RATE
        return self._judged.samples[max(JUDGED - length, 0) :].copy()
