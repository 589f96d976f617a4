"""Speaks with hibari: Kokoro's voice "heart" and others of its voices, distilled into networks of 6 M weights each.

    ids ─┬► text      phoneme states (1, L, 128), prosody states (1, L, 192), durations (L,) at 40 a second
         │                                             │ repeated by the durations
         │                                             ▼
         │            prosody ─► f0, loudness (1, T) at 80 a second
         └──────────────────────────┐                  │
                                    ▼                  ▼
                     Frames: (1, 130, T), phoneme state, pitch and loudness ─────┐  first 16 frames, then 32, 64 each
                                                                                 │  27 before, 12 behind for context
    Speech ◄─ say() ◄─ 24 kHz ◄─ Synthesis ◄─ spectra (601, n) ◄─ decoder ◄──────┘

One file is one voice, cut here into three networks. The decoder reaches 27 frames to either side; it quantises its
activations to 8 bits by the range of the sound at hand, so that chunks differ from the whole by its rounding noise.
Durations, pitch and loudness pass through here as arrays; speed divides the durations, so that the pitch stays.
Source: hibari-tts 0.2.1 (Apache-2.0).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vivavoce.codecs.audio import Samples
from vivavoce.codecs.onnx_session import open_onnx
from vivavoce.model.cascade.tts.contract import WHOLE, Part, Speech, check_speed
from vivavoce.model.cascade.tts.graph import Graph
from vivavoce.model.cascade.tts.harmonic_noise import BEHIND, HOP, UNVOICED, Pulses, Synthesis
from vivavoce.model.cascade.tts.names import HEART, resolve
from vivavoce.model.cascade.tts.phonemes import Phonemes, Word
from vivavoce.model.cascade.tts.styles import PLAIN, Style
from vivavoce.model.cascade.tts.symbols import read_numbers, sequence
from vivavoce.model.cascade.tts.utterance import Rendering, say, sounding
from vivavoce.model.errors import BrokenTts

PAST: Final = 27
"""Frames before a chunk that the decoder reaches."""
AHEAD: Final = 12
"""Frames behind a chunk that the decoder is given: with 0.15 s the sound differs from the whole by -27 dB, with all 27
frames by -28."""
FIRST_FRAMES: Final = 16
LARGEST_FRAMES: Final = 64
"""Frames in the first chunk (0.2 s) and in the later ones (0.8 s); between, they double."""
LEAD: Final = 5
"""Frames by which the sound runs ahead of the durations: moved by these, it is voiced where the phonemes are."""
MARGIN: Final = 4
"""Frames made before the first phoneme, whose sound may begin early. What is before them is silence: it would be cut,
and is not computed."""
QUIET: Final = 0.4
"""Loudness of a frame below which nothing can be heard: about -44 dBFS."""
FALLING: Final = "what where who how why which when whose whom what's where's who's how's"
"""A question with one of these among its first two words ends low, as does one with "or"."""
RISE: Final = (-2.0, 6.0)
"""Semitones above the mean at which the last word of other questions begins and ends; the networks let it fall."""
RISE_FRAMES: Final = 32
PER_DURATION: Final = 2
"""Frames in a unit of duration, which is 25 ms."""
GAIN: Final = 1.1
"""Brings the voice to the loudness of joe."""

DURATIONS: Final = "/Div_40_output_0"
TEXT: Final = "/Transpose_22_output_0"
PROSODY_TEXT: Final = "/Transpose_55_output_0"
PROSODY_IN: Final = "/Gather_33_output_0"
LOUDNESS: Final = "/Gather_37_output_0"
DECODER_IN: Final = "/Concat_43_output_0"
SPECTRA: Final = ("lh", "theta", "ln", "lr", "phi")

Array = NDArray[np.float32]


def names_in(directory: Path) -> tuple[str, ...]:
    """The voices in `directory`, the default first."""
    return tuple(sorted((file.stem for file in directory.glob("*.onnx")), key=lambda name: (name != HEART, name)))


class Hibari:
    """The voices in `directory`, which holds `heart.onnx` and `vocab.json`, and in `more`. Raises `BrokenTts`.

    Implements `Tts`. Safe to share between threads; `threads`: of one `speak`. Voices but the default are opened at
    first use (0.2 s).
    """

    def __init__(
        self, directory: Path, threads: int, *, more: Path | None = None, phonemes: Phonemes | None = None
    ) -> None:
        if HEART not in names_in(directory):
            raise BrokenTts(f"no voice model {HEART}.onnx in {directory}")
        self._files = {
            name: folder / f"{name}.onnx" for folder in (directory, more) if folder for name in names_in(folder)
        }
        self.names: tuple[str, ...] = tuple(self._files)
        self._numbers = read_numbers(directory / "vocab.json")
        self._threads = threads
        self._opening = threading.Lock()
        self._open = {HEART: Networks(self._files[HEART], threads)}  # bounded by the files
        self._phonemes = phonemes or Phonemes()
        self._falling = {_bare(word.symbols) for word in self._phonemes.pronounce(FALLING)}
        self._choice = {_bare(word.symbols) for word in self._phonemes.pronounce("tea or coffee")[1:2]}

    def speak(
        self, text: str, *, name: str = "", speed: float = 1.0, part: Part = WHOLE, style: Style = PLAIN
    ) -> Iterator[Speech]:
        """See `Tts.speak`."""
        networks = self.networks(resolve(name, self.names))
        speed = check_speed(speed, style)
        yield from say(
            text, self._phonemes, partial(self._render, networks=networks, speed=speed, style=style), speed, part
        )

    def networks(self, name: str) -> Networks:
        """The networks of the voice `name`, one of `names`."""
        with self._opening:
            if name not in self._open:
                self._open[name] = Networks(self._files[name], self._threads)
            return self._open[name]

    def encode(self, words: Sequence[Word], speed: float, networks: Networks) -> tuple[Frames, int, list[int]]:
        """The frames of `words`, the frame with which the first one begins, and that at which each one's sound ends."""
        numbers, ends = sequence(words, self._numbers)
        phones = networks.phones([0, *numbers, 0], speed)
        frames = networks.frames(phones)
        at = np.maximum(np.cumsum(phones.durations) * PER_DURATION - LEAD, 0)
        return frames, int(at[0]), [_audible_end(frames.loudness, int(at[end])) for end in ends]

    def _rises(self, words: Sequence[Word]) -> bool:
        """Whether `words` are a question that is answered by yes or no, as far as words can tell."""
        bare = [_bare(word.symbols) for word in words]
        falls = self._falling.intersection(bare[:2]) or self._choice.intersection(bare)
        return words[-1].symbols.endswith("?") and not falls

    def _render(
        self, words: Sequence[Word], first: int, last: int, *, networks: Networks, speed: float, style: Style
    ) -> Rendering:
        frames, begin, ends = self.encode(words, speed, networks)
        frames = intoned(frames, style)
        if self._rises(words):
            frames = risen(frames, ends[-2] if len(ends) > 1 else begin, ends[-1])
        start = ends[first - 1] if first else max(0, begin - MARGIN)
        stop = len(frames.f0) if last == len(words) else ends[last - 1]
        samples = [(end - start) * HOP for end in ends[first:last]]
        return Rendering(samples, GAIN * 10 ** (style.level / 20), networks.decode(frames, start, stop, style.breath))


