"""model/cascade/asr/streaming.py: one turn, with a recognizer that reads a code instead of a voice."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vivavoce.model.cascade.asr import SAMPLE_RATE, Hypothesis, Samples
from vivavoce.model.cascade.asr.loudness import FRAME
from vivavoce.model.cascade.asr.streaming import LONGEST, WAITING, SegmentedRecognition

WORD = 16 * FRAME  # 0.32 s
GAP = 4 * FRAME
PAUSE = 20 * FRAME
UPDATE = SAMPLE_RATE // 4
COMMA = 999


def code(word: int) -> Samples:
    """A word as sound: its number is its loudness, 4 to 20 dB below full scale; then a gap."""
    tone = np.where(np.arange(WORD) % 2, 1.0, -1.0) * 10 ** (-(4 + word) / 20)
    return np.concatenate((tone, np.zeros(GAP))).astype(np.float32)


def silence(samples: int) -> Samples:
    return np.zeros(samples, np.float32)


def say(*words: int | None) -> Samples:
    """Words after each other; None is a pause."""
    return np.concatenate([silence(PAUSE) if word is None else code(word) for word in words])


@dataclass
class CodeReader:
    """Recognizes `code`. A word that is not over yet comes out wrong, as with real recognizers."""

    separator: str = " "
    late_commas: bool = False  # adds a comma behind the stable tokens
    end_of_turn: float | None = None
    longest: int = 0
    forced: list[list[int]] = field(default_factory=list)

    def recognize(self, samples: Samples, draft: Sequence[int], forced: int) -> list[int]:
        self.longest = max(self.longest, len(samples))
        self.forced.append(list(draft[:forced]))
        loudness = np.concatenate(([0.0], np.abs(samples), [0.0]))
        starts, ends = (np.flatnonzero(np.diff(loudness) * way > 0.01) for way in (1, -1))
        tokens: list[int] = [
            round(-20 * np.log10(loudness[start + 1]) - 4) if end - start == WORD else 100 + int(end - start) // FRAME
            for start, end in zip(starts, ends, strict=True)
        ]
        comma = [COMMA] if self.late_commas and forced else []
        return [*draft[:forced], *comma, *tokens[forced:]]

    def text(self, tokens: Sequence[int]) -> str:
        return self.separator.join(map(str, tokens))

    def starts_word(self, token: int) -> bool:
        return token != COMMA


def stream(recognition: SegmentedRecognition, sound: Samples, step: int = UPDATE) -> list[Hypothesis]:
    """Pushes `sound` in steps with an update after each."""
    hypotheses: list[Hypothesis] = []
    for start in range(0, len(sound), step):
        recognition.push(sound[start : start + step])
        hypotheses.append(recognition.update())
    return hypotheses


def text_of(hypothesis: Hypothesis) -> str:
    return f"{hypothesis.stable} {hypothesis.tail}".strip()


SENTENCE = (3, 1, 4, 1, 5, 9, 2, 6, 5, 3)
SPOKEN = " ".join(map(str, SENTENCE))
LONG_TURN = (*SENTENCE, None) * 8  # 35 s


@pytest.mark.slow
@given(st.lists(st.integers(1, 20_000), max_size=60))
@settings(max_examples=20, deadline=None)
def test_any_chunking_gives_the_same_text_at_the_end(cuts: list[int]) -> None:
    sound = say(*LONG_TURN)
    recognition = SegmentedRecognition(CodeReader())
    for chunk in np.split(sound, np.minimum(np.cumsum(cuts, dtype=int), len(sound))):
        recognition.push(chunk)
    assert recognition.finish() == Hypothesis(" ".join([SPOKEN] * 8), "", len(sound))


@pytest.mark.slow
@pytest.mark.parametrize("step", [1_600, 4_000, 13_000, 100_000])
@pytest.mark.parametrize("words", [SENTENCE, LONG_TURN], ids=["short", "long"])
def test_what_is_stable_begins_every_later_hypothesis(words: Sequence[int | None], step: int) -> None:
    recognition = SegmentedRecognition(CodeReader())
    hypotheses = [*stream(recognition, say(*words), step), recognition.finish()]
    for earlier, later in itertools.pairwise(hypotheses):
        assert later.stable.startswith(earlier.stable)
        assert text_of(later).startswith(earlier.stable)
    assert text_of(hypotheses[-1]) == " ".join(str(word) for word in words if word is not None)


def test_words_become_stable_while_the_user_speaks() -> None:
    recognition = SegmentedRecognition(CodeReader())
    last = stream(recognition, say(*SENTENCE))[-1]
    assert len(last.stable.split()) >= len(SENTENCE) // 2
    assert last.tail


def test_a_wrong_word_is_corrected_when_it_is_over() -> None:
    recognition = SegmentedRecognition(CodeReader())
    sound = say(7, 8)
    recognition.push(sound[: WORD + GAP + WORD // 2])
    assert text_of(recognition.update()) == "7 108"
    recognition.push(sound[WORD + GAP + WORD // 2 :])
    assert text_of(recognition.update()) == "7 8"


def test_stable_tokens_are_forced_on_the_recognizer() -> None:
    reader = CodeReader()
    stream(SegmentedRecognition(reader), say(*SENTENCE))
    assert reader.forced[0] == []
    assert reader.forced[-1] == list(SENTENCE[: len(reader.forced[-1])])
    assert len(reader.forced[-1]) > 3


def test_an_update_without_new_sound_decodes_nothing() -> None:
    recognition = SegmentedRecognition(CodeReader())
    (hypothesis,) = stream(recognition, say(1, 2), step=100_000)
    recognition.push(silence(0))
    assert recognition.update() is hypothesis
    assert recognition.decodes == 1


def test_sound_is_kept_even_if_the_caller_reuses_its_buffer() -> None:
    recognition = SegmentedRecognition(CodeReader())
    buffer = say(1, 2)
    recognition.push(buffer)
    buffer[:] = 0.0
    assert recognition.finish().stable == "1 2"


def test_finish_after_an_update_that_covers_the_end_decodes_nothing() -> None:
    recognition = SegmentedRecognition(CodeReader())
    sound = say(1, 2)
    stream(recognition, sound)
    decodes = recognition.decodes
    recognition.push(silence(8_000))
    assert recognition.finish(end=len(sound)) == Hypothesis("1 2", "", len(sound) + 8_000)
    assert recognition.decodes == decodes


def test_finish_without_an_end_finds_by_level_that_only_silence_came() -> None:
    recognition = SegmentedRecognition(CodeReader())
    stream(recognition, say(1, 2))
    decodes = recognition.decodes
    recognition.push(silence(8_000))
    assert recognition.finish().stable == "1 2"
    assert recognition.decodes == decodes


@pytest.mark.parametrize("known", [True, False], ids=["end given", "no end"])
def test_finish_decodes_speech_that_no_update_covered(known: bool) -> None:
    recognition = SegmentedRecognition(CodeReader())
    stream(recognition, say(1, 2))
    decodes = recognition.decodes
    recognition.push(say(3, None))
    assert recognition.finish(end=3 * (WORD + GAP) if known else None).stable == "1 2 3"
    assert recognition.decodes == decodes + 1


def test_sound_long_after_the_end_of_speech_is_left_out() -> None:
    recognition = SegmentedRecognition(CodeReader())
    recognition.push(say(1, 2, None, 9))
    assert recognition.finish(end=2 * (WORD + GAP)).stable == "1 2"


def test_a_turn_of_minutes_is_decoded_in_short_segments() -> None:
    reader = CodeReader()
    recognition = SegmentedRecognition(reader)
    stream(recognition, say(*LONG_TURN))
    assert reader.longest <= LONGEST
    assert recognition.finish().stable == " ".join([SPOKEN] * 8)


def test_speech_without_any_pause_is_cut_between_words() -> None:
    words = SENTENCE * 6
    reader = CodeReader()
    recognition = SegmentedRecognition(reader)
    stream(recognition, say(*words))
    assert recognition.finish().stable == " ".join(map(str, words))
    assert reader.longest <= LONGEST + UPDATE


def test_silence_and_noise_are_not_decoded() -> None:
    noise = 0.05 * np.random.default_rng(2).standard_normal(40_000).astype(np.float32)
    for sound in (silence(40_000), noise):
        recognition = SegmentedRecognition(CodeReader())
        stream(recognition, sound)
        assert recognition.finish() == Hypothesis("", "", 40_000)
        assert recognition.decodes == 0


def test_a_turn_without_any_sound_is_empty() -> None:
    assert SegmentedRecognition(CodeReader()).finish() == Hypothesis("", "", 0)


def test_a_comma_that_comes_after_its_word_is_stable_is_dropped() -> None:
    recognition = SegmentedRecognition(CodeReader(late_commas=True))
    stream(recognition, say(*SENTENCE))
    assert recognition.finish().stable == SPOKEN


def test_segments_join_as_the_language_is_written() -> None:
    recognition = SegmentedRecognition(CodeReader(separator=""))
    stream(recognition, say(*LONG_TURN))
    assert recognition.finish().stable == "".join(map(str, SENTENCE)) * 8


def test_a_finished_recognition_takes_no_more_sound_and_keeps_its_text() -> None:
    recognition = SegmentedRecognition(CodeReader())
    recognition.push(say(1))
    final = recognition.finish()
    assert recognition.finish() is final
    assert recognition.update() is final
    with pytest.raises(RuntimeError, match="finished"):
        recognition.push(silence(10))


def test_sound_that_waits_for_an_update_is_bounded() -> None:
    recognition = SegmentedRecognition(CodeReader())
    recognition.push(silence(WAITING))
    with pytest.raises(BufferError, match="300 s"):
        recognition.push(silence(1))
    recognition.update()
    recognition.push(silence(1))
