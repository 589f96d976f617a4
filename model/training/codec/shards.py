"""Training pairs of sound and joe's latents, on disk in shards: the encoder's data set.

    Pair: sound (T * 1120,) at 24 kHz  +  latents (192, 4 T)     the latents of frame t are those of its sound

A shard is an .npz: `sound` int16 and `latents` float16 of all its pairs one after the other, `lengths` in frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vivavoce.codecs.audio import Samples
from vivavoce.codecs.onnx_session import open_onnx
from vivavoce.codecs.resample import Resampler
from vivavoce.codecs.tokenizer import FRAME_SIZE
from vivavoce.model.cascade.tts.graph import Graph
from vivavoce.model.cascade.tts.piper import LATENTS

FRAME: Final = FRAME_SIZE
LATENT: Final = FRAME // 4
"""Samples at 24 kHz of one latent."""


@dataclass(frozen=True, slots=True)
class Pair:
    """`sound`: (T * 1120,), `latents`: (192, 4 T) float16."""

    sound: Samples
    latents: NDArray[np.float16]


class OnnxVocoder:
    """Runs the vocoder of the voice in `directory`: latents (192, n) -> sound, (n * 280,) at 24 kHz."""

    def __init__(self, directory: Path) -> None:
        graph = Graph(next(iter(sorted(directory.glob("*.onnx")))))
        self._session = open_onnx(graph.between([LATENTS], ["output"]), 1)

    def __call__(self, latents: NDArray[np.floating]) -> Samples:
        (sound,) = self._session.run(None, {LATENTS: latents.astype(np.float32)[None]})
        resampler = Resampler(32, 35)  # 256 samples a latent to 280
        return np.concatenate((resampler.push(sound.reshape(-1)), resampler.flush()))


def write(path: Path, pairs: Sequence[Pair]) -> None:
    """Writes a shard, whole or not at all."""
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(
            file,
            sound=np.concatenate([np.round(np.clip(pair.sound, -1, 1) * 32_767).astype(np.int16) for pair in pairs]),
            latents=np.concatenate([pair.latents for pair in pairs], 1),
            lengths=np.array([pair.latents.shape[1] // 4 for pair in pairs]),
        )
    part.replace(path)


def read(path: Path) -> list[Pair]:
    """Reads the pairs of a shard."""
    with np.load(path) as shard:
        sound, latents, ends = shard["sound"], shard["latents"], np.cumsum(shard["lengths"])
    starts = [0, *map(int, ends[:-1])]
    return [
        Pair(to_float(sound[start * FRAME : end * FRAME]), latents[:, start * 4 : end * 4])
        for start, end in zip(starts, map(int, ends), strict=True)
    ]


def to_float(sound: NDArray[np.int16]) -> Samples:
    """Converts 16-bit samples to -1..1, (n,)."""
    return sound.astype(np.float32) / np.float32(32_768)
