"""model/cascade/tts/shaping.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.model.cascade.tts.contract import Speech
from vivavoce.model.cascade.tts.shaping import LEAD_IN, Shaping, pause_after
from vivavoce.model.dialogue import WordEnd

FADE = SAMPLE_RATE // 200


def _tone(samples: int, level: float = 0.5) -> Samples:
    return (level * np.sign(np.sin(np.arange(samples)) + 0.01)).astype(np.float32)


def _silence(samples: int) -> Samples:
    return np.zeros(samples, np.float32)


def _shape(
    chunks: Sequence[Samples], words: Sequence[WordEnd] = (), pause: int = 500, start: int = 0
) -> tuple[Samples, list[WordEnd]]:
    shaping = Shaping(words, start=start, pause=pause, gain=1.0)
    given_out = [speech for speech in [*map(shaping.push, chunks), shaping.finish()] if speech is not None]
    assert all(len(speech.samples) for speech in given_out)
    samples = np.concatenate([speech.samples for speech in given_out]) if given_out else _silence(0)
    assert shaping.end == start + len(samples)
    _check_places(given_out, start)
    return samples, [word for speech in given_out for word in speech.words]


def _check_places(given_out: Sequence[Speech], start: int) -> None:
    at = start
    for speech in given_out:
        assert all(at <= word.sample <= at + len(speech.samples) for word in speech.words)
        at += len(speech.samples)


def _cuts(sound: Samples, sizes: Sequence[int]) -> Iterator[Samples]:
    at = 0
    for size in sizes:
        yield sound[at : at + size]
        at += size
    yield sound[at:]


def test_silence_before_the_sound_is_cut_to_the_lead_in() -> None:
    samples, _ = _shape([_silence(5000), _tone(3000)])
    assert int(np.flatnonzero(samples)[0]) in (LEAD_IN, LEAD_IN + 1)


def test_the_pause_behind_the_sound_is_the_requested_one() -> None:
    for tail in (0, 100, 9000):
        samples, _ = _shape([_tone(3000), _silence(tail)], pause=2000)
        assert len(samples) == pytest.approx(3000 + 2000, abs=FADE)
        assert not samples[-1500:].any()


def test_the_sound_neither_begins_nor_ends_with_a_click() -> None:
    samples, _ = _shape([_tone(4000)])
    assert abs(samples[0]) == 0
    assert np.abs(np.diff(np.abs(samples))).max() <= 0.5 / (FADE - 1) + 1e-6


def test_silence_within_the_sound_stays() -> None:
    samples, _ = _shape([_tone(1000), _silence(4000), _silence(4000), _tone(1000)], pause=100)
    assert len(samples) == pytest.approx(10_000 + 100, abs=FADE)


def test_words_shift_by_what_was_cut_and_end_with_the_sound() -> None:
    words = [WordEnd(2, 1000), WordEnd(5, 6000), WordEnd(9, 20_000)]
    _, placed = _shape([_silence(5000), _tone(3000), _silence(9000)], words, start=70_000)
    cut = 5000 - LEAD_IN
    assert [word.chars for word in placed] == [2, 5, 9]
    assert placed[0].sample == 70_000
    assert placed[1].sample == 70_000 + 6000 - cut
    assert placed[2].sample == pytest.approx(70_000 + 8000 - cut, abs=FADE)


def test_an_utterance_without_a_sound_still_ends_its_words() -> None:
    samples, placed = _shape([_silence(4000)], [WordEnd(3, 2000)], pause=240)
    assert len(samples) == 240
    assert [word.chars for word in placed] == [3]
    assert _shape([_silence(4000)])[0].size == 0


def test_loudness_is_changed_without_overflow() -> None:
    shaping = Shaping([], start=0, pause=10, gain=3.0)
    speech = shaping.push(_tone(1000))
    assert speech is not None
    assert float(np.abs(speech.samples).max()) == 1.0


def test_the_pause_depends_on_the_mark_and_the_speed() -> None:
    assert pause_after("so.", 1.0) > pause_after("so,", 1.0) > pause_after("so", 1.0) > 0
    assert pause_after("so.", 0.5) == 2 * pause_after("so.", 1.0)


@given(st.lists(st.integers(0, 900), max_size=12), st.integers(0, 2500), st.integers(0, 600))
def test_any_chunking_gives_the_same_sound(sizes: list[int], lead: int, gap: int) -> None:
    sound = np.concatenate([_silence(lead), _tone(900), _silence(gap), _tone(700), _silence(gap)])
    words = [WordEnd(1, lead + 900), WordEnd(2, lead + 1600 + gap)]
    whole, placed = _shape([sound], words)
    cut, placed_too = _shape(list(_cuts(sound, sizes)), words)
    assert placed == placed_too
    np.testing.assert_allclose(cut, whole, atol=1e-6)


def test_a_part_in_mid_clause_keeps_its_silence_at_both_ends() -> None:
    shaping = Shaping([], start=0, pause=None, gain=1.0, lead_in=False)
    sound = np.concatenate([_silence(2000), _tone(3000), _silence(1500)])
    speeches = [speech for speech in (shaping.push(sound), shaping.finish()) if speech is not None]
    got = np.concatenate([speech.samples for speech in speeches])
    assert len(got) == len(sound)
    np.testing.assert_array_equal(got[FADE:-FADE], sound[FADE:-FADE])
