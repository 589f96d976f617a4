"""The encoder's data set: random crops of (sound, latents), augmented, with distillation targets.

    shards of pairs ─┬─► crop ─augment─► sound                                      (B, T * 1120)
                     ├─► features of the published ASR encoder on the clean sound   (B, 2 T, 288)     teacher
                     ├─► joe's latents, in standard scores                          (B, T, 768)
                     └─► vectors of the latents before quantising                   (B, T, 64)

Targets are computed once, for whole clips, and kept in memory; the teacher's features beside the shards, too, as
<shard>.taught.npy. One pair in `HELD_OUT` is never trained on. Short clips share a crop; `weight` is 0 where there is
no target.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vivavoce.model.training.codec.augmentation import acoustics, augment
from vivavoce.model.training.codec.autoencoder import Autoencoder
from vivavoce.model.training.codec.encoder import DELAY_FRAMES, LATENTS, STEP_FRAMES, WIDTH, Encoder
from vivavoce.model.training.codec.shards import FRAME, Pair, read, to_float

HELD_OUT: Final = 15
OTHERS: Final = 0.5
"""Share of the crops that begin with another voice than joe's."""
GAP: Final = (2, 8)
"""Frames of silence between clips that share a crop: at least, less than."""
ENOUGH: Final = 14
"""Frames of a crop that another clip must have left."""
FADE: Final = FRAME // 8


@dataclass(frozen=True, slots=True)
class Clip:
    """A pair of T frames with its targets: `sound` (T * 1120,), `latents` (T, 768), `teacher` (2 T, 288), `vectors`
    (T, 64)."""

    sound: NDArray[np.int16]
    latents: NDArray[np.float16]
    teacher: NDArray[np.float16]
    vectors: NDArray[np.float32]

    @property
    def frames(self) -> int:
        return len(self.latents)


@dataclass(frozen=True, slots=True)
class Batch:
    """Input and targets, of the shapes above; `weight`: (B, T)."""

    sound: Tensor
    teacher: Tensor
    latents: Tensor
    vectors: Tensor
    weight: Tensor


class Dataset:
    """Draws batches of crops of `crop` frames from the shards in `folder`: files `joe-*` and any others.

    Raises `ValueError` when there are none."""

    def __init__(self, folder: Path, published: Encoder, codec: Autoencoder, *, crop: int, seed: int) -> None:
        self._crop = crop
        self._train: dict[bool, list[Clip]] = {True: [], False: []}  # by whether joe speaks
        self.held_out: list[Clip] = []
        for path in sorted(folder.glob("*-*.npz")):
            for number, clip in enumerate(_read_clips(path, published, codec)):
                clips = self._train[path.name.startswith("joe")] if number % HELD_OUT else self.held_out
                clips.append(clip)
        if not any(self._train.values()):
            raise ValueError(f"expected shards of pairs in {folder}, found none")
        talkers = [to_float(clip.sound) for clips in self._train.values() for clip in clips[:60]]
        self._acoustics = acoustics(talkers, np.random.default_rng(seed))

    @property
    def seconds(self) -> tuple[float, float]:
        """Seconds of joe's and of other voices to train on."""
        both = [sum(clip.frames for clip in self._train[joe]) * FRAME / 24_000 for joe in (True, False)]
        return both[0], both[1]

    def batch(self, size: int, rng: np.random.Generator) -> Batch:
        """Draws `size` training crops."""
        return _stacked([self._draw_crop(rng) for _ in range(size)])

    def held_out_batches(self) -> list[Batch]:
        """The held-out clips in batches of up to 8, each with the same augmentation every time."""
        crops = []
        for number, clip in enumerate(self.held_out):
            rng = np.random.default_rng(number)
            frames = min(clip.frames, self._crop)
            crops.append(self._make_crop([(clip, 0, 0, frames)], rng))
        return [_stacked(crops[at : at + 8]) for at in range(0, len(crops), 8)]

    def _draw_crop(self, rng: np.random.Generator) -> Batch:
        pieces, at = [], 0
        while self._crop - at >= ENOUGH:
            clip = self._draw_clip(rng)
            frames = min(clip.frames, self._crop - at)
            first = int(rng.integers(0, (clip.frames - frames) // STEP_FRAMES + 1)) * STEP_FRAMES
            pieces.append((clip, first, at, frames))
            at += (frames + int(rng.integers(*GAP))) // STEP_FRAMES * STEP_FRAMES
        return self._make_crop(pieces, rng)

    def _draw_clip(self, rng: np.random.Generator) -> Clip:
        clips = self._train[bool(rng.random() >= OTHERS)] or self._train[True] or self._train[False]
        return clips[int(rng.integers(len(clips)))]

    def _make_crop(self, pieces: Sequence[tuple[Clip, int, int, int]], rng: np.random.Generator) -> Batch:
        """Joins and augments pieces of clips: (clip, its first frame, first frame in the crop, frames)."""
        crop = self._crop
        sound, weight = np.zeros(crop * FRAME, np.float32), np.zeros(crop, np.float32)
        teacher, latents = np.zeros((2 * crop, WIDTH), np.float32), np.zeros((crop, LATENTS), np.float32)
        vectors = np.zeros((crop, pieces[0][0].vectors.shape[1]), np.float32)
        for clip, first, at, frames in pieces:
            last, end = first + frames, at + frames
            piece = to_float(clip.sound[first * FRAME : last * FRAME])
            piece[:FADE] *= np.linspace(0, 1, FADE)
            sound[at * FRAME : end * FRAME] = piece
            teacher[2 * at : 2 * end] = clip.teacher[2 * first : 2 * last]
            latents[at:end], vectors[at:end] = clip.latents[first:last], clip.vectors[first:last]
            weight[at : end if end < crop else end - DELAY_FRAMES] = 1  # the look-ahead of the last ones is cut off
        sound = augment(sound, self._acoustics, rng)
        return Batch(*(torch.from_numpy(array)[None] for array in (sound, teacher, latents, vectors, weight)))


def _stacked(crops: Sequence[Batch]) -> Batch:
    names = ("sound", "teacher", "latents", "vectors", "weight")
    return Batch(*(torch.cat([getattr(crop, name) for crop in crops]) for name in names))


@torch.no_grad()
def _read_clips(path: Path, published: Encoder, codec: Autoencoder) -> list[Clip]:
    """Reads the clips of a shard and computes their targets."""
    pairs = read(path)
    cache = path.with_suffix(".taught.npy")
    if not cache.exists():
        part = path.with_suffix(f".{os.getpid()}.part")  # under torchrun every process reads every shard
        with part.open("wb") as file:
            np.save(file, np.concatenate([_teacher_features(pair, published) for pair in pairs]))
        part.replace(cache)
    teacher, at, clips = np.load(cache), 0, []
    for pair in pairs:
        frames = pair.latents.shape[1] // 4
        latents = torch.from_numpy(np.ascontiguousarray(pair.latents.T, np.float32))[None]
        scores = (latents - codec.mean) / codec.std  # (1, 4 T, 192)
        clips.append(
            Clip(
                np.round(pair.sound * 32_767).astype(np.int16),
                scores.reshape(frames, LATENTS).numpy().astype(np.float16),
                teacher[at : at + 2 * frames],
                codec.encoder(scores)[0].numpy(),
            )
        )
        at += 2 * frames
    return clips


def _teacher_features(pair: Pair, published: Encoder) -> NDArray[np.float16]:
    """Features of the published encoder on the clean sound, (2 T, 288)."""
    return published.offline(torch.from_numpy(pair.sound)[None])[0].numpy().astype(np.float16)
