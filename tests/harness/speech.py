"""Speech for tests: spoken by our own voice, and understood by our own ears, apart from the server under test."""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.codecs.resample import Resampler
from vivavoce.model.cascade.asr import open_asr
from vivavoce.model.cascade.tts.piper import Piper

if TYPE_CHECKING:
    from vivavoce.model.store import Store


class Speaker:
    """Says things: the same text always in the same way. Loading takes a second; `speaker` of conftest.py is shared."""

    def __init__(self, models: Store) -> None:
        self._voice = Piper(models.path("piper-joe"), 2, noise=False)
        self._speak = cache(lambda text: tuple(self._voice.speak(text)))

    def say(self, text: str) -> Samples:
        """Speech at `SAMPLE_RATE`, without silence around it."""
        return np.concatenate([speech.samples for speech in self._speak(text)])

    def ends(self, text: str) -> dict[int, int]:
        """The sample at which each word of `say(text)` ends, by the characters up to its end."""
        return {word.chars: word.sample for speech in self._speak(text) for word in speech.words}


class Listener:
    """Understands what was said."""

    def __init__(self, models: Store) -> None:
        self._ears = open_asr("en", models.path, 2)

    def understand(self, samples: Samples) -> str:
        """The words of up to half a minute of speech at `SAMPLE_RATE`, in small letters."""
        resampler = Resampler(SAMPLE_RATE, 16_000)
        listening = self._ears.open()
        listening.push(np.concatenate((resampler.push(samples), resampler.flush())))
        hypothesis = listening.finish()
        return f"{hypothesis.stable} {hypothesis.tail}".lower()


def agrees(heard: str, written: str) -> bool:
    """Whether at least half of the written words were heard, give or take a letter. Small ears take "Peter" for "cater"
    and "Paris" for "yes": what was answered is to be asserted of the transcript, and this of its sound."""
    wanted, spoken = _words(written), _words(heard)
    if len(wanted) <= 2:  # a word or two, without a sentence around them, small ears take for anything
        return bool(wanted and spoken)
    found = sum(bool(get_close_matches(word, spoken, n=1, cutoff=0.7)) for word in wanted)
    return found >= len(wanted) / 2


def _words(text: str) -> list[str]:
    return [_DIGITS.get(word, word) for word in re.findall(r"[a-z0-9]+", text.lower())]


_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_DIGITS = {str(digit): word for digit, word in enumerate(_NUMBERS)}


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


def spoken_span(samples: Samples, rate: int, floor: float = 0.01) -> tuple[float, float]:
    """Seconds at which sound begins and ends: the first and last 10 ms above `floor` (RMS); (0, 0) for silence."""
    hop = rate // 100
    frames = samples[: len(samples) // hop * hop].reshape(-1, hop)
    loud = np.flatnonzero(np.sqrt((frames**2).mean(axis=1)) > floor)
    return (loud[0] / 100, (loud[-1] + 1) / 100) if len(loud) else (0.0, 0.0)
