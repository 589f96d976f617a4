"""model/cascade/tts/harmonic_noise.py: chunks equal the whole, pitch and spectra are heard as they were given."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.model.cascade.tts.harmonic_noise import BEHIND, BINS, HOP, Pulses, Spectrum, Synthesis

FRAMES = 24
SILENT = -40.0
GENERATOR = np.random.default_rng(1)
RANDOM = tuple(GENERATOR.normal(0, 1, (BINS, FRAMES)).astype(np.float32) - shift for shift in (4, 0, 5, 5, 0))
F0 = GENERATOR.uniform(0, 300, FRAMES).astype(np.float32)


def spectra(lh: float = SILENT, ln: float = SILENT, lr: float = SILENT, frames: int = 80) -> tuple[Spectrum, ...]:
    """Flat spectra of the given logarithms."""
    return tuple(np.full((BINS, frames), value, np.float32) for value in (lh, 0.0, ln, lr, 0.0))


def sound(f0: np.ndarray, parts: tuple[Spectrum, ...], sizes: list[int] | None = None) -> Samples:
    """The sound of all frames, pushed in chunks of `sizes`."""
    synthesis, at, made = Synthesis(Pulses(f0.astype(np.float32)), 0), 0, []
    for size in sizes or [len(f0)]:
        made.append(synthesis.push(*(part[:, at : at + size] for part in parts)))
        at += size
    made.append(synthesis.finish())
    return np.concatenate(made)[BEHIND * HOP :]


@given(st.lists(st.integers(1, FRAMES), min_size=1))
def test_chunks_of_any_size_sound_as_the_whole(cuts: list[int]) -> None:
    ends = sorted({cut for cut in cuts if cut < FRAMES} | {0, FRAMES})
    sizes = [int(size) for size in np.diff(ends)]
    np.testing.assert_allclose(sound(F0, RANDOM, sizes), sound(F0, RANDOM), atol=1e-5)


def test_later_frames_leave_the_sound_before_them_as_it_was() -> None:
    other = tuple(np.concatenate([part[:, :12], part[:, 12:] - 1], axis=1) for part in RANDOM)
    before = (12 - BEHIND) * HOP
    first, second = sound(F0, RANDOM), sound(F0, other)
    np.testing.assert_array_equal(first[:before], second[:before])
    assert np.abs(first[before:] - second[before:]).max() > 1e-3


@pytest.mark.parametrize("f0", [80.0, 123.4, 220.0, 440.0])
def test_the_sound_has_the_pitch_that_was_given(f0: float) -> None:
    made = sound(np.full(80, f0), spectra(lh=0.0))[HOP * 8 : -HOP * 8]
    power = np.abs(np.fft.rfft(made * np.hanning(len(made)), 1 << 17))
    peaks = np.arange(len(power)) * SAMPLE_RATE / (1 << 17)
    for harmonic in (1, 2, 5):
        near = (peaks > (harmonic - 0.4) * f0) & (peaks < (harmonic + 0.4) * f0)
        assert peaks[near][power[near].argmax()] == pytest.approx(harmonic * f0, abs=0.5)


def test_pulses_end_below_the_highest_harmonic() -> None:
    train = Pulses(np.full(80, 210.0, np.float32)).between(10, 70)
    power = np.abs(np.fft.rfft(train * np.hanning(len(train))))
    hertz = np.arange(len(power)) * SAMPLE_RATE / len(train)
    assert power[hertz > 11_300].max() < power[hertz < 11_000].max() / 100


def test_frames_without_pitch_have_no_pulses() -> None:
    assert np.abs(sound(np.zeros(40), spectra(lh=0.0, frames=40))).max() < 1e-12
    assert not Pulses(np.full(40, 39.0, np.float32)).between(0, 40).any()


def test_beyond_the_ends_there_are_no_pulses() -> None:
    train = Pulses(np.full(4, 100.0, np.float32)).between(-3, 7)
    assert train.shape == (10 * HOP,)
    assert not train[: 3 * HOP].any()
    assert not train[7 * HOP :].any()
    assert train[3 * HOP : 7 * HOP].any()


def test_noise_is_as_loud_as_its_envelope_says() -> None:
    soft, loud = (sound(np.zeros(80), spectra(ln=level)) for level in (-3.0, -2.0))
    np.testing.assert_allclose(loud, soft * np.float32(np.e), rtol=1e-3, atol=1e-5)
    assert float(np.std(soft)) > 1e-3


def periodicity(samples: Samples, f0: float) -> float:
    """The correlation of a sound with itself one period later."""
    lag = round(SAMPLE_RATE / f0)
    return float(np.corrcoef(samples[lag:], samples[:-lag])[0, 1])


def test_a_whisper_has_no_pitch_and_the_spectrum_of_the_voice() -> None:
    f0 = np.full(80, 240.0, np.float32)
    parts = spectra(lh=-2.0)
    parts[0][BINS // 4 :] = SILENT
    made = {}
    for breath in (0.0, 0.4, 1.0):
        synthesis = Synthesis(Pulses(f0), 0, breath)
        made[breath] = synthesis.push(*parts)[8 * HOP :]
    assert periodicity(made[0.0], 240) > 0.9 > periodicity(made[0.4], 240) > periodicity(made[1.0], 240)
    assert abs(periodicity(made[1.0], 240)) < 0.2
    power = np.abs(np.fft.rfft(made[1.0])) ** 2
    assert power[: len(power) // 4].sum() > 100 * power[len(power) // 3 :].sum()


def test_breath_leaves_what_has_no_voice_as_it_is() -> None:
    unvoiced = np.zeros(FRAMES, np.float32)
    made = [Synthesis(Pulses(unvoiced), 0, breath).push(*RANDOM) for breath in (0.0, 1.0)]
    np.testing.assert_array_equal(made[0], made[1])


def test_spectra_beyond_the_bound_are_not_louder() -> None:
    np.testing.assert_array_equal(sound(F0, spectra(lr=7.0, frames=FRAMES)), sound(F0, spectra(lr=9.0, frames=FRAMES)))
