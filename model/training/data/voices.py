"""Kokoro's voices read the training texts, each clip a file.

    python -m vivavoce.model.training.data.voices WORDNET FOLDER

    texts ─► some fifty voices at changing speed ─► FOLDER/<n>-<voice>.npz
             sound   int16 mono at 24 kHz
             tokens  what was said: one number of Kokoro's vocabulary per symbol, a 0 at both ends
             frames  how long each lasts, in frames of 25 ms
             words   the phonemes, words separated by blanks

The durations are what makes a clip worth its second of computing per second: another voice can be made to say the
same in the same time (see `parallel`). Evaluation voices do not take part. A second run goes on where the first was
stopped, and a stopped run has all voices.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from vivavoce.codecs.onnx_session import open_onnx
from vivavoce.model.cascade.tts.english.spoken import speakable
from vivavoce.model.cascade.tts.graph import Graph
from vivavoce.model.cascade.tts.kokoro import read_numbers, read_styles, sequence
from vivavoce.model.cascade.tts.phonemes import Phonemes, Word
from vivavoce.model.store import Store, catalog, default_home
from vivavoce.model.training.data.texts import Texts

SEED: Final = 7
CLIPS: Final = 4000
SPEEDS: Final = (0.85, 1.25)
NEVER: Final = ("af_nova", "am_onyx", "bf_lily", "bm_fable", "zf_xiaoyi")
"""Voices that only measure."""
DURATIONS: Final = "/encoder/Clip_output_0"


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording to be made."""

    name: str
    text: str
    voice: str
    speed: float


def clips(wordnet: Path, voices: list[str]) -> Iterator[Clip]:
    """All recordings, the same on every run; English voices three times as often as those of other languages."""
    draw, texts = random.Random(SEED), Texts(wordnet, SEED)
    crowd = [voice for voice in sorted(voices) if voice not in NEVER for _ in range(3 if voice[0] in "ab" else 1)]
    order: list[str] = []
    for number in range(CLIPS):
        if not order:
            order = draw.sample(crowd, len(crowd))
        voice = order.pop()
        yield Clip(f"{number:05}-{voice}", texts.next(), voice, round(draw.uniform(*SPEEDS), 2))


class Reader:
    """Kokoro with its durations; `folder` is the catalogue's artefact."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        graph = Graph(next(iter(sorted(folder.glob("*.onnx")))))
        self._session = open_onnx(graph.between(("tokens", "style", "speed"), ["audio", DURATIONS]), 1)
        self._numbers = read_numbers(folder / "vocab.json")
        self._phonemes = Phonemes()

    def words(self, text: str) -> tuple[Word, ...]:
        """The phonemes of `text`."""
        return self._phonemes.pronounce(speakable(text).text)

    def read(self, clip: Clip) -> dict[str, np.ndarray]:
        """The arrays of a clip's file."""
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


def main(wordnet: Path, folder: Path) -> None:
    store = Store(default_home(os.environ, sys.platform), catalog.load())
    reader = Reader(store.path("kokoro"))
    voices = [file.stem for file in (store.path("kokoro") / "voices").glob("*.bin")]
    folder.mkdir(parents=True, exist_ok=True)
    for clip in clips(wordnet, voices):
        path = folder / f"{clip.name}.npz"
        if path.exists():
            continue
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, **reader.read(clip))  # type: ignore[arg-type] # numpy's stub
        part.replace(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