def intoned(frames: Frames, style: Style) -> Frames:
    """`frames` with melody and pitch of `style`."""
    voiced = frames.f0 > UNVOICED
    if not voiced.any() or (style.melody, style.pitch) == (1.0, 0.0):
        return frames
    f0 = frames.f0.copy()
    mean = np.exp(np.log(f0[voiced]).mean())
    f0[voiced] = mean * (f0[voiced] / mean) ** style.melody * 2 ** (style.pitch / 12)
    return Frames(frames.states, f0, frames.loudness)


def risen(frames: Frames, start: int, end: int) -> Frames:
    """`frames` with a pitch that rises towards `end`, over what is voiced of the last word, from `start`, at most 0.4 s
    of it."""
    voiced = frames.f0 > UNVOICED
    last = np.flatnonzero(voiced[:end] & (np.arange(end) >= max(start, end - RISE_FRAMES)))
    if not len(last):
        return frames
    f0 = frames.f0.copy()
    mean = np.exp(np.log(f0[voiced]).mean())
    f0[last] = mean * 2 ** (np.interp(last, last[[0, -1]], RISE) / 12)
    return Frames(frames.states, f0, frames.loudness)


def _bare(symbols: str) -> str:
    """The phonemes of a word, without stress and marks."""
    return sounding(symbols).replace("ˈ", "").replace("ˌ", "")


