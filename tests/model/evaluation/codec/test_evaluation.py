"""The comparison of codecs: its material, its systems, what it costs, and that it goes on where it was."""

from __future__ import annotations

import gzip
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness.tokens import HUM, make_weights
from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.codecs.media import write_sound
from vivavoce.codecs.tokenizer import FRAME_SIZE, AudioTokenizer
from vivavoce.model.errors import MaterialError, MissingSystem
from vivavoce.model.evaluation.codec import systems as codec_systems
from vivavoce.model.evaluation.codec.delay import delays, work
from vivavoce.model.evaluation.codec.evaluation import Evaluation, Plan, Rows, open_recognizers
from vivavoce.model.evaluation.codec.material import Clip, Material, read_prompts, read_transcription, spread
from vivavoce.model.evaluation.codec.systems import open_system
from vivavoce.model.store import Store, catalog
from vivavoce.model.training.data.speech import EVALUATION

PROMPTS = """; Core sounds
activated: Activated.
beep: [this is a simple beep tone]
silence/2: (2 seconds of silence, as recorded)
conf-full: That conference is full right now.
dictate/pause: Press one to pause the recording.
"""
TRANSCRIPTION = """<s> ten of clubs  </s> (001)
<s> four queen of clubs  </s> (002)
"""


def empty(home: Path) -> Store:
    return Store(home, catalog.load())


def hum(seconds: float, loudness: float = 0.5) -> Samples:
    return np.resize(HUM * np.float32(loudness), int(seconds * SAMPLE_RATE))


# --- material -----------------------------------------------------------------------------------------------------


def test_prompts_are_words_and_more_than_a_few() -> None:
    said = {"conf-full": "That conference is full right now.", "dictate/pause": "Press one to pause the recording."}
    assert read_prompts(PROMPTS) == said


def test_transcriptions_are_read_by_name() -> None:
    assert read_transcription(TRANSCRIPTION) == {"001": "ten of clubs", "002": "four queen of clubs"}


def test_a_choice_comes_from_all_over_the_set() -> None:
    assert spread(range(100), 4) == [0, 25, 50, 75]
    assert spread(range(3), 4) == [0, 1, 2]


def unpacked(folder: Path) -> None:
    sounds = folder / "asterisk-core-sounds-en-g722/usr/share/asterisk/sounds/en_US_f_Allison"
    texts = folder / "asterisk-core-sounds-en/usr/share/doc/asterisk-core-sounds-en"
    for made in (sounds / "dictate", texts):
        made.mkdir(parents=True)
    with gzip.open(texts / "core-sounds-en.txt.gz", "wt") as file:
        file.write(PROMPTS)
    (sounds / "conf-full.g722").write_bytes(bytes(8000))  # one second at 64 kbit/s


def test_prompts_are_read_from_the_unpacked_packages(tmp_path: Path) -> None:
    unpacked(tmp_path)
    (clip,) = Material(empty(tmp_path), tmp_path).clips("prompts", 10)
    assert (clip.name, clip.speaker, clip.text) == ("conf-full", "allison", "That conference is full right now.")
    assert clip.seconds == pytest.approx(1.0, abs=0.01)


def test_without_debian_the_package_and_its_place_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MaterialError, match=r"asterisk-core-sounds-en-g722.*unpack"):
        list(Material(empty(tmp_path), tmp_path).clips("prompts", 1))


def test_a_package_that_cannot_be_had_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("apt-get", "dpkg-deb"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'E: Unable to locate package' >&2\nexit 100\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(MaterialError, match="Unable to locate package"):
        list(Material(empty(tmp_path), tmp_path / "material").clips("prompts", 1))
    assert list((tmp_path / "material").iterdir()) == []


def test_the_voices_are_those_that_nothing_was_trained_on(tmp_path: Path) -> None:
    entries = Material(empty(tmp_path), tmp_path)._voices()
    assert {entry.speaker for entry in entries} == set(EVALUATION)
    assert len(entries) > 40


# --- systems ------------------------------------------------------------------------------------------------------


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(codec_systems, "WEIGHTS", make_weights(tmp_path))
    return tmp_path


def clip(seconds: float = 1.0) -> Clip:
    return Clip("a", "ann", "hello there my friend", hum(seconds))


@pytest.mark.parametrize(("name", "bitrate"), [("original", 384_000), ("g711", 64_000), ("opus6", 6_000)])
def test_references_keep_the_length_and_count_their_bits(tmp_path: Path, name: str, bitrate: float) -> None:
    rendered = open_system(name, empty(tmp_path)).render(clip())
    assert len(rendered.samples) == pytest.approx(SAMPLE_RATE, abs=480)
    assert rendered.bits == pytest.approx(bitrate, rel=0.15)
    assert rendered.codes is None


@pytest.mark.usefixtures("weights")
def test_the_codec_gives_codes_and_their_bits(tmp_path: Path) -> None:
    rendered = open_system("codec", empty(tmp_path)).render(clip())
    assert rendered.codes is not None
    assert rendered.codes.shape == (1, 22)
    assert rendered.bits == 22 * 12
    assert np.abs(rendered.samples - clip().samples)[: 21 * FRAME_SIZE].max() < 0.01


def test_a_codec_without_weights_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec_systems, "WEIGHTS", tmp_path)
    with pytest.raises(MissingSystem, match=r"encoder\.onnx"):
        open_system("codec", empty(tmp_path))


