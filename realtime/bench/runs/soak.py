"""Soak test: many short calls, and the server's resources after them. A leak shows as a slope.

    call ─► hang up ─► call … ┐
    call ─► hang up ─► call … ├─► all have hung up ──► memory, descriptors, threads (of /proc), tasks and calls
    call ─► hang up ─► call … ┘                       (of the server, if it tells)

The first `WARM` calls do not count: caches fill, and pools grow once.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import httpx

from vivavoce.realtime.bench.caller import script
from vivavoce.realtime.bench.caller.caller import Caller
from vivavoce.realtime.bench.caller.link import CallBroken, CallRefused, Target
from vivavoce.realtime.bench.caller.prepare import PreparedScenario, PreparedTurn
from vivavoce.realtime.bench.measure.audio_truth import LIMIT
from vivavoce.realtime.bench.measure.distribution import slope
from vivavoce.realtime.bench.runs.run import Plan, make_caller
from vivavoce.realtime.bench.runs.server import vitals

WARM: Final = 0.2
"""Share of the calls after which the server has warmed up."""

CALLERS: Final = 3
"""Callers at the same time: many leaks need two calls at once."""

EVERY: Final = 12
"""Calls between two samples."""

TRIES: Final = 20
"""How often a refused caller calls, before the call counts as failed."""

EARLY_HANG_UP: Final = 0.5
"""Seconds into the reply after which most callers hang up."""

SETTLE: Final = 1.0
"""Seconds for the server to free a call, before it is sampled."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The server's resources after `calls` calls. `inner`: its own counts, such as tasks."""

    calls: int
    seconds: float
    resident: int
    descriptors: int
    threads: int
    inner: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Soak:
    """`slopes`: of each count, per 1 000 calls."""

    calls: int
    failed: int
    refused: int
    silent: int
    samples: tuple[Sample, ...]
    slopes: Mapping[str, float]


async def soak(play: PreparedScenario, plan: Plan, calls: int, pid: int, progress: Callable[[Sample], None]) -> Soak:
    """Makes `calls` calls of one turn, over the transports in turn. `silent`: calls without a reply; `refused`: how
    often a caller had to call again."""
    began = time.monotonic()
    counts = Counter[str]()
    samples: list[Sample] = []
    for first in range(0, calls, EVERY):
        after = min(first + EVERY, calls)
        numbers = iter(range(first, after))
        async with asyncio.TaskGroup() as tasks:
            for _ in range(CALLERS):
                tasks.create_task(_caller(numbers, play, plan, counts))
        await asyncio.sleep(SETTLE)
        samples.append(await sample(plan.target, pid, after, time.monotonic() - began))
        progress(samples[-1])
    return Soak(calls, counts["failed"], counts["refused"], counts["silent"], tuple(samples), slopes(samples))


async def _caller(numbers: Iterator[int], play: PreparedScenario, plan: Plan, counts: Counter[str]) -> None:
    """Makes one call after another, as long as there are `numbers`, which other callers share."""
    for number in numbers:
        transport = ("webrtc", "websocket")[number % 2] if plan.transport == "all" else plan.transport
        turn = play.turns[number % len(play.turns)]
        for _ in range(TRIES):
            try:
                caller = make_caller(play, replace(plan, transport=transport), number)
                record = await caller.call(_short(turn, number), transport, play.scenario.name)
                counts["failed"] += bool(record.failure)
                counts["silent"] += not record.of("response.created")
            except CallRefused as refused:
                counts["refused"] += 1
                await asyncio.sleep(refused.retry_after or SETTLE)
                continue
            except CallBroken:
                counts["failed"] += 1
            break
        else:
            counts["failed"] += 1


def _short(turn: PreparedTurn, number: int) -> Callable[[Caller], Awaitable[None]]:
    """One turn and its reply. Three callers of four hang up in the middle of the reply, where most work is under
    way."""

    async def converse(caller: Caller) -> None:
        await caller.pause(script.SETTLE)
        said = caller.say(turn.clip, "turn", number)
        await caller.until(said.ended)
        await caller.reply(said.ended, LIMIT)
        await (caller.pause(EARLY_HANG_UP) if number % 4 else caller.quiet())

    return converse


def slopes(samples: list[Sample]) -> dict[str, float]:
    """Growth per 1 000 calls of each count, once warm."""
    return growth(samples, lambda one: one.calls, 1000.0)


def growth(samples: list[Sample], along: Callable[[Sample], float], unit: float) -> dict[str, float]:
    """Growth of each count, once warm, per `unit` of `along`."""
    steady = samples[int(len(samples) * WARM) :]
    columns = {
        "resident": [(along(s), float(s.resident)) for s in steady],
        "descriptors": [(along(s), float(s.descriptors)) for s in steady],
        "threads": [(along(s), float(s.threads)) for s in steady],
    }
    for name in sorted({name for one in steady for name in one.inner}):
        columns[name] = [(along(s), s.inner[name]) for s in steady if name in s.inner]
    return {name: round(slope(points) * unit, 3) for name, points in columns.items()}


async def sample(target: Target, pid: int, calls: int, seconds: float) -> Sample:
    """Samples the server's resources, after `calls` calls or turns. Raises `CallBroken`."""
    found = vitals(pid)
    if found is None:
        raise CallBroken("the server's process is gone")
    return Sample(calls, round(seconds, 1), found.resident, found.descriptors, found.threads, await _inner(target))


async def _inner(target: Target) -> dict[str, float]:
    """The numbers of `/readyz` and `/healthz`: calls, and other counts of the server."""
    numbers: dict[str, float] = {}
    async with httpx.AsyncClient(timeout=10, trust_env=False) as http:
        for path in ("/readyz", "/healthz"):
            try:
                body = (await http.get(target.base.removesuffix("/v1") + path)).json()
            except (httpx.HTTPError, ValueError):
                continue
            if isinstance(body, dict):
                numbers |= {name: float(v) for name, v in body.items() if isinstance(v, int) and name != "limit"}
    return numbers


def values(found: Soak) -> dict[str, Any]:
    """JSON values."""
    return asdict(found)
