"""model/training/data/sounds.py: noises by seed, levels, places."""

from collections.abc import Callable

import numpy as np
import pytest

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.model.training.data.sounds import (
    FRAME,
    at_level,
    babble,
    bark,
    cough,
    door,
    hum,
    keyboard,
    levels,
    loudness,
    mix,
    overlay,
    pink,
    room,
    silence,
    telephone,
    white,
)

TONE = np.asarray(0.1 * np.sin(2 * np.pi * 440 * np.arange(SAMPLE_RATE // 2) / SAMPLE_RATE), np.float32)
MADE: dict[str, Callable[[int], Samples]] = {
    "white": lambda seed: white(0.3, seed),
    "pink": lambda seed: pink(0.3, seed),
    "hum": lambda seed: hum(0.3, seed),
    "keyboard": lambda seed: keyboard(0.5, seed),
    "door": door,
    "cough": cough,
    "bark": bark,
    "babble": lambda seed: babble([TONE, TONE[::2]], 0.3, seed),
}


@pytest.mark.parametrize("name", MADE)
def test_a_sound_is_the_same_for_the_same_seed_and_another_for_another(name: str) -> None:
    make = MADE[name]
    np.testing.assert_array_equal(make(1), make(1))
    assert not np.array_equal(make(1), make(2))
    assert make(1).dtype == np.float32
    assert -40 < loudness(make(1)) < -10


def test_loudness_leaves_out_pauses() -> None:
    assert loudness(TONE) == pytest.approx(-23.0, abs=0.1)
    assert loudness(np.concatenate((TONE, silence(3)))) == pytest.approx(-23.0, abs=0.1)
    assert loudness(at_level(TONE, -30)) == pytest.approx(-30, abs=0.1)


def test_noise_lies_as_far_below_the_speech_as_was_asked_for() -> None:
    mixed = mix(TONE, white(0.2, 3), 15, seed=1)
    assert loudness(mixed - TONE) == pytest.approx(loudness(TONE) - 15, abs=0.2)
    assert len(mixed) == len(TONE)


def test_a_placed_sound_begins_where_it_was_put() -> None:
    placed = overlay(silence(0.1), TONE, 1000)
    assert not placed[:1000].any()
    np.testing.assert_array_equal(placed[1000:], TONE)


def test_a_room_keeps_the_direct_sound_in_place_and_dies_away() -> None:
    click = silence(0.01)
    click[0] = 0.5
    answer = room(click, 1, 0.3)
    assert int(np.abs(answer).argmax()) == 0
    course = levels(answer)
    late = course[25] - course[5]  # 0.2 s apart
    assert -60 < late < -25


def test_a_telephone_takes_away_what_lies_outside_its_band() -> None:
    low = np.asarray(0.1 * np.sin(2 * np.pi * 100 * np.arange(SAMPLE_RATE) / SAMPLE_RATE), np.float32)
    inside = np.pad(TONE, (FRAME, SAMPLE_RATE // 2 - FRAME))
    assert len(telephone(low)) == len(low)
    assert loudness(telephone(low)[FRAME:-FRAME]) < loudness(low) - 25
    assert loudness(telephone(inside)) == pytest.approx(loudness(inside), abs=1)
