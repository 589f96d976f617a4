"""A report: all figures of one run of the benchmark, as JSON with a version; read, written and compared.

    {"schema": "vivavoce.bench/2", "made": …, "machine": {…}, "settings": {…}, "instrument": [{…}], "runs": [{…}],
     "load": {…}, "soak": {…}}

The schema's number changes when a field or the definition of a measure does; reports of different numbers are not
compared. Times are milliseconds unless the name says otherwise.

In a comparison, a difference of medians counts when the two 95 % intervals do not overlap. Reports of different
machines or seeds are compared, too, and the difference is printed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from vivavoce.realtime.bench import BenchError
from vivavoce.realtime.bench.caller.impairments import Impairment
from vivavoce.realtime.bench.caller.prepare import PreparedScenario
from vivavoce.realtime.bench.measure.audio_truth import overlaps, turns
from vivavoce.realtime.bench.measure.call_record import CallRecord
from vivavoce.realtime.bench.measure.distribution import Distribution, describe, rate
from vivavoce.realtime.bench.measure.history import CutHistory
from vivavoce.realtime.bench.measure.measures import Measures, measure
from vivavoce.realtime.bench.runs.calibration import Calibration
from vivavoce.realtime.bench.runs.load import Level, saturated
from vivavoce.realtime.bench.runs.load import knee as find_knee
from vivavoce.realtime.bench.runs.punctuality import LATE
from vivavoce.realtime.bench.runs.quiet import Neighbours
from vivavoce.realtime.bench.runs.run import Calls, Plan

SCHEMA: Final = "vivavoce.bench/2"


class ReportError(BenchError):
    """A file that is no report of this version."""


def describe_run(
    play: PreparedScenario,
    plan: Plan,
    calls: Calls,
    history: Sequence[CutHistory] = (),
    neighbours: Neighbours | None = None,
) -> dict[str, Any]:
    """One scenario over one transport, as JSON values: figures first, then every turn. `history`: of its cuts;
    `neighbours`: None where they are not known."""
    order = play.turns
    expected = {n: order[n % len(order)].expect for n in range(plan.turns or play.scenario.turns)}
    return {
        "scenario": play.scenario.name,
        "title": play.scenario.title,
        "transport": plan.transport,
        "impairment": asdict(plan.impairment),
        "seed": plan.seed,
        "calls": len(calls.records),
        "refused": calls.refused,
        "failures": [record.failure for record in calls.records if record.failure],
        "stalls": sum(record.stalls for record in calls.records),
        "neighbours": neighbours and _rounded(asdict(neighbours) | {"quiet": neighbours.quiet}),
        "measures": as_values(measure(calls.records, expected)),
        "history": {
            "error_words": _rounded(_values(describe([float(abs(cut.error)) for cut in history]))),
            "cuts": [{"kept": cut.kept, "heard": cut.heard, "error": cut.error} for cut in history],
        },
        "turns": [turn for record in calls.records for turn in turn_values(record)],
        "overlaps": [overlap for record in calls.records for overlap in _overlaps(record)],
    }


def describe_instrument(calibration: Calibration, impairment: Impairment) -> dict[str, Any]:
    """The instrument's error over one transport, as JSON values."""
    values: dict[str, Any] = _rounded(asdict(calibration))
    return values | {"impairment": asdict(impairment)}


def describe_load(levels: Sequence[Level], transport: str) -> dict[str, Any]:
    """A load sweep, as JSON values."""
    knee = find_knee(levels)
    past = [level for level in levels if level.calls > (knee or 0)]
    values: dict[str, Any] = _rounded([asdict(level) for level in levels])
    return {
        "transport": transport,
        "levels": values,
        "knee": knee,
        "saturated": saturated(past[0]) if past else "nothing yet",
    }


def as_values(measures: Measures) -> dict[str, Any]:
    """The figures as JSON values, rounded to a tenth of a millisecond."""
    values: dict[str, Any] = _rounded(asdict(measures))
    return values


