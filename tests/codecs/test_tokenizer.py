"""The codec with its own weights: what is spoken through it is understood, and it keeps its promises of delay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.speech import Listener, Speaker, agrees
from vivavoce.codecs.files import decode_whole, encode_whole
from vivavoce.codecs.tokenizer import WEIGHTS, AudioTokenizer
from vivavoce.model.cascade.tts import open_tts
from vivavoce.model.cascade.tts.names import CODED
from vivavoce.model.evaluation.codec.delay import delays
from vivavoce.model.store import Store

TEXTS = (
    "The train to the coast leaves at half past eight tomorrow morning.",
    "Would you like me to read the next message to you?",
    "She bought a blue jacket and a pair of brown shoes.",
)

pytestmark = [pytest.mark.models, pytest.mark.slow]


def test_what_is_spoken_through_codes_is_understood(models: Store, listener: Listener) -> None:
    voice = open_tts(CODED, models.path, 1)
    for text in TEXTS:
        sound = np.concatenate([stretch.samples for stretch in voice.speak(text, name=CODED)])
        assert agrees(listener.understand(sound), text), text


def test_what_is_said_comes_out_of_encoder_and_decoder(speaker: Speaker, listener: Listener) -> None:
    tokenizer = AudioTokenizer()
    understood = [
        agrees(listener.understand(decode_whole(tokenizer, encode_whole(tokenizer, speaker.say(text)))), text)
        for text in TEXTS
    ]
    assert sum(understood) >= 2


def test_delays_keep_their_bounds(speaker: Speaker) -> None:
    found = delays(AudioTokenizer(), speaker.say(TEXTS[0]))
    assert found.encode <= 0.32
    assert found.decode <= 0.08


def test_the_weights_are_small_enough_for_the_repository() -> None:
    sizes = {file.name: file.stat().st_size for file in Path(WEIGHTS).iterdir()}
    assert {"encoder.onnx", "decoder.onnx", "latents.onnx"} <= set(sizes)
    assert sum(sizes.values()) <= 30e6
