"""Has the user finished, or only paused?

    ┌──────────┐ first unvoiced window ┌────────┐ silence long enough, or the judge says "complete" ┌──────┐
    │ SPEAKING │ ────────────────────► │ PAUSED │ ─────────────────────────────────────────────────► │ OVER │
    └──────────┘ ◄──────────────────── └────────┘                                                    └──────┘
                     voiced window

`server_vad` waits for `silence_duration_ms`, nothing else. `semantic_vad` asks a judge (Smart Turn) about the turn so
far at a candidate end, again after longer silences, and waits at most as long as the eagerness allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vivavoce.model.dialogue import SAMPLE_RATE
from vivavoce.realtime.events import TurnDetection

CANDIDATES_MS: Final = (190, 310, 430, 600, 900, 1300, 2000, 3000)
"""Silences at which the judge is asked. It was trained on pauses of about 200 ms: asked earlier, it takes speech that
was merely broken off for complete."""

COMPLETE: Final = 0.5
"""The judge's probability from which a turn counts as complete."""

PATIENCE_MS: Final = {"high": 1000, "auto": 2000, "medium": 2000, "low": 4000}
"""Silence that ends a turn whatever the judge says. The protocol allows 2, 4, 4 and 8 s."""


@dataclass(frozen=True, slots=True)
class Ask:
    """The judge should say whether the turn that pauses at sample `at` is complete."""

    at: int


class Endpoint:
    """Watches one turn. `receive` takes its windows, `answer` what the judge says; both return True when it is over."""

    def __init__(self, detection: TurnDetection) -> None:
        self._semantic = detection.kind == "semantic_vad"
        limit_ms = PATIENCE_MS[detection.eagerness] if self._semantic else detection.silence_duration_ms
        self._limit = limit_ms * SAMPLE_RATE // 1000
        self.silence = 0  # samples of silence so far
        self._asked = 0  # candidates used up in this pause
        self._pause_at = 0

    def receive(self, voiced: bool, samples: int, position: int) -> bool | Ask:
        """Takes a window of `samples` which ends at `position`."""
        if voiced:
            self.silence = self._asked = 0
            return False
        if self.silence == 0:
            self._pause_at = position - samples
        self.silence += samples
        if self.silence >= self._limit:
            return True
        if self._semantic and self._asked < len(CANDIDATES_MS):
            due = CANDIDATES_MS[self._asked] * SAMPLE_RATE // 1000
            if self.silence >= due:
                self._asked += 1
                return Ask(self._pause_at)
        return False

    def answer(self, at: int, probability: float) -> bool:
        """Takes the judge's opinion on the pause that began `at`; one on a pause that has passed does not count."""
        return self.silence > 0 and at == self._pause_at and probability >= COMPLETE
