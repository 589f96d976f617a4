"""Both sides of a call on one sample clock, as pairs of samples: left the user, right the assistant.

    heard ──left──┐
                  ├──► pairs, as soon as both sides are there
    said ───right─┘

Both sides are counted in samples as the call counts them, so neither can drift: live, both bring 24 000 a second.
A side that brings nothing (a muted microphone), or falls behind because the other came at once (an appended file), is
filled up with silence: the two are never more than `SLACK` apart, and a side that was filled goes on where the other
is.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from vivavoce.codecs.audio import SAMPLE_RATE

Side = Literal["left", "right"]

SLACK: Final = SAMPLE_RATE // 2
"""Samples (half a second): more than networks and clients stutter, and all that waits for its other side."""


class Stereo:
    """Puts pieces of 16-bit sound, each for one side, beside each other."""

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
