"""Synthesizes speech for data sets and measurements with our own voices, the same on every run.

    say("I would like to, um, order.", "af_nova") ──► cache on disk ──hit──────────────────► Utterance
                                                        └─miss─► TTS ─► trimmed, levelled ────┘ + word ends, speech end

Kokoro computes as long as it speaks, so utterances are cached by text, voice, speed and the sums of the model's files,
in a folder of bounded size. joe speaks without VITS's random noise here, so that two machines make the same sound.
Noises are made in `sounds.py`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zipfile import BadZipFile

import numpy as np

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.model.cascade.tts import Tts
from vivavoce.model.dialogue import WordEnd
from vivavoce.model.store import Store
from vivavoce.model.training.data.sounds import FRAME, babble, levels, loudness

JOE: Final = "joe"
EVALUATION: Final = ("af_nova", "am_onyx", "bf_lily", "bm_fable")
"""Voices for measuring: nothing is trained or tuned on them."""
DEVELOPMENT: Final = ("joe", "af_heart", "am_adam", "bf_emma")
"""Voices to tune on."""

LOUDNESS_DB: Final = -22.0
"""Level of every utterance: root mean square of its audible frames, dBFS."""
AUDIBLE_DB: Final = -36.0
"""Speech ends with the last 10 ms that are louder than this, dBFS: 14 dB below the voice, and above its breath."""
SILENT_DB: Final = -40.0
"""Softer sound is trimmed at both ends, dBFS."""
MARGIN: Final = SAMPLE_RATE // 20
"""Samples kept before the first and after the last 10 ms that are not silent: 50 ms."""
CACHE_BYTES: Final = 512 * 1024 * 1024
"""Limit of the cache on disk; an hour of speech is about 160 MB."""

_VERSION: Final = "2"  # of the processing here; a new one makes everything anew
_BABBLE: Final = (
    "So we went down to the harbour, and there was nobody there at all, not even the man with the boats.",
    "I told her twice that the meeting was moved, but she never reads what I send her, does she?",
    "The second half was much better than the first one, though in the end they lost it anyway.",
    "If you take the early train you can be back before dinner, and it only costs twelve pounds.",
)


@dataclass(frozen=True, slots=True)
class Utterance:
    """Speech: `samples` float32 mono 24 kHz at `LOUDNESS_DB`, with at least `MARGIN` of softer sound on both sides.

    `words`: the end of each word, `chars` into `text`, in samples. `speech_start`, `speech_end`: samples at which the
    first audible 10 ms begin and the last ones end."""

    samples: Samples
    words: tuple[WordEnd, ...]
    text: str
    voice: str
    speech_start: int
    speech_end: int

    def end_of(self, part: str) -> int:
        """Sample at which the first occurrence of `part` (whole words of the text) ends."""
        last = self.text.index(part) + len(part)
        return next((word.sample for word in self.words if word.chars >= last), self.speech_end)


class Synthesizer:
    """Speaks with the voices of `store`; one per process and thread. Voices are opened at first use."""

    def __init__(self, store: Store, cache: Path | None = None, *, limit: int = CACHE_BYTES, threads: int = 1) -> None:
        """`cache`: folder of the utterances, made when missing; None: `studio`, next to the models."""
        self._store = store
        self._cache = cache or store.root.parent / "studio"
        self._limit = limit
        self._threads = threads
        self._voices: dict[str, Tts] = {}  # by artefact

    def say(self, text: str, voice: str = JOE, speed: float = 1.0) -> Utterance:
        """Speaks `text` in the voice joe or one of Kokoro's, at `speed` times the usual rate.

        Raises what `open_tts` and `Tts.speak` raise, and `ValueError` for a text without sound."""
        path = self._cache / f"{self._key(text, voice, speed)}.npz"
        cached = _read(path)
        if cached is None:
            cached = self._make(text, voice, speed)
            self._write(path, *cached)
        pcm, ends = cached
        words = tuple(WordEnd(int(chars), int(sample)) for chars, sample in ends)
        sound = pcm.astype(np.float32) / np.float32(32_768)
        return Utterance(sound, words, text, voice, *audible(sound))

    def folder(self, voice: str) -> Path:
        """Folder of a voice's files."""
        return self._store.path(_artefact(voice))

    def babble(self, seconds: float, seed: int, voices: Iterable[str] = (JOE,)) -> Samples:
        """Background speech of several talkers; see `sounds.babble`."""
        spoken = [self.say(text, voice).samples for voice in voices for text in _BABBLE]
        return babble(spoken, seconds, seed)

    def _make(self, text: str, voice: str, speed: float) -> tuple[np.ndarray, np.ndarray]:
        name = "" if voice == JOE else voice
        stretches = list(self._open(voice).speak(text, name=name, speed=speed))
        sound = np.concatenate([stretch.samples for stretch in stretches]) if stretches else np.zeros(FRAME, np.float32)
        if loudness(sound) < AUDIBLE_DB:
            raise ValueError(f"{text!r} makes no audible sound")
        sound = sound * np.float32(10 ** ((LOUDNESS_DB - loudness(sound)) / 20))
        first, last = audible(sound, SILENT_DB)
        sound = np.pad(sound, MARGIN)[first : last + 2 * MARGIN]
        ends = [(word.chars, word.sample) for stretch in stretches for word in stretch.words]
        shifted = [(chars, min(max(sample - first, 0), last - first) + MARGIN) for chars, sample in ends]
        pcm = np.round(np.clip(sound, -1, 1) * 32_767).astype(np.int16)
        return pcm, np.array(shifted, np.int64).reshape(-1, 2)

    def _open(self, voice: str) -> Tts:
        artefact = _artefact(voice)
        if artefact not in self._voices:
            from vivavoce.model.cascade.tts.kokoro import Kokoro
            from vivavoce.model.cascade.tts.piper import Piper

            folder = self._store.path(artefact)
            self._voices[artefact] = (
                Piper(folder, self._threads, noise=False) if voice == JOE else Kokoro(folder, self._threads)
            )
        return self._voices[artefact]

    def _key(self, text: str, voice: str, speed: float) -> str:
        sums = "".join(file.sha256 for file in self._store.catalog[_artefact(voice)].files)
        return hashlib.sha256("\0".join([_VERSION, sums, voice, f"{speed:.3f}", text]).encode()).hexdigest()

    def _write(self, path: Path, pcm: np.ndarray, ends: np.ndarray) -> None:
        self._cache.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        with part.open("wb") as file:
            np.savez(file, pcm=pcm, ends=ends)
        part.replace(path)
        self._sweep()

    def _sweep(self) -> None:
        """Removes the oldest utterances until the folder keeps its limit."""
        cached = []
        for file in self._cache.glob("*.npz"):
            with suppress(FileNotFoundError):  # another process sweeps too
                cached.append((file.stat().st_mtime_ns, file.stat().st_size, file))
        excess = sum(size for _, size, _ in cached) - self._limit
        for _, size, file in sorted(cached):
            if excess <= 0:
                return
            file.unlink(missing_ok=True)
            excess -= size


def audible(sound: Samples, level_db: float = AUDIBLE_DB) -> tuple[int, int]:
    """Samples at which the first 10 ms above `level_db` begin and the last ones end. Some must be above it."""
    loud = np.flatnonzero(levels(sound) > level_db)
    return int(loud[0]) * FRAME, (int(loud[-1]) + 1) * FRAME


def _artefact(voice: str) -> str:
    return "piper-joe" if voice == JOE else "kokoro"


def _read(path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """Reads a cached utterance; None when there is none, or a damaged one."""
    try:
        with np.load(path) as cached:
            return cached["pcm"], cached["ends"]
    except (OSError, ValueError, KeyError, BadZipFile, EOFError):
        return None
