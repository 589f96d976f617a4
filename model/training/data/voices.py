"""Synthesizes the multi-speaker corpus: Kokoro's voices read the training texts, with phoneme durations.

    python -m vivavoce.model.training.data.voices WORDNET FOLDER [--clips N]

    texts ─► some fifty voices at changing speed ─► FOLDER/<n>-<voice>.npz
             sound   int16 mono at 24 kHz
             tokens  the phonemes: one number of Kokoro's vocabulary per symbol, a 0 at both ends
             frames  duration of each, in frames of 25 ms
             words   the phonemes, words separated by blanks

With the durations another voice can be made to say the same in the same time (codec/aligned_voices.py). Evaluation
voices do not take part. A second run continues the first; a stopped run has clips of all voices. About one second of
one core per second of speech.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from vivavoce.codecs.onnx_session import open_onnx
from vivavoce.model.cascade.tts.english.spoken import speakable
from vivavoce.model.cascade.tts.graph import Graph
from vivavoce.model.cascade.tts.kokoro import read_styles
from vivavoce.model.cascade.tts.phonemes import Phonemes, Word
from vivavoce.model.cascade.tts.symbols import read_numbers, sequence
from vivavoce.model.training import command_line, open_store
from vivavoce.model.training.data.texts import ShortSentences

SEED: Final = 7
CLIPS: Final = 4000
SPEEDS: Final = (0.85, 1.25)
HELD_OUT: Final = ("af_nova", "am_onyx", "bf_lily", "bm_fable", "zf_xiaoyi")
"""Voices for measuring."""
DURATIONS: Final = "/encoder/Clip_output_0"


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip to synthesize."""

    name: str
    text: str
    voice: str
    speed: float


def clips(wordnet: Path, voices: list[str], count: int = CLIPS) -> Iterator[Clip]:
    """Yields `count` clips, the same on every run; English voices three times as often as those of other languages."""
    draw, texts = random.Random(SEED), ShortSentences(wordnet, SEED)
    weighted = [voice for voice in sorted(voices) if voice not in HELD_OUT for _ in range(3 if voice[0] in "ab" else 1)]
    order: list[str] = []
    for number in range(count):
        if not order:
            order = draw.sample(weighted, len(weighted))
        voice = order.pop()
        yield Clip(f"{number:05}-{voice}", texts.next(), voice, round(draw.uniform(*SPEEDS), 2))


class AlignedKokoro:
    """Kokoro with the durations of its phonemes; `folder` is the catalog's artefact."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        graph = Graph(next(iter(sorted(folder.glob("*.onnx")))))
        self._session = open_onnx(graph.between(("tokens", "style", "speed"), ["audio", DURATIONS]), 1)
        self._numbers = read_numbers(folder / "vocab.json")
        self._phonemes = Phonemes()

    def words(self, text: str) -> tuple[Word, ...]:
        """Returns the phonemes of `text`."""
        return self._phonemes.pronounce(speakable(text).text)

    def speak(self, clip: Clip) -> dict[str, np.ndarray]:
        """Synthesizes a clip; returns the arrays of its file."""
        words = self.words(clip.text)
        numbers, _ = sequence(words, self._numbers)
        styles = read_styles(self._folder / "voices" / f"{clip.voice}.bin")
        tokens = np.array([[0, *numbers, 0]], np.int64)
        speed = np.array([clip.speed], np.float32)
        feeds = {"tokens": tokens, "style": styles[len(numbers) - 1][None], "speed": speed}
        sound, durations = self._session.run(None, feeds)
        return {
            "sound": np.round(np.clip(sound.reshape(-1), -1, 1) * 32_767).astype(np.int16),
            "tokens": tokens[0].astype(np.int16),
            "frames": np.round(durations.reshape(-1)).astype(np.int16),
            "words": np.array(" ".join(word.symbols for word in words)),
        }


def main(wordnet: Path, folder: Path, count: int = CLIPS) -> None:
    """Synthesizes the clips that are not in `folder` yet."""
    store = open_store()
    tts = AlignedKokoro(store.path("kokoro"))
    voices = [file.stem for file in (store.path("kokoro") / "voices").glob("*.bin")]
    folder.mkdir(parents=True, exist_ok=True)
    for clip in clips(wordnet, voices, count):
        path = folder / f"{clip.name}.npz"
        if path.exists():
            continue
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, **tts.speak(clip))  # type: ignore[arg-type] # numpy's stub
        part.replace(path)


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses the command line."""
    parser = command_line(__doc__)
    parser.add_argument("wordnet", type=Path, help="WordNet's folder")
    parser.add_argument("folder", type=Path, help="where the clips go")
    parser.add_argument("--clips", type=int, default=CLIPS, help="how many (default: %(default)s)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    options = arguments()
    main(options.wordnet, options.folder, options.clips)
