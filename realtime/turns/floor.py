"""Whose turn is it? The one place that decides, from windows of sound.

    ┌──────┐  real speech (BargeIn)      ┌──────┐
    │ OPEN │ ──────────────────────────► │ USER │   TurnStarted, then TurnSound for every window
    └──────┘ ◄────────────────────────── └──────┘
       │       over (Endpoint): TurnEnded
       │       or taken away: release()
       └── silence for idle_timeout_ms, nobody busy: TurnIdle

With manual turns (`detection` None) there is no floor to give: all sound is TurnSound, and the client says when a
turn ends.
"""

from __future__ import annotations

from collections import deque

from vivavoce.model.dialogue import SAMPLE_RATE, Samples
from vivavoce.realtime.events import TurnDetection, TurnEnded, TurnIdle, TurnSound, TurnStarted
from vivavoce.realtime.turns.barge_in import BargeIn
from vivavoce.realtime.turns.endpoint import Ask, Endpoint
from vivavoce.realtime.turns.vad import Vad

FloorFact = TurnStarted | TurnSound | TurnEnded | TurnIdle | Ask

MANUAL_THRESHOLD = 0.5


class Floor:
    """Turns windows of sound into facts about turns. Times are samples since the first window."""

    def __init__(self, detection: TurnDetection | None) -> None:
        self.position = 0
        self.turn_start = 0  # of the open turn, or of the last one
        self._past: deque[tuple[Samples, bool]] = deque()
        self._past_samples = 0
        self._idle = 0
        self._endpoint: Endpoint | None = None
        self.retune(detection)

    def retune(self, detection: TurnDetection | None) -> None:
        """Takes new settings. An open turn goes on under them."""
        self._detection = detection
        self._vad = Vad(detection.threshold if detection else MANUAL_THRESHOLD)
        self._barge_in = BargeIn()
        if self._endpoint is not None:
            self._endpoint = Endpoint(detection) if detection else None

    @property
    def taken(self) -> bool:
        """The user has the floor."""
        return self._endpoint is not None

    def receive(self, samples: Samples, probability: float, audible: bool, busy: bool) -> list[FloorFact]:
        """Takes the next window and its speech probability.

        `audible`: the assistant's voice can be heard now; `busy`: it is about to speak."""
        self.position += len(samples)
        voiced = self._vad.receive(probability)
        if self._detection is None:
            return [TurnSound(samples, voiced)]
        if self._endpoint is not None:
            return [TurnSound(samples, voiced), *self._watch(self._endpoint, voiced, len(samples))]
        self._remember(samples, voiced)
        age = self._barge_in.receive(voiced, audible)
        if age:
            return self._begin(age, self._detection)
        return self._wait(len(samples), audible or busy or voiced)

    def answer(self, at: int, probability: float) -> list[FloorFact]:
        """Takes the judge's answer to `Ask(at)`."""
        if self._endpoint is not None and self._endpoint.answer(at, probability):
            return self._end(self._endpoint)
        return []

    def release(self) -> None:
        """The open turn was closed or dropped by somebody else; what was heard before belongs to no later turn."""
        self._endpoint = None
        self._barge_in.reset()
        self._past.clear()
        self._past_samples = self._idle = 0

    def _watch(self, endpoint: Endpoint, voiced: bool, samples: int) -> list[FloorFact]:
        match endpoint.receive(voiced, samples, self.position):
            case Ask() as ask:
                return [ask]
            case True:
                return self._end(endpoint)
            case _:
                return []

    def _begin(self, age: int, detection: TurnDetection) -> list[FloorFact]:
        self._endpoint = Endpoint(detection)
        spoken = sum(len(samples) for samples, _ in list(self._past)[-age:])
        padding = detection.prefix_padding_ms * SAMPLE_RATE // 1000
        keep = min(self._past_samples, spoken + padding)
        while self._past_samples - len(self._past[0][0]) >= keep:
            self._past_samples -= len(self._past.popleft()[0])
        self.turn_start = self.position - self._past_samples
        facts: list[FloorFact] = [TurnStarted(self.turn_start)]
        facts += [TurnSound(samples, voiced) for samples, voiced in self._past]
        self._past.clear()
        self._past_samples = self._idle = 0
        return facts

    def _end(self, endpoint: Endpoint) -> list[FloorFact]:
        self.release()
        return [TurnEnded(self.position, endpoint.silence)]

    def _remember(self, samples: Samples, voiced: bool) -> None:
        """Keeps what a turn that begins now would have to include: prefix padding and the windows BargeIn looks at."""
        assert self._detection is not None
        self._past.append((samples, voiced))
        self._past_samples += len(samples)
        bound = (self._detection.prefix_padding_ms + 500) * SAMPLE_RATE // 1000
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
