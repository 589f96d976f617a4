"""model/cascade/asr/loudness.py."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from vivavoce.model.cascade.asr.loudness import FRAME, is_empty, levels_of, longest_pause, quietest, voiced

QUIET, LOUD = -70.0, -20.0


def levels(*stretches: tuple[float, int]) -> NDArray[np.float32]:
    """Frames from (level in dB, count) pairs."""
    return np.concatenate([np.full(count, level, np.float32) for level, count in stretches])


def test_levels_are_decibels_of_full_scale_a_frame_each() -> None:
    square = np.where(np.arange(3 * FRAME + 7) % 2, 0.1, -0.1).astype(np.float32)
    np.testing.assert_allclose(levels_of(square), [-20.0] * 3, atol=1e-3)
    assert levels_of(np.zeros(FRAME, np.float32)) == pytest.approx(-100.0)
    assert len(levels_of(square[: FRAME - 1])) == 0


def test_silence_steady_noise_and_nothing_are_empty() -> None:
    noise = np.random.default_rng(1).standard_normal(32_000).astype(np.float32)
    assert is_empty(levels_of(np.zeros(0, np.float32)), -np.inf)
    assert is_empty(levels_of(np.zeros(32_000, np.float32)), -np.inf)
    assert is_empty(levels_of(0.001 * noise), -np.inf)
    assert is_empty(levels_of(0.1 * noise), -np.inf)


def test_a_word_is_not_empty_unless_it_is_far_below_the_turns_voice() -> None:
    word = levels((QUIET, 20), (-50.0, 10), (QUIET, 20))
    assert not is_empty(word, -np.inf)
    assert not is_empty(word, -25.0)
    assert is_empty(word, -15.0)


def test_a_click_is_shorter_than_a_word() -> None:
    assert is_empty(levels((QUIET, 30), (LOUD, 3), (QUIET, 30)), -np.inf)


def test_voiced_frames_stand_out_from_the_noise_around_them() -> None:
    noisy = levels((-45.0, 10), (LOUD, 10), (-45.0, 10))
    assert voiced(noisy).tolist() == [False] * 10 + [True] * 10 + [False] * 10
    assert not voiced(levels((QUIET, 10))).any()
    assert len(voiced(noisy[:0])) == 0


def test_the_longest_pause_within_the_range_is_found_at_its_middle() -> None:
    speech = levels((LOUD, 50), (QUIET, 14), (LOUD, 50), (QUIET, 30), (LOUD, 50))
    assert longest_pause(speech, 0, len(speech)) == 50 + 14 + 50 + 15
    assert longest_pause(speech, 0, 100) == 50 + 7
    assert longest_pause(speech, 60, 110) is None


def test_a_pause_may_lie_at_either_end_of_the_range() -> None:
    speech = levels((QUIET, 20), (LOUD, 50), (QUIET, 20))
    assert longest_pause(speech, 60, len(speech)) == 80
    assert longest_pause(speech, 0, 60) == 10


def test_without_a_pause_the_quietest_place_is_found() -> None:
    speech = levels((LOUD, 30), (-28.0, 3), (LOUD, 30))
    assert quietest(speech, 0, len(speech)) == 31
    assert quietest(speech, 10, 12) == 11
