"""Speaks with Kokoro: some thirty English voices of good quality, one pass per clause.

    phonemes + voice vector ─► network (int8) ─► 24 kHz sound + 25 ms frames per phoneme ─► chunks ─► say()

Its decoder normalizes over the whole clause, so no sound comes before the clause is computed (about its own length on
two cores); the durations for the word ends are an inner tensor made an output. Voices of other languages need a
text-to-phoneme stage of their own: `names.ENGLISH` leaves them out. Source: Kokoro-82M v1.0, after Li et al. 2023
(StyleTTS 2).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.codecs.onnx_session import open_onnx
from vivavoce.model.cascade.tts.contract import WHOLE, Part, Speech, check_speed
from vivavoce.model.cascade.tts.graph import Graph
from vivavoce.model.cascade.tts.names import ENGLISH, resolve
from vivavoce.model.cascade.tts.phonemes import Phonemes, Word
from vivavoce.model.cascade.tts.styles import PLAIN, Style
from vivavoce.model.cascade.tts.symbols import read_numbers, sequence
from vivavoce.model.cascade.tts.utterance import Rendering, say
from vivavoce.model.errors import BrokenTts

FRAME: Final = 600
"""Samples of a duration frame: 25 ms."""
LEAD: Final = 2
"""Frames by which the sound runs ahead of the durations: 20 to 90 ms, measured at the first sounds of three voices."""
CHUNK: Final = SAMPLE_RATE * 2 // 5
"""Samples of a chunk: 0.4 s."""
DEFAULT: Final = "af_heart"
_DURATIONS: Final = "/encoder/Clip_output_0"
_INPUTS: Final = ("tokens", "style", "speed")
_STYLES: Final = (510, 256)  # one vector for each number of symbols
_LOUDNESS: Final = 0.1  # RMS of the spoken samples: -20 dBFS
_LARGEST_GAIN: Final = 1.6  # 4 dB, either way


def names_in(directory: Path) -> tuple[str, ...]:
    """The English voices in `directory`, the default first; none when it is not Kokoro's."""
    names = {file.stem for file in _voice_file(directory, "_").parent.glob("*.bin") if file.stem.startswith(ENGLISH)}
    return tuple(sorted(names, key=lambda name: (name != DEFAULT, name)))


class Kokoro:
    """The voices in `directory`: one `.onnx` file, `vocab.json`, and `voices/<name>.bin`. Raises `BrokenTts`.

    Implements `Tts`. Safe to share between threads; `threads`: of one `speak`.
    """

    def __init__(self, directory: Path, threads: int, *, phonemes: Phonemes | None = None) -> None:
        path = next(iter(sorted(directory.glob("*.onnx"))), None)
        if path is None:
            raise BrokenTts(f"no voice model (*.onnx) in {directory}")
        self.names: tuple[str, ...] = names_in(directory)
        if not self.names:
            raise BrokenTts(f"no voices (af_*.bin and the like) in {directory / 'voices'}")
        self._directory = directory
        self._numbers = read_numbers(directory / "vocab.json")
        self._session = open_onnx(Graph(path).between(_INPUTS, ["audio", _DURATIONS]), threads)
        self._phonemes = phonemes or Phonemes()

    def speak(
        self, text: str, *, name: str = "", speed: float = 1.0, part: Part = WHOLE, style: Style = PLAIN
    ) -> Iterator[Speech]:
        """See `Tts.speak`."""
        styles = read_styles(_voice_file(self._directory, resolve(name, self.names)))
        speed = check_speed(speed, style)
        yield from say(text, self._phonemes, partial(self._render, styles=styles, speed=speed), speed, part)

    def _render(
        self, words: Sequence[Word], first: int, last: int, *, styles: NDArray[np.float32], speed: float
    ) -> Rendering:
        numbers, ends = sequence(words, self._numbers)
        sound, durations = self._session.run(
            None,
            {
                "tokens": np.array([[0, *numbers, 0]], np.int64),
                "style": styles[len(numbers) - 1][None],
                "speed": np.array([speed], np.float32),
            },
        )
        frames = np.cumsum(durations.reshape(-1)).astype(int)
        samples = [max(0, int(frames[end]) - LEAD) * FRAME for end in ends]
        start = samples[first - 1] if first else 0
        stop = len(sound) if last == len(words) else samples[last - 1]
        chunks = (sound[at : min(at + CHUNK, stop)] for at in range(start, stop, CHUNK))
        return Rendering([sample - start for sample in samples[first:last]], _gain(sound), chunks)


def _voice_file(directory: Path, name: str) -> Path:
    return directory / "voices" / f"{name}.bin"


def _gain(sound: Samples) -> float:
    """The gain that brings a clause half the way, in decibels, to the common loudness, within 4 dB and without
    clipping."""
    spoken = sound[np.abs(sound) > _LOUDNESS / 10]
    if not len(spoken):
        return 1.0
    ideal = (_LOUDNESS / float(np.sqrt(np.mean(spoken**2)))) ** 0.5
    bounded = min(max(ideal, 1 / _LARGEST_GAIN), _LARGEST_GAIN)
    return float(min(bounded, 0.98 / np.abs(sound).max()))


@lru_cache(maxsize=64)
def read_styles(path: Path) -> NDArray[np.float32]:
    """The style vectors of a voice, (510, 256)."""
    try:
        styles = np.fromfile(path, np.float32)
    except OSError as error:
        raise BrokenTts(f"cannot read the voice {path}: {error}") from error
    if styles.size != _STYLES[0] * _STYLES[1]:
        raise BrokenTts(f"{path}: expected {_STYLES[0] * _STYLES[1]} numbers, got {styles.size}")
    return styles.reshape(_STYLES)
