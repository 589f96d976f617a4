"""Moonshine's vocabulary: from token ids to text.

The file `tokenizer.bin` is the list of all pieces in the order of their ids, nothing else:

    piece  = length bytes
    length = one byte below 128, or two: 128 + (length mod 128), length div 128
    bytes  = UTF-8 of the piece; "▁" (U+2581) stands for a space; 256 pieces are single raw bytes; a length of 0 is an
             unused id

This module only reads: text is never turned into tokens here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from vivavoce.model.errors import BrokenAsr

BEGIN: Final = 1
"""Id that opens every sequence."""
END: Final = 2
"""Id that closes every sequence."""

_SPACE: Final = "▁".encode()


class Vocabulary:
    """The pieces of a token vocabulary, by id."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = tuple(pieces)

    @classmethod
    def read(cls, path: Path) -> Vocabulary:
        """Reads a `tokenizer.bin`. Raises `BrokenAsr` when the file is missing or ends inside a piece."""
        try:
            return cls(parse_pieces(path.read_bytes()))
        except (OSError, ValueError) as error:
            raise BrokenAsr(f"cannot read the vocabulary {path}: {error}") from error

    def __len__(self) -> int:
        return len(self._pieces)

    def starts_word(self, token: int) -> bool:
        """Whether a new word begins with `token`."""
        return self._pieces[token].startswith(_SPACE)

    def text(self, tokens: Sequence[int]) -> str:
        """The text of `tokens`, without outer spaces; bytes that are no UTF-8 become U+FFFD."""
        joined = b"".join(self._pieces[token] for token in tokens)
        return joined.replace(_SPACE, b" ").decode("utf-8", "replace").strip()


def parse_pieces(content: bytes) -> list[bytes]:
    """The pieces of a `tokenizer.bin` (format above). Raises `ValueError` when it ends inside a piece."""
    pieces: list[bytes] = []
    at = 0
    while at < len(content):
        length = content[at]
        at += 1
        if length >= 128:
            if at == len(content):
                raise ValueError(f"piece {len(pieces)} ends inside its length")
            length = length - 128 + 128 * content[at]
            at += 1
        if at + length > len(content):
            raise ValueError(f"piece {len(pieces)} needs {length} bytes, the file has {len(content) - at} left")
        pieces.append(content[at : at + length])
        at += length
    return pieces
