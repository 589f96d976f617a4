"""model/cascade/asr/moonshine.py: English on the real weights, with speech of the real TTS."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
import soxr

from harness.speech import Speaker
from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.model.cascade.asr import Samples, open_asr
from vivavoce.model.cascade.asr.moonshine import Moonshine, token_limit
from vivavoce.model.cascade.dialogue import classified_overlap
from vivavoce.model.errors import BrokenAsr
from vivavoce.model.store import Store
from vivavoce.model.training.data.speech import Synthesizer

pytestmark = [pytest.mark.models, pytest.mark.slow]

SENTENCES = (
    "The weather in the mountains was cold, but the sky was clear.",
    "Please tell me a short story about a dog and an old fisherman.",
    "I would like to know how long the train to the city takes.",
    "My sister bought a blue jacket and a pair of brown shoes.",
    "Could you repeat the last sentence, a little more slowly?",
)


def words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def word_errors(said: list[str], recognized: list[str]) -> int:
    """Levenshtein distance."""
    row = list(range(len(recognized) + 1))
    for i, one in enumerate(said, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(recognized, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (one != other))
    return row[-1]


@pytest.fixture(scope="module")
def moonshine(models: Store) -> Moonshine:
    asr = open_asr("en", models.path, threads=1)
    assert isinstance(asr, Moonshine)
    return asr


@pytest.fixture(scope="module")
def say(speaker: Speaker) -> Callable[[str], Samples]:
    return lambda text: np.asarray(soxr.resample(speaker.say(text), SAMPLE_RATE, 16_000), np.float32)


@pytest.mark.parametrize("step", [4_000, None], ids=["streamed", "at once"])
def test_at_most_one_word_in_ten_is_wrong(
    moonshine: Moonshine, say: Callable[[str], Samples], step: int | None
) -> None:
    errors = 0
    for sentence in SENTENCES:
        recognition = moonshine.open()
        sound = say(sentence)
        for start in range(0, len(sound), step or len(sound)):
            recognition.push(sound[start : start + (step or len(sound))])
            if step:
                recognition.update()
        errors += word_errors(words(sentence), words(recognition.finish().stable))
    assert errors <= sum(len(words(sentence)) for sentence in SENTENCES) // 10


def test_a_turn_longer_than_a_segment_is_recognized_to_its_end(
    moonshine: Moonshine, say: Callable[[str], Samples]
) -> None:
    sound = np.concatenate([np.concatenate((say(sentence), np.zeros(6_400, np.float32))) for sentence in SENTENCES])
    recognition = moonshine.open()
    stable = ""
    for start in range(0, len(sound), 8_000):
        recognition.push(sound[start : start + 8_000])
        hypothesis = recognition.update()
        assert hypothesis.stable.startswith(stable)
        stable = hypothesis.stable
    said, recognized = words(" ".join(SENTENCES)), words(recognition.finish().stable)
    assert word_errors(said, recognized) <= len(said) // 8


def test_finish_needs_no_decode_when_the_last_update_covered_all_speech(
    moonshine: Moonshine, say: Callable[[str], Samples]
) -> None:
    sound = say(SENTENCES[0])
    recognition = moonshine.open()
    recognition.push(sound)
    began = perf_counter()
    hypothesis = recognition.update()
    updated = perf_counter()
    decodes = recognition.decodes
    recognition.push(np.zeros(4_800, np.float32))
    final = recognition.finish(end=len(sound))
    finished = perf_counter()
    assert final.stable == f"{hypothesis.stable} {hypothesis.tail}".strip()
    assert recognition.decodes == decodes
    assert finished - updated < (updated - began) / 5


def test_two_turns_at_once_do_not_disturb_each_other(moonshine: Moonshine, say: Callable[[str], Samples]) -> None:
    sounds = [say(sentence) for sentence in SENTENCES[:2]]
    alone = [moonshine.open() for _ in sounds]
    together = [moonshine.open() for _ in sounds]
    for recognition, sound in zip(alone, sounds, strict=True):
        for start in range(0, len(sound), 16_000):
            recognition.push(sound[start : start + 16_000])
            recognition.update()
    for start in range(0, max(map(len, sounds)), 16_000):
        for recognition, sound in zip(together, sounds, strict=True):
            recognition.push(sound[start : start + 16_000])
            recognition.update()
    assert [one.finish() for one in together] == [one.finish() for one in alone]


def test_forced_tokens_stay_and_a_right_draft_changes_nothing(
    moonshine: Moonshine, say: Callable[[str], Samples]
) -> None:
    sound = say(SENTENCES[1])
    tokens, _ = moonshine.recognize(sound, [], 0)
    assert moonshine.recognize(sound, tokens, len(tokens) // 2)[0] == tokens
    other = moonshine.recognize(say(SENTENCES[3]), [], 0)[0][:4]
    assert moonshine.recognize(sound, other, len(other))[0][: len(other)] == other


def test_a_wrong_draft_is_not_taken_over(moonshine: Moonshine, say: Callable[[str], Samples]) -> None:
    sound = say(SENTENCES[1])
    other, _ = moonshine.recognize(say(SENTENCES[3]), [], 0)
    alone = moonshine.text(moonshine.recognize(sound, [], 0)[0])
    drafted = moonshine.text(moonshine.recognize(sound, other, 0)[0])
    assert word_errors(words(alone), words(drafted)) <= 2


@pytest.mark.parametrize("kind", ["silence", "hiss", "hum", "clicks", "beeps"])
def test_sounds_without_words_give_no_words(moonshine: Moonshine, kind: str) -> None:
    chance = np.random.default_rng(3)
    time = np.arange(32_000) / 16_000
    sounds = {
        "silence": np.zeros_like(time),
        "hiss": 0.05 * chance.standard_normal(len(time)),
        "hum": 0.1 * np.sin(2 * np.pi * 50 * time),
        "clicks": 0.3 * chance.standard_normal(len(time)) * np.exp(-(time % 0.4) / 0.01),
        "beeps": 0.1 * np.sin(2 * np.pi * 440 * time) * (time % 0.5 < 0.2),
    }
    recognition = moonshine.open()
    recognition.push(sounds[kind].astype(np.float32))
    assert recognition.update().tail == ""
    assert recognition.finish().stable == ""


def test_no_decode_is_longer_than_speech_can_be(moonshine: Moonshine, say: Callable[[str], Samples]) -> None:
    garbled = np.tile(say("Hello.")[:6_000], 20)
    assert len(moonshine.recognize(garbled, [], 0)[0]) <= token_limit(len(garbled))


@pytest.mark.parametrize("name", ["encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin"])
@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_damaged_file_is_named(models: Store, tmp_path: Path, name: str, damage: str) -> None:
    source = models.path("moonshine-tiny-en")
    for file in ("encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin"):
        (tmp_path / file).symlink_to(source / file)
    (tmp_path / name).unlink()
    if damage == "truncated":
        (tmp_path / name).write_bytes((source / name).read_bytes()[:-1_000])
    with pytest.raises(BrokenAsr, match=re.escape(name)):
        Moonshine(tmp_path, threads=1)


@pytest.mark.parametrize(("said", "text", "stops"), [("Okay.", "okay", False), ("Wait a minute.", "wait", True)])
def test_speech_over_the_assistant_is_recognized_and_classified(
    models: Store, moonshine: Moonshine, said: str, text: str, stops: bool
) -> None:
    sound = np.concatenate([np.zeros(3000, np.float32), Synthesizer(models).say(said).samples])[: SAMPLE_RATE * 6 // 10]
    overlap = classified_overlap(moonshine, sound)
    assert words(overlap.text)[:1] == [text]
    assert (overlap.interruption or 0.0) > 0.5 if stops else (overlap.interruption or 0.0) < 0.5


def test_silence_over_the_assistant_has_no_words(moonshine: Moonshine) -> None:
    assert moonshine.classify_overlap(np.zeros(9_600, np.float32)).text == ""
