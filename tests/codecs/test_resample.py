"""Changing sample rates as a stream: any chunking gives the same sound, to the sample, and soon."""

from __future__ import annotations

from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.codecs.resample import Resampler, Samples

RATES = [(8000, 24000), (24000, 8000), (24000, 48000), (48000, 24000), (24000, 16000), (16000, 24000), (44100, 24000)]


def tone(hz: float, rate: int, seconds: float = 0.5) -> Samples:
    return np.sin(2 * np.pi * hz * np.arange(int(rate * seconds)) / rate).astype(np.float32)


def whole(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    resampler = Resampler(from_hz, to_hz)
    return np.concatenate([resampler.push(samples), resampler.flush()])


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES)
def test_a_tone_stays_the_tone_it_was(from_hz: int, to_hz: int) -> None:
    heard = whole(tone(440, from_hz), from_hz, to_hz)
    expected = tone(440, to_hz)[: len(heard)]
    error = (heard - expected)[200:-200]
    assert 10 * np.log10(0.5 / (error**2).mean()) > 80


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES)
def test_silence_and_steadiness_stay_as_they_are(from_hz: int, to_hz: int) -> None:
    assert not whole(np.zeros(1000, np.float32), from_hz, to_hz).any()
    steady = whole(np.ones(4000, np.float32), from_hz, to_hz)[200:-200]
    assert np.abs(steady - 1).max() < 1e-4


@pytest.mark.parametrize(("from_hz", "to_hz"), [rates for rates in RATES if rates[1] < rates[0]])
def test_what_the_lower_rate_cannot_carry_is_taken_out(from_hz: int, to_hz: int) -> None:
    heard = whole(tone(0.5 * to_hz * 1.15, from_hz), from_hz, to_hz)[200:-200]
    assert 20 * np.log10(np.std(heard) / 0.707) < -80


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES)
def test_most_of_the_band_is_kept(from_hz: int, to_hz: int) -> None:
    heard = whole(tone(0.5 * min(from_hz, to_hz) * 0.85, from_hz), from_hz, to_hz)[200:-200]
    assert 20 * np.log10(np.std(heard) / 0.707) > -1.5


@pytest.mark.slow
@given(st.sampled_from(RATES), st.lists(st.integers(0, 500), max_size=12))
def test_any_chunking_gives_the_same_sound(rates: tuple[int, int], sizes: list[int]) -> None:
    sound = np.random.default_rng(1).standard_normal(sum(sizes)).astype(np.float32)
    resampler = Resampler(*rates)
    parts = [resampler.push(part) for part in np.split(sound, np.cumsum(sizes))]
    parts.append(resampler.flush())
    heard = np.concatenate(parts)
    assert len(heard) == ceil(len(sound) * rates[1] / rates[0])
    np.testing.assert_allclose(heard, whole(sound, *rates), atol=1e-6)


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES)
def test_sound_is_held_back_for_two_milliseconds_at_most(from_hz: int, to_hz: int) -> None:
    resampler = Resampler(from_hz, to_hz)
    for size in (1, 7, 160, 441, 960):
        resampler.push(np.zeros(size, np.float32))
        assert resampler.consumed / from_hz - resampler.produced / to_hz <= 0.002 + 1e-9


def test_the_same_rate_costs_nothing() -> None:
    resampler = Resampler(24000, 24000)
    sound = tone(440, 24000)
    assert resampler.push(sound) is sound
    assert (resampler.consumed, resampler.produced) == (12000, 12000)
    assert len(resampler.flush()) == 0


def test_after_a_flush_a_new_stream_begins() -> None:
    resampler = Resampler(8000, 24000)
    first = np.concatenate([resampler.push(tone(300, 8000)), resampler.flush()])
    second = np.concatenate([resampler.push(tone(300, 8000)), resampler.flush()])
    np.testing.assert_array_equal(first, second)
