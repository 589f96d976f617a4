"""Measure latency under load: several calls at the same time, each from a process of its own, staggered so that their
turns do not coincide.

    for n calls: n processes ──staggered──► CallRecord each ──► p95 of all turns; refused calls counted apart

The knee is the last number of calls whose p95 stays within `KNEE`. The saturated resource is read from the server's
process.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

from vivavoce.realtime.bench.caller.link import CallBroken, CallRefused
from vivavoce.realtime.bench.caller.prepare import PreparedScenario
from vivavoce.realtime.bench.measure.audio_truth import turns
from vivavoce.realtime.bench.measure.call_record import CallRecord
from vivavoce.realtime.bench.measure.distribution import Distribution, describe
from vivavoce.realtime.bench.runs.quiet import Processors, read_processors
from vivavoce.realtime.bench.runs.run import Plan, failed_call, one_call
from vivavoce.realtime.bench.runs.server import vitals

KNEE: Final = 800.0
"""Milliseconds of voice-to-voice latency, 95th percentile, up to which callers are served well."""

STAGGER: Final = 1.3
"""Seconds between the starts of two calls; no multiple of any time in the script."""


@dataclass(frozen=True, slots=True)
class Level:
    """The figures of `calls` at the same time. `refused`: with status 503 or 429; `polite`: of these, with
    `Retry-After`. `cpu`: share of the machine's cores that the server used, None where it runs elsewhere; `resident`:
    its memory in bytes. `busy`: share of the cores in use, the callers' included."""

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
        """Calls that the server took."""
        return self.calls - self.refused

    @property
    def good(self) -> bool:
        """Whether all callers were served well."""
        return self.v2v is not None and self.v2v.p95.value <= KNEE and not self.failures


@dataclass(frozen=True, slots=True)
class _Result:
    """The result of a caller's process."""

    record: CallRecord | None
    refused: bool = False
    polite: bool = False


def sweep(
    play: PreparedScenario,
    plan: Plan,
    levels: Sequence[int],
    cores: int,
    pid: int | None,
    progress: Callable[[Level], None],
) -> list[Level]:
    """Measures each level, smallest first. `pid`: the server's, if it is our own. Raises `CallRefused` where the server
    refuses for another reason than its limit of calls."""
    found = []
    for calls in sorted(levels):
        found.append(_level(play, plan, calls, cores, pid))
        progress(found[-1])
    return found


def knee(levels: Sequence[Level]) -> int | None:
    """The largest number of calls that was served well, as were all smaller ones; None when the smallest was not.
    Refused calls count neither as served nor as failed."""
    best: int | None = None
    for level in sorted(levels, key=lambda level: level.calls):
        if not level.good:
            break
        best = max(best or 0, level.served)
    return best


def _level(play: PreparedScenario, plan: Plan, calls: int, cores: int, pid: int | None) -> Level:
    # Spawned, not forked: a caller must not inherit threads and sockets.
    with ProcessPoolExecutor(calls, multiprocessing.get_context("spawn")) as pool:
        start = time.monotonic() + 3.0  # the processes take a while to start
        jobs = [pool.submit(_caller, play, plan, number, start + number * STAGGER) for number in range(calls)]
        time.sleep(max(0.0, start - time.monotonic()))
        before, all_before, began = vitals(pid) if pid else None, read_processors(), time.monotonic()
        results = [job.result() for job in jobs]
        after, all_after, took = vitals(pid) if pid else None, read_processors(), time.monotonic() - began
    records = [one.record for one in results if one.record is not None]
    measured = [turn for record in records for turn in turns(record)]
    return Level(
        calls=calls,
        refused=sum(one.refused for one in results),
        polite=sum(one.polite for one in results),
        failures=tuple(record.failure for record in records if record.failure),
        v2v=describe([turn.scored * 1000 for turn in measured]),
        missed=sum(turn.outcome == "missed" for turn in measured),
        underruns=sum(turn.underruns for turn in measured),
        stalls=sum(record.stalls for record in records),
        cpu=(after.cpu - before.cpu) / took / cores if before and after else None,
        resident=after.resident if after else None,
        busy=_share(all_before, all_after),
    )


def _share(before: Processors | None, after: Processors | None) -> float | None:
    if before is None or after is None or after.total == before.total:
        return None
    return (after.busy + after.stolen - before.busy - before.stolen) / (after.total - before.total)


def _caller(play: PreparedScenario, plan: Plan, number: int, start: float) -> _Result:
    """One caller, in its own process."""
    time.sleep(max(0.0, start - time.monotonic()))
    count = plan.turns or play.scenario.per_call
    chosen = [play.turns[(number * 5 + n) % len(play.turns)] for n in range(count)]  # other questions for each caller
    own = replace(plan, seed=plan.seed + number)
    try:
        return _Result(asyncio.run(one_call(play, own, chosen, number)))
    except CallRefused as refused:
        if not refused.full:
            raise
        return _Result(None, True, refused.retry_after is not None)
    except CallBroken as broken:
        return _Result(failed_call(own, play.scenario.name, broken))


def saturated(level: Level) -> str:
    """The resource that was saturated at `level`, as far as it can be seen from outside."""
    if level.cpu is None:
        return "unknown: the server runs elsewhere"
    if level.refused and level.good:
        return f"the limit of {level.served} calls; the others were refused"
    if level.busy is not None and level.busy > 0.9:
        return f"the processor (busy {100 * level.busy:.0f} %, of which the server {100 * level.cpu:.0f} %)"
    if level.stalls:
        return "the machine: the callers themselves were late"
    return "not the processor: one thread, or waiting in turn"
