"""From judged calls to the figures of a report: distributions, rates, and where the time of a turn went. Pure.

Milliseconds throughout. Measures come in pairs, since each can be bought with the other: latency with premature starts,
yield with selectivity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from vivavoce.realtime.bench.caller.call_record import CallRecord
from vivavoce.realtime.bench.measure.audio_truth import Overlap, Turn, disturbances, overlaps, turns
from vivavoce.realtime.bench.measure.distribution import Distribution, Rate, describe, rate


@dataclass(frozen=True, slots=True)
class Stage:
    """One stretch of the waterfall: medians of its length and of its end, in ms after the annotated end of speech."""

    name: str
    took: float
    until: float


@dataclass(frozen=True, slots=True)
class Waterfall:
    """The server's own marks against the audio truth, for the `n` turns that have both. `unexplained`: what the caller
    waited beyond the server's last mark: the way of the microphone (one frame at least), the way back, and what the
    server does not know of."""

    n: int
    stages: tuple[Stage, ...]
    unexplained: Distribution | None


@dataclass(frozen=True, slots=True)
class Measures:
    """All figures of one scenario over one transport. `v2v` has missed and premature turns in it at the limit;
    `answered` has not. None or n = 0 where the scenario says nothing about it."""

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
    """The figures of all calls of a run. `expected`: words of which one should be in the answer, by turn."""
    judged = [turn for record in records for turn in turns(record)]
    over = [overlap for record in records for overlap in overlaps(record) if overlap.reaction != "nothing to stop"]
    cut_in = [overlap for overlap in over if overlap.said.kind == "interruption"]
    other = [overlap for overlap in over if overlap.said.kind != "interruption"]
    disturbed = [disturbances(record) for record in records]
    due = [turn for turn in judged if expected.get(turn.said.turn)]
    answered = [turn.v2v * 1000 for turn in judged if turn.v2v is not None]
    return Measures(
        v2v=describe([turn.scored * 1000 for turn in judged]),
        answered=describe(answered),
        missed=rate(_count(judged, "missed"), len(judged)),
        premature=rate(_count(judged, "premature"), len(judged)),
        yielding=rate(sum(o.reaction == "yielded" for o in cut_in), len(cut_in)),
        yield_ms=describe([o.silence * 1000 for o in cut_in if o.silence is not None]),
        selectivity=rate(sum(o.reaction == "went on" for o in other), len(other)),
        resume_gap=describe(_gaps(other)),
        self_interruptions=rate(sum(d.cuts for d in disturbed), max(len(answered), _replies(records))),
        false_turns=sum(d.turns for d in disturbed),
        underruns=sum(turn.underruns for turn in judged),
        spoken_minutes=sum(turn.reply for turn in judged) / 60,
        expected=rate(sum(_says(turn.answer, expected[turn.said.turn]) for turn in due), len(due)),
        concealed=sum(record.concealed for record in records),
        waterfall=waterfall(judged),
    )


def waterfall(judged: Iterable[Turn]) -> Waterfall:
    """Where the time went, by medians over the turns whose server tells its marks."""
    told = [turn for turn in judged if turn.marks and turn.v2v is not None]
    if not told:
        return Waterfall(0, (), None)
    common = set.intersection(*(set(turn.marks) for turn in told)) - {"speech_end"}
    ends = {name: median(turn.marks[name] for turn in told) for name in common}
    stages, before = [], 0.0
    for name in sorted(ends, key=lambda name: (ends[name], name)):
        stages.append(Stage(name, round(ends[name] - before, 1), round(ends[name], 1)))
        before = ends[name]
    rest = [turn.v2v * 1000 - max(turn.marks.values()) for turn in told if turn.v2v is not None]
    return Waterfall(len(told), tuple(stages), describe(rest))


def _replies(records: Iterable[CallRecord]) -> int:
    """How many the server began, also those to turns that nobody took."""
    return sum(len(record.of("response.created")) for record in records)


def _count(judged: Iterable[Turn], outcome: str) -> int:
    return sum(turn.outcome == outcome for turn in judged)


def _gaps(over: Iterable[Overlap]) -> list[float]:
    return [overlap.gap * 1000 for overlap in over if overlap.reaction == "went on"]


def _says(answer: str, words: Iterable[str]) -> bool:
    return any(word in answer.lower() for word in words)
