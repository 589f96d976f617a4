"""GGUF files: where their tensors lie, and the beginning of a file that holds the same tensors in other formats.

    head of a file ──► read() ──► Layout ──► rewritten() ──► the head of the new file

A file is: magic, version, counts; key-value pairs; one entry per tensor; then the tensors' bytes, each aligned. The
pairs (vocabulary, merges, chat template) are carried over as they are, without being understood. Only what language
models use: little-endian, version 3. Source: the format's description in ggml's docs/gguf.md.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import BinaryIO, Final

MAGIC: Final = b"GGUF"
ALIGNMENT: Final = 32
"""Bytes. A file can choose another one (general.alignment); none that we rewrite does."""

LONGEST: Final = 1 << 26
"""Bytes of one text, elements of one array: beyond, a file is damaged and would only use up the memory."""

FORMATS: Final = {"F32": 0, "Q4_0": 2, "Q4_1": 3, "Q5_0": 6, "Q8_0": 8, "Q4_K": 12, "Q6_K": 14, "IQ4_NL": 20}
"""Number of each format."""

BLOCKS: Final = {
    "F32": (1, 4),
    "Q4_0": (32, 18),
    "Q4_1": (32, 20),
    "Q5_0": (32, 22),
    "Q8_0": (32, 34),
    "Q4_K": (256, 144),
    "Q6_K": (256, 210),
    "IQ4_NL": (32, 18),
}
"""(weights, bytes) of a block of each format."""

_STRING, _ARRAY = 8, 9
_WIDTHS: Final = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # bytes, by type of value


class GgufError(ValueError):
    """The file is not GGUF as we know it."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor: `shape` innermost first, `start` in bytes from the beginning of the file."""

    name: str
    shape: tuple[int, ...]
    format: str
    start: int

    @property
    def size(self) -> int:
        """Bytes."""
        return size_of(self.shape, self.format)


@dataclass(frozen=True, slots=True)
class Layout:
    """The key-value pairs, as bytes, and the tensors in the order of their bytes."""

    pairs: bytes
    count: int  # of pairs
    tensors: tuple[Tensor, ...]


def size_of(shape: Sequence[int], form: str) -> int:
    """Bytes of a tensor of this shape in this format. Raises GgufError if its rows are no whole blocks."""
    weights, size = BLOCKS[form]
    if shape[0] % weights:
        raise GgufError(f"rows of {shape[0]} weights are no whole blocks of {weights} ({form})")
    return prod(shape) // weights * size


def read(file: BinaryIO) -> Layout:
    """The layout of a file, read from its beginning. Raises GgufError."""
    if _exactly(file, 4) != MAGIC or _number(file, "<I") != 3:
        raise GgufError("not a GGUF file of version 3")
    tensors, pairs = _number(file, "<Q"), _number(file, "<Q")
    begin = file.tell()
    for _ in range(pairs):
        _skip_text(file)
        _skip_value(file, _number(file, "<I"))
    end = file.tell()
    file.seek(begin)
    body = _exactly(file, end - begin)
    entries = [_entry(file) for _ in range(tensors)]
    start = _aligned(file.tell())
    placed = (Tensor(name, shape, form, start + offset) for name, shape, form, offset in entries)
    return Layout(body, pairs, tuple(sorted(placed, key=lambda tensor: tensor.start)))


def rewritten(layout: Layout, formats: Mapping[str, str], notes: Mapping[str, str]) -> bytes:
    """The beginning of a file with the same tensors, up to their bytes: `formats` gives the new format by name, `notes`
    are added to the pairs. The tensors' bytes follow in the order of `layout`, each padded to ALIGNMENT."""
    head = MAGIC + struct.pack("<IQQ", 3, len(layout.tensors), layout.count + len(notes)) + layout.pairs
    for key, value in notes.items():
        head += _text(key) + struct.pack("<I", _STRING) + _text(value)
    offset = 0
    for tensor in layout.tensors:
        form = formats.get(tensor.name, tensor.format)
        shape = struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape)
        head += _text(tensor.name) + shape + struct.pack("<IQ", FORMATS[form], offset)
        offset += _aligned(size_of(tensor.shape, form))
    return head + padding(len(head))


def padding(length: int) -> bytes:
    """What follows `length` bytes so that the next tensor is aligned."""
    return bytes(_aligned(length) - length)


def _entry(file: BinaryIO) -> tuple[str, tuple[int, ...], str, int]:
    name = _exactly(file, _length(file)).decode()
    shape = tuple(_number(file, "<Q") for _ in range(min(_number(file, "<I"), 4)))
    number, offset = _number(file, "<I"), _number(file, "<Q")
    for form, value in FORMATS.items():
        if value == number:
            return name, shape, form, offset
    raise GgufError(f"{name} has a format that is not known here (number {number})")


def _skip_value(file: BinaryIO, kind: int) -> None:
    if kind == _STRING:
        _skip_text(file)
    elif kind == _ARRAY:
        of, count = _number(file, "<I"), _length(file)
        if of in _WIDTHS:
            _exactly(file, _WIDTHS[of] * count)
        elif of == _STRING:
            for _ in range(count):
                _skip_text(file)
        else:
            raise GgufError(f"arrays of type {of} are not known here")
    elif kind in _WIDTHS:
        _exactly(file, _WIDTHS[kind])
    else:
        raise GgufError(f"values of type {kind} are not known here")


def _skip_text(file: BinaryIO) -> None:
    _exactly(file, _length(file))


def _length(file: BinaryIO) -> int:
    if (length := _number(file, "<Q")) > LONGEST:
        raise GgufError(f"a length of {length} is not believable")
    return length


def _number(file: BinaryIO, form: str) -> int:
    value: int = struct.unpack(form, _exactly(file, struct.calcsize(form)))[0]
    return value


def _exactly(file: BinaryIO, count: int) -> bytes:
    if len(block := file.read(count)) < count:
        raise GgufError("the file ends early")
    return block


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT
