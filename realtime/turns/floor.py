"""Whose turn is it? The one place that decides, from windows of sound.

    ┌──────┐  speech in quiet (Onset)    ┌──────┐
    │ OPEN │ ──────────────────────────► │ USER │   TurnStarted, then TurnSound for every window
    └──────┘ ◄────────────────────────── └──────┘
       │  ▲
       │  └─ over the assistant: Overlap decides, and says meanwhile how loud it may be (Overlapped)
       │       over (Endpoint): TurnEnded
       │       or taken away: release()
       └── silence for idle_timeout_ms, nobody busy: TurnIdle

With manual turns (`detection` None) there is no floor to give: all sound is TurnSound, and the client says when a
turn ends.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

import numpy as np

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.model.turns.overlap_classifier import CATCH_LEAD
from vivavoce.realtime.events import Loudness, Overlapped, TurnDetection, TurnEnded, TurnIdle, TurnSound, TurnStarted
from vivavoce.realtime.turns.barge_in import BargeIn, Overhear, Verdict
from vivavoce.realtime.turns.endpointing import AskEndpoint, Endpointing
from vivavoce.realtime.turns.vad import Debounce, Vad, level_of


@dataclass(frozen=True, slots=True)
class AskOverlap:
    """The ears should say what `samples` are: what was said over the assistant so far, `age` windows from sample `at`
    on, and `CATCH_LEAD` windows before them."""

    at: int
    age: int
    samples: Samples


FloorFact = TurnStarted | TurnSound | TurnEnded | TurnIdle | Overlapped | AskEndpoint | AskOverlap


MANUAL_THRESHOLD: Final = 0.5

REMEMBERED_MS: Final = 2000
"""What is kept of the past besides the padding: an overlap may turn out late to have been an interruption."""

LOUDNESS: Final[dict[Verdict, Loudness]] = {Verdict.DUCK: "ducked", Verdict.HOLD: "held", Verdict.RESUME: "full"}


class Floor:
    """Turns windows of sound into facts about turns. Times are samples since the first window."""

    def __init__(self, detection: TurnDetection | None, overhear: Overhear | None = None, ears: bool = False) -> None:
        """`overhear`: what the classifier makes of sound over the assistant; without it, its length decides. `ears`:
        whoever gets a `AskOverlap` sees to an answer."""
        self.position = 0
        self.turn_start = 0  # of the open turn, or of the last one
        self._past: deque[tuple[Samples, bool]] = deque()
        self._past_samples = 0
        self._idle = 0
        self._endpoint: Endpointing | None = None
        self._onset = Debounce()
        self.overlap = BargeIn(overhear, ears)
        self._overlap_at = 0
        self._wary = False  # a turn had to be ended; what has been going on ever since is no new one
        self.retune(detection)

    def retune(self, detection: TurnDetection | None) -> None:
        """Takes new settings. An open turn goes on under them."""
        self._detection = detection
        self._vad = Vad(detection.threshold if detection else MANUAL_THRESHOLD)
        self._onset.reset()
        self.overlap.reset()
        if self._endpoint is not None:
            self._endpoint = Endpointing(detection) if detection else None

    @property
    def taken(self) -> bool:
        """The user has the floor."""
        return self._endpoint is not None

    def receive(self, samples: Samples, probability: float, audible: bool, busy: bool) -> list[FloorFact]:
        """Takes the next window and its speech probability.

        `audible`: the assistant's voice can be heard now, and has not all but ended; `busy`: it is about to speak."""
        self.position += len(samples)
        level = level_of(samples)
        voiced = self._vad.receive(probability, level, audible)
        if self._detection is None:
            return [TurnSound(samples, voiced)]
        if self._endpoint is not None:
            return [TurnSound(samples, voiced), *self._watch(self._endpoint, voiced, len(samples))]
        self._remember(samples, voiced)
        if self._wary and voiced:
            return self._wait(len(samples), disturbed=True)
        self._wary = False
        if audible and self._onset.begun and not self.overlap.active:
            return self._precede(voiced, self._detection)
        if audible or self.overlap.active:
            return self._judge(voiced, audible, level, self._detection)
        age = self._onset.receive(voiced)
        if age:
            return self._begin(age, self._detection)
        return self._wait(len(samples), busy or voiced)

    def answer(self, at: int, probability: float) -> list[FloorFact]:
        """Takes the judge's answer to `AskEndpoint(at)`."""
        if self._endpoint is not None and self._endpoint.answer(at, probability):
            return self._end(self._endpoint)
        return []

    def heard(self, text: str, finished: float | None = None) -> list[FloorFact]:
        """Takes the words of the open turn, with nothing said since, and how `finished` the ears find it."""
        if self._endpoint is not None and self._endpoint.heard(text, finished):
            return self._end(self._endpoint)
        return []

    def caught(self, at: int, age: int, text: str, interruption: float | None, asked: bool) -> list[FloorFact]:
        """Takes the ears' answer to `AskOverlap(at, age)`; see `BargeIn.caught`. One about a sound that has passed
        does not count."""
        if self._detection is None or self._endpoint is not None or at != self._overlap_at:
            return []
        return self._follow(self.overlap.caught(age, text, interruption, asked), self._detection)

    def give_up(self) -> list[FloorFact]:
        """Ends a turn that does not end by itself (noise that sounds like speech, or a line gone dead). Noise that goes
        on opens no other one before it pauses."""
        silence = self._endpoint.silence if self._endpoint else 0
        self.release()
        self._wary = True
        return [TurnEnded(self.position, silence)]

    def release(self) -> None:
        """The open turn was closed or dropped by somebody else; what was heard before belongs to no later turn."""
        self._endpoint = None
        self._onset.reset()
        self.overlap.reset()
        self._past.clear()
        self._past_samples = self._idle = 0

    def _precede(self, voiced: bool, detection: TurnDetection) -> list[FloorFact]:
        """A window of somebody who began to speak just before the assistant did: who goes on after a pause that was
        taken for an end. They are not speaking over it, and it waits until it is known whether they speak at all."""
        self._idle = 0
        age = self._onset.receive(voiced)
        if age:
            return self._begin(age, detection)
        return [Overlapped("held" if voiced else "full")]

    def _judge(self, voiced: bool, audible: bool, level: float, detection: TurnDetection) -> list[FloorFact]:
        """A window while the assistant speaks, or a sound is judged that began then."""
        self._idle = 0
        self._onset.reset()
        verdict = self.overlap.receive(voiced, audible, level)
        if verdict is Verdict.DUCK:
            self._overlap_at = self.position - len(self._past[-1][0])
        facts = self._follow(verdict, detection)
        if self.overlap.wanted:
            sound = [samples for samples, _ in self._past][-self.overlap.age - CATCH_LEAD :]
            facts.append(AskOverlap(self._overlap_at, self.overlap.age, np.concatenate(sound)))
        return facts

    def _follow(self, verdict: Verdict, detection: TurnDetection) -> list[FloorFact]:
        if verdict is Verdict.CUT:
            return self._begin(self.overlap.age, detection)
        loudness = LOUDNESS.get(verdict)
        return [Overlapped(loudness)] if loudness else []

    def _watch(self, endpoint: Endpointing, voiced: bool, samples: int) -> list[FloorFact]:
        match endpoint.receive(voiced, samples, self.position):
            case AskEndpoint() as ask:
                return [ask]
            case True:
                return self._end(endpoint)
            case _:
                return []

    def _begin(self, age: int, detection: TurnDetection) -> list[FloorFact]:
        self._endpoint = Endpointing(detection)
        spoken = sum(len(samples) for samples, _ in list(self._past)[-age:])
        padding = detection.prefix_padding_ms * SAMPLE_RATE // 1000
        keep = min(self._past_samples, spoken + padding)
        while self._past_samples - len(self._past[0][0]) >= keep:
            self._past_samples -= len(self._past.popleft()[0])
        self.turn_start = self.position - self._past_samples
        facts: list[FloorFact] = [TurnStarted(self.turn_start)]
        facts += [TurnSound(samples, voiced) for samples, voiced in self._past]
        quiet = sum(len(samples) for samples, _ in takewhile(lambda window: not window[1], reversed(self._past)))
        self._onset.reset()
        self.overlap.reset()
        self._past.clear()
        self._past_samples = self._idle = 0
        return [*facts, *self._watch(self._endpoint, False, quiet)] if quiet else facts

    def _end(self, endpoint: Endpointing) -> list[FloorFact]:
        self.release()
        return [TurnEnded(self.position, endpoint.silence)]

    def _remember(self, samples: Samples, voiced: bool) -> None:
        """Keeps what a turn that begins now would have to include: prefix padding and the windows looked back at."""
        assert self._detection is not None
        self._past.append((samples, voiced))
        self._past_samples += len(samples)
        bound = (self._detection.prefix_padding_ms + REMEMBERED_MS) * SAMPLE_RATE // 1000
        while self._past_samples - len(self._past[0][0]) >= bound:
            self._past_samples -= len(self._past.popleft()[0])

    def _wait(self, samples: int, disturbed: bool) -> list[FloorFact]:
        assert self._detection is not None
        self._idle = 0 if disturbed else self._idle + samples
        limit_ms = self._detection.idle_timeout_ms
        if limit_ms is None or self._idle < limit_ms * SAMPLE_RATE // 1000:
            return []
        start, self._idle = self.position - self._idle, 0
        return [TurnIdle(start, self.position)]
