"""realtime/audio/gain.py."""

import numpy as np
import pytest

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.realtime.audio.gain import NOISE, TARGET, Gain

BLOCK = SAMPLE_RATE // 50


def tone(level_db: float) -> Samples:
    """20 ms whose root mean square is `level_db` dBFS."""
    return np.asarray(10 ** (level_db / 20) * np.sqrt(2) * np.sin(np.arange(BLOCK) * 0.2 * np.pi), np.float32)


def after(gain: Gain, level_db: float, seconds: float, speech: float = 1.0) -> float:
    """The gain after as much sound of one level, decibels."""
    for _ in range(round(seconds * 50)):
        assert np.abs(gain.receive(tone(level_db), speech)).max() <= 1
    return gain.db


def in_quiet(most: float = 30.0) -> Gain:
    gain = Gain(most)
    gain.receive(tone(-80), 0.0)
    return gain


def test_quiet_speech_is_raised_to_the_target() -> None:
    assert after(in_quiet(), -40, 3) == pytest.approx(TARGET + 40, abs=0.5)


def test_no_more_than_allowed() -> None:
    assert after(in_quiet(10), -45, 3) == pytest.approx(10)


def test_loud_speech_passes_as_it_is() -> None:
    gain, loud = in_quiet(), tone(-10)
    for _ in range(50):
        assert gain.receive(loud, 1.0) is loud


def test_what_is_no_speech_moves_nothing() -> None:
    assert after(in_quiet(), -40, 3, speech=0.2) == 0.0


def test_noise_is_not_raised_above_its_bound() -> None:
    gain = Gain(30)
    gain.receive(tone(-60), 0.0)
    after(gain, -45, 1)
    assert gain.db <= NOISE + 60 + 1


def test_it_rises_slowly() -> None:
    assert after(in_quiet(), -45, 0.1) == pytest.approx(2, abs=0.5)


def test_a_sudden_shout_is_not_clipped_for_long() -> None:
    gain = in_quiet()
    after(gain, -45, 3)
    gain.receive(tone(-6), 1.0)
    assert gain.db < 3.5


def test_nothing_at_all_is_taken() -> None:
    assert len(Gain(30).receive(np.zeros(0, np.float32), 1.0)) == 0
