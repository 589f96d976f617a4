"""codecs/ring_buffer.py: the last samples, however they come."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.codecs.ring_buffer import RingBuffer


@given(st.integers(1, 50), st.lists(st.integers(0, 130), max_size=20))
def test_the_last_samples_are_there_in_one_piece(length: int, sizes: list[int]) -> None:
    recent, stream = RingBuffer(length), np.arange(1, sum(sizes) + 1, dtype=np.float32)
    for piece in np.split(stream, np.cumsum(sizes)):
        recent.push(piece)
    assert np.array_equal(recent.samples, np.concatenate((np.zeros(length, np.float32), stream))[-length:])


@pytest.mark.parametrize("pushes", [1, 2, 3, 10])
def test_what_was_pushed_may_be_changed_afterwards(pushes: int) -> None:
    recent, piece = RingBuffer(4), np.ones(3, np.float32)
    for _ in range(pushes):
        recent.push(piece)
    piece[:] = 7
    assert recent.samples.max() == 1
