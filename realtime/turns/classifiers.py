"""The judge and the ears beside the floor: asked on threads of their own, each one look at a time.

    Ask, Catch ──► start ──► judge, ears (tens of milliseconds) ──► Judged, Caught, by way of the call's inbox
                                                           └──► overdue(): the floor waits, when sound runs ahead

Live sound never waits. Sound that comes faster than real time (a file appended at once) would be through before the
first answer; it waits when it is `LAG` ahead, so that a recording is heard as if it had been spoken.
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
"""Samples (0.3 s) that the floor may be ahead of the judge."""

PATIENCE: Final = 1.0
"""Seconds that the call waits for either. Then the turn ends by silence alone, and an overlap without words."""

Judge = Callable[[Samples], Awaitable[float]]
"""Is the turn complete whose end these samples hold (16 kHz, at most 8 s)? A probability."""

Ears = Callable[[Samples], Awaitable[OverlapOpinion]]
"""What was said over the assistant; see `Dialogue.classify_overlap`."""


@dataclass(frozen=True, slots=True)
class EndpointJudged:
    """The judge's answer to `AskEndpoint(at)`: the probability that the turn is complete."""

    at: int
    probability: float


@dataclass(frozen=True, slots=True)
class OverlapClassified:
    """The ears' answer to `AskOverlap(at, age)`."""

    at: int
    age: int
    heard: OverlapOpinion


Opinion = EndpointJudged | OverlapClassified


@dataclass(slots=True)
class _Look:
    """What somebody looks at, or has looked at last."""

    answer: asyncio.Task[Opinion]
    asked_at: int  # where the floor stood
    given_up: bool = False  # it takes too long, and is not waited for again


class Classifiers:
    """Carries the floor's questions to the judge and the ears."""

    def __init__(self, judge: Judge, listener: MicrophoneWindows, ears: Ears | None = None) -> None:
        """Without `ears`, whoever asks them hears that they caught nothing."""
        self._judge = judge
        self._listener = listener
        self._ears = ears
        self._looks: dict[type[AskEndpoint | AskOverlap], _Look] = {}

    def start(self, asked: AskEndpoint | AskOverlap, tasks: asyncio.TaskGroup, post: Callable[[Opinion], None]) -> None:
        """Asks, unless whom it concerns is still looking: the next question comes soon. The answer goes to `post`."""
        look = self._looks.get(type(asked))
        if look is None or look.answer.done():
            answer = tasks.create_task(self._look(asked, post))
            self._looks[type(asked)] = _Look(answer, self._listener.floor.position)

    async def overdue(self) -> Opinion | None:
        """Waits for an answer when the floor is too far ahead of it; None when it is not, or none comes."""
        for kind, look in list(self._looks.items()):
            if look.given_up or self._listener.floor.position - look.asked_at < LAG:
                continue
            done, _ = await asyncio.wait((look.answer,), timeout=PATIENCE)
            look.given_up = not done
            if done:
                del self._looks[kind]
                return look.answer.result()
        return None

    async def _look(self, asked: AskEndpoint | AskOverlap, post: Callable[[Opinion], None]) -> Opinion:
        opinion = await self._opinion(asked)
        post(opinion)
        return opinion

    async def _opinion(self, asked: AskEndpoint | AskOverlap) -> Opinion:
        if isinstance(asked, AskEndpoint):
            return EndpointJudged(asked.at, await self._judge(self._listener.recent()))
        try:
            heard = await self._ears(asked.samples) if self._ears else OverlapOpinion("")
        except DialogueError:
            heard = OverlapOpinion("")
        return OverlapClassified(asked.at, asked.age, heard)
