"""The judge beside the floor: asked on a thread of its own, one look at a time.

    Ask ──► start ──► judge (tens of milliseconds) ──► Judged, by way of the call's inbox
                                                  └──► overdue(): the floor waits for it, when sound runs ahead

Live sound never waits. Sound that comes faster than real time (a file appended at once) would be through before the
first answer; it waits when it is `LAG` ahead, so that a recording is heard as if it had been spoken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from vivavoce.model.dialogue import SAMPLE_RATE, Samples
from vivavoce.realtime.turns.endpoint import Ask
from vivavoce.realtime.turns.listener import Listener

LAG: Final = 3 * SAMPLE_RATE // 10
"""Samples (0.3 s) that the floor may be ahead of the judge."""

PATIENCE: Final = 1.0
"""Seconds that the call waits for the judge. Then the turn ends by silence alone."""

Judge = Callable[[Samples], Awaitable[float]]
"""Is the turn complete whose end these samples hold (16 kHz, at most 8 s)? A probability."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The judge's answer to `Ask(at)`: the probability that the turn is complete."""

    at: int
    probability: float


class Judging:
    """Carries the floor's questions to the judge."""

    def __init__(self, judge: Judge, listener: Listener) -> None:
        self._judge = judge
        self._listener = listener
        self._answer: asyncio.Task[Judged] | None = None
        self._asked_at = 0  # where the floor stood
        self._given_up = False  # it takes too long, and is not waited for again

    def start(self, ask: Ask, tasks: asyncio.TaskGroup, post: Callable[[Judged], None]) -> None:
        """Asks, unless the judge is still looking: the next candidate comes soon. The answer goes to `post`."""
        if self._answer is None or self._answer.done():
            self._asked_at = self._listener.floor.position
            self._given_up = False
            self._answer = tasks.create_task(self._look(ask, post))

    async def overdue(self) -> Judged | None:
        """Waits for the answer when the floor is too far ahead of it; None when it is not, or none comes."""
        answer = self._answer
        if answer is None or self._given_up or self._listener.floor.position - self._asked_at < LAG:
            return None
        done, _ = await asyncio.wait((answer,), timeout=PATIENCE)
        self._given_up = not done
        if not done:
            return None
        self._answer = None
        return answer.result()

    async def _look(self, ask: Ask, post: Callable[[Judged], None]) -> Judged:
        judged = Judged(ask.at, await self._judge(self._listener.recent()))
        post(judged)
        return judged
