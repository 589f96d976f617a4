"""model/turns/asr_endpoint_head.py, and its training in model/training/turns."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.codecs.resample import Resampler
from vivavoce.model.cascade.asr.moonshine import Moonshine
from vivavoce.model.store import Store
from vivavoce.model.training.data.speech import EVALUATION, Studio, audible
from vivavoce.model.training.data.turns import read_texts, spoken_parts
from vivavoce.model.training.turns.sentences import first_half, sentences
from vivavoce.model.turns.asr_endpoint_head import STATES, AsrEndpointHead

TAIL = round(0.08 * SAMPLE_RATE)


def test_only_the_last_second_counts() -> None:
    head, rng = AsrEndpointHead(), np.random.default_rng(0)
    states = rng.standard_normal((1, 100, 288)).astype(np.float32)
    assert 0.0 <= head.probability(states[:, :3]) <= 1.0
    assert head.probability(states) == head.probability(states[:, -STATES:])


def test_training_sentences_are_the_same_on_every_run_and_none_is_in_the_evaluation() -> None:
    made = list(islice(sentences(1), 500))
    assert made == list(islice(sentences(1), 500))
    evaluated = {
        text for part in ("evaluation", "development") for texts in read_texts(part).values() for text in texts
    }
    assert not evaluated & set(made)
    assert 0.5 < sum("|" in text for text in made) / len(made) < 0.8


@pytest.mark.parametrize(
    ("text", "half"),
    [
        ("I sold the old sofa | last Friday.", "I sold the old sofa."),
        ("Where can I rent a car | tonight?", "Where can I rent a car?"),
        ("I'd like to | rent a car.", None),
        ("If you see Tom, | please call me.", None),
        ("It was, uh, | last Friday.", None),
        ("I agree.", None),
    ],
)
def test_a_first_half_that_can_stand_alone_becomes_a_sentence(text: str, half: str | None) -> None:
    assert first_half(text) == half


@pytest.mark.slow
def test_a_head_learns_from_endings_that_differ(tmp_path: Path) -> None:
    import torch  # not before it is needed: it takes seconds

    from vivavoce.model.training.turns import train_asr_endpoint as training
    from vivavoce.model.training.turns.asr_endpoint_dataset import Endings

    rng = np.random.default_rng(1)
    finished = rng.integers(2, size=320)
    states = rng.standard_normal((320, STATES, 288)).astype(np.float16)
    states[:, -8:, :40] += (2 * finished - 1)[:, None, None]
    endings = Endings(states, np.full(320, STATES), finished)
    net = training.train(endings, epochs=3)
    logits = training.logits_of(net, endings)
    assert training.area(logits, torch.from_numpy(finished)) > 0.95
    training.write(net, tmp_path / "asr_endpoint_head.onnx")
    says = AsrEndpointHead(tmp_path / "asr_endpoint_head.onnx").probability(states[:1].astype(np.float32))
    assert says == pytest.approx(float(torch.sigmoid(logits[0])), abs=1e-4)


@pytest.mark.models
@pytest.mark.slow
def test_the_same_words_score_higher_at_the_end_of_a_turn_than_within_it(models: Store) -> None:
    studio, asr = Studio(models), Moonshine(models.path("moonshine-tiny-en"), threads=1)

    def rated(speech: Samples) -> float:
        end = audible(speech)[1]
        sound = np.concatenate((np.zeros(6000, np.float32), speech[:end], np.zeros(TAIL, np.float32)))
        return asr.recognize(Resampler(SAMPLE_RATE, 16_000).push(sound), [], 0)[1]

    pairs = (
        ("She sold the house | in March.", "She sold the house."),
        ("I met him | at the station.", "I met him."),
        ("He paints the wall | with his sister.", "He paints the wall."),
    )
    voices = ("joe", EVALUATION[1], EVALUATION[2])
    differences = [
        rated(studio.say(alone, voice).samples) - rated(spoken_parts(studio, text, voice)[0])
        for text, alone in pairs
        for voice in voices
    ]
    assert np.mean(differences) > 0
