"""Word error rates: how they are counted, and what a line does to sound."""

import numpy as np
import pytest

from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.model.evaluation.phone_words import LINES, errors, rate


@pytest.mark.parametrize(
    ("said", "heard", "wrong"),
    [
        ("Turn on the light.", "turn on the light", 0),
        ("Turn on the light.", "turn the light", 1),
        ("Turn on the light.", "turn on the bright light", 1),
        ("Turn on the light.", "turn off the light", 1),
        ("Turn on the light.", "", 4),
        ("Two tickets.", "2 tickets", 0),
        ("It's four seven one one.", "It's 4711.", 0),
    ],
)
def test_words_wrong_missing_and_too_many_are_counted(said: str, heard: str, wrong: int) -> None:
    assert errors(said, heard) == (wrong, errors(said, said)[1])


def test_the_rate_is_that_of_all_words_with_an_interval_around_it() -> None:
    share, low, high = rate([(1, 10), (0, 10), (2, 20)])
    assert share == 3 / 40
    assert low <= share <= high


@pytest.mark.parametrize("name", list(LINES))
def test_a_line_neither_shortens_nor_silences(name: str) -> None:
    sound = (0.3 * np.sin(2 * np.pi * 800 * np.arange(SAMPLE_RATE // 2) / SAMPLE_RATE)).astype(np.float32)
    heard = LINES[name](sound)
    assert len(heard) == len(sound)
    assert np.abs(heard[SAMPLE_RATE // 4 :]).max() == pytest.approx(0.3, rel=0.1)
