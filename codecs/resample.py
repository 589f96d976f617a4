"""Streaming sample-rate conversion: a stream of one rate in, the same sound at another rate out.

    8 kHz ──push──► 24 kHz (2 ms late) ──flush──► the last 2 ms

A polyphase filter: a low pass (sinc under a Kaiser window) in L phases, one for each position of an output sample
between two input samples. Block resamplers made for files, like soxr, hold back up to 40 ms at these rates, which is
audible in a conversation. Any chunking gives the same output, and the counts agree to the sample: n samples consumed
give ceil(n * to_hz / from_hz) produced. One `Resampler` belongs to one stream.
"""

from __future__ import annotations

from functools import cache, lru_cache
from math import ceil, gcd

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

CROSSINGS = 16
"""Zero crossings of the sinc on each side, at the lower of the two rates: the look-ahead (2 ms at 8 kHz)."""

_ROLLOFF = 0.92  # share of the lower rate's half that passes
_BLOCK = 4096  # rounds of the filter computed at once
_BETA = 8.0  # Kaiser window: 80 dB of stop band


class Resampler:
    """Resamples one stream. `consumed` and `produced` count samples since the last flush."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        shared = gcd(from_hz, to_hz)
        self._up, self._down = to_hz // shared, from_hz // shared
        self._ahead: int = polyphase(self._up, self._down).shape[1] // 2
        self._begin()

    def push(self, samples: Samples) -> Samples:
        """Takes the next samples, shape (n,); returns the output that is ready, possibly none."""
        self.consumed += len(samples)
        if self._up == self._down:
            self.produced = self.consumed
            return samples
        return self._ready(samples, self.consumed - self._ahead)

    def flush(self) -> Samples:
        """Returns the rest of the output; the next `push` begins a new stream."""
        rest = np.zeros(0, np.float32)
        if self._up != self._down:
            rest = self._ready(np.zeros(self._ahead, np.float32), self.consumed)
        self._begin()
        return rest

    def _begin(self) -> None:
        self.consumed = 0
        self.produced = 0
        self._waiting = np.zeros(self._ahead, np.float32)  # input still under the filter
        self._first = -self._ahead  # index in the stream of the first of them

    def _ready(self, samples: Samples, known: int) -> Samples:
        """Output samples before input sample `known`."""
        self._waiting = np.concatenate([self._waiting, np.asarray(samples, np.float32)])
        count = max(ceil(known * self._up / self._down) - self.produced, 0)
        if not count:
            return np.zeros(0, np.float32)
        ready = self._filter(self._waiting[self._start() :], count)
        self.produced += count
        keep = self._start()
        self._waiting = self._waiting[keep:]
        self._first += keep
        return ready

    def _start(self) -> int:
        """Index in `_waiting` at which the input under the next output sample begins."""
        next_under = self.produced * self._down // self._up - self._ahead + 1
        return next_under - self._first

    def _filter(self, waiting: Samples, count: int) -> Samples:
        """The next `count` output samples: `up` of them for each `down` of the input, in one matrix product."""
        filters = _period(self._up, self._down, self.produced * self._down % self._up)
        rounds, width = ceil(count / self._up), filters.shape[0]
        short = (rounds - 1) * self._down + width - len(waiting)  # the last round may be incomplete
        if short > 0:
            waiting = np.concatenate([waiting, np.zeros(short, np.float32)])
        under = np.ndarray((rounds, width), np.float32, waiting, strides=(4 * self._down, 4))
        # Copies, or numpy would not call BLAS; in blocks, because they are many times as long as the sound.
        blocks = [np.ascontiguousarray(under[at : at + _BLOCK]) @ filters for at in range(0, rounds, _BLOCK)]
        return np.concatenate(blocks).ravel()[:count]


@lru_cache(64)  # up to `up` of them at odd rates, some 60 kB each
def _period(up: int, down: int, phase: int) -> Samples:
    """Filters of the next `up` output samples, the first of them `phase` / up after an input sample;
    shape (input samples, up)."""
    rows = polyphase(up, down)
    after, phase_of = np.divmod(phase + np.arange(up) * down, up)
    filters = np.zeros((int(after[-1]) + rows.shape[1], up), np.float32)
    for column, (start, row) in enumerate(zip(after, phase_of, strict=True)):
        filters[start : start + rows.shape[1], column] = rows[row]
    filters.setflags(write=False)
    return filters


@cache
def polyphase(up: int, down: int) -> Samples:
    """The filter bank, shape (up, taps): row p is for an output sample p / up after an input sample."""
    half = ceil(CROSSINGS * max(up, down) / up)
    offset = np.arange(-half + 1, half + 1)[None, :] - np.arange(up)[:, None] / up  # (up, taps), in input samples
    band = _ROLLOFF * min(up / down, 1.0)
    window = np.i0(_BETA * np.sqrt(np.clip(1 - (offset / half) ** 2, 0, None))) / np.i0(_BETA)
    weights = band * np.sinc(band * offset) * window
    weights /= weights.sum(axis=1, keepdims=True)  # gain 1 at 0 Hz
    bank = weights.astype(np.float32)
    bank.setflags(write=False)
    return bank
