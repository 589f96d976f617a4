"""What a voice takes and gives. See the package's page for the way between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from vivavoce.codecs.audio import Samples
from vivavoce.model.dialogue import WordEnd

SLOWEST: Final = 0.25
FASTEST: Final = 1.5
"""Speeds a voice can be asked for, the range of the Realtime API."""


@dataclass(frozen=True, slots=True)
class Speech:
    """The next stretch of an utterance: `samples` float32 mono at 24 kHz, never empty.

    `words` are the word ends that fall into it: `chars` from the start of the spoken text, `sample` from the start of
    the utterance, both never falling. The last word end of an utterance has all of its text's characters.
    """

    samples: Samples
    words: tuple[WordEnd, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """What of a text is to be said: not its first `said` characters, which are said already and end with a word; and
    where it breaks off in mid-sentence (`goes_on`) not its last word. What is not said still shapes what is, so that
    parts said one after the other sound as one."""

    said: int = 0
    goes_on: bool = False


WHOLE: Final = Part()


class Voice(Protocol):
    """A synthesiser with one or more voices."""

    @property
    def names(self) -> tuple[str, ...]:
        """The voices it has, its usual one first."""

    def speak(self, text: str, *, name: str = "", speed: float = 1.0, part: Part = WHOLE) -> Iterator[Speech]:
        """Says `part` of `text` (a clause or more, as written), a stretch at a time; nothing where there is nothing to
        say. Word ends count the characters of the whole text.

        A plain generator for one worker thread: work is done while the next stretch is asked for, and closing it ends
        the work. `name` "" is the usual voice. Raises `UnknownVoice`, and `ValueError` for a `speed` outside 0.25..1.5.
        """


def check_speed(speed: float) -> None:
    """Raises `ValueError` unless a voice can speak at `speed`."""
    if not SLOWEST <= speed <= FASTEST:
        raise ValueError(f"speed {speed} is outside {SLOWEST}..{FASTEST}")
