"""codecs/files.py: whole recordings through a codec, and codes on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.tokens import CODEBOOK, HUM, make_weights
from vivavoce.codecs.errors import CodesError
from vivavoce.codecs.files import CHUNK, MAX_CODES, CodedSpeech, decode_whole, encode_whole, read, write
from vivavoce.codecs.tokenizer import CARDINALITY, FRAME_SIZE, AudioTokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> AudioTokenizer:
    return AudioTokenizer(make_weights(tmp_path_factory.mktemp("weights")))


def coded(count: int = 5, samples: int | None = None) -> CodedSpeech:
    numbers = np.arange(count)[None] * 1000 % CARDINALITY
    return CodedSpeech(numbers, count * FRAME_SIZE if samples is None else samples, CODEBOOK)


def fields(**changed: Any) -> dict[str, Any]:
    usual = {"version": 1, "samples": 1120, "sample_rate": 24_000, "frame_size": 1120, "codebook": CODEBOOK}
    return {**usual, "codes": np.zeros((1, 1), np.uint16), **changed}


@pytest.mark.parametrize("length", [1, FRAME_SIZE, 7 * FRAME_SIZE + 3, 2 * CHUNK * FRAME_SIZE + 1])
def test_a_recording_keeps_its_length_through_codes(tokenizer: AudioTokenizer, length: int) -> None:
    sound = np.resize(HUM * np.float32(0.5), length)
    found = encode_whole(tokenizer, sound)
    assert found.codes.shape == (1, -(-length // FRAME_SIZE))
    assert len(decode_whole(tokenizer, found)) == length


def test_what_is_decoded_is_what_was_encoded(tokenizer: AudioTokenizer) -> None:
    loud = np.repeat([0.1, 0.9, 0.4, 0.7] * 10, FRAME_SIZE).astype(np.float32)
    sound = loud * np.resize(HUM, len(loud))
    again = decode_whole(tokenizer, encode_whole(tokenizer, sound))
    assert np.abs(again - sound).max() < 0.01


def test_a_recording_of_no_length_has_no_codes(tokenizer: AudioTokenizer) -> None:
    found = encode_whole(tokenizer, np.zeros(0, np.float32))
    assert found.codes.shape == (1, 0)
    assert len(decode_whole(tokenizer, found)) == 0


def test_codes_of_another_codebook_are_refused(tokenizer: AudioTokenizer) -> None:
    with pytest.raises(CodesError, match="ffffffffffff"):
        decode_whole(tokenizer, CodedSpeech(np.zeros((1, 2), np.int64), 10, "ffffffffffff"))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path, wanted = tmp_path / "speech.codes", coded(samples=5 * FRAME_SIZE - 7)
    write(path, wanted)
    found = read(path)
    assert (found.samples, found.codebook) == (wanted.samples, CODEBOOK)
    assert found.codes.tolist() == wanted.codes.tolist()
    assert found.seconds == pytest.approx(wanted.samples / 24_000)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"version": 2}, "version 2"),
        ({"sample_rate": 16_000}, "sample_rate 24000, got 16000"),
        ({"frame_size": 1920}, "frame_size 1120, got 1920"),
        ({"samples": 1121}, "1 codes cannot be 1121 samples"),
        ({"samples": -1}, "cannot be -1 samples"),
        ({"codes": np.array([[CARDINALITY]], np.uint16)}, "below 4096, got 4096"),
        ({"codes": np.zeros((2, 1), np.uint16)}, "shape"),
        ({"codes": np.zeros((1, 1), np.float64)}, "float64"),
        ({"codes": np.zeros((1, MAX_CODES + 1000), np.uint16)}, "at most"),
        ({"codes": np.array([[None]])}, "not a file of codes"),
        ({"samples": np.zeros(3)}, "not a file of codes"),
    ],
)
def test_a_file_that_is_not_right_is_refused_in_words(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    path = tmp_path / "bad.npz"
    np.savez_compressed(path, allow_pickle=True, **fields(**changed))
    with pytest.raises(CodesError, match=said):
        read(path)


def test_a_field_that_is_missing_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "bad.npz"
    np.savez(path, **{name: value for name, value in fields().items() if name != "codebook"})
    with pytest.raises(CodesError, match="not a file of codes"):
        read(path)


@pytest.mark.parametrize("bytes_", [b"", b"RIFF", b"PK\x03\x04" + bytes(60)])
def test_another_kind_of_file_is_refused(tmp_path: Path, bytes_: bytes) -> None:
    path = tmp_path / "bad.npz"
    path.write_bytes(bytes_)
    with pytest.raises(CodesError, match="not a file of codes"):
        read(path)


def test_a_single_array_is_no_file_of_codes(tmp_path: Path) -> None:
    np.save(tmp_path / "bad.npy", np.zeros(3))
    with pytest.raises(CodesError, match="not a file of codes"):
        read(tmp_path / "bad.npy")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CodesError, match=r"nothing\.npz cannot be read"):
        read(tmp_path / "nothing.npz")
