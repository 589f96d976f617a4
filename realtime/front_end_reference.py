"""What the loudspeaker played, paired with what the microphone picks up: the echo canceller's reference.

    play ──push──► [ up to half a second ] ──take(n), with n samples of the microphone──► canceller

Both sides count samples of the same nominal rate, so pairing is by count, and the network's jitter does not move it:
while microphone packets are late the queue grows, and shrinks again when they come. The canceller finds the echo's
delay by itself, as long as the reference comes before the echo and stays where it is. So the queue is moved only when
it must be: it grows when it runs dry, and shrinks when it has been too long for a second (clocks drift). The module is
a core."""

from __future__ import annotations

from typing import Final

import numpy as np

from vivavoce.model.dialogue import SAMPLE_RATE, Samples

HEADROOM: Final = SAMPLE_RATE // 50
"""Samples (20 ms) left waiting after the queue ran dry, so that it does not run dry again at once. Less than any echo
takes: sound crosses two jitter buffers and a room."""

SLACK: Final = SAMPLE_RATE * 3 // 50
"""Samples (60 ms) always waiting that are left alone: each move costs the canceller a moment."""

FAR: Final = SAMPLE_RATE // 4
"""Samples (250 ms) always waiting that are cut even while something plays; less waits for a pause."""

BOUND: Final = SAMPLE_RATE // 2
"""Samples (500 ms) kept while no microphone sound comes."""

WATCHED: Final = SAMPLE_RATE
"""Samples (1 s) over which the queue's shortest length is looked at."""


class Reference:
    """The queue of one call. `waiting` counts its samples."""

    def __init__(self) -> None:
        self._queue: Samples = np.zeros(0, np.float32)
        self._shortest = BOUND
        self._watched = 0

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def push(self, samples: Samples) -> None:
        """Takes what just left for the loudspeaker, silence included, shape (n,)."""
        self._queue = np.concatenate((self._queue, samples))[-BOUND:]

    def take(self, n: int) -> Samples:
        """What belongs to the next `n` samples of the microphone, shape (n,)."""
        if len(self._queue) < n:  # late, or the microphone's clock is faster, or a whole recording came at once
            self._queue = np.concatenate((self._queue, np.zeros(n - len(self._queue) + HEADROOM, np.float32)))
        taken, self._queue = self._queue[:n], self._queue[n:]
        self._shortest = min(self._shortest, len(self._queue))
        self._watched += n
        if self._watched >= WATCHED:
            self._shorten(self._shortest)
            self._shortest, self._watched = BOUND, 0
        return taken

    def _shorten(self, spare: int) -> None:
        surplus = spare - HEADROOM
        if spare > SLACK and (spare > FAR or not self._queue[:surplus].any()):
            self._queue = self._queue[surplus:]
