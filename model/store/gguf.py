"""GGUF files: where their tensors lie, and the beginning of a file that holds the same tensors in other formats.

    head of a file ──► read() ──► Layout ──► rewritten() ──► the head of the new file

A file is: magic, version, counts; key-value pairs; one entry per tensor; then the tensors' bytes, each aligned. The
pairs (vocabulary, merges, chat template) are carried over as they are, without being understood. Only what language
models use: little-endian, version 3. Source: the format's description in ggml's docs/gguf.md.

Makes the quick version of a language model out of the published one: most weights on a coarser grid, for which
llama.cpp has faster kernels.

    the published file ──► requantised() ──► the bytes of the new one, piece by piece

Models whose rows are no multiple of 256 weights (896 in Qwen2.5 0.5B) cannot have the K formats and are published in
Q5_0, which is slow to read prompts with. These weights become IQ4_NL; what was published in a finer format stays. The
result is the same to the bit on every machine, so the catalog names its sum: all is done in whole numbers but for one
division, one product and one rounding per block. Formats: ggml's block_q5_0 and block_iq4_nl. Why these:
model/LOG.md.

A block is 32 weights, each a scale times a step. Q5_0 has the steps -16 to 15, IQ4_NL the 16 of GRID. Which new step is
nearest to an old one depends on the new scale, and the scales worth trying depend on the block's largest step only: so
everything is looked up in tables of (scale tried, largest step, step).
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt

from vivavoce.model.errors import GgufError

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


Bytes = npt.NDArray[np.uint8]

FROM: Final = "Q5_0"
TO: Final = "IQ4_NL"

GRID: Final = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
"""The steps of IQ4_NL: closer to each other near zero, where most weights are."""

PEAKS: Final = (-134, -127, -122, -118, -114, -110, -104, 104, 107, 110, 113, 117, 120, 127)
"""Where a block's largest step may come to lie on the grid, or a little beside its ends: the scales that are tried."""

CHUNK: Final = 2048
"""Blocks worked on at a time: half a megabyte of indices, which stays in the CPU's cache."""


def requantised(path: Path, keep: Sequence[str], notice: str) -> Iterator[bytes]:
    """The bytes of the new file. Tensors named in `keep` stay as they are; `notice` says in the file who changed it.

    `path` is taken for verified. Raises GgufError if it is no GGUF file after all.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        layout = read(file)
        changed = {tensor.name: TO for tensor in layout.tensors if tensor.format == FROM and tensor.name not in keep}
        yield rewritten(layout, changed, {"vivavoce.notice": notice})
        requantise = Requantiser()
        step = BLOCKS[FROM][1] * CHUNK
        for tensor in layout.tensors:
            end = tensor.start + tensor.size
            if end > len(content):
                raise GgufError("the file ends early")
            written = 0
            for start in range(tensor.start, end, step):
                piece = content[start : min(start + step, end)]
                if tensor.name in changed:
                    piece = requantise(np.frombuffer(piece, np.uint8).reshape(-1, BLOCKS[FROM][1])).tobytes()
                written += len(piece)
                yield piece
            yield padding(written)


class Requantiser:
    """The tables; calling it turns blocks into others."""

    def __init__(self) -> None:
        steps = np.arange(-16, 16)
        largest = np.where(steps == 0, 1, steps)[:, None]  # (a block of zeros gets the scale 0 all the same)
        nearest = [
            np.abs((steps * peak / largest)[..., None] - np.array(GRID)).argmin(axis=-1).ravel() for peak in PEAKS
        ]
        self._codes = np.array(nearest, np.uint8)  # (len(PEAKS), 32 * 32): places in GRID
        placed = np.array(GRID, np.int64)[self._codes]
        self._sums = (placed * placed << 32) + placed * np.tile(steps, 32)  # both at once: the product needs 17 bits

    def __call__(self, blocks: Bytes) -> Bytes:
        """Blocks of IQ4_NL, shape (n, 18), for blocks of Q5_0, shape (n, 22): for each the best of the scales that
        PEAKS stand for, moved to where the squared error is smallest."""
        steps = _steps(blocks)  # (32, n)
        high, low = steps.max(axis=0), steps.min(axis=0)
        index = steps.astype(np.intp) + (np.where(high >= -low, high, low).astype(np.intp) * 32 + 16 * 33)
        best = np.zeros(len(blocks), np.intp)
        gain = np.full(len(blocks), -1.0)
        ratio = np.zeros(len(blocks))
        for tried, sums in enumerate(self._sums):
            both = sums[index].sum(axis=0)
            square = both + (1 << 31) >> 32
            product = both - (square << 32)
            fitted = product / square
            better = (won := fitted * product) > gain  # the squared error is the steps' own square less this
            best[better], gain[better], ratio[better] = tried, won[better], fitted[better]
        scale = np.ascontiguousarray(blocks[:, :2]).view("<f2")[:, 0] * ratio
        codes = self._codes.ravel()[index + best * self._codes.shape[1]]
        halves = scale.astype("<f2").reshape(-1, 1).view(np.uint8)
        return np.concatenate([halves, (codes[:16] | codes[16:] << 4).T], axis=1)


def _steps(blocks: Bytes) -> npt.NDArray[np.int8]:
    """(32, n) steps of n blocks of Q5_0: four bits of each, the fifth of all in four bytes of their own."""
    fifth = np.unpackbits(np.ascontiguousarray(blocks[:, 2:6].T), axis=0, bitorder="little")  # (32, n)
    packed = np.ascontiguousarray(blocks[:, 6:].T)  # (16, n): the first half of the steps below, the second above
    steps: npt.NDArray[np.int8] = (np.concatenate([packed & 15, packed >> 4]) | fifth << 4).view(np.int8) - np.int8(16)
    return steps
