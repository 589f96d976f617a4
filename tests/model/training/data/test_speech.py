"""model/training/data/speech.py and turns.py: synthetic speech, and turns with labelled pauses."""

from pathlib import Path

import numpy as np
import pytest

from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.model.store import Store
from vivavoce.model.training.data.sounds import FRAME, levels, loudness
from vivavoce.model.training.data.speech import AUDIBLE_DB, DEVELOPMENT, EVALUATION, LOUDNESS_DB, MARGIN, Synthesizer
from vivavoce.model.training.data.turns import COMPLETE, PAUSES, make_turn, read_texts

pytestmark = [pytest.mark.models, pytest.mark.slow]


def test_an_utterance_is_levelled_and_says_where_it_ends(models: Store, tmp_path: Path) -> None:
    said = Synthesizer(models, tmp_path).say("I would like to order a pizza.")
    assert loudness(said.samples) == pytest.approx(LOUDNESS_DB, abs=0.1)
    audible = np.flatnonzero(levels(said.samples) > AUDIBLE_DB)
    assert abs((int(audible[-1]) + 1) * FRAME - said.speech_end) <= FRAME
    assert len(said.samples) >= said.speech_end + MARGIN
    assert [word.chars for word in said.words][-1] == len(said.text)
    assert said.speech_start < said.end_of("would") < said.end_of("order") < said.end_of("pizza") <= len(said.samples)


def test_what_is_kept_is_what_would_be_made_again(models: Store, tmp_path: Path) -> None:
    studio = Synthesizer(models, tmp_path / "one")
    made, kept = studio.say("Yes, please."), studio.say("Yes, please.")
    again = Synthesizer(models, tmp_path / "other").say("Yes, please.")
    assert len(list((tmp_path / "one").iterdir())) == 1
    for other in (kept, again):
        np.testing.assert_array_equal(made.samples, other.samples)
        assert made.words == other.words


def test_a_broken_file_is_made_anew_and_the_folder_keeps_its_size(models: Store, tmp_path: Path) -> None:
    studio = Synthesizer(models, tmp_path, limit=150_000)
    first = studio.say("Good morning.")
    next(tmp_path.iterdir()).write_bytes(b"half")
    np.testing.assert_array_equal(studio.say("Good morning.").samples, first.samples)
    for number in ("one", "two", "three", "four"):
        studio.say(f"This is sentence number {number}.")
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 150_000


def test_an_inner_pause_is_as_silent_and_as_long_as_its_label_says(models: Store, tmp_path: Path) -> None:
    turn = make_turn(
        Synthesizer(models, tmp_path), "I would like to | order a pizza.", "joe", "hesitation", "clean", seed=4
    )
    ((before, after),) = turn.pauses
    assert PAUSES[0] - 0.01 <= (after - before) / SAMPLE_RATE <= PAUSES[1] + 0.01
    quiet = levels(turn.samples[before + FRAME : after - FRAME])
    assert quiet.max() < AUDIBLE_DB
    assert levels(turn.samples[before - FRAME : before])[0] > AUDIBLE_DB - 1
    assert turn.speech_start < before < after < turn.speech_end


def test_what_is_tuned_on_is_not_measured_on() -> None:
    measured, tuned = read_texts("evaluation"), read_texts("development")
    assert not set(EVALUATION) & set(DEVELOPMENT)
    assert not {text for texts in measured.values() for text in texts} & {t for texts in tuned.values() for t in texts}
    assert measured.keys() == tuned.keys()
    assert sum(map(len, measured.values())) >= 150
    for texts in (measured, tuned):
        assert all(("|" in text) == (kind not in COMPLETE) for kind, some in texts.items() for text in some)