def write(report: Mapping[str, Any], path: Path) -> None:
    """Writes a report. Raises OSError."""
    path.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read(path: Path) -> dict[str, Any]:
    """Reads a report. Raises `ReportError`."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReportError(f"{path} cannot be read: {error}") from error
    found = report.get("schema") if isinstance(report, dict) else None
    if found != SCHEMA:
        raise ReportError(f"{path} is no report of version {SCHEMA}, but of {found}.")
    return dict(report)


def neighbours_of(run: Mapping[str, Any]) -> Neighbours | None:
    """What others took of the machine during a run; None where it is not known."""
    found = run.get("neighbours")
    return Neighbours(found["cores"], found["stolen"]) if found else None


def line_of(impairment: Mapping[str, float]) -> str:
    """An impairment in words."""
    parts = []
    if impairment["loss"]:
        kind = "bursty loss" if impairment["burst"] > 1 else "loss"
        parts.append(f"{100 * impairment['loss']:g} % {kind}")
    if impairment["jitter"]:
        parts.append(f"{impairment['jitter'] * 1000:.0f} ms jitter")
    if impairment["skew"]:
        parts.append(f"clock {impairment['skew']:+g} ppm")
    return ", ".join(parts) or "clean"


def turn_values(record: CallRecord) -> Sequence[dict[str, Any]]:
    """The turns of a call, as JSON values."""
    return [
        {
            "text": turn.said.text,
            "outcome": turn.outcome,
            "v2v": None if turn.v2v is None else round(turn.v2v * 1000, 1),
            "reply_seconds": round(turn.reply, 2),
            "underruns": turn.underruns,
            "answer": turn.answer,
            "marks": turn.marks,
            "seen": turn.seen,
        }
        for turn in turns(record)
    ]


def _values(found: Distribution | None) -> dict[str, Any] | None:
    return None if found is None else asdict(found)


def _overlaps(record: CallRecord) -> Sequence[dict[str, Any]]:
    return [
        {
            "text": overlap.said.text,
            "kind": overlap.said.kind,
            "reaction": overlap.reaction,
            "silence": None if overlap.silence is None else round(overlap.silence * 1000, 1),
            "gap": round(overlap.gap * 1000, 1),
        }
        for overlap in overlaps(record)
    ]


def _rounded(value: Any) -> Any:
    match value:
        case float():
            return round(value, 4) if abs(value) <= 1 else round(value, 1)
        case dict():
            return {name: _rounded(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_rounded(inner) for inner in value]
        case _:
            return value


Values = Mapping[str, Any]

LATENCIES: Final = {
    "v2v": "voice to voice",
    "yield_ms": "silence after interruption",
    "resume_gap": "gap after backchannel",
}
RATES: Final = {
    "missed": ("missed", False),
    "premature": ("premature", False),
    "yielding": ("stops for interruptions", True),
    "selectivity": ("goes on over other sounds", True),
}
"""Name of the measure -> words, and whether more is better."""


def compare(a: Values, b: Values) -> str:
    """Compares two reports: a line of text for each measure that both have."""
    return "\n".join([*_differences_of_setup(a, b), *_runs(a, b), *_punctual(a, b)])


def _differences_of_setup(a: Values, b: Values) -> Iterator[str]:
    for name in ("cpu", "cores", "commit"):
        old, new = a["machine"].get(name), b["machine"].get(name)
        if old != new:
            yield f"{name}: {old} -> {new}"
    if a["settings"] != b["settings"]:
        yield f"settings: {a['settings']} -> {b['settings']}"


def _runs(a: Values, b: Values) -> Iterator[str]:
    before = {_key(run): run for run in a["runs"]}
    for run in b["runs"]:
        old = before.get(_key(run))
        if old is not None:
            yield f"\n{run['scenario']} · {run['transport']} · {line_of(run['impairment'])}"
            for name, found in (("first", neighbours_of(old)), ("second", neighbours_of(run))):
                if found and not found.quiet:
                    yield f"  CAUTION: in the {name} run {found.words}"
            yield from _measures(old["measures"], run["measures"])


def _punctual(a: Values, b: Values) -> Iterator[str]:
    """Frames come late in bursts, so that a second of a call counts as one chance, not as fifty."""
    before = {level["calls"]: level for level in a.get("punctual", ())}
    for level in b.get("punctual", ()):
        if (old := before.get(level["calls"])) is None:
            continue
        yield f"\npacing of {level['calls']} quiet calls"
        for bound, *shares in zip(LATE, old["late"], level["late"], strict=True):
            x, y = (
                asdict(rate(round(share * seconds), seconds))
                for share, seconds in zip(shares, (old["frames"] // 50, level["frames"] // 50), strict=True)
            )
            figures = f"{100 * shares[0]:6.2g} % -> {100 * shares[1]:4.2g} %"
            yield f"  {f'more than {bound} ms late':<30}{figures}  {_verdict(x, y, shares[1] > shares[0])}"
        yield f"  {'latest, p99':<30}{old['p99']:6.1f} -> {level['p99']:5.1f} ms"


def _key(run: Values) -> tuple[str, str, str]:
    return run["scenario"], run["transport"], line_of(run["impairment"])


def _measures(old: Values, new: Values) -> Iterator[str]:
    for name, words in LATENCIES.items():
        for percentile in ("p50", "p95"):
            if old[name] and new[name]:
                x, y = old[name][percentile], new[name][percentile]
                verdict = _verdict(x, y, y["value"] > x["value"])
                change = y["value"] - x["value"]
                figures = f"{x['value']:7.0f} -> {y['value']:5.0f} ms  {change:+6.0f}"
                yield f"  {words + ' ' + percentile:<30}{figures}  {verdict}"
    for name, (words, more_is_better) in RATES.items():
        x, y = old[name], new[name]
        if x["n"] and y["n"]:
            shares = x["count"] / x["n"], y["count"] / y["n"]
            worse = (shares[1] < shares[0]) if more_is_better else (shares[1] > shares[0])
            yield f"  {words:<30}{100 * shares[0]:6.0f} % -> {100 * shares[1]:4.0f} %  {_verdict(x, y, worse)}"


def _verdict(old: Values, new: Values, worse: bool) -> str:
    if old["low"] <= new["high"] and new["low"] <= old["high"]:
        return "no clear difference"
    return "WORSE" if worse else "better"
