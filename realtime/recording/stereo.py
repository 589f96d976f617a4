"""Joins both sides of a call on one sample clock, as pairs of samples: left the user, right the assistant.

    user ───────left──┐
                      ├──► pairs, as soon as both sides are there
    assistant ──right─┘

Both sides count samples as the call does, so neither can drift: live, both have 24 000 a second. A side without sound
(a muted microphone), or one that falls behind because the other came at once (an appended file), is padded with
silence: the two are never more than `SLACK` apart, and a padded side goes on at the position of the other."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from vivavoce.codecs.audio import SAMPLE_RATE

Side = Literal["left", "right"]

SLACK: Final = SAMPLE_RATE // 2
"""Samples (half a second): more than the jitter of networks and clients, and the most that waits for the other side."""


class Stereo:
    """Joins pieces of 16-bit sound, each of one side."""

    def __init__(self) -> None:
        self._waiting: dict[Side, list[bytes]] = {"left": [], "right": []}
        self._ends: dict[Side, int] = {"left": 0, "right": 0}
        self._filled = {"left": False, "right": False}
        self.written = 0  # pairs handed out

    def add(self, side: Side, pcm: bytes) -> int:
        """Takes the next sound of a side; returns the sample of the recording at which it begins."""
        other: Side = "right" if side == "left" else "left"
        if self._filled[side]:
            self._fill(side, self._ends[other])
            self._filled[side] = False
        begin = self._ends[side]
        self._waiting[side].append(pcm)
        self._ends[side] += len(pcm) // 2
        if self._ends[side] - self._ends[other] > SLACK:
            self._fill(other, self._ends[side] - SLACK)
            self._filled[other] = True
        return begin

    def take(self) -> bytes:
        """The pairs that are complete, interleaved 16-bit."""
        length = min(self._ends.values()) - self.written
        if not length:
            return b""
        pairs: NDArray[np.int16] = np.empty((length, 2), "<i2")
        for column, side in enumerate(self._waiting):
            whole = b"".join(self._waiting[side])
            pairs[:, column] = np.frombuffer(whole[: 2 * length], "<i2")
            self._waiting[side] = [whole[2 * length :]]
        self.written += length
        return pairs.tobytes()

    def close(self) -> bytes:
        """The last pairs: the shorter side ends in silence."""
        end = max(self._ends.values())
        for side in self._ends:
            self._fill(side, end)
        return self.take()

    def _fill(self, side: Side, end: int) -> None:
        missing = end - self._ends[side]
        if missing > 0:
            self._waiting[side].append(bytes(2 * missing))
            self._ends[side] = end
