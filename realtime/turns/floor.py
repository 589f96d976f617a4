"""Decide whose turn it is, from windows of sound. The one place that does.

    ┌──────┐  speech in quiet (Debounce)  ┌──────┐
    │ OPEN │ ───────────────────────────► │ USER │   TurnStarted, then TurnSound for every window
    └──────┘ ◄─────────────────────────── └──────┘
       │  ▲                                  over (Endpointing): TurnEnded
       │  │                                  or closed by the caller: release()
       │  └─ speech over the assistant: BargeIn decides, and sets the loudness of playback meanwhile (Overlapped)
       │
       └── silence for idle_timeout_ms, assistant not busy: TurnIdle

With manual turns (`detection` None) the floor decides nothing: all sound is TurnSound, and the client ends the turn.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

import numpy as np

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.model.turns.overlap_classifier import OVERLAP_LEAD
from vivavoce.realtime.events import Loudness, Overlapped, TurnDetection, TurnEnded, TurnIdle, TurnSound, TurnStarted
from vivavoce.realtime.turns.barge_in import BargeIn, ClassifyOverlap, Decision
from vivavoce.realtime.turns.endpointing import AskEndpoint, Endpointing
from vivavoce.realtime.turns.vad import Debounce, Vad


@dataclass(frozen=True, slots=True)
class AskOverlap:
    """Asks the ASR about the speech over the assistant so far: `samples` hold `age` windows from sample `at` on, and
    `OVERLAP_LEAD` windows before them."""

    at: int
    age: int
    samples: Samples


FloorFact = TurnStarted | TurnSound | TurnEnded | TurnIdle | Overlapped | AskEndpoint | AskOverlap


MANUAL_THRESHOLD: Final = 0.5

KEPT_MS: Final = 2000
"""Sound that is kept from before a turn, besides the padding: an overlap may turn out late to be an interruption."""

LOUDNESS: Final[dict[Decision, Loudness]] = {
    Decision.DUCK: "ducked",
    Decision.HOLD: "held",
    Decision.RESUME: "full",
}


class Floor:
    """Turns windows of sound into facts about turns. Times are samples since the first window."""

    def __init__(
        self, detection: TurnDetection | None, overlap_classifier: ClassifyOverlap | None = None, asr: bool = False
    ) -> None:
        """`overlap_classifier`: scores the sound over the assistant; without it, the length of speech decides. `asr`:
        the caller answers each `AskOverlap`."""
        self.position = 0
        self.turn_start = 0  # of the open turn, or of the last one
        self._past: deque[tuple[Samples, bool]] = deque()
        self._past_samples = 0
        self._idle = 0
        self._endpoint: Endpointing | None = None
        self._debounce = Debounce()
        self.barge_in = BargeIn(overlap_classifier, asr)
        self._overlap_at = 0
        self._stuck = False  # a turn was ended by force; the sound that goes on since is no new one
        self.retune(detection)

    def retune(self, detection: TurnDetection | None) -> None:
        """Takes new settings. They hold for an open turn, too."""
        self._detection = detection
        self._vad = Vad(detection.threshold if detection else MANUAL_THRESHOLD)
        self._debounce.reset()
        self.barge_in.reset()
        if self._endpoint is not None:
            self._endpoint = Endpointing(detection) if detection else None

    @property
    def taken(self) -> bool:
        """The user has the floor."""
        return self._endpoint is not None

    def receive(self, samples: Samples, probability: float, audible: bool, busy: bool) -> list[FloorFact]:
        """Takes the next window and its speech probability.

        `audible`: the assistant is audible now, and has not all but finished; `busy`: it is about to speak."""
        self.position += len(samples)
        level = _level(samples)
        voiced = self._vad.receive(probability, level, audible)
        if self._detection is None:
            return [TurnSound(samples, voiced)]
        if self._endpoint is not None:
            return [TurnSound(samples, voiced), *self._watch(self._endpoint, voiced, len(samples))]
        self._keep(samples, voiced)
        if self._stuck and voiced:
            return self._wait(len(samples), disturbed=True)
        self._stuck = False
        if audible and self._debounce.pending and not self.barge_in.active:
            return self._yield(voiced, self._detection)
        if audible or self.barge_in.active:
            return self._overlap(voiced, audible, level, self._detection)
        age = self._debounce.receive(voiced)
        if age:
            return self._begin(age, self._detection)
        return self._wait(len(samples), busy or voiced)

    def end_of_turn(self, at: int, probability: float) -> list[FloorFact]:
        """Takes the end-of-turn classifier's answer to `AskEndpoint(at)`."""
        if self._endpoint is not None and self._endpoint.end_of_turn(at, probability):
            return self._end(self._endpoint)
        return []

    def recognized(self, text: str, finished: float | None = None) -> list[FloorFact]:
        """Takes the words of the open turn, with nothing said since, and how `finished` the ASR finds it."""
        if self._endpoint is not None and self._endpoint.recognized(text, finished):
            return self._end(self._endpoint)
        return []

    def overlap_recognized(
        self, at: int, age: int, text: str, interruption: float | None, asked: bool
    ) -> list[FloorFact]:
        """Takes the ASR's answer to `AskOverlap(at, age)`; see `BargeIn.recognized`. One about an earlier sound does
        not count."""
        if self._detection is None or self._endpoint is not None or at != self._overlap_at:
            return []
        return self._follow(self.barge_in.recognized(age, text, interruption, asked), self._detection)

    def end_stuck_turn(self) -> list[FloorFact]:
        """Ends a turn that does not end by itself (noise that passes for speech, or a dead line). Noise that goes on
        opens no other turn before it pauses."""
        silence = self._endpoint.silence if self._endpoint else 0
        self.release()
        self._stuck = True
        return [TurnEnded(self.position, silence)]

    def release(self) -> None:
        """Drops the open turn, which the caller has closed; the sound so far belongs to no later turn."""
        self._endpoint = None
        self._debounce.reset()
        self.barge_in.reset()
        self._past.clear()
        self._past_samples = self._idle = 0

    def _yield(self, voiced: bool, detection: TurnDetection) -> list[FloorFact]:
        """A window of speech that began just before the assistant did, as after a pause that was taken for the end of
        the turn. It is no overlap: playback is held until the debounce decides."""
        self._idle = 0
        age = self._debounce.receive(voiced)
        if age:
            return self._begin(age, detection)
        return [Overlapped("held" if voiced else "full")]

    def _overlap(self, voiced: bool, audible: bool, level: float, detection: TurnDetection) -> list[FloorFact]:
        """A window over the assistant, or of an undecided sound that began over it."""
        self._idle = 0
        self._debounce.reset()
        decision = self.barge_in.receive(voiced, audible, level)
        if decision is Decision.DUCK:
            self._overlap_at = self.position - len(self._past[-1][0])
        facts = self._follow(decision, detection)
        if self.barge_in.asr_due:
            sound = [samples for samples, _ in self._past][-self.barge_in.age - OVERLAP_LEAD :]
            facts.append(AskOverlap(self._overlap_at, self.barge_in.age, np.concatenate(sound)))
        return facts

    def _follow(self, decision: Decision, detection: TurnDetection) -> list[FloorFact]:
        if decision is Decision.CUT:
            return self._begin(self.barge_in.age, detection)
        loudness = LOUDNESS.get(decision)
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
        self._debounce.reset()
        self.barge_in.reset()
        self._past.clear()
        self._past_samples = self._idle = 0
        return [*facts, *self._watch(self._endpoint, False, quiet)] if quiet else facts

    def _end(self, endpoint: Endpointing) -> list[FloorFact]:
        self.release()
        return [TurnEnded(self.position, endpoint.silence)]

    def _keep(self, samples: Samples, voiced: bool) -> None:
        """Keeps the sound that a turn beginning now would include: prefix padding, and the windows looked back at."""
        assert self._detection is not None
        self._past.append((samples, voiced))
        self._past_samples += len(samples)
        bound = (self._detection.prefix_padding_ms + KEPT_MS) * SAMPLE_RATE // 1000
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


def _level(samples: Samples) -> float:
    """The level of a window in dBFS; digital silence is -100."""
    return float(10 * np.log10(np.mean(np.square(samples)) + 1e-10))
