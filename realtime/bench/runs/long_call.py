"""One long call: hours on one connection, a turn every half minute, and what the server holds as it grows old.

    call ─► turn ─► rest ─► turn … ──► waits of early and late turns; memory, descriptors, threads, tasks

What only time brings shows here: packet numbers that begin again (after 22 minutes), keys that roll over with them,
clocks that drift apart, a history that outgrows the model's context. The caller forgets what is past, as a person.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from vivavoce.realtime.bench.caller.caller import Caller
from vivavoce.realtime.bench.caller.prepare import Play
from vivavoce.realtime.bench.caller.script import SETTLE
from vivavoce.realtime.bench.measure.audio_truth import LIMIT
from vivavoce.realtime.bench.measure.distribution import Distribution, describe
from vivavoce.realtime.bench.runs.run import Plan, caller_of
from vivavoce.realtime.bench.runs.soak import Sample, growth, look

EVERY: Final = 30.0
"""Seconds from one turn to the next."""

EARLY: Final = 0.25
"""Share of the turns at the beginning, and at the end, that are compared."""


@dataclass(frozen=True, slots=True)
class LongCall:
    """`early`, `late`: voice to voice in ms, of the first and of the last turns. `failure`: why it ended before its
    time. `slopes`: growth of each count per hour."""

    minutes: float
    turns: int
    missed: int
    failure: str
    early: Distribution | None
    late: Distribution | None
    samples: tuple[Sample, ...]
    slopes: dict[str, float]


@dataclass(slots=True)
class _Talk:
    """The conversation as it goes on. `waits`: seconds to the answer of each turn; None where none came."""

    play: Play
    plan: Plan
    minutes: float
    every: float
    pid: int
    progress: Callable[[Sample], None]
    waits: list[float | None] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    async def converse(self, caller: Caller) -> None:
        began = time.monotonic()
        await caller.pause(SETTLE)
        while (elapsed := time.monotonic() - began) < self.minutes * 60:
            number = len(self.waits)
            said = caller.say(self.play.acts[number % len(self.play.acts)].clip, "turn", number)
            await caller.until(said.ended)
            heard = await caller.reply(said.ended, LIMIT)
            self.waits.append(None if heard is None else heard - said.ended)
            await caller.quiet()
            self.samples.append(await look(self.plan.target, self.pid, number + 1, elapsed))
            self.progress(self.samples[-1])
            caller.forget()
            await caller.pause(max(1.0, self.every * len(self.waits) - (time.monotonic() - began)))


async def long_call(
    play: Play, plan: Plan, minutes: float, pid: int, progress: Callable[[Sample], None], every: float = EVERY
) -> LongCall:
    """Keeps one call for `minutes`, with a turn `every` so many seconds.

    Raises `Refused`, and `Broken` when no connection comes about."""
    caller = caller_of(play, plan, 0)
    talk = _Talk(play, plan, minutes, every, pid, progress)
    began = time.monotonic()
    record = await caller.call(talk.converse, plan.transport, play.scenario.name)
    part = max(1, round(EARLY * len(talk.waits)))
    return LongCall(
        minutes=round((time.monotonic() - began) / 60, 1),
        turns=len(talk.waits),
        missed=talk.waits.count(None),
        failure=record.failure,
        early=_waits(talk.waits[:part]),
        late=_waits(talk.waits[-part:]),
        samples=tuple(talk.samples),
        slopes=growth(talk.samples, lambda sample: sample.seconds, 3600.0),
    )


def values(found: LongCall) -> dict[str, Any]:
    """JSON values."""
    return asdict(found)


def _waits(waits: list[float | None]) -> Distribution | None:
    return describe([1000 * wait for wait in waits if wait is not None])
