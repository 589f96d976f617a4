"""model/turns/smart_turn.py: the features against Whisper's own, the network on real weights."""

from __future__ import annotations

from time import perf_counter

import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

from harness.speech import Speaker
from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.model.store import Store
from vivavoce.model.turns.smart_turn import WINDOW, LogMel, SmartTurn, last_window, mel_filters

SWEEP = np.sin(2 * np.pi * (100 * (t := np.arange(WINDOW) / 16_000) + 400 * t**2)).astype(np.float32)


@pytest.mark.parametrize(
    "sound",
    [
        0.3 * SWEEP,
        0.01 * SWEEP[:40_000],
        0.1 * np.random.default_rng(6).standard_normal(WINDOW).astype(np.float32),
        np.zeros(0, np.float32),
    ],
    ids=["sweep", "short and soft", "noise", "nothing"],
)
def test_features_are_whispers_of_the_normalised_sound(sound: NDArray[np.float32]) -> None:
    from faster_whisper.feature_extractor import FeatureExtractor

    window = last_window(sound)
    normal = (window - window.mean()) / np.sqrt(window.var() + 1e-7)
    theirs = FeatureExtractor(chunk_length=8)(normal, padding=0)
    ours = LogMel()(window)
    assert ours.shape == (80, 800)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_filters_are_whispers() -> None:
    from faster_whisper.feature_extractor import FeatureExtractor

    np.testing.assert_allclose(mel_filters(), FeatureExtractor().mel_filters, atol=1e-6)


def test_the_last_eight_seconds_count_and_silence_fills_the_front() -> None:
    long = np.arange(WINDOW + 5, dtype=np.float32)
    np.testing.assert_array_equal(last_window(long), long[5:])
    short = last_window(np.ones(3, np.float32))
    assert short.shape == (WINDOW,)
    assert short[-3:].tolist() == [1.0] * 3
    assert not short[:-3].any()


def test_features_are_made_in_a_fraction_of_a_window_of_speech() -> None:
    features = LogMel()
    times: list[float] = []
    for _ in range(9):
        began = perf_counter()
        features(SWEEP)
        times.append(perf_counter() - began)
    assert min(times) < 0.020  # 3 ms on an idle core


@pytest.fixture(scope="module")
def smart_turn(models: Store) -> SmartTurn:
    return SmartTurn(models.path("smart-turn") / "smart-turn-v3.2-cpu.onnx")


@pytest.mark.models
@pytest.mark.slow
def test_a_sentence_is_complete_at_its_end_and_not_within(smart_turn: SmartTurn, speaker: Speaker) -> None:
    sentence = "My sister bought a blue jacket and a pair of brown shoes."
    whole, ends = speaker.say(sentence), speaker.ends(sentence)
    broken = whole[: ends[sentence.index(" pair")]]
    sounds = [
        np.append(soxr.resample(sound, SAMPLE_RATE, 16_000), np.zeros(3_200, np.float32)) for sound in (whole, broken)
    ]
    assert smart_turn.complete(sounds[0]) > 0.8
    assert smart_turn.complete(sounds[1]) < 0.4


@pytest.mark.models
@pytest.mark.slow
def test_sound_older_than_eight_seconds_changes_nothing(smart_turn: SmartTurn) -> None:
    assert smart_turn.complete(np.concatenate((SWEEP[:5_000], SWEEP))) == smart_turn.complete(SWEEP)
