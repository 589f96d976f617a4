"""Makes the codebook's data set: latents of the voice "joe" from texts, without making sound.

    python -m vivavoce.model.training.codec.latents FOLDER TEXTS FIRST LAST

    text ─phonemes─► durations (with VITS's noise) ─some pauses lengthened─┐
                                                   ┌───────────────────────┴───────────────┐
                               latents without noise, the target      latents with noise, an input of the encoder

TEXTS holds `fortunes`, `chatterbot` and `wordnet`, the folders of those packages' texts. Shards FIRST to LAST - 1 are
made, each by its own seed, about 7 minutes of speech in 15 s of one core. Existing shards are kept, so that a stopped
run continues, and several processes share the work. A shard is an .npz: `clean` and `noisy`, (192, T) float16, and
`lengths` of its clips, each a multiple of 4 latents.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vivavoce.codecs.onnx_session import open_onnx
from vivavoce.model.cascade.tts.english.spoken import speakable
from vivavoce.model.cascade.tts.graph import Graph
from vivavoce.model.cascade.tts.phonemes import Phonemes
from vivavoce.model.cascade.tts.piper import DURATIONS, INPUTS, LATENTS, read_config
from vivavoce.model.training import command_line, open_store
from vivavoce.model.training.data.texts import Corpus

CLIPS: Final = 100
"""Clips of a shard."""
LATENTS_PER_FRAME: Final = 4
SPEEDS: Final = (0.8, 1.3)
"""Times the usual rate of speech."""
NOISE: Final = (0.2, 0.667)
"""Scale of the latents' noise; the voice's own is the largest."""
PAUSED: Final = 0.3
"""Share of the clips with a lengthened pause (by up to `LONGEST` latents) before, inside or behind."""
LONGEST: Final = 200
WIDTH: Final = 0.8
"""Scale of the durations' noise."""
_ENCODED: Final = ("/enc_p/Split_output_0", "/enc_p/Split_output_1")  # means and log spreads, per phoneme id


Encoded = dict[str, NDArray[Any]]
"""Outputs of the text encoder and the duration predictor, by name."""


class VitsFrontEnd:
    """Runs the voice in `directory` up to its latents: text encoder, duration predictor, flow."""

    def __init__(self, directory: Path, threads: int = 1) -> None:
        path = next(iter(sorted(directory.glob("*.onnx"))))
        self.ids, _, _ = read_config(path.with_name(f"{path.name}.json"))
        graph = Graph(path)
        self._durations = open_onnx(graph.between(INPUTS, [DURATIONS, *_ENCODED]), threads)
        self._latents = open_onnx(graph.between([*INPUTS, DURATIONS, *_ENCODED], [LATENTS]), threads)

    def encode(self, ids: list[int], speed: float, width: float = WIDTH) -> Encoded:
        """Phoneme ids (N,) -> the input of `latents`; `DURATIONS` in it: latents per id, (1, 1, N), drawn anew at every
        call. `speed`: times the usual rate; `width`: noise of the durations."""
        inputs = {
            "input": np.array([ids], np.int64),
            "input_lengths": np.array([len(ids)], np.int64),
            "scales": np.array([0.0, 1 / speed, width], np.float32),
        }
        made = self._durations.run(None, inputs)
        return {**inputs, **dict(zip((DURATIONS, *_ENCODED), made, strict=True))}

    def latents(self, encoded: Encoded, noise: float) -> NDArray[np.float32]:
        """Latents, (192, T), with exactly the durations in `encoded`."""
        (latents,) = self._latents.run(None, {**encoded, "scales": np.array([noise, 1, 0], np.float32)})
        return np.asarray(latents[0], np.float32)


def lengthen_pause(durations: NDArray[np.float32], silent: list[int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Lengthens one of the phonemes `silent`, in the share `PAUSED` of the clips; (1, 1, N)."""
    if silent and rng.random() < PAUSED:
        durations = durations.copy()
        durations[0, 0, rng.choice(silent)] += rng.integers(5, LONGEST)
    return durations


def make_shard(front_end: VitsFrontEnd, phonemes: Phonemes, corpus: Corpus, seed: int) -> Encoded:
    """Makes the arrays of one shard."""
    rng = np.random.default_rng(seed)
    marks = {number for mark in "^$.,!?;:" for number in front_end.ids.table[mark]}
    clean: list[NDArray[np.float16]] = []
    noisy: list[NDArray[np.float16]] = []
    while len(clean) < CLIPS:
        words = phonemes.pronounce(speakable(corpus.next()).text)
        if not words:
            continue
        ids, _ = front_end.ids.sequence(words)
        encoded = front_end.encode(ids, float(rng.uniform(*SPEEDS)))
        silent = [at for at, number in enumerate(ids) if number in marks]
        encoded[DURATIONS] = lengthen_pause(np.asarray(encoded[DURATIONS], np.float32), silent, rng)
        clip = [front_end.latents(encoded, noise) for noise in (0.0, float(rng.uniform(*NOISE)))]
        whole = clip[0].shape[1] // LATENTS_PER_FRAME * LATENTS_PER_FRAME
        clean.append(clip[0][:, :whole].astype(np.float16))
        noisy.append(clip[1][:, :whole].astype(np.float16))
    lengths = np.array([clip.shape[1] for clip in clean])
    return {"clean": np.concatenate(clean, 1), "noisy": np.concatenate(noisy, 1), "lengths": lengths}


def main(folder: Path, texts: Path, first: int, last: int) -> None:
    """Makes the shards `first` to `last` - 1 that do not exist yet."""
    store = open_store()
    front_end, phonemes = VitsFrontEnd(store.path("piper-joe")), Phonemes()
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, last):
        path = folder / f"latents-{number:04d}.npz"
        if path.exists():
            continue
        corpus = Corpus(texts / "fortunes", texts / "chatterbot", texts / "wordnet", number)
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, **make_shard(front_end, phonemes, corpus, number))  # type: ignore[arg-type] # numpy's stub
        part.replace(path)
        print(path, flush=True)


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses the command line."""
    parser = command_line(__doc__)
    parser.add_argument("folder", type=Path, help="where the shards latents-*.npz go")
    parser.add_argument("texts", type=Path, help="folder with the texts: fortunes, chatterbot, wordnet")
    parser.add_argument("first", type=int, help="number of the first shard")
    parser.add_argument("last", type=int, help="number after the last shard")
    return parser.parse_args(argv)


if __name__ == "__main__":
    options = arguments()
    main(options.folder, options.texts, options.first, options.last)
