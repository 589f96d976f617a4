"""A model whose every word is a tone of its own, so that a recording tells exactly which words were heard, and how far.

engine = ScriptedEngine-like: ToneEngine(words=20, seconds=0.3)
spans(recorded) -> [(word, seconds of it)] in the order in which they sounded
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import numpy as np

from harness.fakes import ScriptedDialogue, ScriptedEngine
from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.model.dialogue import AudioToken, Done, ReplySpec, ReplyToken, TextToken, WordEnd

FIRST_HZ, STEP_HZ = 400, 120
LOOK = SAMPLE_RATE // 50
QUIET = 0.02


def tone(word: int, seconds: float) -> Samples:
    """The word's sound; it neither begins nor ends with a click."""
    n = round(seconds * SAMPLE_RATE)
    edge = np.minimum(1, np.minimum(np.arange(n), np.arange(n)[::-1]) / (SAMPLE_RATE * 0.005))
    samples = 0.3 * edge * np.sin(2 * np.pi * (FIRST_HZ + STEP_HZ * word) * np.arange(n) / SAMPLE_RATE)
    return np.asarray(samples, np.float32)


class ToneDialogue(ScriptedDialogue):
    """Says "w00 w01 w02 ...", faster than it is spoken."""

    def __init__(self, words: int, seconds: float) -> None:
        super().__init__()
        self._words, self._seconds = words, seconds

    async def reply(self, spec: ReplySpec) -> AsyncGenerator[ReplyToken]:
        self.specs.append(spec)
        chars, samples = 0, 0
        for word in range(self._words):
            text = f"w{word:02d}" if not word else f" w{word:02d}"
            sound = tone(word, self._seconds)
            chars, samples = chars + len(text), samples + len(sound)
            yield TextToken(text)
            yield AudioToken(sound, (WordEnd(chars, samples),))
            await asyncio.sleep(self._seconds / 4)
        yield Done("stop")


class ToneEngine(ScriptedEngine):
    """Each call gets a `ToneDialogue`."""

    def __init__(self, words: int = 20, seconds: float = 0.3) -> None:
        super().__init__()
        self._words, self._seconds = words, seconds

    def open(self) -> ScriptedDialogue:
        self.dialogues.append(ToneDialogue(self._words, self._seconds))
        return self.dialogues[-1]


def spans(recorded: Samples) -> list[tuple[int, float]]:
    """The words in a recording and the seconds of each; one that is begun anew is there twice."""
    found: list[tuple[int, float]] = []
    window = np.hanning(LOOK)
    for start in range(0, len(recorded) - LOOK + 1, LOOK):
        frame = recorded[start : start + LOOK]
        if np.sqrt(np.mean(frame**2)) < QUIET:
            continue
        peak = np.argmax(np.abs(np.fft.rfft(frame * window, 4096))) * SAMPLE_RATE / 4096
        word = round((peak - FIRST_HZ) / STEP_HZ)
        if found and found[-1][0] == word:
            found[-1] = (word, found[-1][1] + LOOK / SAMPLE_RATE)
        else:
            found.append((word, LOOK / SAMPLE_RATE))
    return found


def pitch(samples: Samples, rate: int = SAMPLE_RATE) -> float:
    """The strongest frequency, in Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * rate / len(samples)
