"""Two voices in step: joe says what another voice said, in the same time, so that its sound gets joe's latents.

    clip of Kokoro: sound, phonemes, durations ─┬─► joe's front half with these durations ─► latents, the target
                                                │                                              │ vocoder
                                                └─► ears' features ◄──── compared at shifts ───┴─► ears' features
    python -m vivavoce.model.training.codec.aligned_voices CLIPS FOLDER        shards of 100 pairs, see `pairs`

Kokoro's sound runs ahead of its durations by 20 to 90 ms, which differs from voice to voice: each pair is shifted to
where the ears find the two most alike, and left out where they find them unlike. A second run makes what is missing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from vivavoce.model.cascade.tts.kokoro import read_numbers
from vivavoce.model.cascade.tts.phonemes import Word
from vivavoce.model.cascade.tts.piper import DURATIONS, Ids
from vivavoce.model.cascade.tts.utterance import sounding
from vivavoce.model.store import Store, catalog, default_home
from vivavoce.model.training.codec.encoder import BLOCK, STEP, Encoder
from vivavoce.model.training.codec.latents import Front
from vivavoce.model.training.codec.shards import FRAME, LATENT, Pair, Sound, Vocoder, write

SHARD: Final = 100
KOKORO_FRAME: Final = 600
"""Samples that Kokoro's durations count in."""
EARLY: Final = 2
"""Of them, by which its sound is usually ahead of them."""
REACH: Final = 8
"""Features (23 ms) by which a pair may be shifted."""
ALIKE: Final = 0.55
"""Mean cosine of the features from which on a pair is kept."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A stretch of both alphabets: so many of Kokoro's symbols, and joe's ids, are the same sound."""

    symbols: int
    ids: int


def units(words: Sequence[Word], table: dict[str, int], ids: Ids) -> list[Unit]:
    """How the two alphabets go together, for all of a clip: as `kokoro.sequence` and `Ids.sequence` write it."""
    made = [Unit(1, 2)]
    for number, word in enumerate(words):
        if number:
            made.append(Unit(1, 2))
        sound = sounding(word.symbols)
        ends = [len(ids.numbers(sound[: n + 1])) for n in range(len(sound))]
        total = ends[-1] if ends else 0
        done = 0
        for symbol, end in zip(sound, [*ends[:-1], total], strict=True):
            end = min(max(end, done), total)
            made.append(Unit(int(symbol in table), end - done))
            done = end
        for mark in word.symbols[len(sound) :]:
            made.append(Unit(1, len(ids.numbers(mark))))
    return [*made, Unit(1, 1)]


def forced(together: Sequence[Unit], frames: NDArray[np.int16], natural: NDArray[np.float32]) -> NDArray[np.float32]:
    """joe's durations in latents, (1, 1, ids), so that each unit ends when Kokoro's does. `natural`: his own, (ids,),
    by which the time of a unit is shared out."""
    lasting = np.array(frames, np.float64) * KOKORO_FRAME / LATENT
    lasting[0] = max(0.0, lasting[0] - EARLY * KOKORO_FRAME / LATENT)
    ends: list[float] = []
    now = waiting = 0.0
    symbol = at = 0
    for unit in together:
        waiting += float(lasting[symbol : symbol + unit.symbols].sum())
        symbol += unit.symbols
        if not unit.ids:
            continue  # a sound that joe does not write: its time goes to the next one
        shares = natural[at : at + unit.ids] + 1e-3
        ends += list(now + waiting * np.cumsum(shares) / shares.sum())
        now, waiting, at = now + waiting, 0.0, at + unit.ids
    if symbol != len(frames) or at != len(natural):
        raise ValueError(f"expected {len(frames)} symbols and {len(natural)} ids, the units have {symbol} and {at}")
    return np.diff(np.round(ends), prepend=0.0).astype(np.float32)[None, None]


class Matcher:
    """Puts sound and latents in step by what the ears hear in both."""

    def __init__(self, encoder: Encoder, vocoder: Vocoder) -> None:
        self._encoder = encoder
        self._vocoder = vocoder

    def match(self, sound: Sound, latents: NDArray[np.float32]) -> tuple[float, int]:
        """How alike they are at the best shift, and by how many samples the sound has to be delayed for it."""
        ours, theirs = self._features(self._vocoder(latents)), self._features(sound)
        scores = {shift: _alike(ours, theirs, shift) for shift in range(-REACH, REACH + 1)}
        best = max(scores, key=lambda shift: scores[shift])
        before, after = (scores.get(best + step, scores[best] - 1) for step in (-1, 1))
        bend = before - 2 * scores[best] + after
        peak = best + 0.5 * (before - after) / bend if bend < 0 else best
        return scores[best], round(peak * 2) * LATENT

    @torch.no_grad()
    def _features(self, sound: Sound) -> NDArray[np.float32]:
        padded = np.pad(sound, (0, -len(sound) % STEP))
        return np.asarray(self._encoder.teach(torch.from_numpy(padded)[None])[0, 1:])


def _alike(ours: NDArray[np.float32], theirs: NDArray[np.float32], shift: int) -> float:
    """Mean cosine of our feature n and their feature n - shift."""
    length = min(len(ours), len(theirs) + shift) - max(0, shift)
    if length < 2 * BLOCK:
        return -1.0
    a, b = ours[max(0, shift) :][:length], theirs[max(0, -shift) :][:length]
    return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).mean())


def shifted(sound: Sound, delay: int, samples: int) -> Sound:
    """`sound` later by `delay` samples, which may be negative, cut or filled up to `samples`."""
    moved = np.pad(sound, (delay, 0)) if delay >= 0 else sound[-delay:]
    return np.pad(moved[:samples], (0, max(0, samples - len(moved))))


def matched(files: Sequence[Path], front: Front, matcher: Matcher, table: dict[str, int]) -> Iterator[Pair]:
    """The pairs of the clips `files`; unlike ones are left out."""
    for file in files:
        with np.load(file) as clip:
            sound, frames = clip["sound"].astype(np.float32) / 32_768, clip["frames"]
            words = [Word(symbols, 0) for symbols in str(clip["words"]).split()]
        ids, _ = front.ids.sequence(words)
        encoded = front.encode(ids, 1.0, 0.0)
        natural = encoded[DURATIONS][0, 0]
        encoded[DURATIONS] = forced(units(words, table, front.ids), frames, natural)
        latents = front.latents(encoded, 0.0)
        latents = latents[:, : latents.shape[1] // 8 * 8]  # whole steps
        alike, delay = matcher.match(sound, latents)
        print(f"{file.stem} {alike:.3f} {delay}", flush=True)
        if alike >= ALIKE:
            samples = latents.shape[1] // 4 * FRAME
            yield Pair(shifted(sound, delay, samples), latents.astype(np.float16))


def main(clips: Path, folder: Path) -> None:
    torch.set_num_threads(1)
    store = Store(default_home(os.environ, sys.platform), catalog.load())
    encoder = Encoder.pretrained(store.path("moonshine-tiny-en") / "encoder_model.ort").eval()
    matcher = Matcher(encoder, Vocoder(store.path("piper-joe")))
    front, table = Front(store.path("piper-joe")), read_numbers(store.path("kokoro") / "vocab.json")
    files = sorted(clips.glob("*.npz"))
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(len(files) // SHARD):
        path = folder / f"{clips.name}-{number:03}.npz"
        if not path.exists():
            write(path, list(matched(files[number * SHARD : (number + 1) * SHARD], front, matcher, table)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
