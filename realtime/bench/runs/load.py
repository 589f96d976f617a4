"""Load: how long a caller waits when others call too. Each caller lives in a process of its own and begins at a time of
its own, so that neither they nor their turns march in step.

    for n calls: n processes ──jobs.npz, staggered──► CallRecord each ──► p95 of all turns; refused calls apart

The knee is the last number of calls whose p95 stays within `KNEE`. What saturates is read from the server's process.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

from vivavoce.realtime.bench.caller.call_record import CallRecord
from vivavoce.realtime.bench.caller.link import Broken, Refused
from vivavoce.realtime.bench.caller.prepare import Play
from vivavoce.realtime.bench.caller.server import ticks, vitals
from vivavoce.realtime.bench.measure.audio_truth import turns
from vivavoce.realtime.bench.measure.distribution import Distribution, describe
from vivavoce.realtime.bench.runs.run import Plan, failed_call, one_call

KNEE: Final = 800.0
"""Milliseconds of voice to voice, 95th percentile, from which a caller is served badly."""

STAGGER: Final = 1.3
"""Seconds between the beginnings of two calls; no multiple of anything in the script."""


@dataclass(frozen=True, slots=True)
class Level:
    """What `calls` at the same time got. `refused`: turned away with 503 or 429; `polite`: of these, told when to come
    back. `cpu`: share of the machine's cores that the server used, None where it runs elsewhere; `resident`: its
    memory in bytes. `busy`: share of the cores that anybody used, the callers included."""

    calls: int
    refused: int
    polite: int
    failures: tuple[str, ...]
    v2v: Distribution | None
    missed: int
    underruns: int
    stalls: int
    cpu: float | None
    resident: int | None
    busy: float | None = None

    @property
    def served(self) -> int:
        """Calls that were taken."""
        return self.calls - self.refused

    @property
    def good(self) -> bool:
        """Nobody waits too long."""
        return self.v2v is not None and self.v2v.p95.value <= KNEE and not self.failures


@dataclass(frozen=True, slots=True)
class _Told:
    """What a caller's process brings back."""

    record: CallRecord | None
    refused: bool = False
    polite: bool = False


def sweep(
    play: Play, plan: Plan, levels: Sequence[int], cores: int, pid: int | None, progress: Callable[[Level], None]
) -> list[Level]:
    """Measures each level, smallest first. `pid` of the server, if it is ours. Raises `Broken` when a caller's own
    process dies."""
    found = []
    for calls in sorted(levels):
        found.append(_level(play, plan, calls, cores, pid))
        progress(found[-1])
    return found


def knee(levels: Sequence[Level]) -> int | None:
    """Most calls that were served well at once, as were all smaller numbers; None when not even the smallest was.
    Refused calls are not served, and spoil nothing."""
    best: int | None = None
    for level in sorted(levels, key=lambda level: level.calls):
        if not level.good:
            break
        best = max(best or 0, level.served)
    return best


def _level(play: Play, plan: Plan, calls: int, cores: int, pid: int | None) -> Level:
    # Spawned, not forked: a caller must not inherit threads and sockets.
    with ProcessPoolExecutor(calls, multiprocessing.get_context("spawn")) as pool:
        start = time.monotonic() + 3.0  # the processes need a while to begin
        jobs = [pool.submit(_caller, play, plan, number, start + number * STAGGER) for number in range(calls)]
        time.sleep(max(0.0, start - time.monotonic()))
        before, all_before, began = vitals(pid) if pid else None, ticks(), time.monotonic()
        told = [job.result() for job in jobs]
        after, all_after, took = vitals(pid) if pid else None, ticks(), time.monotonic() - began
    records = [one.record for one in told if one.record is not None]
    judged = [turn for record in records for turn in turns(record)]
    return Level(
        calls=calls,
        refused=sum(one.refused for one in told),
        polite=sum(one.polite for one in told),
        failures=tuple(record.failure for record in records if record.failure),
        v2v=describe([turn.scored * 1000 for turn in judged]),
        missed=sum(turn.outcome == "missed" for turn in judged),
        underruns=sum(turn.underruns for turn in judged),
        stalls=sum(record.stalls for record in records),
        cpu=(after.cpu - before.cpu) / took / cores if before and after else None,
        resident=after.resident if after else None,
        busy=_share(all_before, all_after),
    )


def _share(before: tuple[int, int] | None, after: tuple[int, int] | None) -> float | None:
    if before is None or after is None or after[1] == before[1]:
        return None
    return (after[0] - before[0]) / (after[1] - before[1])


def _caller(play: Play, plan: Plan, number: int, start: float) -> _Told:
    """One caller, in its own process."""
    time.sleep(max(0.0, start - time.monotonic()))
    count = plan.turns or play.scenario.per_call
    acts = [play.acts[(number * 5 + n) % len(play.acts)] for n in range(count)]  # others' questions are others
    own = replace(plan, seed=plan.seed + number)
    try:
        return _Told(asyncio.run(one_call(play, own, acts, number)))
    except Refused as refused:
        if not refused.full:
            raise
        return _Told(None, True, refused.retry_after is not None)
    except Broken as broken:
        return _Told(failed_call(own, play.scenario.name, broken))


def saturated(level: Level) -> str:
    """What ran out at `level`, as far as it can be told from outside."""
    if level.cpu is None:
        return "unknown: the server runs elsewhere"
    if level.refused and level.good:
        return f"the limit of {level.served} calls, which the others were told"
    if level.busy is not None and level.busy > 0.9:
        return f"the processor (busy {100 * level.busy:.0f} %, of which the server {100 * level.cpu:.0f} %)"
    if level.stalls:
        return "the machine: the callers themselves were late"
    return "not the processor: one thread, or waiting in turn"