def whole_durations(durations: Array) -> NDArray[np.int64]:
    """`durations` (L,) in whole units, at least 1 each; what one is rounded by is made up for by the next ones, so that
    the sound is as long as all of them together."""
    whole = np.ones(len(durations), np.int64)
    owed = 0.0
    for number, duration in enumerate(durations.tolist()):
        whole[number] = max(1, round(duration + owed))
        owed = min(max(owed + duration - int(whole[number]), -1.0), 1.0)
    return whole


def _audible_end(loudness: Array, end: int) -> int:
    """The frame at which the sound before `end` ends: the last phoneme before a pause lasts into it."""
    heard = np.flatnonzero(loudness[:end] > QUIET)
    return int(heard[-1]) + 1 if len(heard) else end


@dataclass(frozen=True, slots=True)
class Phones:
    """What the text network makes of L ids: `durations` (L,) in units of 25 ms, at least 1 each; `states` (128, L) for
    the decoder, `prosody` (192, L) for the prosody network."""

    durations: NDArray[np.int64]
    states: Array
    prosody: Array


@dataclass(frozen=True, slots=True)
class Frames:
    """T frames of 12.5 ms: `states` (128, T) of phonemes, `f0` (T,) in Hz, below 40 without voice, `loudness` (T,)."""

    states: Array
    f0: Array
    loudness: Array


class Networks:
    """One voice: the model in `path`, cut in three. Raises `BrokenTts`."""

    def __init__(self, path: Path, threads: int) -> None:
        graph = Graph(path)
        # Measured: optimising makes the networks a sixth faster and takes no time that could be noticed.
        self._text = open_onnx(graph.between(["ids", "speed"], [DURATIONS, TEXT, PROSODY_TEXT]), threads)
        self._prosody = open_onnx(graph.between([PROSODY_IN], ["f0", LOUDNESS]), threads)
        self._decoder = open_onnx(graph.between([DECODER_IN], SPECTRA), threads)

    def phones(self, ids: Sequence[int], speed: float) -> Phones:
        """Reads `ids`, which have a 0 at both ends."""
        durations, states, prosody = self._text.run(
            None, {"ids": np.array([ids], np.int64), "speed": np.array([speed], np.float32)}
        )
        return Phones(whole_durations(durations.reshape(-1)), states[0], prosody[0])

    def frames(self, phones: Phones) -> Frames:
        """Lays `phones` out in time, and adds pitch and loudness."""
        prosody = np.repeat(phones.prosody, phones.durations, axis=1)  # (192, T / 2)
        f0, loudness = self._prosody.run(None, {PROSODY_IN: prosody[None]})
        return Frames(np.repeat(phones.states, phones.durations * PER_DURATION, axis=1), f0[0], loudness[0])

    def decode(self, frames: Frames, start: int = 0, stop: int | None = None, breath: float = 0.0) -> Iterator[Samples]:
        """The sound of the frames `start` to `stop` at 24 kHz, 300 samples a frame, in growing chunks. `breath`: share
        of the voice that is breath, 1: a whisper."""
        total = len(frames.f0)
        stop = total if stop is None else stop
        pitch = np.log1p(np.maximum(frames.f0, 0)) / 5
        inputs = np.concatenate([frames.states, pitch[None], frames.loudness[None]])[None]  # (1, 130, T)
        at = max(0, start - 1)  # the next frame whose spectrum is needed: the one before sounds on into `start`
        synthesis, skip = Synthesis(Pulses(frames.f0), at, breath), (start - at + BEHIND) * HOP
        size = FIRST_FRAMES
        while start < stop:
            last = start + size if start + size + BEHIND < min(total, stop) else stop
            end, first = min(last + BEHIND, total), max(0, at - PAST)
            spectra = self._decoder.run(None, {DECODER_IN: inputs[:, :, first : min(end + AHEAD, total)]})
            sound = synthesis.push(*(part[0, :, at - first : end - first] for part in spectra))
            if last + BEHIND > total:
                sound = np.concatenate([sound, synthesis.finish()])
            yield sound[skip:][: (last - start) * HOP]
            start, at, skip, size = last, end, 0, min(2 * size, LARGEST_FRAMES)
