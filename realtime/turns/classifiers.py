"""Ask the slow models beside the floor, each on a thread of its own, one question at a time.

    AskEndpoint, AskOverlap ──► start ──► end of turn (Smart Turn), ASR (tens of milliseconds)
                                               │
                                               ├──► EndpointClassified, OverlapRecognized, into the call's inbox
                                               └──► overdue(): the floor waits, when sound runs ahead

Live sound never waits. Sound that comes faster than real time (a file appended at once) would pass before the first
answer; it waits when it is `LAG` ahead, so that a recording is processed as if it had been spoken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.model.dialogue import OverlapOpinion
from vivavoce.model.errors import DialogueError
from vivavoce.realtime.turns.endpointing import AskEndpoint
from vivavoce.realtime.turns.floor import AskOverlap
from vivavoce.realtime.turns.windows import MicrophoneWindows

LAG: Final = 3 * SAMPLE_RATE // 10
"""Samples (0.3 s) by which the floor may be ahead of an answer."""

TIMEOUT: Final = 1.0
"""Seconds that sound which runs ahead waits for an answer. Then the turn ends by silence alone, and an overlap is
decided without words."""

EndOfTurn = Callable[[Samples], Awaitable[float]]
"""The probability that the turn is complete whose end these samples hold (16 kHz, at most 8 s)."""

RecognizeOverlap = Callable[[Samples], Awaitable[OverlapOpinion]]
"""The words over the assistant, by the ASR; see `Dialogue.classify_overlap`."""


@dataclass(frozen=True, slots=True)
class EndpointClassified:
    """Answers `AskEndpoint(at)`: the probability that the turn is complete."""

    at: int
    probability: float


@dataclass(frozen=True, slots=True)
class OverlapRecognized:
    """Answers `AskOverlap(at, age)`."""

    at: int
    age: int
    opinion: OverlapOpinion


Classified = EndpointClassified | OverlapRecognized


@dataclass(slots=True)
class _Request:
    """The last question to one model, and its answer."""

    answer: asyncio.Task[Classified]
    asked_at: int  # position of the floor
    timed_out: bool = False  # not waited for again


class Classifiers:
    """Carries the floor's questions to the end-of-turn classifier and the ASR."""

    def __init__(self, end_of_turn: EndOfTurn, windows: MicrophoneWindows, asr: RecognizeOverlap | None = None) -> None:
        """Without `asr`, every overlap is answered with no words."""
        self._end_of_turn = end_of_turn
        self._windows = windows
        self._asr = asr
        self.requests: dict[type[AskEndpoint | AskOverlap], _Request] = {}
        """The last question to each model; none before the first."""

    def start(
        self, ask: AskEndpoint | AskOverlap, tasks: asyncio.TaskGroup, post: Callable[[Classified], None]
    ) -> None:
        """Asks the model, unless it is busy: the next question comes soon. The answer goes to `post`."""
        request = self.requests.get(type(ask))
        if request is None or request.answer.done():
            answer = tasks.create_task(self._answer(ask, post))
            self.requests[type(ask)] = _Request(answer, self._windows.floor.position)

    async def overdue(self) -> Classified | None:
        """Waits for an answer when the floor is too far ahead of it; None when it is not, or none comes."""
        for kind, request in list(self.requests.items()):
            if request.timed_out or self._windows.floor.position - request.asked_at < LAG:
                continue
            done, _ = await asyncio.wait((request.answer,), timeout=TIMEOUT)
            request.timed_out = not done
            if done:
                del self.requests[kind]
                return request.answer.result()
        return None

    async def _answer(self, ask: AskEndpoint | AskOverlap, post: Callable[[Classified], None]) -> Classified:
        classified = await self._classify(ask)
        post(classified)
        return classified

    async def _classify(self, ask: AskEndpoint | AskOverlap) -> Classified:
        if isinstance(ask, AskEndpoint):
            return EndpointClassified(ask.at, await self._end_of_turn(self._windows.recent()))
        try:
            opinion = await self._asr(ask.samples) if self._asr else OverlapOpinion("")
        except DialogueError:
            opinion = OverlapOpinion("")
        return OverlapRecognized(ask.at, ask.age, opinion)
