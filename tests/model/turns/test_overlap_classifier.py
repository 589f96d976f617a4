"""model/turns/overlap_classifier.py."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vivavoce.model.turns.overlap_classifier import FRAME, HOP, LEAD, WEIGHTS, WINDOW, Features, OverlapClassifier


def windows(count: int, seed: int = 0) -> list[np.ndarray]:
    noise = np.random.default_rng(seed).standard_normal((count, WINDOW)) * 0.05
    return list(noise.astype(np.float32))


def test_each_feature_frame_depends_on_its_own_sound_only() -> None:
    features, sound = Features(), np.concatenate(windows(4))
    whole = features(sound[: FRAME + 9 * HOP])
    assert whole.shape == (10, 40)
    assert np.allclose(features(sound[HOP * 3 : HOP * 3 + FRAME]), whole[3:4])


def test_a_tone_is_louder_in_its_own_mel() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(FRAME) / 16_000).astype(np.float32)
    (frame,) = Features()(tone)
    assert 8 < int(frame.argmax()) < 16
    assert frame.max() - np.median(frame) > 1


def test_scores_are_probabilities_and_need_no_history() -> None:
    stream = OverlapClassifier().init_state()
    stream.push(windows(1)[0])
    scores = stream.scores(fresh=True)
    assert sum(scores) == pytest.approx(1.0, abs=1e-5)
    assert min(scores) >= 0.0


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 12))
def test_a_fresh_sound_is_classified_by_itself_and_a_little_before(earlier: int) -> None:
    """Sound more than a few windows before does not change the scores."""
    net, said = OverlapClassifier(), windows(LEAD + 8, seed=1)
    found = []
    for past in ([], windows(earlier, seed=2)):
        stream = net.init_state()
        for window in past:
            stream.push(window)
            stream.scores(fresh=False)
        for window in said[: LEAD + 3]:
            stream.push(window)
        first = stream.scores(fresh=True)
        stream.push(said[LEAD + 3])
        found.append((*first, *stream.scores(fresh=False)))
    assert found[0] == pytest.approx(found[1], abs=1e-5)


def test_two_calls_do_not_mix() -> None:
    net = OverlapClassifier()
    alone, first, second = net.init_state(), net.init_state(), net.init_state()
    expected, got = [], []
    for n, (mine, theirs) in enumerate(zip(windows(6, 1), windows(6, 2), strict=True)):
        alone.push(mine)
        expected.append(alone.scores(n == 0))
        first.push(mine)
        second.push(theirs)
        got.append(first.scores(n == 0))
        second.scores(n == 0)
    assert got == expected


def test_the_weights_are_small() -> None:
    assert WEIGHTS.stat().st_size < 600_000
