"""The caller's microphone: speech, background noise, and the echo of the loudspeaker. A core.

    put(speech, at) ──┐
    noise ────────────┼──► frame(n): 20 ms, number n, complete at `MicClock`'s time
    echo(start, n) ───┘

A microphone delivers a frame when its last sample was captured, by a clock that may be fast.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from vivavoce.codecs.audio import FRAME, SAMPLE_RATE, Samples

STALL: Final = 0.1
"""Seconds of lateness of the caller's own machine from which frames are skipped instead of sent late."""

ECHO_DELAY: Final = 0.08
"""Seconds from the loudspeaker to the microphone: air, drivers and buffers of a laptop."""


@dataclass(slots=True)
class MicClock:
    """Maps samples of the microphone to seconds of the call; `skew` in parts per million."""

    skew: float = 0.0
    stalls: int = 0
    _next: int = 0

    def moment(self, sample: int) -> float:
        """Time at which `sample` is captured."""
        return sample / (SAMPLE_RATE * (1 + self.skew * 1e-6))

    def next(self, now: float) -> tuple[int, float]:
        """Number of the next frame, and the time at which it is complete. Frames lost in a stall are skipped."""
        number, self._next = self._next, self._next + 1
        late = now - self.moment((number + 1) * FRAME)
        if late > STALL:
            self.stalls += 1
            number += int(late * SAMPLE_RATE / FRAME)
            self._next = number + 1
        return number, self.moment((number + 1) * FRAME)

    @property
    def free(self) -> int:
        """First sample that has not been delivered."""
        return self._next * FRAME


@dataclass(slots=True)
class VirtualMicrophone:
    """Mixes speech at given samples with `noise`, which repeats, and with `echo(start, n)` of the loudspeaker."""

    noise: Samples | None = None
    echo: Callable[[int, int], Samples] | None = None
    _clips: list[tuple[int, Samples]] = field(default_factory=list)

    def put(self, samples: Samples, at: int) -> None:
        """Adds `samples` from sample `at` on, mixed with other speech there."""
        self._clips.append((at, samples))

    def frame(self, number: int) -> Samples:
        """Frame `number`, shape (480,). Numbers never decrease."""
        start = number * FRAME
        frame = np.zeros(FRAME, np.float32)
        for at, samples in self._clips:
            begin, end = max(at, start), min(at + len(samples), start + FRAME)
            if begin < end:
                frame[begin - start : end - start] += samples[begin - at : end - at]
        self._clips = [(at, samples) for at, samples in self._clips if at + len(samples) > start + FRAME]
        if self.noise is not None and len(self.noise):
            frame += self.noise[(start + np.arange(FRAME)) % len(self.noise)]
        if self.echo is not None:
            frame += self.echo(start, FRAME)
        return np.clip(frame, -1, 1)
