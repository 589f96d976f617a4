"""Sample rates at the edges: a stream of one rate in, the same sound at another rate out.

    8 kHz ──push──► 24 kHz (2 ms late) ──flush──► the last 2 ms

A polyphase filter: a low pass (sinc under a Kaiser window) in L phases, one for each place an output sample can have
between two input samples. Block resamplers made for files, like soxr, hold back up to 40 ms at these rates, which a
conversation hears. Any chunking gives the same output, and the counts agree to the sample: for n samples taken,
ceil(n * to_hz / from_hz) are given. One `Resampler` belongs to one stream.
"""

from __future__ import annotations

from functools import cache
from math import ceil, gcd

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

CROSSINGS = 16
"""Zero crossings of the sinc on each side, at the lower of the two rates: the look-ahead (2 ms at 8 kHz)."""

_ROLLOFF = 0.92  # of the lower rate's half is kept whole
_BETA = 8.0  # Kaiser window: 80 dB of stop band


class Resampler:
    """A streaming change of sample rate. `taken` and `given` count samples since the last flush."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        shared = gcd(from_hz, to_hz)
        self._up, self._down = to_hz // shared, from_hz // shared
        self._phases = phases(self._up, self._down)
        self._ahead: int = self._phases.shape[1] // 2
        self._begin()

    def push(self, samples: Samples) -> Samples:
        """The next stretch, shape (n,); returns what is ready of the output, maybe nothing."""
        self.taken += len(samples)
        if self._up == self._down:
            self.given = self.taken
            return samples
        return self._ready(samples, self.taken - self._ahead)

    def flush(self) -> Samples:
        """The rest of the output; the next `push` begins a new stream."""
        rest = np.zeros(0, np.float32)
        if self._up != self._down:
            rest = self._ready(np.zeros(self._ahead, np.float32), self.taken)
        self._begin()
        return rest

    def _begin(self) -> None:
        self.taken = 0
        self.given = 0
        self._waiting = np.zeros(self._ahead, np.float32)  # input still under the filter
        self._first = -self._ahead  # number of the first of them

    def _ready(self, samples: Samples, known: int) -> Samples:
        """Output samples that lie before input sample `known`."""
        self._waiting = np.concatenate([self._waiting, np.asarray(samples, np.float32)])
        count = max(ceil(known * self._up / self._down) - self.given, 0)
        if not count:
            return np.zeros(0, np.float32)
        ready = self._filter(self._waiting[self._start() :], count)
        self.given += count
        keep = self._start()
        self._waiting = self._waiting[keep:]
        self._first += keep
        return ready

    def _start(self) -> int:
        """Where, in what is waiting, the input under the next output sample begins."""
        next_under = self.given * self._down // self._up - self._ahead + 1
        return next_under - self._first

    def _filter(self, waiting: Samples, count: int) -> Samples:
        """The next `count` output samples."""
        if self._down == 1:  # each place of the input gives one sample of every phase
            return np.asarray(self._windows(waiting, count // self._up, 1) @ self._phases.T).ravel()
        if self._up == 1:
            return np.asarray(self._windows(waiting, count, self._down) @ self._phases[0])
        offset = self.given * self._down % self._up
        whole, phase = np.divmod(offset + np.arange(count) * self._down, self._up)
        windows = self._windows(waiting, int(whole[-1]) + 1, 1)
        return np.asarray(np.einsum("nt,nt->n", windows[whole], self._phases[phase]))

    def _windows(self, waiting: Samples, count: int, step: int) -> Samples:
        """What lies under the filter at `count` places, shape (count, taps), without a copy."""
        shape = (count, self._phases.shape[1])
        return np.ndarray(shape, np.float32, buffer=waiting, strides=(4 * step, 4))


@cache
def phases(up: int, down: int) -> Samples:
    """The filter, shape (up, taps): row p weighs the input around an output sample p / up after one of them."""
    half = ceil(CROSSINGS * max(up, down) / up)
    offset = np.arange(-half + 1, half + 1)[None, :] - np.arange(up)[:, None] / up  # (up, taps), in input samples
    band = _ROLLOFF * min(up / down, 1.0)
    window = np.i0(_BETA * np.sqrt(np.clip(1 - (offset / half) ** 2, 0, None))) / np.i0(_BETA)
    weights = band * np.sinc(band * offset) * window
    weights /= weights.sum(axis=1, keepdims=True)  # a constant stays what it is
    phases = weights.astype(np.float32)
    phases.setflags(write=False)
    return phases
