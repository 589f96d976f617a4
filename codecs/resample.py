"""Sample rates at the edges: a stream of one rate in, the same sound at another rate out.

    8 kHz ──push──► 24 kHz (2 ms late) ──flush──► the last 2 ms

A polyphase filter: a low pass (sinc under a Kaiser window) in L phases, one for each place an output sample can have
between two input samples. Block resamplers made for files, like soxr, hold back up to 40 ms at these rates, which a
conversation hears. Any chunking gives the same output, and the counts agree to the sample: for n samples taken,
ceil(n * to_hz / from_hz) are given. One `Resampler` belongs to one stream.
"""

from __future__ import annotations

from functools import cache, lru_cache
from math import ceil, gcd

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

CROSSINGS = 16
"""Zero crossings of the sinc on each side, at the lower of the two rates: the look-ahead (2 ms at 8 kHz)."""

_ROLLOFF = 0.92  # of the lower rate's half is kept whole
_BLOCK = 4096  # rounds of the filter that are worked on at once
_BETA = 8.0  # Kaiser window: 80 dB of stop band


class Resampler:
    """A streaming change of sample rate. `taken` and `given` count samples since the last flush."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        shared = gcd(from_hz, to_hz)
        self._up, self._down = to_hz // shared, from_hz // shared
        self._ahead: int = phases(self._up, self._down).shape[1] // 2
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
        """The next `count` output samples: `up` of them for each `down` of the input, in one product of matrices."""
        filters = _period(self._up, self._down, self.given * self._down % self._up)
        rounds, width = ceil(count / self._up), filters.shape[0]
        short = (rounds - 1) * self._down + width - len(waiting)  # the last round may be cut
        if short > 0:
            waiting = np.concatenate([waiting, np.zeros(short, np.float32)])
        under = np.ndarray((rounds, width), np.float32, waiting, strides=(4 * self._down, 4))
        # Copies: without them numpy would not call BLAS. In blocks: they are many times as long as the sound.
        blocks = [np.ascontiguousarray(under[at : at + _BLOCK]) @ filters for at in range(0, rounds, _BLOCK)]
        return np.concatenate(blocks).ravel()[:count]


@lru_cache(64)  # at odd rates there are as many as `up`, of some 60 kB
def _period(up: int, down: int, phase: int) -> Samples:
    """Filters of the next `up` output samples, the first of them `phase` / up after an input sample: shape
    (input samples, up)."""
    rows = phases(up, down)
    after, phase_of = np.divmod(phase + np.arange(up) * down, up)
    filters = np.zeros((int(after[-1]) + rows.shape[1], up), np.float32)
    for column, (start, row) in enumerate(zip(after, phase_of, strict=True)):
        filters[start : start + rows.shape[1], column] = rows[row]
    filters.setflags(write=False)
    return filters


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
