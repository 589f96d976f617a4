"""What the encoder is trained on: crops of pairs, heard somewhere, with what is to be made of them.

    shards of pairs ─┬─► crop ─scene─► sound            (B, T * 1120)
                     ├─► features of the ears as published, of the clean sound   (B, 2 T, 288)
                     ├─► joe's latents                  (B, T, 768), in standard scores
                     └─► what the code book's reader makes of the latents        (B, T, 64)

Features and readings are computed once, for whole clips, and kept in memory (features beside the shards, too). One pair
in `CHECKED` is never trained on. Short clips share a crop; `weight` is 0 where there is nothing to learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vivavoce.model.training.codec.augmentation import Surroundings, scene
from vivavoce.model.training.codec.autoencoder import Autoencoder
from vivavoce.model.training.codec.encoder import DELAY_FRAMES, LATENTS, STEP_FRAMES, WIDTH, Encoder
from vivavoce.model.training.codec.shards import FRAME, Pair, floats, read

CHECKED: Final = 15
OTHERS: Final = 0.5
"""Share of the crops that begin with another voice than joe's."""
GAP: Final = (2, 8)
"""Frames of silence between clips that share a crop, at least and at most."""
ENOUGH: Final = 14
"""Frames that must be left for another clip."""
FADE: Final = FRAME // 8


@dataclass(frozen=True, slots=True)
class Clip:
    """A pair of T frames with what was computed of it; all float16 but the codes' vectors."""

    sound: NDArray[np.int16]
    latents: NDArray[np.float16]
    taught: NDArray[np.float16]
    read: NDArray[np.float32]

    @property
    def frames(self) -> int:
        return len(self.latents)


@dataclass(frozen=True, slots=True)
class Lesson:
    """A batch; see the module's page. `weight`: (B, T)."""

    sound: Tensor
    taught: Tensor
    latents: Tensor
    read: Tensor
    weight: Tensor


class Lessons:
    """Draws lessons of `crop` frames from the shards in `folder`: files `joe-*` and any others.

    Raises `ValueError` when there are none."""

    def __init__(self, folder: Path, published: Encoder, codec: Autoencoder, *, crop: int, seed: int) -> None:
        self._crop = crop
        self._train: dict[bool, list[Clip]] = {True: [], False: []}  # by whether joe speaks
        self.checked: list[Clip] = []
        for path in sorted(folder.glob("*-*.npz")):
            for number, clip in enumerate(_clips(path, published, codec)):
                kept = self._train[path.name.startswith("joe")] if number % CHECKED else self.checked
                kept.append(clip)
        if not any(self._train.values()):
            raise ValueError(f"expected shards of pairs in {folder}, found none")
        crowd = [clip for clips in self._train.values() for clip in clips[:60]]
        heard = [floats(clip.sound) for clip in crowd]
        self._around = Surroundings.make(heard, np.random.default_rng(seed))
        self._taken = np.random.default_rng((seed, 1))

    @property
    def seconds(self) -> tuple[float, float]:
        """How much of joe and of the others there is to train on."""
        both = [sum(clip.frames for clip in self._train[joe]) * FRAME / 24_000 for joe in (True, False)]
        return both[0], both[1]

    def batch(self, size: int, rng: np.random.Generator) -> Lesson:
        """Training crops."""
        return _stacked([self._lesson(rng) for _ in range(size)])

    def check(self) -> list[Lesson]:
        """The clips kept apart, each in a scene that is the same every time, in small batches."""
        lessons = []
        for number, clip in enumerate(self.checked):
            rng = np.random.default_rng(number)
            frames = min(clip.frames, self._crop)
            lessons.append(self._laid([(clip, 0, 0, frames)], rng))
        return [_stacked(lessons[at : at + 8]) for at in range(0, len(lessons), 8)]

    def _lesson(self, rng: np.random.Generator) -> Lesson:
        pieces, at = [], 0
        while self._crop - at >= ENOUGH:
            clip = self._drawn(rng)
            frames = min(clip.frames, self._crop - at)
            first = int(rng.integers(0, (clip.frames - frames) // STEP_FRAMES + 1)) * STEP_FRAMES
            pieces.append((clip, first, at, frames))
            at += (frames + int(rng.integers(*GAP))) // STEP_FRAMES * STEP_FRAMES
        return self._laid(pieces, rng)

    def _drawn(self, rng: np.random.Generator) -> Clip:
        clips = self._train[bool(rng.random() >= OTHERS)] or self._train[True] or self._train[False]
        return clips[int(rng.integers(len(clips)))]

    def _laid(self, pieces: Sequence[tuple[Clip, int, int, int]], rng: np.random.Generator) -> Lesson:
        """Pieces of clips (clip, its first frame, where in the crop, frames), in one scene."""
        crop = self._crop
        sound, weight = np.zeros(crop * FRAME, np.float32), np.zeros(crop, np.float32)
        taught, latents = np.zeros((2 * crop, WIDTH), np.float32), np.zeros((crop, LATENTS), np.float32)
        vectors = np.zeros((crop, pieces[0][0].read.shape[1]), np.float32)
        for clip, first, at, frames in pieces:
            last, end = first + frames, at + frames
            heard = floats(clip.sound[first * FRAME : last * FRAME])
            heard[:FADE] *= np.linspace(0, 1, FADE)
            sound[at * FRAME : end * FRAME] = heard
            taught[2 * at : 2 * end] = clip.taught[2 * first : 2 * last]
            latents[at:end], vectors[at:end] = clip.latents[first:last], clip.read[first:last]
            weight[at : end if end < crop else end - DELAY_FRAMES] = 1  # the last ones lack what comes after them
        heard = scene(sound, self._around, rng)
        return Lesson(*(torch.from_numpy(array)[None] for array in (heard, taught, latents, vectors, weight)))


def _stacked(lessons: Sequence[Lesson]) -> Lesson:
    names = ("sound", "taught", "latents", "read", "weight")
    return Lesson(*(torch.cat([getattr(lesson, name) for lesson in lessons]) for name in names))


@torch.no_grad()
def _clips(path: Path, published: Encoder, codec: Autoencoder) -> list[Clip]:
    """Those of a shard, with what is to be learned of them."""
    pairs = read(path)
    kept = path.with_suffix(".taught.npy")
    if not kept.exists():
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.save(file, np.concatenate([_taught(pair, published) for pair in pairs]))
        part.replace(kept)
    taught, at, clips = np.load(kept), 0, []
    for pair in pairs:
        frames = pair.latents.shape[1] // 4
        latents = torch.from_numpy(np.ascontiguousarray(pair.latents.T, np.float32))[None]
        scores = (latents - codec.mean) / codec.spread  # (1, 4 T, 192)
        clips.append(
            Clip(
                np.round(pair.sound * 32_768).astype(np.int16),
                scores.reshape(frames, LATENTS).numpy().astype(np.float16),
                taught[at : at + 2 * frames],
                codec.reader(scores)[0].numpy(),
            )
        )
        at += 2 * frames
    return clips


def _taught(pair: Pair, published: Encoder) -> NDArray[np.float16]:
    """What the ears as published make of the clean sound, (2 T, 288)."""
    return published.teach(torch.from_numpy(pair.sound)[None])[0].numpy().astype(np.float16)