# --- streaming ----------------------------------------------------------------------------------------------------


def test_delays_are_counted(tmp_path: Path) -> None:
    tokenizer = AudioTokenizer(make_weights(tmp_path))
    found = delays(tokenizer, hum(1.0))
    # Two frames at a time, and two late: the code of an even frame comes when three more have gone by.
    assert found.encode == pytest.approx(4 * FRAME_SIZE / SAMPLE_RATE, abs=0.001)
    assert found.decode == pytest.approx(FRAME_SIZE / SAMPLE_RATE, abs=0.001)


def test_work_is_processor_time_over_sound(tmp_path: Path) -> None:
    ticks = count(0, 0.5)
    found = work(AudioTokenizer(make_weights(tmp_path)), hum(2.0), lambda: next(ticks))
    assert found.encode == pytest.approx(0.25)
    assert found.decode == pytest.approx(0.5 / (40 * FRAME_SIZE / SAMPLE_RATE), rel=0.1)


# --- the run ------------------------------------------------------------------------------------------------------


class Words:
    """A recogniser that counts how often it was asked."""

    def __init__(self, *answers: str) -> None:
        self._answers = list(answers)
        self.asked = 0

    def __call__(self, samples: Samples) -> str:
        self.asked += 1
        return self._answers[(self.asked - 1) % len(self._answers)]


def evaluation(tmp_path: Path, recognizer: Words) -> Evaluation:
    material: Any = SimpleNamespace(clips=lambda name, most: [clip()][:most])
    return Evaluation(empty(tmp_path), material, {"moonshine": recognizer}, None)


PLAN = Plan(("voices",), ("original", "g711"), 5)


def test_errors_are_counted_against_the_text_and_against_the_original(tmp_path: Path) -> None:
    recognizer = Words("hello there my fiend", "hello where my fiend")
    original, line = evaluation(tmp_path, recognizer).run(PLAN, Rows(None))
    assert (original.system, line.system) == ("original", "g711")
    assert (original.recognized["moonshine"].errors, original.recognized["moonshine"].changed) == (1, 0)
    assert (line.recognized["moonshine"].errors, line.recognized["moonshine"].changed) == (2, 1)
    assert line.recognized["moonshine"].said == 4


def test_the_original_is_always_evaluated(tmp_path: Path) -> None:
    plan = Plan(("voices",), ("g711",), 5)
    assert [row.system for row in evaluation(tmp_path, Words("x")).run(plan, Rows(None))] == ["original", "g711"]


def test_a_run_goes_on_where_it_was(tmp_path: Path) -> None:
    path, recognizer = tmp_path / "rows.jsonl", Words("hello")
    before = list(evaluation(tmp_path, recognizer).run(PLAN, Rows(path)))
    assert recognizer.asked == 2
    with path.open("a") as file:
        file.write('{"set": "voices", "cut')  # a line whose writing was stopped
    assert list(evaluation(tmp_path, recognizer).run(PLAN, Rows(path))) == before
    assert recognizer.asked == 2


def test_rows_of_earlier_versions_are_kept(tmp_path: Path) -> None:
    path, recognizer = tmp_path / "rows.jsonl", Words("hello")
    before = list(evaluation(tmp_path, recognizer).run(PLAN, Rows(path)))
    path.write_text(path.read_text().replace('"recognized"', '"heard"'))
    assert list(evaluation(tmp_path, recognizer).run(PLAN, Rows(path))) == before
    assert recognizer.asked == 2


@pytest.mark.usefixtures("weights")
def test_other_weights_are_evaluated_anew(tmp_path: Path) -> None:
    path, recognizer, plan = tmp_path / "rows.jsonl", Words("hello"), Plan(("voices",), ("codec",), 1)
    list(evaluation(tmp_path, recognizer).run(plan, Rows(path)))
    list(evaluation(tmp_path, recognizer).run(plan, Rows(path)))
    assert recognizer.asked == 2
    make_weights(tmp_path, "cdefcdefcdef")
    list(evaluation(tmp_path, recognizer).run(plan, Rows(path)))
    assert recognizer.asked == 3, "the original was kept, the codec was not"


@pytest.mark.models
@pytest.mark.slow
def test_both_recognisers_recognize_joe(models: Store, tmp_path: Path) -> None:
    text = "The train to the coast leaves at half past eight tomorrow morning."
    spoken = open_system("joe", models).render(Clip("a", "joe", text, hum(0.1)))
    write_sound(tmp_path / "joe.wav", spoken.samples)
    for recognize in open_recognizers(("moonshine", "whisper"), models).values():
        assert "train to the coast" in recognize(spoken.samples).lower()
