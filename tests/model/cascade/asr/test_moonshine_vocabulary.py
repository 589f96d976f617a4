"""model/cascade/asr/moonshine.py: the vocabulary file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.model.cascade.asr.moonshine import Vocabulary, parse_pieces
from vivavoce.model.errors import BrokenAsr

PIECES = [b"<unk>", b"<s>", b"</s>", "▁we".encode(), b"ll", b".", "▁caf".encode(), b"\xc3", b"\xa9"]


def written(pieces: list[bytes]) -> bytes:
    """The file that holds `pieces`."""
    content = bytearray()
    for piece in pieces:
        long = len(piece) >= 128
        content += bytes([128 + len(piece) % 128, len(piece) // 128]) if long else bytes([len(piece)])
        content += piece
    return bytes(content)


@given(st.lists(st.binary(max_size=1_000), max_size=20))
def test_all_pieces_come_back_in_order_whatever_their_length(pieces: list[bytes]) -> None:
    assert parse_pieces(written(pieces)) == pieces


@pytest.mark.parametrize("content", [b"\x03ab", b"\x01a\x80", b"\x80\x01" + b"a" * 127])
def test_a_file_that_ends_inside_a_piece_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="piece"):
        parse_pieces(content)


def test_a_truncated_or_missing_file_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "tokenizer.bin"
    with pytest.raises(BrokenAsr, match=r"tokenizer\.bin"):
        Vocabulary.read(broken)
    broken.write_bytes(b"\x05abc")
    with pytest.raises(BrokenAsr, match="needs 5 bytes, the file has 3 left"):
        Vocabulary.read(broken)


def test_pieces_join_to_text_and_bytes_to_characters() -> None:
    vocabulary = Vocabulary(PIECES)
    assert vocabulary.text([3, 4, 5]) == "well."
    assert vocabulary.text([3, 6, 7, 8]) == "we café"
    assert vocabulary.text([6, 7]) == "caf\ufffd"
    assert vocabulary.text([]) == ""
    assert len(vocabulary) == len(PIECES)


def test_a_word_begins_where_its_piece_begins_with_a_space() -> None:
    vocabulary = Vocabulary(PIECES)
    assert [token for token in range(len(vocabulary)) if vocabulary.starts_word(token)] == [3, 6]
