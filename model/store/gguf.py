"""Requantises a language model's GGUF file: the quick version out of the published one.

    the published file ──GGUFReader──► metadata, tensors ──requantised()──► head (GGUFWriter), tensors block by block

Models whose rows are no multiple of 256 weights (896 in Qwen2.5 0.5B) cannot have the K formats and are published in
Q5_0, which is slow to read prompts with. These weights become IQ4_NL, for which llama.cpp has faster kernels; weights
published in a finer format stay. The result is the same to the bit on every machine, so the catalog names its sum: all
is done in whole numbers but for one division, one product and one rounding per block. Formats: ggml's block_q5_0 and
block_iq4_nl. Why these: model/LOG.md.

A block is 32 weights, each a scale times a step. Q5_0 has the steps -16 to 15, IQ4_NL the 16 of GRID. Which new step is
nearest to an old one depends on the new scale, and the scales worth trying depend on the block's largest step only: so
everything is looked up in tables of (scale tried, largest step, step).
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFValueType
from gguf.gguf_reader import GGUFReader, ReaderTensor
from gguf.gguf_writer import GGUFWriter, WriterState

from vivavoce.model.errors import GgufError

Bytes = npt.NDArray[np.uint8]

FROM: Final = GGMLQuantizationType.Q5_0
TO: Final = GGMLQuantizationType.IQ4_NL
NOTICE: Final = "vivavoce.notice"
"""Key of the metadata that says who changed the file."""

GRID: Final = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
"""The steps of IQ4_NL: closer to each other near zero, where most weights are."""

PEAKS: Final = (-134, -127, -122, -118, -114, -110, -104, 104, 107, 110, 113, 117, 120, 127)
"""Positions of a block's largest step on the grid, or a little beside its ends: the scales that are tried."""

CHUNK: Final = 2048
"""Blocks processed at a time: half a megabyte of indices, which stays in the CPU's cache."""


class _Reader(GGUFReader):
    """The reader of ggml's package with a quicker access: it makes several arrays for each of a vocabulary's 450 000
    entries, and takes 7 s and 0.5 GB for Qwen2.5's. This takes 2 s and 0.15 GB."""

    def _get(
        self,
        offset: int,
        dtype: npt.DTypeLike,
        count: int = 1,
        override_order: Literal["I", "S", "<"] | None = None,
    ) -> npt.NDArray[Any]:
        """Reads `count` little-endian numbers. Raises ValueError beyond the end of the file."""
        return np.frombuffer(self.data, dtype, int(count), int(offset))


def requantised(path: Path, keep: Sequence[str], notice: str) -> Iterator[bytes]:
    """Yields the bytes of the new file. Tensors named in `keep` stay as they are; `notice` goes into its metadata.

    `path` is taken for verified. Raises GgufError if it is no GGUF file after all.
    """
    try:
        reader = _Reader(path)
        tensors = sorted(reader.tensors, key=lambda tensor: tensor.data_offset)
        formats = {tensor.name: tensor.tensor_type for tensor in tensors}
        formats |= {name: TO for name, form in formats.items() if form is FROM and name not in keep}
        head = _head(reader, tensors, formats, notice)
    except (ValueError, LookupError, TypeError, OverflowError) as error:
        raise GgufError(f"not a whole GGUF file: {error}") from error
    reader.fields.clear()  # 0.1 GB
    yield head
    requantise, block = Requantiser(), GGML_QUANT_SIZES[FROM][1]
    for tensor in tensors:
        content = reader.data[tensor.data_offset : tensor.data_offset + tensor.n_bytes]
        written = 0
        for start in range(0, len(content), block * CHUNK):
            piece = np.asarray(content[start : start + block * CHUNK])
            if formats[tensor.name] is not tensor.tensor_type:
                piece = requantise(piece.reshape(-1, block))
            written += piece.size
            yield piece.tobytes()
        yield bytes(-written % int(reader.alignment))  # (a number of numpy's, without a sign)


def _head(
    reader: GGUFReader, tensors: Sequence[ReaderTensor], formats: Mapping[str, GGMLQuantizationType], notice: str
) -> bytes:
    """The new file up to its tensors: the metadata with `notice`, and `tensors` in `formats`."""
    writer, memory = GGUFWriter(None, ""), io.BytesIO()
    writer.kv_data = [{}]  # without the architecture that the constructor adds: it is in the metadata
    writer.data_alignment = int(reader.alignment)
    for name, field in reader.fields.items():
        if not name.startswith("GGUF."):  # the reader's own: version and counts
            of = field.types[-1] if field.types[0] is GGUFValueType.ARRAY else None
            writer.add_key_value(name, field.contents(), field.types[0], of)
    writer.add_string(NOTICE, notice)
    for tensor in tensors:
        weights, size = GGML_QUANT_SIZES[formats[tensor.name]]
        shape, length = tensor.shape[::-1].tolist(), tensor.n_elements // weights * size
        writer.add_tensor_info(tensor.name, shape, np.dtype(np.float32), length, formats[tensor.name])
    writer.fout, writer.state = [memory], WriterState.EMPTY  # type: ignore[list-item] # in memory, not in a file
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    head = memory.getvalue()
    return head + bytes(-len(head) % writer.data_alignment)


class Requantiser:
    """Turns blocks of Q5_0 into blocks of IQ4_NL, by tables."""

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
        """Blocks of Q5_0, (n, 22) -> blocks of IQ4_NL, (n, 18): each with the best of the scales that PEAKS stand for,
        moved to where the squared error is smallest."""
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
    """Blocks of Q5_0, (n, 22) -> steps, (32, n): four bits of each, the fifth bits in four bytes of their own."""
    fifth = np.unpackbits(np.ascontiguousarray(blocks[:, 2:6].T), axis=0, bitorder="little")  # (32, n)
    packed = np.ascontiguousarray(blocks[:, 6:].T)  # (16, n): the first half of the steps below, the second above
    steps: npt.NDArray[np.int8] = (np.concatenate([packed & 15, packed >> 4]) | fifth << 4).view(np.int8) - np.int8(16)
    return steps
