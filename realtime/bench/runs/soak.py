"""Soak: many short calls, and what the server holds after each of them. What is not given back shows as a slope.

    call ─► hang up ─► call … ┐
    call ─► hang up ─► call … ├─► all have hung up ──► memory, descriptors, threads (of /proc), tasks and calls
    call ─► hang up ─► call … ┘                       (of the server, if it tells)

The first `WARM` calls are left out of the slopes: caches fill, pools grow once.
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
from vivavoce.realtime.bench.caller.link import Broken, Refused, Target
from vivavoce.realtime.bench.caller.prepare import Act, Play
from vivavoce.realtime.bench.caller.server import vitals
from vivavoce.realtime.bench.measure.audio_truth import LIMIT
from vivavoce.realtime.bench.measure.distribution import slope
from vivavoce.realtime.bench.runs.run import Plan, caller_of

WARM: Final = 0.2
"""Share of the calls after which the server has its final size."""

LINES: Final = 3
"""Callers at the same time: what is kept by mistake is often kept where two calls meet."""

EVERY: Final = 12
"""Calls between two looks."""

TRIES: Final = 20
"""How often somebody calls again who was refused, before it counts as a call that broke."""

HASTE: Final = 0.5
"""Seconds of the answer that most callers hear."""

SETTLE: Final = 1.0
"""Seconds that a call may take to be cleared away before the server is looked at."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What the server held after `calls` calls. `inner`: counts that it tells itself, such as tasks."""

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


async def soak(play: Play, plan: Plan, calls: int, pid: int, progress: Callable[[Sample], None]) -> Soak:
    """Calls `calls` times, a turn each, over the transports in turn. `silent`: calls without an answer;
    `refused`: how often a caller had to call again."""
    began = time.monotonic()
    went = Counter[str]()
    samples: list[Sample] = []
    for first in range(0, calls, EVERY):
        after = min(first + EVERY, calls)
        numbers = iter(range(first, after))
        async with asyncio.TaskGroup() as tasks:
            for _ in range(LINES):
                tasks.create_task(_line(numbers, play, plan, went))
        await asyncio.sleep(SETTLE)
        samples.append(await look(plan.target, pid, after, time.monotonic() - began))
        progress(samples[-1])
    return Soak(calls, went["failed"], went["refused"], went["silent"], tuple(samples), slopes(samples))


async def _line(numbers: Iterator[int], play: Play, plan: Plan, went: Counter[str]) -> None:
    """One caller after the other, as long as there are `numbers`, which other lines take from as well."""
    for number in numbers:
        transport = ("webrtc", "websocket")[number % 2] if plan.transport == "all" else plan.transport
        act = play.acts[number % len(play.acts)]
        for _ in range(TRIES):
            try:
                caller = caller_of(play, replace(plan, transport=transport), number)
                record = await caller.call(_short(act, number), transport, play.scenario.name)
                went["failed"] += bool(record.failure)
                went["silent"] += not record.of("response.created")
            except Refused as refused:
                went["refused"] += 1
                await asyncio.sleep(refused.retry_after or SETTLE)
                continue
            except Broken:
                went["failed"] += 1
            break
        else:
            went["failed"] += 1


def _short(act: Act, number: int) -> Callable[[Caller], Awaitable[None]]:
    """A question and its answer. Three callers of four hang up in the middle of it, where most is in the air."""

    async def converse(caller: Caller) -> None:
        await caller.pause(script.SETTLE)
        said = caller.say(act.clip, "turn", number)
        await caller.until(said.ended)
        await caller.reply(said.ended, LIMIT)
        await (caller.pause(HASTE) if number % 4 else caller.quiet())

    return converse


def slopes(samples: list[Sample]) -> dict[str, float]:
    """Growth per 1 000 calls of each count, once warm."""
    return growth(samples, lambda sample: sample.calls, 1000.0)


def growth(samples: list[Sample], along: Callable[[Sample], float], unit: float) -> dict[str, float]:
    """Growth of each count, once warm, per `unit` of what `along` tells of a sample."""
    steady = samples[int(len(samples) * WARM) :]
    columns = {
        "resident": [(along(s), float(s.resident)) for s in steady],
        "descriptors": [(along(s), float(s.descriptors)) for s in steady],
        "threads": [(along(s), float(s.threads)) for s in steady],
    }
    for name in sorted({name for sample in steady for name in sample.inner}):
        columns[name] = [(along(s), s.inner[name]) for s in steady if name in s.inner]
    return {name: round(slope(points) * unit, 3) for name, points in columns.items()}


async def look(target: Target, pid: int, calls: int, seconds: float) -> Sample:
    """What the server holds now, after `calls` calls or turns. Raises `Broken`."""
    held = vitals(pid)
    if held is None:
        raise Broken("the server's process is gone")
    return Sample(calls, round(seconds, 1), held.resident, held.descriptors, held.threads, await _inner(target))


async def _inner(target: Target) -> dict[str, float]:
    """Numbers of `/readyz` and `/healthz`: calls, and whatever else the server counts."""
    counts: dict[str, float] = {}
    async with httpx.AsyncClient(timeout=10, trust_env=False) as http:
        for path in ("/readyz", "/healthz"):
            try:
                told = (await http.get(target.base.removesuffix("/v1") + path)).json()
            except (httpx.HTTPError, ValueError):
                continue
            if isinstance(told, dict):
                counts |= {name: float(v) for name, v in told.items() if isinstance(v, int) and name != "limit"}
    return counts


def values(found: Soak) -> dict[str, Any]:
    """JSON values."""
    return asdict(found)
