"""realtime/audio/front_end.py."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.codecs.audio import Samples
from vivavoce.realtime.audio.front_end import BOUND, FAR, HEADROOM, SLACK, WATCHED, Reference

FRAME = 480


def count(first: int, n: int = FRAME) -> Samples:
    return np.arange(first, first + n, dtype=np.float32)


def test_what_is_pushed_is_taken_in_order() -> None:
    reference = Reference()
    reference.push(count(1, 700))
    assert np.array_equal(reference.take(480), count(1))
    reference.push(count(701, 260))
    assert np.array_equal(reference.take(480), count(481))


def test_a_queue_that_runs_dry_gives_silence_and_stays_ahead() -> None:
    reference = Reference()
    reference.push(count(1, 100))
    assert np.array_equal(reference.take(FRAME), np.pad(count(1, 100), (0, FRAME - 100)))
    assert reference.waiting == HEADROOM
    reference.push(count(101))
    taken = [reference.take(FRAME), reference.take(HEADROOM)]
    assert np.array_equal(np.concatenate(taken), np.pad(count(101), (HEADROOM, 0)))


def test_late_microphone_packets_move_nothing() -> None:
    reference = Reference()
    for frame in range(10):
        reference.push(count(frame * FRAME))
    assert np.array_equal(np.concatenate([reference.take(FRAME) for _ in range(10)]), count(0, 10 * FRAME))


def lead(reference: Reference, frames: int, sound: float, seconds: int) -> int:
    """Frames that are always waiting while `sound` plays on; what waits in the end."""
    reference.push(np.full(frames * FRAME, sound, np.float32))
    for _ in range(seconds * WATCHED // FRAME):
        reference.push(np.full(FRAME, sound, np.float32))
        reference.take(FRAME)
    return reference.waiting


def test_a_long_queue_is_shortened_in_silence() -> None:
    assert lead(Reference(), SLACK // FRAME + 1, 0.0, 3) == HEADROOM
    assert lead(Reference(), SLACK // FRAME, 0.0, 3) == SLACK


def test_while_something_plays_only_a_very_long_queue_is_shortened() -> None:
    assert lead(Reference(), SLACK // FRAME + 3, 0.5, 3) == SLACK + 3 * FRAME
    assert lead(Reference(), FAR // FRAME + 1, 0.5, 3) == HEADROOM


def test_without_a_microphone_the_queue_is_bounded() -> None:
    reference = Reference()
    for frame in range(100):
        reference.push(count(frame * FRAME))
    assert reference.waiting == BOUND
    assert reference.take(BOUND)[-1] == 100 * FRAME - 1


@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 3000)), max_size=40))
def test_whatever_comes_as_much_is_taken_as_was_asked_for(steps: list[tuple[int, int]]) -> None:
    reference = Reference()
    for pushed, asked in steps:
        reference.push(np.ones(pushed, np.float32))
        assert reference.take(asked).shape == (asked,)
        assert reference.waiting <= BOUND + HEADROOM


@pytest.mark.parametrize("faster", [-1, 1])
def test_clocks_that_drift_move_the_queue_seldom(faster: int) -> None:
    reference = Reference()
    moves, rng = 0, np.random.default_rng(1)
    lengths = []
    for frame in range(50 * 120):  # two minutes, one sample in a frame: 2000 ppm
        sound = rng.standard_normal(FRAME).astype(np.float32) if frame % 200 < 150 else np.zeros(FRAME, np.float32)
        reference.push(sound)
        reference.take(FRAME + faster)
        lengths.append(reference.waiting)
    moves = int((np.abs(np.diff(lengths) + faster) > 0).sum())
    assert moves < 40
    assert max(lengths) <= FAR + WATCHED // 10
