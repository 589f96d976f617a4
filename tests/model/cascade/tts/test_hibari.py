"""model/cascade/tts/hibari.py on the real voice: where its words lie, and that chunks sound as the whole."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from vivavoce.codecs.audio import Samples
from vivavoce.model.cascade.tts.graph import Graph
from vivavoce.model.cascade.tts.harmonic_noise import HOP
from vivavoce.model.cascade.tts.hibari import (
    FIRST_FRAMES,
    LARGEST_FRAMES,
    Frames,
    Hibari,
    Networks,
    intoned,
    risen,
    whole_durations,
)
from vivavoce.model.cascade.tts.phonemes import Phonemes
from vivavoce.model.cascade.tts.styles import PLAIN, STYLES, Style
from vivavoce.model.errors import BrokenTts
from vivavoce.model.store import Store

pytestmark = [pytest.mark.models, pytest.mark.slow]

TEXT = "The law of streaming holds for this decoder, chunk by chunk."


@pytest.fixture(scope="module")
def phonemes() -> Phonemes:
    return Phonemes()


@pytest.fixture(scope="module")
def heart(models: Store, phonemes: Phonemes) -> Hibari:
    return Hibari(models.path("hibari"), 1, phonemes=phonemes)


@pytest.fixture(scope="module")
def networks(heart: Hibari) -> Networks:
    return heart.networks("heart")


@pytest.fixture(scope="module")
def frames(heart: Hibari, networks: Networks, phonemes: Phonemes) -> Frames:
    return heart.encode(phonemes.pronounce(TEXT), 1.0, networks)[0]


def _apart(one: Samples, other: Samples) -> float:
    """The difference in decibels of the second one."""
    return float(10 * np.log10(((one - other) ** 2).mean() / (other**2).mean()))


def test_chunks_grow_and_are_as_long_as_their_frames(networks: Networks, frames: Frames) -> None:
    sizes = [len(chunk) // HOP for chunk in networks.decode(frames)]
    assert sizes[:4] == [FIRST_FRAMES, 2 * FIRST_FRAMES, LARGEST_FRAMES, LARGEST_FRAMES]
    assert sum(sizes) == len(frames.f0)
    assert frames.states.shape == (128, len(frames.f0))
    assert frames.loudness.shape == frames.f0.shape


def test_the_decoder_in_chunks_differs_from_the_whole_by_its_rounding_only(
    networks: Networks, frames: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunked = np.concatenate(list(networks.decode(frames)))
    monkeypatch.setattr("vivavoce.model.cascade.tts.hibari.FIRST_FRAMES", 10_000)
    (whole,) = networks.decode(frames)
    assert _apart(chunked, whole) < -20


def test_a_part_sounds_as_it_does_within_the_whole(networks: Networks, frames: Frames) -> None:
    whole, start, stop = np.concatenate(list(networks.decode(frames))), 90, 150
    part = np.concatenate(list(networks.decode(frames, start, stop)))
    assert len(part) == (stop - start) * HOP
    spectrum, expected = (np.abs(np.fft.rfft(sound)) for sound in (part, whole[start * HOP : stop * HOP]))
    assert np.corrcoef(spectrum[:200], expected[:200])[0, 1] > 0.9, "phases differ: pulses and noise begin anew"


@pytest.mark.parametrize("behind", [0, 1, 2, 20])
def test_sound_of_any_length_is_complete(networks: Networks, frames: Frames, behind: int) -> None:
    for count in range(FIRST_FRAMES - 4, FIRST_FRAMES + LARGEST_FRAMES):
        total = count + behind
        cut = Frames(frames.states[:, :total], frames.f0[:total], frames.loudness[:total])
        assert sum(map(len, networks.decode(cut, 0, count))) == count * HOP


def test_the_empty_part_is_no_sound(networks: Networks, frames: Frames) -> None:
    assert list(networks.decode(frames, 40, 40)) == []


def test_words_end_where_their_sound_does(heart: Hibari, networks: Networks, phonemes: Phonemes) -> None:
    frames, begin, ends = heart.encode(phonemes.pronounce("Stop, and then stop."), 1.0, networks)
    sound = np.concatenate(list(networks.decode(frames)))
    loud = np.flatnonzero(np.abs(sound) > 0.01) / HOP
    assert loud[0] == pytest.approx(begin, abs=4)
    assert ends == sorted(ends)
    assert loud[-1] == pytest.approx(ends[-1], abs=4)
    pause = loud[loud < ends[0] + 1][-1]
    assert pause == pytest.approx(ends[0], abs=4)


def test_calm_is_flatter_and_lively_is_not(frames: Frames) -> None:
    def spread(style: Style) -> tuple[float, float]:
        f0 = intoned(frames, style).f0
        tones = 12 * np.log2(f0[frames.f0 > 40])
        return float(np.std(tones)), float(np.mean(tones))

    (usual, mean), (calm, lower), (lively, higher) = (spread(one) for one in (PLAIN, STYLES["calm"], STYLES["lively"]))
    assert calm == pytest.approx(usual * STYLES["calm"].melody, rel=1e-3)
    assert lively == pytest.approx(usual * STYLES["lively"].melody, rel=1e-3)
    assert (lower - mean, higher - mean) == pytest.approx((STYLES["calm"].pitch, STYLES["lively"].pitch), abs=1e-3)
    assert intoned(frames, PLAIN) is frames


@pytest.mark.parametrize("name", STYLES)
def test_each_style_is_spoken_with_all_word_ends(name: str, heart: Hibari) -> None:
    plain, styled = (list(heart.speak(TEXT, style=style)) for style in (PLAIN, STYLES[name]))
    chars = [[word.chars for speech in one for word in speech.words] for one in (plain, styled)]
    assert chars[0] == chars[1]
    seconds = [sum(len(speech.samples) for speech in one) for one in (plain, styled)]
    assert seconds[0] / seconds[1] == pytest.approx(STYLES[name].pace, rel=0.06)


@pytest.mark.parametrize(
    ("text", "rises"),
    [
        ("Do you want some tea?", True),
        ("Are you open on Sundays?", True),
        ("Really?", True),
        ("You are coming tomorrow?", True),
        ("You are coming tomorrow.", False),
        ("What time is it?", False),
        ("And where is the station?", False),
        ("Tea or coffee?", False),
    ],
)
def test_questions_for_yes_or_no_are_told_from_others(
    text: str, rises: bool, heart: Hibari, phonemes: Phonemes
) -> None:
    assert heart._rises(phonemes.pronounce(text)) == rises


@pytest.mark.parametrize("text", ["Do you want some tea?", "You are coming tomorrow?", "Would you like to go on?"])
def test_their_end_is_heard_higher_than_that_of_the_same_statement(text: str, heart: Hibari) -> None:
    asked, stated = (_last_pitch(heart, each) for each in (text, f"{text[:-1]}."))
    assert asked > 1.15 * stated


def test_the_pitch_rises_over_the_last_word_only(frames: Frames) -> None:
    end = int(np.flatnonzero(frames.f0 > 40)[-1]) + 1
    start = end - 20
    found = risen(frames, start, end).f0
    np.testing.assert_array_equal(found[:start], frames.f0[:start])
    last = found[start:end][frames.f0[start:end] > 40]
    assert (np.diff(last) > 0).all()
    assert 12 * np.log2(last[-1] / last[0]) == pytest.approx(8, abs=0.01)
    assert risen(frames, 0, 3) is frames, "nothing is voiced there"


def _last_pitch(voice: Hibari, text: str) -> float:
    """The pitch of the last 0.1 s of voice, Hz."""
    sound = np.concatenate([speech.samples for speech in voice.speak(text)])
    pitches = (_pitch(sound[at : at + 1200]) for at in range(0, len(sound) - 1200, 240))
    return float(np.median([hertz for hertz, certain in pitches if certain > 0.5][-10:]))


def _pitch(samples: Samples) -> tuple[float, float]:
    """The pitch in Hz, and how periodic the sound is, 0 to 1."""
    power = np.correlate(samples - samples.mean(), samples - samples.mean(), "full")[len(samples) - 1 :]
    lag = 60 + int(power[60:300].argmax())
    return 24_000 / lag, float(power[lag] / (power[0] + 1e-9))


def test_what_one_duration_is_rounded_by_the_next_ones_make_up_for() -> None:
    durations = np.array([2.4] * 50, np.float32)
    assert abs(int(whole_durations(durations).sum()) - 120) <= 1
    assert set(whole_durations(durations).tolist()) == {2, 3}
    assert whole_durations(np.array([0.1, 0.1, 0.0, 9.0], np.float32)).tolist() == [1, 1, 1, 8]


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.3, 1.5])
def test_the_speed_is_as_asked_for_and_the_pitch_stays(
    speed: float, heart: Hibari, networks: Networks, phonemes: Phonemes, frames: Frames
) -> None:
    changed = heart.encode(phonemes.pronounce(TEXT), speed, networks)[0]
    assert len(frames.f0) / len(changed.f0) == pytest.approx(speed, rel=0.04)
    usual, found = (float(np.median(one.f0[one.f0 > 40])) for one in (frames, changed))
    assert abs(12 * np.log2(found / usual)) < 1.5


def test_other_voices_are_opened_when_they_speak(models: Store, phonemes: Phonemes, tmp_path: Path) -> None:
    shutil.copy(models.path("hibari") / "heart.onnx", tmp_path / "kore.onnx")
    (tmp_path / "fenrir.onnx").write_bytes(b"not a model")
    voices = Hibari(models.path("hibari"), 1, more=tmp_path, phonemes=phonemes)
    assert voices.names == ("heart", "fenrir", "kore")
    heart, kore, coral = (
        np.concatenate([speech.samples for speech in voices.speak("Hello.", name=name)])
        for name in ("", "kore", "coral")
    )
    np.testing.assert_array_equal(heart, kore)
    np.testing.assert_array_equal(kore, coral)
    assert voices.networks("kore") is voices.networks("kore")
    with pytest.raises(BrokenTts, match=r"cannot read the voice model .*fenrir\.onnx"):
        next(voices.speak("Hello.", name="cedar"))


def test_another_graph_is_refused(models: Store, tmp_path: Path) -> None:
    path = tmp_path / "half.onnx"
    path.write_bytes(Graph(models.path("hibari") / "heart.onnx").between(["ids", "speed"], ["f0"]))
    with pytest.raises(BrokenTts, match="is not the expected model: it has no"):
        Networks(path, 1)
