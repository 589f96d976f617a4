"""Keeps the last samples of a stream in one contiguous array."""

from __future__ import annotations

import numpy as np

from vivavoce.codecs.audio import Samples


class RingBuffer:
    """The last `length` samples; zeros before the stream began. Copies its content once per `length` samples pushed."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._buffer: Samples = np.zeros(2 * length, np.float32)
        self._end = length

    def push(self, samples: Samples) -> Samples:
        """Appends samples, shape (n,), of any length; returns `samples` of then."""
        samples = samples[-self._length :]
        if self._end + len(samples) > len(self._buffer):
            self._buffer[: self._length] = self.samples
            self._end = self._length
        self._buffer[self._end : self._end + len(samples)] = samples
        self._end += len(samples)
        return self.samples

    @property
    def samples(self) -> Samples:
        """Shape (length,): a view, valid until the next push."""
        return self._buffer[self._end - self._length : self._end]
