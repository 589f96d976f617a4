"""Makes the quick version of a language model out of the published one: most weights on a coarser grid, for which
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
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from vivavoce.model import gguf

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
        layout = gguf.read(file)
        changed = {tensor.name: TO for tensor in layout.tensors if tensor.format == FROM and tensor.name not in keep}
        yield gguf.rewritten(layout, changed, {"vivavoce.notice": notice})
        requantise = Requantiser()
        step = gguf.BLOCKS[FROM][1] * CHUNK
        for tensor in layout.tensors:
            end = tensor.start + tensor.size
            if end > len(content):
                raise gguf.GgufError("the file ends early")
            written = 0
            for start in range(tensor.start, end, step):
                piece = content[start : min(start + step, end)]
                if tensor.name in changed:
                    piece = requantise(np.frombuffer(piece, np.uint8).reshape(-1, gguf.BLOCKS[FROM][1])).tobytes()
                written += len(piece)
                yield piece
            yield gguf.padding(written)


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
