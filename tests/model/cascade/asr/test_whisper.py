"""model/cascade/asr/whisper.py on the real weights; English speech stands in where any language will do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soxr

from harness.speech import Speaker
from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.model.cascade.asr import Samples, open_asr
from vivavoce.model.cascade.asr.whisper import Whisper, WhisperTurn
from vivavoce.model.errors import BrokenAsr, UnknownLanguage
from vivavoce.model.store import Store

pytestmark = [pytest.mark.models, pytest.mark.slow]


@pytest.fixture(scope="module")
def whisper(models: Store) -> Whisper:
    asr = open_asr("auto", models.path, threads=1)
    assert isinstance(asr, Whisper)
    return asr


@pytest.fixture(scope="module")
def say(speaker: Speaker) -> Callable[[str], Samples]:
    return lambda text: np.asarray(soxr.resample(speaker.say(text), SAMPLE_RATE, 16_000), np.float32)


def test_speech_is_recognized_and_the_stable_part_only_grows(whisper: Whisper, say: Callable[[str], Samples]) -> None:
    sound = say("My sister bought a blue jacket and a pair of brown shoes.")
    recognition = whisper.open()
    stable = ""
    for start in range(0, len(sound), 16_000):
        recognition.push(sound[start : start + 16_000])
        hypothesis = recognition.update()
        assert hypothesis.stable.startswith(stable)
        stable = hypothesis.stable
    assert stable
    assert {"sister", "blue", "jacket", "brown"} <= set(recognition.finish().stable.lower().split())


def test_the_language_is_detected_in_each_turn(whisper: Whisper, say: Callable[[str], Samples]) -> None:
    turn = WhisperTurn(whisper, None)
    turn.language = "ja"
    turn.recognize(say("I would like to know how long the train to the city takes."), [], 0)
    assert turn.language == "en"


def test_a_language_that_is_set_is_not_detected(whisper: Whisper, say: Callable[[str], Samples]) -> None:
    turn = WhisperTurn(whisper, "de")
    turn.recognize(say("I would like to know how long the train to the city takes."), [], 0)
    assert turn.language == "de"


def test_forced_tokens_stay(whisper: Whisper, say: Callable[[str], Samples]) -> None:
    turn = WhisperTurn(whisper, "en")
    sound = say("Please tell me a short story about a dog.")
    tokens = turn.recognize(sound, [], 0)
    assert turn.recognize(sound, tokens, len(tokens)) == tokens
    assert turn.recognize(sound, tokens, len(tokens) // 2) == tokens


def test_text_without_spaces_is_divided_between_characters_only(whisper: Whisper) -> None:
    turn = WhisperTurn(whisper, "zh")
    tokens = whisper.model.hf_tokenizer.encode("今天天气很好，我们去公园。", add_special_tokens=False).ids
    places = [place for place in range(1, len(tokens)) if turn.starts_word(tokens[place])]
    assert places
    assert turn.separator == ""
    for place in places:
        assert "\ufffd" not in turn.text(tokens[:place]) + turn.text(tokens[place:])


def test_silence_and_hiss_give_no_words(whisper: Whisper) -> None:
    hiss = 0.05 * np.random.default_rng(4).standard_normal(32_000).astype(np.float32)
    for sound in (np.zeros(32_000, np.float32), hiss):
        assert WhisperTurn(whisper, "en").recognize(sound, [], 0) == []


def test_its_languages_are_those_that_it_may_recognize(whisper: Whisper, models: Store) -> None:
    assert {"en", "de", "yue"} <= set(whisper.languages)
    assert open_asr("de", models.path, threads=1).languages == ("de",)


def test_an_unknown_language_is_refused(models: Store) -> None:
    with pytest.raises(UnknownLanguage, match="'xx'"):
        open_asr("xx", models.path, threads=1)


def test_a_missing_file_is_named_and_not_fetched_from_the_network(models: Store, tmp_path: Path) -> None:
    source = models.path("whisper-base")
    for name in ("config.json", "model.bin", "vocabulary.txt"):
        (tmp_path / name).symlink_to(source / name)
    with pytest.raises(BrokenAsr, match=r"tokenizer\.json is missing"):
        Whisper(tmp_path, "auto", threads=1)


def test_a_truncated_file_is_named(models: Store, tmp_path: Path) -> None:
    source = models.path("whisper-base")
    for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
        (tmp_path / name).symlink_to(source / name)
    (tmp_path / "model.bin").write_bytes((source / "model.bin").read_bytes()[:1_000_000])
    with pytest.raises(BrokenAsr, match="cannot load"):
        Whisper(tmp_path, "auto", threads=1)
