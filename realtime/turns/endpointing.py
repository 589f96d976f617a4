"""Endpointing: decide whether the user has finished, or only paused.

    ┌──────────┐ first unvoiced window ┌────────┐ silence as long as the evidence asks for ┌──────┐
    │ SPEAKING │ ────────────────────► │ PAUSED │ ───────────────────────────────────────► │ OVER │
    └──────────┘ ◄──────────────────── └────────┘                                          └──────┘
                     voiced window         ▲
                                           ├── end_of_turn: the classifier's probability (Smart Turn), from the sound
                                           └── recognized: the words so far, and how finished the ASR finds them

`server_vad` waits for `silence_duration_ms`, nothing else. `semantic_vad` collects evidence at every pause: the more
surely the turn is complete, the less silence it needs. An incomplete phrase ("I would like to") overrides Smart Turn,
which often takes falling pitch for the end; a complete phrase is believed when the sound agrees. Two models judge the
sound: Smart Turn, and the ASR, by its encoder's states of the last second (`model/turns/asr_endpoint_head.py`). Without
words (another language, a late ASR) Smart Turn decides alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Final

from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.realtime.events import TurnDetection
from vivavoce.realtime.turns.phrases import Phrase, read

CANDIDATES_MS: Final = (80, 190, 310, 430, 600, 900, 1300, 2000, 3000)
"""Silences at which the end-of-turn classifier is asked, counted from the first unvoiced window, which begins 0.05 s
after the last sound in a quiet room, 0.1 s in noise. The first serves phrases that are complete by their words. It
comes after most stops within words, and leaves the cores to the ASR, whose update at the same pause the reply waits
for: asked at 32 ms, the reply was audible 60 ms later (model/LOG.md)."""

MAX_SILENCE_MS: Final = {"high": 1000, "auto": 2000, "medium": 2000, "low": 4000}
"""Silence that ends a turn whatever the evidence. The protocol allows 2, 4, 4 and 8 s."""

SCALE: Final = {"high": 0.6, "auto": 1.0, "medium": 1.0, "low": 2.0}
"""Factor of eagerness on every silence that is required."""

NEVER: Final = 100_000
SURE: Final = 1.4
LIKELY: Final = 0.0
LIKELY_WITH_ASR: Final = -2.4
"""Log-odds from which on the turn is finished by its sound: those of Smart Turn, plus those of the ASR where there are
any. The sum ranks endings much better than Smart Turn alone, so that less of it is enough not to wait longest."""
SHORT: Final = 2
SHORT_DOUBT: Final = -1.0
"""Least log-odds of the ASR for a turn of at most `SHORT` words: its head was trained on the intonation of sentences,
and "Fine." has none."""
MIN_PROBABILITY: Final = 0.01
"""Probabilities are bounded to this far from 0 and 1."""
REQUIRED_MS: Final[dict[Phrase, tuple[int, int, int]]] = {
    Phrase.COMPLETE: (120, 600, 900),
    Phrase.NEUTRAL: (120, 700, 1200),
    Phrase.SUSPENDED: (150, 600, 1200),
    Phrase.LOOSE: (900, 1100, 1300),
    Phrase.UNKNOWN: (190, 310, NEVER),
    Phrase.DICTATION: (1600, 1700, NEVER),
    Phrase.OPEN: (1700, NEVER, NEVER),
}
"""Silence required, in ms at eagerness "auto", when the turn is surely complete by its sound, when it is likely, and
when it is not. Found on the development half of the labelled turns (`model/training/data/turns.toml`)."""


@dataclass(frozen=True, slots=True)
class AskEndpoint:
    """Asks the end-of-turn classifier about the turn that pauses at sample `at`."""

    at: int


class Endpointing:
    """Watches one turn. `receive` takes its windows, `end_of_turn` the classifier's answers, `recognized` the words;
    all return True when the turn is over."""

    def __init__(self, detection: TurnDetection) -> None:
        self._semantic = detection.kind == "semantic_vad"
        limit_ms = MAX_SILENCE_MS[detection.eagerness] if self._semantic else detection.silence_duration_ms
        self._limit = _samples(limit_ms)
        self._scale = SCALE[detection.eagerness]
        self.silence = 0  # samples of silence so far
        self._pause_at = 0
        self._asked = 0  # candidates used up in this pause
        self._probabilities: list[float] = []  # the classifier's answers about this pause
        self._phrase = Phrase.UNKNOWN
        self._short = False  # of a word or two
        self._finished: float | None = None  # the ASR's first probability for this pause

    def receive(self, voiced: bool, samples: int, position: int) -> bool | AskEndpoint:
        """Takes a window of `samples` which ends at `position`."""
        if voiced:
            self.silence = 0
            return False
        if self.silence == 0:
            self._pause_at = position - samples
            self._begin_pause()
        self.silence += samples
        if self.silence >= self._limit or self._over():
            return True
        if self._asked < len(CANDIDATES_MS) and self.silence >= _samples(CANDIDATES_MS[self._asked]):
            self._asked += 1
            return AskEndpoint(self._pause_at) if self._semantic else False
        return False

    def end_of_turn(self, at: int, probability: float) -> bool:
        """Takes the classifier's answer about the pause that began `at`; one about an earlier pause does not count."""
        if self.silence == 0 or at != self._pause_at:
            return False
        self._probabilities.append(probability)
        return self._over()

    def recognized(self, text: str, finished: float | None = None) -> bool:
        """Takes the words of the turn, with nothing said since, and the ASR's probability that they were the last;
        words that arrive while the user speaks do not count."""
        if self.silence == 0:
            return False
        self._phrase = read(text)
        self._short = len(text.split()) <= SHORT
        self._finished = finished if self._finished is None else self._finished  # more silence only misleads the ASR
        return self._over()

    def _begin_pause(self) -> None:
        self._asked, self._probabilities, self._phrase, self._finished = 0, [], Phrase.UNKNOWN, None

    def _over(self) -> bool:
        if not self._semantic or not self._probabilities:
            return False
        sure, likely, unlikely = REQUIRED_MS[self._phrase]
        log_odds, enough = self._weigh()
        required = sure if log_odds >= SURE else likely if log_odds >= enough else unlikely
        return self.silence >= min(_samples(round(required * self._scale)), self._limit)

    def _weigh(self) -> tuple[float, float]:
        """Log-odds that the turn is finished by its sound, and those from which on that is likely."""
        classifier = _log_odds(sum(self._probabilities) / len(self._probabilities))  # a mean: single answers are noisy
        if self._finished is None:
            return classifier, LIKELY
        asr = _log_odds(self._finished)
        return classifier + (max(asr, SHORT_DOUBT) if self._short else asr), LIKELY_WITH_ASR


def _log_odds(probability: float) -> float:
    bounded = min(max(probability, MIN_PROBABILITY), 1 - MIN_PROBABILITY)
    return log(bounded / (1 - bounded))


def _samples(milliseconds: int) -> int:
    return milliseconds * SAMPLE_RATE // 1000
