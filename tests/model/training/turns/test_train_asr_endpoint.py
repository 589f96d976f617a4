"""model/training/turns: the sentences, the data set and the training of the endpoint head."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from vivavoce.model.training.data.turns import read_texts
from vivavoce.model.training.turns.sentences import first_half, sentences
from vivavoce.model.turns.asr_endpoint_head import STATES, AsrEndpointHead


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
@pytest.mark.usefixtures("one_thread")
def test_a_head_learns_from_endings_that_differ(tmp_path: Path) -> None:
    import torch

    from vivavoce.model.training.turns import train_asr_endpoint as training
    from vivavoce.model.training.turns.asr_endpoint_dataset import EndpointExamples

    rng = np.random.default_rng(1)
    finished = rng.integers(2, size=320)
    states = rng.standard_normal((320, STATES, 288)).astype(np.float16)
    states[:, -8:, :40] += (2 * finished - 1)[:, None, None]
    examples = EndpointExamples(states, np.full(320, STATES), finished)
    net = training.train(examples, epochs=3)
    logits = training.logits_of(net, examples)
    assert training.area(logits, torch.from_numpy(finished)) > 0.95
    training.write(net, tmp_path / "asr_endpoint_head.onnx")
    says = AsrEndpointHead(tmp_path / "asr_endpoint_head.onnx").probability(states[:1].astype(np.float32))
    assert says == pytest.approx(float(torch.sigmoid(logits[0])), abs=1e-4)
