"""Has the user finished, or only paused?

    ┌──────────┐ first unvoiced window ┌────────┐ silence as long as the evidence asks for ┌──────┐
    │ SPEAKING │ ────────────────────► │ PAUSED │ ───────────────────────────────────────► │ OVER │
    └──────────┘ ◄──────────────────── └────────┘                                          └──────┘
                     voiced window         ▲
                                           ├── answer: the judge has looked at the sound (Smart Turn)
                                           └── heard: what the ears make of all that was said, and of its tune

`server_vad` waits for `silence_duration_ms`, nothing else. `semantic_vad` collects evidence at every pause and needs
the less silence the more surely the turn is complete: words that leave something open ("I would like to") outweigh a
judge who believes otherwise, for he takes many a falling tone for an end; words that are complete are believed when
the sound agrees. Of the sound two judge: Smart Turn, and the ears, by what their encoder hears in the last second
(`model/turns/asr_endpoint_head.py`). Without words (another language, ears that are late) Smart Turn decides alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Final

from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.realtime.events import TurnDetection
from vivavoce.realtime.turns.phrases import Phrase, read

CANDIDATES_MS: Final = (80, 190, 310, 430, 600, 900, 1300, 2000, 3000)
"""Silences at which the judge is asked, counted from the first window that the detector takes for silence: that is
0.05 s after the last sound in a quiet room, 0.1 s in noise. The first serves phrases that are complete by their words.
It comes after most stops within words, and leaves the cores to the ears, whose look at the same pause the answer waits
for: asked at 32 ms the answer was heard 60 ms later (model/LOG.md)."""

PATIENCE_MS: Final = {"high": 1000, "auto": 2000, "medium": 2000, "low": 4000}
"""Silence that ends a turn whatever words and judge say. The protocol allows 2, 4, 4 and 8 s."""

SCALE: Final = {"high": 0.6, "auto": 1.0, "medium": 1.0, "low": 2.0}
"""What eagerness does to every silence that is waited for to be sure."""

NEVER: Final = 100_000
SURE: Final = 1.4
LIKELY: Final = 0.0
LIKELY_TOGETHER: Final = -2.4
"""Log-odds from which on the sound is taken for finished: of the judge's answers, which the ears' opinion is added to
where there is one. Together they rank endings much better than he alone, so that less is enough not to wait longest."""
SHORT: Final = 2
SHORT_DOUBT: Final = -1.0
"""So much at most do the ears doubt that a turn of so few words is over: they have learned from the tune of sentences,
and "Fine." has none."""
ODDS_LIMIT: Final = 0.01
"""Nobody is surer than that."""
REQUIRED_MS: Final[dict[Phrase, tuple[int, int, int]]] = {
    Phrase.COMPLETE: (120, 600, 900),
    Phrase.NEUTRAL: (120, 700, 1200),
    Phrase.SUSPENDED: (150, 600, 1200),
    Phrase.LOOSE: (900, 1100, 1300),
    Phrase.UNKNOWN: (190, 310, NEVER),
    Phrase.DICTATION: (1600, 1700, NEVER),
    Phrase.OPEN: (1700, NEVER, NEVER),
}
"""Silence needed, in ms at eagerness "auto", when the turn is complete for sure by its sound, when it is likely, and
when it is not. Found on the development half of `bench/turns.toml`."""


@dataclass(frozen=True, slots=True)
class AskEndpoint:
    """The judge should say whether the turn that pauses at sample `at` is complete."""

    at: int


class Endpointing:
    """Watches one turn. `receive` takes its windows, `answer` what the judge says, `heard` the words; all return True
    when it is over."""

    def __init__(self, detection: TurnDetection) -> None:
        self._semantic = detection.kind == "semantic_vad"
        limit_ms = PATIENCE_MS[detection.eagerness] if self._semantic else detection.silence_duration_ms
        self._limit = _samples(limit_ms)
        self._scale = SCALE[detection.eagerness]
        self.silence = 0  # samples of silence so far
        self._pause_at = 0
        self._asked = 0  # candidates used up in this pause
        self._answers: list[float] = []  # the judge's, about this pause
        self._phrase = Phrase.UNKNOWN
        self._short = False  # of a word or two
        self._finished: float | None = None  # the ears' opinion of this pause, as they first heard it

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

    def answer(self, at: int, probability: float) -> bool:
        """Takes the judge's opinion on the pause that began `at`; one on a pause that has passed does not count."""
        if self.silence == 0 or at != self._pause_at:
            return False
        self._answers.append(probability)
        return self._over()

    def heard(self, text: str, finished: float | None = None) -> bool:
        """Takes the words of the turn, with nothing said since, and how likely the ears find that they were the last;
        words that come while somebody speaks do not count."""
        if self.silence == 0:
            return False
        self._phrase = read(text)
        self._short = len(text.split()) <= SHORT
        self._finished = finished if self._finished is None else self._finished  # silence behind it only misleads them
        return self._over()

    def _begin_pause(self) -> None:
        self._asked, self._answers, self._phrase, self._finished = 0, [], Phrase.UNKNOWN, None

    def _over(self) -> bool:
        if not self._semantic or not self._answers:
            return False
        sure, likely, unlikely = REQUIRED_MS[self._phrase]
        odds, enough = self._odds()
        needed = sure if odds >= SURE else likely if odds >= enough else unlikely
        return self.silence >= min(_samples(round(needed * self._scale)), self._limit)

    def _odds(self) -> tuple[float, float]:
        """How finished the turn sounds, in log-odds, and from which on that is likely."""
        judged = _log_odds(sum(self._answers) / len(self._answers))  # one look is noisy, and long silence convinces him
        if self._finished is None:
            return judged, LIKELY
        tune = _log_odds(self._finished)
        return judged + (max(tune, SHORT_DOUBT) if self._short else tune), LIKELY_TOGETHER


def _log_odds(probability: float) -> float:
    kept = min(max(probability, ODDS_LIMIT), 1 - ODDS_LIMIT)
    return log(kept / (1 - kept))


def _samples(milliseconds: int) -> int:
    return milliseconds * SAMPLE_RATE // 1000
