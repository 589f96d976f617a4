"""Measure one long call: hours on one connection, a turn every half minute, and the server's resources over time.

    call ─► turn ─► rest ─► turn … ──► latency of early and late turns; memory, descriptors, threads, tasks

Some faults need time: RTP sequence numbers that wrap around (after 22 minutes), SRTP rollover with them, clock drift, a
history that outgrows the model's context. The caller drops old sound and events.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from vivavoce.realtime.bench.caller.caller import Caller
from vivavoce.realtime.bench.caller.prepare import PreparedScenario
from vivavoce.realtime.bench.caller.script import SETTLE
from vivavoce.realtime.bench.measure.audio_truth import LIMIT
from vivavoce.realtime.bench.measure.distribution import Distribution, describe
from vivavoce.realtime.bench.runs.run import Plan, make_caller
from vivavoce.realtime.bench.runs.soak import Sample, growth, sample

EVERY: Final = 30.0
"""Seconds from one turn to the next."""

EARLY: Final = 0.25
"""Share of the turns at the beginning, and at the end, that are compared."""


@dataclass(frozen=True, slots=True)
class LongCall:
    """`early`, `late`: voice-to-voice latency in ms of the first and of the last turns. `failure`: why the call ended
    early. `slopes`: growth of each count per hour."""

    minutes: float
    turns: int
    missed: int
    failure: str
    early: Distribution | None
    late: Distribution | None
    samples: tuple[Sample, ...]
    slopes: dict[str, float]


@dataclass(slots=True)
class _Conversation:
    """The conversation so far. `latencies`: seconds to the reply of each turn; None for a missed one."""

    play: PreparedScenario
    plan: Plan
    minutes: float
    every: float
    pid: int
    progress: Callable[[Sample], None]
    latencies: list[float | None] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    async def converse(self, caller: Caller) -> None:
        began = time.monotonic()
        await caller.pause(SETTLE)
        while (elapsed := time.monotonic() - began) < self.minutes * 60:
            number = len(self.latencies)
            said = caller.say(self.play.turns[number % len(self.play.turns)].clip, "turn", number)
            await caller.until(said.ended)
            reply = await caller.reply(said.ended, LIMIT)
            self.latencies.append(None if reply is None else reply - said.ended)
            await caller.quiet()
            self.samples.append(await sample(self.plan.target, self.pid, number + 1, elapsed))
            self.progress(self.samples[-1])
            caller.forget()
            await caller.pause(max(1.0, self.every * len(self.latencies) - (time.monotonic() - began)))


async def long_call(
    play: PreparedScenario,
    plan: Plan,
    minutes: float,
    pid: int,
    progress: Callable[[Sample], None],
    every: float = EVERY,
) -> LongCall:
    """Makes one call of `minutes`, with a turn `every` so many seconds.

    Raises `CallRefused`, and `CallBroken` when the connection fails."""
    caller = make_caller(play, plan, 0)
    conversation = _Conversation(play, plan, minutes, every, pid, progress)
    began = time.monotonic()
    record = await caller.call(conversation.converse, plan.transport, play.scenario.name)
    part = max(1, round(EARLY * len(conversation.latencies)))
    return LongCall(
        minutes=round((time.monotonic() - began) / 60, 1),
        turns=len(conversation.latencies),
        missed=conversation.latencies.count(None),
        failure=record.failure,
        early=_latency(conversation.latencies[:part]),
        late=_latency(conversation.latencies[-part:]),
        samples=tuple(conversation.samples),
        slopes=growth(conversation.samples, lambda one: one.seconds, 3600.0),
    )


def values(found: LongCall) -> dict[str, Any]:
    """JSON values."""
    return asdict(found)


def _latency(seconds: list[float | None]) -> Distribution | None:
    return describe([1000 * value for value in seconds if value is not None])
