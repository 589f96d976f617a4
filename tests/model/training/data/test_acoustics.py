"""model/training/data/acoustics.py: rooms, noise, microphones, by seed."""

import numpy as np
import pytest

from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.model.training.data.acoustics import (
    SHORTEST_FFT,
    Acoustics,
    FreshNoise,
    NoiseLoops,
    Rooms,
    Sound,
    impulse_response,
    tilt,
)


def noise(length: int, seed: int = 0) -> Sound:
    return np.random.default_rng(seed).standard_normal(length).astype(np.float32)


@pytest.mark.parametrize("length", [1, 4000, SHORTEST_FFT - 2000, SHORTEST_FFT, SHORTEST_FFT + 1])
def test_a_room_convolves_with_its_response_whatever_the_length(length: int) -> None:
    response = noise(3000, 1) * np.exp(-np.arange(3000) / 300).astype(np.float32)
    sound = noise(length)
    reverberant = Rooms([response], tail=100).apply(sound, np.random.default_rng(0))
    expected = np.convolve(sound.astype(np.float64), response)[: length + 100]
    assert reverberant.dtype == np.float32
    np.testing.assert_allclose(reverberant[: len(expected)], expected, atol=1e-4)


def test_a_room_keeps_the_direct_sound_in_place_and_dies_away() -> None:
    response = impulse_response(np.random.default_rng(3))
    assert response[0] == 1
    assert not response[1 : SAMPLE_RATE // 500].any(), "no reflection within 2 ms"
    quarters = [float(np.square(part).sum()) for part in np.array_split(response[1:], 4)]
    assert quarters == sorted(quarters, reverse=True)


def test_the_same_seed_draws_the_same_surroundings() -> None:
    def surroundings() -> Acoustics:
        rng = np.random.default_rng(4)
        return Acoustics(Rooms([impulse_response(rng) for _ in range(5)]), FreshNoise([noise(900)]))

    made = [surroundings(), surroundings()]
    for seed in range(8):
        rooms = [one.room(noise(2000), np.random.default_rng(seed)) for one in made]
        noises = [one.noise(2000, np.random.default_rng(seed)) for one in made]
        assert np.array_equal(rooms[0], rooms[1])
        assert np.array_equal(noises[0], noises[1])
        assert rooms[0].shape == noises[0].shape == (2000,)
        assert noises[0].std() > 0


@pytest.mark.slow
def test_loops_are_cut_to_the_length_that_is_needed() -> None:
    loop = noise(5000, 2)
    drawn = NoiseLoops([loop]).draw(3000, np.random.default_rng(1))
    cuts = [np.roll(loop, n)[:3000] for n in range(len(loop))]
    alike = max(float(np.corrcoef(cut, drawn)[0, 1]) for cut in cuts)
    assert alike == pytest.approx(1)
    assert 0.5 < drawn.std() / loop.std() < 2


@pytest.mark.parametrize("rate", [16_000, 24_000])
def test_a_tilt_is_what_it_says_per_octave(rate: int) -> None:
    t = np.arange(rate) / rate
    low, high = (np.asarray(np.sin(2 * np.pi * hz * t), np.float32) for hz in (1000, 4000))
    change = 20 * np.log10(tilt(high, -3.0, rate).std() / high.std())
    assert change == pytest.approx(-6.0, abs=0.1)
    assert tilt(low, -3.0, rate).std() == pytest.approx(low.std(), rel=0.01)
