"""model/turns/asr_endpoint_head.py."""

import numpy as np
import pytest

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.codecs.resample import Resampler
from vivavoce.model.cascade.asr.moonshine import Moonshine
from vivavoce.model.store import Store
from vivavoce.model.training.data.speech import EVALUATION, Synthesizer, audible
from vivavoce.model.training.data.turns import spoken_parts
from vivavoce.model.turns.asr_endpoint_head import STATES, AsrEndpointHead

TAIL = round(0.08 * SAMPLE_RATE)


def test_only_the_last_second_counts() -> None:
    head, rng = AsrEndpointHead(), np.random.default_rng(0)
    states = rng.standard_normal((1, 100, 288)).astype(np.float32)
    assert 0.0 <= head.probability(states[:, :3]) <= 1.0
    assert head.probability(states) == head.probability(states[:, -STATES:])


@pytest.mark.models
@pytest.mark.slow
def test_the_same_words_score_higher_at_the_end_of_a_turn_than_within_it(models: Store) -> None:
    studio, asr = Synthesizer(models), Moonshine(models.path("moonshine-tiny-en"), threads=1)

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
