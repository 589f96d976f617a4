"""model/cascade/tts/codec_voice.py, with a codec whose sound tells the loudness of the latents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.tokens import make_weights
from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.codecs.latents import LATENT_SIZE
from vivavoce.model.cascade.tts import WHOLE, Part, Speech
from vivavoce.model.cascade.tts.codec_voice import BEFORE, FIRST_CODES, CodecVoice
from vivavoce.model.cascade.tts.names import CODED
from vivavoce.model.errors import BrokenTts, UnknownVoice
from vivavoce.model.store import Store

pytestmark = [pytest.mark.models, pytest.mark.slow]

TEXT = "The train to the coast leaves at half past eight tomorrow morning."


@pytest.fixture(scope="module")
def voice(models: Store, tmp_path_factory: pytest.TempPathFactory) -> CodecVoice:
    weights = make_weights(tmp_path_factory.mktemp("weights"))
    return CodecVoice(models.path("piper-joe"), 1, noise=False, weights=weights)


def sound(chunks: list[Speech]) -> Samples:
    return np.concatenate([chunk.samples for chunk in chunks])


def say(voice: CodecVoice, part: Part = WHOLE) -> list[Speech]:
    return list(voice.speak(TEXT, name=CODED, part=part))


def test_every_word_ends_in_the_sound_and_all_text_is_said(voice: CodecVoice) -> None:
    chunks = say(voice)
    ends = [word for chunk in chunks for word in chunk.words]
    assert ends[-1].chars == len(TEXT)
    assert len(ends) == len(TEXT.split())
    samples = [word.sample for word in ends]
    assert samples == sorted(samples)
    assert samples[-1] <= len(sound(chunks))


def test_the_codecs_chunks_equal_the_whole(voice: CodecVoice) -> None:
    codes = np.arange(60)[None] * 60
    total = codes.shape[1] * 4
    whole = np.concatenate(list(voice._sound(codes, 0, total)))
    assert len(whole) == total * LATENT_SIZE
    late = np.concatenate(list(voice._sound(codes, 101, total)))
    np.testing.assert_array_equal(late, whole[101 * LATENT_SIZE :])
    early = np.concatenate(list(voice._sound(codes, 3, 57)))
    np.testing.assert_array_equal(early, whole[3 * LATENT_SIZE : 57 * LATENT_SIZE])


def test_the_first_sound_waits_for_few_codes(voice: CodecVoice) -> None:
    codes = np.full((1, 200), 3000)
    for start in (0, 400):
        first, second = list(voice._sound(codes, start, 800))[:2]
        assert 0 < len(first) <= FIRST_CODES * 4 * LATENT_SIZE
        assert len(second) > len(first)
    assert BEFORE > FIRST_CODES


def test_parts_spoken_in_a_row_are_the_whole(voice: CodecVoice) -> None:
    whole = say(voice)
    first = say(voice, part=Part(goes_on=True))
    said = first[-1].words[-1].chars if first[-1].words else max(w.chars for s in first for w in s.words)
    rest = say(voice, part=Part(said=said))
    assert [w.chars for s in (*first, *rest) for w in s.words] == [w.chars for s in whole for w in s.words]
    assert len(sound(first)) + len(sound(rest)) == pytest.approx(len(sound(whole)), abs=0.2 * SAMPLE_RATE)


def test_other_names_are_refused(voice: CodecVoice) -> None:
    with pytest.raises(UnknownVoice, match="joe-codec, joe"):
        list(voice.speak("Hello.", name="nobody"))
    with pytest.raises(ValueError, match="speed"):
        list(voice.speak("Hello.", name=CODED, speed=9))


def test_missing_weights_are_named(models: Store, tmp_path: Path) -> None:
    with pytest.raises(BrokenTts, match=r"latents\.onnx"):
        CodecVoice(models.path("piper-joe"), 1, weights=tmp_path)


def test_weights_of_two_codecs_are_refused(models: Store, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    make_weights(tmp_path)
    make_weights(tmp_path / "other", "ffffffffffff")
    (tmp_path / "other" / "latents.onnx").rename(tmp_path / "latents.onnx")
    with pytest.raises(BrokenTts, match="do not belong together"):
        CodecVoice(models.path("piper-joe"), 1, weights=tmp_path)
