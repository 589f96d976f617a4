"""The caller's microphone: what is said, the noise of the room, and what it picks up of its own loudspeaker. A core.

    put(speech, at) ──┐
    noise ────────────┼──► frame(n): 20 ms, number n, picked up when they are complete
    echo(start, n) ───┘

`MicClock` tells when: a microphone hands a frame on when its last sample was spoken, by a clock that may run too fast.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from vivavoce.codecs.audio import FRAME, SAMPLE_RATE, Samples

STALL: Final = 0.1
"""Seconds of lateness of the caller's own machine from which frames are left out instead of made up for."""

ECHO_DELAY: Final = 0.08
"""Seconds from the loudspeaker to the microphone: air, drivers and buffers of a laptop."""


@dataclass(slots=True)
class MicClock:
    """Seconds of the call against samples of the microphone; `skew` in parts per million."""

    skew: float = 0.0
    stalls: int = 0
    _next: int = 0

    def moment(self, sample: int) -> float:
        """When `sample` was spoken."""
        return sample / (SAMPLE_RATE * (1 + self.skew * 1e-6))

    def next(self, now: float) -> tuple[int, float]:
        """Number of the next frame, and when it is complete. Frames that a stall swallowed are left out."""
        number, self._next = self._next, self._next + 1
        late = now - self.moment((number + 1) * FRAME)
        if late > STALL:
            self.stalls += 1
            number += int(late * SAMPLE_RATE / FRAME)
            self._next = number + 1
        return number, self.moment((number + 1) * FRAME)

    @property
    def free(self) -> int:
        """First sample that has not been handed on."""
        return self._next * FRAME


@dataclass(slots=True)
class VirtualMicrophone:
    """Sound to be spoken, by sample of the microphone. `noise` is repeated for ever; `echo(start, n)` gives what came
    to the microphone from the loudspeaker."""

    noise: Samples | None = None
    echo: Callable[[int, int], Samples] | None = None
    _waiting: list[tuple[int, Samples]] = field(default_factory=list)

    def put(self, samples: Samples, at: int) -> None:
        """Speaks `samples` from sample `at` on, over whatever else is spoken then."""
        self._waiting.append((at, samples))

    def frame(self, number: int) -> Samples:
        """Frame `number`, shape (480,). Numbers never go back."""
        start = number * FRAME
        frame = np.zeros(FRAME, np.float32)
        for at, samples in self._waiting:
            begin, end = max(at, start), min(at + len(samples), start + FRAME)
            if begin < end:
                frame[begin - start : end - start] += samples[begin - at : end - at]
        self._waiting = [(at, samples) for at, samples in self._waiting if at + len(samples) > start + FRAME]
        if self.noise is not None and len(self.noise):
            frame += self.noise[(start + np.arange(FRAME)) % len(self.noise)]
        if self.echo is not None:
            frame += self.echo(start, FRAME)
        return np.clip(frame, -1, 1)
