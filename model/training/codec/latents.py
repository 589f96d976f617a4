"""Latents of the voice "joe", without their sound.

    python -m vivavoce.model.training.codec.latents FOLDER TEXTS FIRST LAST

    text ─phonemes─► durations (noise as usual) ─some pauses made longer─┐
                                                  ┌──────────────────────┴───────────────┐
                              latents without noise, the target     latents with noise, what the encoder reads

TEXTS holds `fortunes`, `chatterbot` and `wordnet`, the folders of those packages' texts. Shards FIRST to LAST - 1 are
made, each by its own seed, about 7 minutes of speech in 15 s of one core; those that exist are left, so that a stopped
run goes on, and several processes share the work. A shard is an .npz: `clean` and `noisy`, (192, T) float16, and
`lengths` of its clips, each a multiple of 4 latents.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vivavoce.codecs.onnx_session import open_onnx
from vivavoce.model.cascade.tts.english.spoken import speakable
from vivavoce.model.cascade.tts.graph import Graph
from vivavoce.model.cascade.tts.phonemes import Phonemes
from vivavoce.model.cascade.tts.piper import DURATIONS, INPUTS, LATENTS, read_config
from vivavoce.model.store import Store, catalog, default_home
from vivavoce.model.training.data.texts import Prose

CLIPS: Final = 100
"""In a shard."""
LATENTS_PER_FRAME: Final = 4
SPEEDS: Final = (0.8, 1.3)
NOISE: Final = (0.2, 0.667)
"""The voice's own noise is the largest."""
PAUSED: Final = 0.3
"""Share of the clips with a long pause (up to `LONGEST` latents) before, inside or behind."""
LONGEST: Final = 200
WIDTH: Final = 0.8
"""Noise of the durations."""
_ENCODED: Final = ("/enc_p/Split_output_0", "/enc_p/Split_output_1")  # means and log spreads, per phoneme id


Encoded = dict[str, NDArray[Any]]
"""What the text encoder and the durations' network make of phoneme ids."""


class Front:
    """The front half of the voice in `directory`: phonemes in, latents out."""

    def __init__(self, directory: Path, threads: int = 1) -> None:
        path = next(iter(sorted(directory.glob("*.onnx"))))
        self.ids, _, _ = read_config(path.with_name(f"{path.name}.json"))
        graph = Graph(path)
        self._timing = open_onnx(graph.between(INPUTS, [DURATIONS, *_ENCODED]), threads)
        self._sounding = open_onnx(graph.between([*INPUTS, DURATIONS, *_ENCODED], [LATENTS]), threads)

    def encode(self, ids: list[int], speed: float, width: float = WIDTH) -> Encoded:
        """Ids (N,) -> what `latents` needs; under `DURATIONS` the latents per id, (1, 1, N), other ones at every
        call."""
        inputs = {
            "input": np.array([ids], np.int64),
            "input_lengths": np.array([len(ids)], np.int64),
            "scales": np.array([0.0, 1 / speed, width], np.float32),
        }
        made = self._timing.run(None, inputs)
        return {**inputs, **dict(zip((DURATIONS, *_ENCODED), made, strict=True))}

    def latents(self, encoded: Encoded, noise: float) -> NDArray[np.float32]:
        """(192, T) with exactly the durations in `encoded`."""
        (latents,) = self._sounding.run(None, {**encoded, "scales": np.array([noise, 1, 0], np.float32)})
        return np.asarray(latents[0], np.float32)


def paused(durations: NDArray[np.float32], silent: list[int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Durations with one of the phonemes `silent` made longer, in some of the clips."""
    if silent and rng.random() < PAUSED:
        durations = durations.copy()
        durations[0, 0, rng.choice(silent)] += rng.integers(5, LONGEST)
    return durations


def shard(front: Front, phonemes: Phonemes, prose: Prose, seed: int) -> Encoded:
    """The clips of one shard."""
    rng = np.random.default_rng(seed)
    marks = {number for mark in "^$.,!?;:" for number in front.ids.table[mark]}
    clean: list[NDArray[np.float16]] = []
    noisy: list[NDArray[np.float16]] = []
    while len(clean) < CLIPS:
        words = phonemes.pronounce(speakable(prose.next()).text)
        if not words:
            continue
        ids, _ = front.ids.sequence(words)
        encoded = front.encode(ids, float(rng.uniform(*SPEEDS)))
        silent = [at for at, number in enumerate(ids) if number in marks]
        encoded[DURATIONS] = paused(np.asarray(encoded[DURATIONS], np.float32), silent, rng)
        both = [front.latents(encoded, noise) for noise in (0.0, float(rng.uniform(*NOISE)))]
        whole = both[0].shape[1] // LATENTS_PER_FRAME * LATENTS_PER_FRAME
        clean.append(both[0][:, :whole].astype(np.float16))
        noisy.append(both[1][:, :whole].astype(np.float16))
    lengths = np.array([clip.shape[1] for clip in clean])
    return {"clean": np.concatenate(clean, 1), "noisy": np.concatenate(noisy, 1), "lengths": lengths}


def main(folder: Path, texts: Path, first: int, last: int) -> None:
    store = Store(default_home(os.environ, sys.platform), catalog.load())
    front, phonemes = Front(store.path("piper-joe")), Phonemes()
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, last):
        path = folder / f"latents-{number:04d}.npz"
        if path.exists():
            continue
        prose = Prose(texts / "fortunes", texts / "chatterbot", texts / "wordnet", number)
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, **shard(front, phonemes, prose, number))  # type: ignore[arg-type] # numpy's stub
        part.replace(path)
        print(path, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
