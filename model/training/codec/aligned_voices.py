"""Makes time-aligned pairs: another voice's sound, and the latents of joe saying the same in the same time.

    clip of Kokoro: sound, phonemes, durations ─┬─► joe's front end with these durations ─► latents, the target
                                                │                                             │ vocoder
                                                └─► ASR features ◄──── compared at shifts ────┴─► ASR features
    python -m vivavoce.model.training.codec.aligned_voices CLIPS FOLDER     shards <CLIPS>-<n> of up to 100 pairs

Kokoro's sound precedes its durations by 20 to 90 ms, which differs from voice to voice: each pair is shifted to the
best similarity of the ASR encoder's features, and dropped below `SIMILAR`. A second run makes the missing shards. The
folder CLIPS is to be called `spoken`: `voice_conversion` converts the shards of that name.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from vivavoce.codecs.audio import Samples
from vivavoce.model.cascade.tts.phonemes import Word
from vivavoce.model.cascade.tts.piper import DURATIONS, Ids
from vivavoce.model.cascade.tts.symbols import read_numbers
from vivavoce.model.cascade.tts.utterance import sounding
from vivavoce.model.training import command_line, open_store
from vivavoce.model.training.codec.encoder import BLOCK, STEP, Encoder
from vivavoce.model.training.codec.latents import VitsFrontEnd
from vivavoce.model.training.codec.shards import FRAME, LATENT, OnnxVocoder, Pair, write

SHARD: Final = 100
KOKORO_FRAME: Final = 600
"""Samples of one of Kokoro's duration frames, 25 ms."""
EARLY: Final = 2
"""Duration frames by which the sound usually precedes them."""
MAX_SHIFT: Final = 8
"""Largest shift of a pair, in ASR features (23 ms)."""
SIMILAR: Final = 0.55
"""Smallest mean cosine of the features of a pair that is kept."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A stretch of both phoneme alphabets: `symbols` of Kokoro's and `ids` of joe's for the same sound."""

    symbols: int
    ids: int


def align_alphabets(words: Sequence[Word], table: dict[str, int], ids: Ids) -> list[Unit]:
    """Aligns the two alphabets for a whole clip, as `symbols.sequence` and `Ids.sequence` write it."""
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


def forced_durations(
    units: Sequence[Unit], frames: NDArray[np.int16], natural: NDArray[np.float32]
) -> NDArray[np.float32]:
    """joe's durations in latents, (1, 1, ids), with each unit ending when Kokoro's does.

    `frames`: Kokoro's durations, (symbols,); `natural`: joe's own, (ids,), which divide the time within a unit."""
    durations = np.array(frames, np.float64) * KOKORO_FRAME / LATENT
    durations[0] = max(0.0, durations[0] - EARLY * KOKORO_FRAME / LATENT)
    ends: list[float] = []
    now = waiting = 0.0
    symbol = at = 0
    for unit in units:
        waiting += float(durations[symbol : symbol + unit.symbols].sum())
        symbol += unit.symbols
        if not unit.ids:
            continue  # a sound without an id of joe's: the next one gets its time
        shares = natural[at : at + unit.ids] + 1e-3
        ends += list(now + waiting * np.cumsum(shares) / shares.sum())
        now, waiting, at = now + waiting, 0.0, at + unit.ids
    if symbol != len(frames) or at != len(natural):
        raise ValueError(f"expected {len(frames)} symbols and {len(natural)} ids, the units have {symbol} and {at}")
    return np.diff(np.round(ends), prepend=0.0).astype(np.float32)[None, None]


