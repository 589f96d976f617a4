"""`vivavoce codec encode | decode | eval`: files in and out, and what it says when they are not right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.tokens import CODEBOOK, HUM, make_weights
from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.codecs.files import CodedSpeech, read, write
from vivavoce.codecs.media import read_sound, write_sound
from vivavoce.model.cascade.tts.names import CODED, JOE
from vivavoce.model.settings import CascadeSettings, needed
from vivavoce.realtime.__main__ import SETTINGS, main, parser
from vivavoce.realtime.cli import codec


@pytest.fixture(autouse=True)
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setattr(codec, "WEIGHTS", make_weights(folder))
    monkeypatch.setenv("VIVAVOCE_HOME", str(tmp_path / "home"))
    return folder


def test_a_recording_goes_into_codes_and_comes_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    speech, codes, again = tmp_path / "speech.wav", tmp_path / "speech.npz", tmp_path / "again.wav"
    sound = np.resize(HUM * np.float32(0.5), SAMPLE_RATE)
    write_sound(speech, sound)
    assert main(["codec", "encode", str(speech), "-o", str(codes)]) == 0
    assert capsys.readouterr().out == f"1.00 s of speech: 22 codes, 264 bit/s -> {codes}\n"
    assert (read(codes).samples, read(codes).codebook) == (SAMPLE_RATE, CODEBOOK)
    assert main(["codec", "decode", str(codes), "-o", str(again)]) == 0
    assert capsys.readouterr().out == f"22 codes: 1.00 s of speech -> {again}\n"
    found = read_sound(again)
    assert len(found) == len(sound)
    assert np.abs(found - sound)[:-1120].max() < 0.01


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    code = main(["codec", *map(str, arguments)])
    found = capsys.readouterr()
    assert found.out == ""
    return code, found.err


def test_what_is_no_recording_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("no sound")
    code, said = refused(capsys, "encode", tmp_path / "notes.txt", "-o", tmp_path / "out.npz")
    assert code == 2
    assert "notes.txt cannot be read" in said


def test_what_are_no_codes_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "codes.npz").write_text("no codes")
    code, said = refused(capsys, "decode", tmp_path / "codes.npz", "-o", tmp_path / "out.wav")
    assert (code, said) == (2, f"vivavoce: {tmp_path / 'codes.npz'} is not a file of codes.\n")


def test_codes_of_another_codec_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "codes.npz", CodedSpeech(np.zeros((1, 3), np.int64), 3000, "ffffffffffff"))
    code, said = refused(capsys, "decode", tmp_path / "codes.npz", "-o", tmp_path / "out.wav")
    assert code == 2
    assert f"this codec's is '{CODEBOOK}'" in said


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_sound(tmp_path / "speech.wav", HUM)
    code, said = refused(capsys, "encode", tmp_path / "speech.wav", "-o", tmp_path / "nowhere" / "out.npz")
    assert code == 1
    assert f"{tmp_path / 'nowhere' / 'out.npz'} cannot be written" in said


def test_missing_weights_are_named(tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (weights / "encoder.onnx").unlink()
    write_sound(tmp_path / "speech.wav", HUM)
    code, said = refused(capsys, "encode", tmp_path / "speech.wav", "-o", tmp_path / "out.npz")
    assert (code, said) == (1, "vivavoce: the codec's weights encoder.onnx are not in this installation\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--sets", "prompts,songs", "'--sets' must be of prompts, readings, voices, not 'songs'."),
        ("--systems", "mp3", "'--systems' must be of original, g711, opus6, joe, joe-codec, codec, not 'mp3'."),
        ("--judges", "me", "'--judges' must be of moonshine, whisper, not 'me'."),
        ("--clips", "0", "'--clips' must be at least 1, not 0."),
    ],
)
def test_a_wrong_choice_is_refused_before_anything_is_fetched(
    option: str, value: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(capsys, "eval", option, value) == (2, f"vivavoce: {said}\n")
    assert not (tmp_path / "home").exists()


def test_the_voice_through_the_codec_needs_no_more_models_than_joe() -> None:
    assert needed(CascadeSettings(voice=CODED)) == needed(CascadeSettings(voice=JOE))


def test_the_bench_speaks_through_the_codec_when_asked_to() -> None:
    chosen = parser().parse_args(["bench", "--voice", CODED])
    assert SETTINGS["voice"] == "model.voice"
    assert chosen.voice == CODED
