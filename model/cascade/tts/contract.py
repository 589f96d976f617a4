"""Defines the contract of a TTS: text in, chunks of sound with word ends out. See the package for the stages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from vivavoce.codecs.audio import Samples
from vivavoce.model.cascade.tts.styles import PLAIN, Style
from vivavoce.model.dialogue import WordEnd

SLOWEST: Final = 0.25
FASTEST: Final = 1.5
"""Factors of speed, the range of the Realtime API."""


@dataclass(frozen=True, slots=True)
class Speech:
    """The next chunk of an utterance: `samples` float32 mono at 24 kHz, never empty.

    `words` are the word ends that fall into it: `chars` from the start of the spoken text, `sample` from the start of
    the utterance, both never falling. The last word end of an utterance has all of its text's characters.
    """

    samples: Samples
    words: tuple[WordEnd, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """The part of a text to speak: without its first `said` characters, which were spoken already and end with a word;
    and, where it breaks off in mid-sentence (`goes_on`), without its last word. The whole text shapes the part, so that
    parts spoken one after the other sound as one."""

    said: int = 0
    goes_on: bool = False


WHOLE: Final = Part()


class Tts(Protocol):
    """A synthesizer with one or more voices."""

    @property
    def names(self) -> tuple[str, ...]:
        """The voices it has, the default first."""

    def speak(
        self, text: str, *, name: str = "", speed: float = 1.0, part: Part = WHOLE, style: Style = PLAIN
    ) -> Iterator[Speech]:
        """Speaks `part` of `text` (a clause or more, as written), a chunk at a time; yields nothing for text without
        words. Word ends count the characters of the whole text.

        A plain generator for one worker thread: `next` does the work, and closing it ends the work. `name` "" is the
        default voice. A TTS follows the `pace` of `style`, and more of it where it can. Raises `UnknownVoice`, and
        `ValueError` for a `speed` outside 0.25..1.5.
        """


def check_speed(speed: float, style: Style = PLAIN) -> float:
    """The speed in this style, within `SLOWEST`..`FASTEST`. Raises `ValueError` for a `speed` outside."""
    if not SLOWEST <= speed <= FASTEST:
        raise ValueError(f"speed {speed} is outside {SLOWEST}..{FASTEST}")
    return min(max(speed * style.pace, SLOWEST), FASTEST)