class Aligner:
    """Aligns sound and latents by the ASR encoder's features of both."""

    def __init__(self, encoder: Encoder, vocoder: OnnxVocoder) -> None:
        self._encoder = encoder
        self._vocoder = vocoder

    def best_delay(self, sound: Samples, latents: NDArray[np.float32]) -> tuple[float, int]:
        """Returns the similarity at the best shift, and the delay of `sound` for it, in samples."""
        target, source = self._features(self._vocoder(latents)), self._features(sound)
        scores = {shift: _similarity(target, source, shift) for shift in range(-MAX_SHIFT, MAX_SHIFT + 1)}
        best = max(scores, key=lambda shift: scores[shift])
        before, after = (scores.get(best + step, scores[best] - 1) for step in (-1, 1))
        bend = before - 2 * scores[best] + after
        peak = best + 0.5 * (before - after) / bend if bend < 0 else best
        return scores[best], round(peak * 2) * LATENT

    @torch.no_grad()
    def _features(self, sound: Samples) -> NDArray[np.float32]:
        """(n,) -> (T, 288)."""
        padded = np.pad(sound, (0, -len(sound) % STEP))
        return np.asarray(self._encoder.offline(torch.from_numpy(padded)[None])[0, 1:])


def _similarity(target: NDArray[np.float32], source: NDArray[np.float32], shift: int) -> float:
    """Mean cosine of features, (T, 288): n of the target and n - shift of the source."""
    length = min(len(target), len(source) + shift) - max(0, shift)
    if length < 2 * BLOCK:
        return -1.0
    a, b = target[max(0, shift) :][:length], source[max(0, -shift) :][:length]
    return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).mean())


def shifted(sound: Samples, delay: int, samples: int) -> Samples:
    """Delays `sound` by `delay` samples, which may be negative; cut or padded to (samples,)."""
    moved = np.pad(sound, (delay, 0)) if delay >= 0 else sound[-delay:]
    return np.pad(moved[:samples], (0, max(0, samples - len(moved))))


def aligned_pairs(
    files: Sequence[Path], front_end: VitsFrontEnd, aligner: Aligner, table: dict[str, int]
) -> Iterator[Pair]:
    """Yields the pairs of the clips `files`; dissimilar ones are dropped."""
    for file in files:
        with np.load(file) as clip:
            sound, frames = clip["sound"].astype(np.float32) / 32_768, clip["frames"]
            words = [Word(symbols, 0) for symbols in str(clip["words"]).split()]
        ids, _ = front_end.ids.sequence(words)
        encoded = front_end.encode(ids, 1.0, 0.0)
        natural = encoded[DURATIONS][0, 0]
        encoded[DURATIONS] = forced_durations(align_alphabets(words, table, front_end.ids), frames, natural)
        latents = front_end.latents(encoded, 0.0)
        latents = latents[:, : latents.shape[1] // 8 * 8]  # whole steps
        similarity, delay = aligner.best_delay(sound, latents)
        print(f"{file.stem} {similarity:.3f} {delay}", flush=True)
        if similarity >= SIMILAR:
            samples = latents.shape[1] // 4 * FRAME
            yield Pair(shifted(sound, delay, samples), latents.astype(np.float16))


def main(clips: Path, folder: Path) -> None:
    """Makes the shards of the clips in `clips` that are not in `folder` yet."""
    torch.set_num_threads(1)
    store = open_store()
    encoder = Encoder.from_store(store).eval()
    aligner = Aligner(encoder, OnnxVocoder(store.path("piper-joe")))
    front_end, table = VitsFrontEnd(store.path("piper-joe")), read_numbers(store.path("kokoro") / "vocab.json")
    files = sorted(clips.glob("*.npz"))
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(len(files) // SHARD):
        path = folder / f"{clips.name}-{number:03}.npz"
        if not path.exists():
            write(path, list(aligned_pairs(files[number * SHARD : (number + 1) * SHARD], front_end, aligner, table)))


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses the command line."""
    parser = command_line(__doc__)
    parser.add_argument(
        "clips", type=Path, help="folder of the clips of data.voices; its name becomes that of the shards"
    )
    parser.add_argument("folder", type=Path, help="where the shards of pairs go")
    return parser.parse_args(argv)


if __name__ == "__main__":
    options = arguments()
    main(options.clips, options.folder)
