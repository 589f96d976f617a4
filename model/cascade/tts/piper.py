"""Speaks with Piper's voice "joe": a VITS network, cut in two so that the first sound comes before the rest.

    phoneme ids ─► front: text encoder, durations, flow ─► latents (1, 192, T) at 86.13 frames/s + frames per id
                                                              │ first 17 frames, then 35, then 69 each
                                  12 frames of context ◄──────┤
                                  on both sides               ▼
    Speech ◄─ say() ◄─ 24 kHz ◄─ soxr ◄─ 22.05 kHz ◄─ back: HiFi-GAN

The back's receptive field is below 12 frames to each side, so chunks equal the whole to rounding. One front pass per
clause; its noise makes two readings differ, unless `noise=False`. Source: Kim et al. 2021 (VITS); voice
en_US-joe-medium of the Piper project.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.codecs.onnx_session import open_onnx
from vivavoce.model.cascade.tts.contract import WHOLE, Part, Speech, check_speed
from vivavoce.model.cascade.tts.graph import Graph
from vivavoce.model.cascade.tts.names import JOE, resolve
from vivavoce.model.cascade.tts.phonemes import Phonemes, Word
from vivavoce.model.cascade.tts.styles import PLAIN, Style
from vivavoce.model.cascade.tts.utterance import Rendering, say, sounding
from vivavoce.model.errors import BrokenTts

PIPER_RATE: Final = 22_050
HOP: Final = 256
"""Samples of a latent frame."""
CONTEXT: Final = 12
"""Frames the decoder needs on either side."""
FIRST_FRAMES: Final = 17
LARGEST_FRAMES: Final = 69
"""Frames in the first chunk (0.2 s) and in the later ones (0.8 s); between, they double."""
GAIN: Final = 1.0
LATENTS: Final = "/Mul_7_output_0"  # the input of /dec/conv_pre/Conv
DURATIONS: Final = "/Ceil_output_0"
INPUTS: Final = ("input", "input_lengths", "scales")


class Piper:
    """The voice in `directory`, which holds one `.onnx` file and its `.json`. Raises `BrokenTts`.

    Implements `Tts`. Safe to share between threads; `threads`: of one `speak`.
    """

    def __init__(self, directory: Path, threads: int, *, phonemes: Phonemes | None = None, noise: bool = True) -> None:
        path = next(iter(sorted(directory.glob("*.onnx"))), None)
        if path is None:
            raise BrokenTts(f"no voice model (*.onnx) in {directory}")
        self._ids, noise_scale, noise_width = read_config(path.with_name(f"{path.name}.json"))
        self._noise = (noise_scale, noise_width) if noise else (0.0, 0.0)
        graph = Graph(path)
        # Measured: optimising the front's 2 687 nodes takes half a second and makes it no faster.
        self._front = open_onnx(graph.between(INPUTS, [LATENTS, DURATIONS]), threads, optimise=False)
        self._back = open_onnx(graph.between([LATENTS], ["output"]), threads)
        self._phonemes = phonemes or Phonemes()

    @property
    def names(self) -> tuple[str, ...]:
        return (JOE,)

    def speak(
        self, text: str, *, name: str = "", speed: float = 1.0, part: Part = WHOLE, style: Style = PLAIN
    ) -> Iterator[Speech]:
        """See `Tts.speak`."""
        resolve(name, self.names)
        speed = check_speed(speed, style)
        yield from say(text, self._phonemes, partial(self._render, speed=speed), speed, part)

    def encode(self, words: Sequence[Word], speed: float) -> tuple[NDArray[np.float32], list[int]]:
        """The latents, (1, 192, T), and the frame at which each word's sound ends."""
        ids, ends = self._ids.sequence(words)
        scale, width = self._noise
        latents, durations = self._front.run(
            None,
            {
                "input": np.array([ids], np.int64),
                "input_lengths": np.array([len(ids)], np.int64),
                "scales": np.array([scale, 1 / speed, width], np.float32),
            },
        )
        frames = np.cumsum(durations.reshape(-1)).astype(int)
        return latents, [int(frames[end - 1]) for end in ends]

    def decode(self, latents: NDArray[np.float32], start: int = 0, end: int | None = None) -> Iterator[Samples]:
        """The sound of the frames `start` to `end` of `latents` at 22 050 Hz, 256 samples a frame, in growing
        chunks."""
        total, size = latents.shape[2], FIRST_FRAMES
        end = total if end is None else end
        while start < end:
            stop = min(start + size, end)
            left, right = max(0, start - CONTEXT), min(total, stop + CONTEXT)
            (sound,) = self._back.run(None, {LATENTS: latents[:, :, left:right]})
            yield sound.reshape(-1)[(start - left) * HOP : (stop - left) * HOP]
            start, size = stop, min(2 * size + 1, LARGEST_FRAMES)

    def _render(self, words: Sequence[Word], first: int, last: int, *, speed: float) -> Rendering:
        latents, ends = self.encode(words, speed)
        start = ends[first - 1] if first else 0
        sound = self.decode(latents, start, None if last == len(words) else ends[last - 1])
        samples = [(frame - start) * HOP * SAMPLE_RATE // PIPER_RATE for frame in ends[first:last]]
        return Rendering(samples, GAIN, _resampled(sound))


class Ids:
    """The voice's ids of phonemes: in espeak's alphabet, with a pad between any two."""

    def __init__(self, table: dict[str, list[int]]) -> None:
        from sanotts.piper_g2p import misaki_to_espeak_ipa

        self.table = table
        self._translate = misaki_to_espeak_ipa

    def sequence(self, words: Sequence[Word]) -> tuple[list[int], list[int]]:
        """The ids of `words`, and the count of them at which each word's sound ends. Symbols that the voice lacks are
        left out."""
        pad = self.table["_"]
        ids = [*self.table["^"], *pad]
        ends: list[int] = []
        for number, word in enumerate(words):
            sound = sounding(word.symbols)
            if number:
                ids += self.table[" "] + pad
            ids += self.numbers(sound)
            ends.append(len(ids))
            ids += self._numbers(word.symbols[len(sound) :])
        return ids + self.table["$"], ends

    def numbers(self, symbols: str) -> list[int]:
        """The ids of a word's symbols, or of its first ones."""
        return self._numbers(self._translate(symbols))

    def _numbers(self, ipa: str) -> list[int]:
        symbols = unicodedata.normalize("NFD", ipa)
        pad = self.table["_"]
        return [number for symbol in symbols if symbol in self.table for number in (*self.table[symbol], *pad)]


def read_config(path: Path) -> tuple[Ids, float, float]:
    """Phoneme ids and the two noise scales from the voice's JSON file."""
    try:
        config = json.loads(path.read_text("utf-8"))
        inference = config["inference"]
        if config["audio"]["sample_rate"] != PIPER_RATE:
            raise BrokenTts(f"{path}: expected {PIPER_RATE} Hz, got {config['audio']['sample_rate']}")
        return Ids(config["phoneme_id_map"]), float(inference["noise_scale"]), float(inference["noise_w"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BrokenTts(f"cannot read the voice's settings {path}: {error!r}") from error


def _resampled(chunks: Iterator[Samples]) -> Iterator[Samples]:
    """22.05 to 24 kHz as a stream; n samples become round(n * 24000 / 22050) in all."""
    import soxr

    stream = soxr.ResampleStream(PIPER_RATE, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
    for chunk in chunks:
        yield stream.resample_chunk(chunk)
    yield stream.resample_chunk(np.zeros(0, np.float32), last=True)
