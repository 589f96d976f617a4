"""Shapes an utterance: cuts the silence before it, sets the pause behind it, removes clicks, evens the loudness.

    synthesizer's chunks ──push──►  lead-in cut · gain · silent end withheld  ──► Speech, Speech, ...
                         ──finish─►  faded end + pause

The silence withheld at the end of a chunk is given out as soon as sound follows, so the inside of the utterance does
not change, and word ends only shift by the lead-in that was cut. Pure: samples and counts in, `Speech` out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.model.cascade.tts.contract import Speech
from vivavoce.model.dialogue import WordEnd

AUDIBLE: Final = 0.01
"""Samples below this (-40 dBFS) are silence at the ends of an utterance."""
LEAD_IN: Final = SAMPLE_RATE // 50
"""20 ms before the first audible sample stay: soft consonants begin there."""
_FADE: Final = SAMPLE_RATE // 200  # 5 ms
_RISE: Final = np.linspace(0, 1, _FADE, dtype=np.float32)
_PAUSES: Final = {".": 0.28, "!": 0.28, "?": 0.28, ":": 0.2, ";": 0.2, ",": 0.12}  # seconds at speed 1
_NO_MARK: Final = 0.03  # seconds: the clause goes on


def pause_after(text: str, speed: float) -> int:
    """Samples of silence behind `text`, by its last mark."""
    return int(_PAUSES.get(text[-1:], _NO_MARK) / speed * SAMPLE_RATE)


class Shaping:
    """The shaping of one utterance.

    `words`: word ends counted in the samples pushed; `start`: samples that came before it; `pause`: samples of silence
    behind it (None: unchanged, since it goes on); `lead_in`: it begins with silence, which is cut.
    """

    def __init__(
        self, words: Sequence[WordEnd], *, start: int, pause: int | None, gain: float, lead_in: bool = True
    ) -> None:
        self._words = list(words)
        self._start = start
        self._pause = pause
        self._gain = np.float32(gain)
        self._held = np.zeros(0, np.float32)  # the silent (or last 5 ms of the) end so far
        self._cut = 0  # samples of lead-in taken away
        self._given = 0  # samples given out
        self._sounds = not lead_in

    @property
    def end(self) -> int:
        """Where the utterance ends, counted like `start`; final after `finish`."""
        return self._start + self._given

    def push(self, samples: Samples) -> Speech | None:
        """Takes the next chunk; returns the sound that is certain."""
        sound = np.clip(samples * self._gain, -1.0, 1.0)
        waiting = np.concatenate([self._held, sound])
        loud = np.flatnonzero(np.abs(waiting) > AUDIBLE)
        if not self._sounds:
            keep = max(0, int(loud[0]) - LEAD_IN) if len(loud) else max(0, len(waiting) - LEAD_IN)
            self._cut += keep
            waiting = waiting[keep:]
            loud = loud - keep
            if not len(loud):
                self._held = waiting
                return None
            self._sounds = True
        ready = min(int(loud[-1]) + 1, len(waiting) - _FADE) if len(loud) else 0
        if ready <= 0:
            self._held = waiting
            return None
        self._held = waiting[ready:]
        return self._give(waiting[:ready])

    def finish(self) -> Speech | None:
        """No chunk follows: returns the end of the sound, faded, and the pause."""
        if not self._sounds and not self._words:
            return None
        pause = len(self._held) if self._pause is None else self._pause
        end = self._held[: max(pause, _FADE)] if self._sounds else self._held[:0]
        fall = min(_FADE, len(end))
        end = np.concatenate(
            [end[: len(end) - fall], end[len(end) - fall :] * np.linspace(1, 0, fall, dtype=np.float32)]
        )
        tail = np.concatenate([end, np.zeros(max(0 if len(end) else 1, pause - len(end)), np.float32)])
        last = self._cut + self._given + fall  # no word ends beyond the sound
        self._words = [WordEnd(word.chars, min(word.sample, last)) for word in self._words]
        return self._give(tail)

    def _give(self, samples: Samples) -> Speech:
        rise = _RISE[self._given : self._given + len(samples)]
        samples = np.concatenate([samples[: len(rise)] * rise, samples[len(rise) :]])
        self._given += len(samples)
        ended: list[WordEnd] = []
        while self._words and self._words[0].sample - self._cut <= self._given:
            word = self._words.pop(0)
            ended.append(WordEnd(word.chars, self._start + max(0, word.sample - self._cut)))
        return Speech(samples, tuple(ended))
