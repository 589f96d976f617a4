"""Compute the figures of a report: distributions, rates, and the latency of a turn by stages. Pure.

All in milliseconds. Measures come in pairs, since each can be traded for the other: latency against premature replies,
yielding against selectivity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from vivavoce.realtime.bench.measure.audio_truth import Overlap, Turn, disturbances, overlaps, turns
from vivavoce.realtime.bench.measure.call_record import CallRecord
from vivavoce.realtime.bench.measure.distribution import Distribution, Rate, describe, rate


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the waterfall: medians of its length and of its end, in ms after the annotated end of speech."""

    name: str
    took: float
    until: float


@dataclass(frozen=True, slots=True)
class Waterfall:
    """The server's latency marks against the audio truth, for the `n` turns that have both. `unexplained`: the caller's
    latency beyond the server's last mark: the way of the microphone (one frame at least), the way back, and delays that
    the server does not see."""

    n: int
    stages: tuple[Stage, ...]
    unexplained: Distribution | None


@dataclass(frozen=True, slots=True)
class Measures:
    """All figures of one scenario over one transport. `v2v` includes missed and premature turns at the limit;
    `answered` does not. None or n = 0 where the scenario has no observation."""

    v2v: Distribution | None
    answered: Distribution | None
    missed: Rate
    premature: Rate
    yielding: Rate
    yield_ms: Distribution | None
    selectivity: Rate
    resume_gap: Distribution | None
    self_interruptions: Rate
    false_turns: int
    underruns: int
    spoken_minutes: float
    expected: Rate
    concealed: float
    waterfall: Waterfall


def measure(records: Sequence[CallRecord], expected: Mapping[int, tuple[str, ...]]) -> Measures:
    """The figures of all calls of a run. `expected`: words of which one should be in the reply, by turn."""
    measured = [turn for record in records for turn in turns(record)]
    over = [overlap for record in records for overlap in overlaps(record) if overlap.reaction != "nothing to stop"]
    interruptions = [overlap for overlap in over if overlap.said.kind == "interruption"]
    other = [overlap for overlap in over if overlap.said.kind != "interruption"]
    disturbed = [disturbances(record) for record in records]
    due = [turn for turn in measured if expected.get(turn.said.turn)]
    answered = [turn.v2v * 1000 for turn in measured if turn.v2v is not None]
    return Measures(
        v2v=describe([turn.scored * 1000 for turn in measured]),
        answered=describe(answered),
        missed=rate(_count(measured, "missed"), len(measured)),
        premature=rate(_count(measured, "premature"), len(measured)),
        yielding=rate(sum(o.reaction == "yielded" for o in interruptions), len(interruptions)),
        yield_ms=describe([o.silence * 1000 for o in interruptions if o.silence is not None]),
        selectivity=rate(sum(o.reaction == "went on" for o in other), len(other)),
        resume_gap=describe(_gaps(other)),
        self_interruptions=rate(sum(d.cuts for d in disturbed), max(len(answered), _replies(records))),
        false_turns=sum(d.turns for d in disturbed),
        underruns=sum(turn.underruns for turn in measured),
        spoken_minutes=sum(turn.reply for turn in measured) / 60,
        expected=rate(sum(_says(turn.answer, expected[turn.said.turn]) for turn in due), len(due)),
        concealed=sum(record.concealed for record in records),
        waterfall=waterfall(measured),
    )


def waterfall(measured: Iterable[Turn]) -> Waterfall:
    """Latency by stages: medians over the turns with marks of the server."""
    marked = [turn for turn in measured if turn.marks and turn.v2v is not None]
    if not marked:
        return Waterfall(0, (), None)
    common = set.intersection(*(set(turn.marks) for turn in marked)) - {"speech_end"}
    ends = {name: median(turn.marks[name] for turn in marked) for name in common}
    stages, before = [], 0.0
    for name in sorted(ends, key=lambda name: (ends[name], name)):
        stages.append(Stage(name, round(ends[name] - before, 1), round(ends[name], 1)))
        before = ends[name]
    rest = [turn.v2v * 1000 - max(turn.marks.values()) for turn in marked if turn.v2v is not None]
    return Waterfall(len(marked), tuple(stages), describe(rest))


def _replies(records: Iterable[CallRecord]) -> int:
    """The number of responses that the server began, to whatever turns."""
    return sum(len(record.of("response.created")) for record in records)


def _count(measured: Iterable[Turn], outcome: str) -> int:
    return sum(turn.outcome == outcome for turn in measured)


def _gaps(over: Iterable[Overlap]) -> list[float]:
    return [overlap.gap * 1000 for overlap in over if overlap.reaction == "went on"]


def _says(answer: str, words: Iterable[str]) -> bool:
    return any(word in answer.lower() for word in words)
