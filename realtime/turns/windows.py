"""Cut microphone sound of any length into the floor's windows, with a speech probability for each.

24 kHz ─┬────────────────────────────────► 768 samples ┐
        └► 16 kHz ─► 512 samples ─► VAD ─► probability ─┴─► Floor
               ├──► the last 8 s, for the end-of-turn classifier
               └──► the overlap classifier's input
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.codecs.resample import Resampler
from vivavoce.codecs.ring_buffer import RingBuffer
from vivavoce.realtime.events import TurnSound
from vivavoce.realtime.turns.floor import Floor, FloorFact

WINDOW = 768  # samples at 24 kHz: 32 ms, one step of the VAD
NET_RATE = 16_000  # Hz: of all networks of turn-taking
NET_WINDOW = WINDOW * NET_RATE // SAMPLE_RATE
END_OF_TURN = 8 * NET_RATE  # samples that the end-of-turn classifier sees


class MicrophoneWindows:
    """One call's microphone: the sound that does not fill a window yet, the last 8 s, and the floor."""

    def __init__(
        self,
        probability: Callable[[Samples], float],
        floor: Floor,
        feed_overlap: Callable[[Samples], None] | None = None,
    ) -> None:
        """`probability`: of speech in the next window of 512 samples at 16 kHz; keeps its own state. `feed_overlap`:
        takes the same windows for the overlap classifier, before the floor asks for its scores."""
        self.floor = floor
        self.probability = probability
        self._feed_overlap = feed_overlap
        self._resampler = Resampler(SAMPLE_RATE, NET_RATE)
        self._sound: Samples = np.zeros(0, np.float32)
        self._net_sound: Samples = np.zeros(0, np.float32)
        self._end_of_turn = RingBuffer(END_OF_TURN)

    def receive(self, samples: Samples, audible: bool, busy: bool) -> list[FloorFact]:
        """Takes more sound (24 kHz mono, any length); see `Floor.receive`."""
        self._sound = np.concatenate((self._sound, samples))
        self._net_sound = np.concatenate((self._net_sound, self._resampler.push(samples)))
        facts: list[FloorFact] = []
        while len(self._net_sound) >= NET_WINDOW and len(self._sound) >= WINDOW:
            window, self._sound = self._sound[:WINDOW], self._sound[WINDOW:]
            net_window, self._net_sound = self._net_sound[:NET_WINDOW], self._net_sound[NET_WINDOW:]
            self._end_of_turn.push(net_window)
            if self._feed_overlap is not None:
                self._feed_overlap(net_window)
            facts += self.floor.receive(window, self.probability(net_window), audible, busy)
        return facts

    def flush(self) -> list[TurnSound]:
        """Gives out the sound that does not fill a window, where a turn is open: the client is about to close it."""
        rest, self._sound = self._sound, np.zeros(0, np.float32)
        self._net_sound = np.zeros(0, np.float32)
        self.floor.position += len(rest)
        return [TurnSound(rest, voiced=False)] if len(rest) else []

    def recent(self) -> Samples:
        """The open turn so far, at most its last 8 s, at 16 kHz: the input of the end-of-turn classifier. Sound from
        before the turn would mislead it."""
        length = (self.floor.position - self.floor.turn_start) * NET_RATE // SAMPLE_RATE
        return self._end_of_turn.samples[max(END_OF_TURN - length, 0) :].copy()
