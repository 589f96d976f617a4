"""model/training/turns: mixing of overlaps, and the classifier trained on them."""

from pathlib import Path

import numpy as np
import pytest

from vivavoce.model.training.turns.overlap_mixing import CLASSES, LENGTH, RATE, Recordings, acoustics, draw_overlap
from vivavoce.model.turns.overlap_classifier import LEAD, MELS, STEP, UNITS


def speech(seconds: float, seed: int) -> np.ndarray:
    """Noise that swells and dies away, as syllables do, at 16 kHz."""
    rng = np.random.default_rng(seed)
    n = int(seconds * RATE)
    return np.asarray(rng.standard_normal(n) * np.abs(np.sin(np.arange(n) / RATE * 12)) ** 2 * 0.1, np.float32)


@pytest.fixture(scope="module")
def recordings() -> Recordings:
    kokoro = {"interruption": [speech(0.8, 1)], "backchannel": [speech(0.4, 2)], "story": [speech(4, 3)]}
    return Recordings(kokoro, {"interruption": [speech(0.7, 4)], "backchannel": [], "story": [speech(3, 5)]})


def test_recordings_of_development_voices_are_kept_apart(tmp_path: Path) -> None:
    for kind, voice in (("interruption", "af_sky"), ("interruption", "joe"), ("backchannel", "af_heart")):
        (tmp_path / kind).mkdir(exist_ok=True)
        np.save(tmp_path / kind / f"{voice}-0.npy", speech(0.1, 1).astype(np.float16))
    trained, development = (Recordings.read(tmp_path, development=which) for which in (False, True))
    assert [len(one) for one in trained.kokoro.values()] == [0, 1, 0]
    assert [len(one) for one in trained.joe.values()] == [1, 0, 0]
    assert [len(one) for one in development.kokoro.values()] == [1, 0, 0]


@pytest.mark.slow
def test_an_overlap_is_made_by_its_seed(recordings: Recordings) -> None:
    surroundings = acoustics(recordings, np.random.default_rng(0))
    kinds = set()
    for seed in range(40):
        one, same = (draw_overlap(recordings, surroundings, np.random.default_rng(seed)) for _ in range(2))
        np.testing.assert_array_equal(one.sound, same.sound)
        assert one.sound.shape == (LENGTH,)
        assert 0 < one.onset < LENGTH
        kinds.add(one.kind)
    assert kinds == set(range(len(CLASSES)))


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread", "no_grad")
def test_the_exported_step_gives_the_scores_of_the_whole() -> None:
    import torch

    from vivavoce.model.training.turns.train_overlap import FRAMES, WINDOWS, Classifier, Step

    torch.manual_seed(0)
    model = Classifier().eval()
    features = torch.randn(1, FRAMES, MELS)
    scores = torch.softmax(model(features), 2)[0]
    assert scores.shape == (LEAD + WINDOWS, len(CLASSES))
    step, state = Step(model), torch.zeros(1, UNITS)
    for window in range(LEAD + WINDOWS):
        given, state = step(features[:, window * STEP : (window + 2) * STEP], state)
        torch.testing.assert_close(given[0], scores[window], atol=1e-5, rtol=1e-4)
