"""Print a report on the terminal: one block for each scenario and transport. Text in, text out.

Rates of fewer than ten observations say little, and are marked with a question mark."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, Final

from vivavoce.realtime.bench.measure.distribution import FEW
from vivavoce.realtime.bench.report.report import line_of, neighbours_of
from vivavoce.realtime.bench.runs.load import Level
from vivavoce.realtime.bench.runs.punctuality import LATE, Punctual
from vivavoce.realtime.bench.runs.soak import Sample

WIDTH: Final = 26

Values = Mapping[str, Any]


def run_block(run: Values) -> str:
    """One run, as lines of text."""
    return "\n".join([head(run), *(f"  {line}" for line in _lines(run))])


def head(run: Values) -> str:
    """The scenario, transport and impairment of a run, in one line."""
    return f"{run['scenario']} · {run['transport']} · {line_of(run['impairment'])}   ({run['title']})"


def turn_line(turn: Values, number: int) -> str:
    """One turn, while the run goes on."""
    took = f"{turn['v2v']:5.0f} ms" if turn["v2v"] is not None else f"{turn['outcome']:>8}"
    width = max(20, min(100, _columns()) - 24)
    return f"  {number:3} {took}  {turn['text'][:width]}"


def quantiles(values: Values | None, unit: str = "ms") -> str:
    """A distribution in one line."""
    if values is None:
        return "—"
    parts = [
        f"{name} {values[name]['value']:.0f} [{values[name]['low']:.0f}–{values[name]['high']:.0f}]"
        for name in ("p50", "p95", "p99")
    ]
    return f"{'  '.join(parts)} {unit}   n={values['n']}{_few(values['n'])}"


def share(values: Values) -> str:
    """A rate in one line."""
    if not values["n"]:
        return "—"
    percent = 100 * values["count"] / values["n"]
    interval = f"[{100 * values['low']:.0f}–{100 * values['high']:.0f}]"
    return f"{percent:.0f} % {interval}   {values['count']} of {values['n']}{_few(values['n'])}"


def waterfall_line(waterfall: Values) -> str:
    """The medians of the stages, and the unexplained rest."""
    stages = "  ".join(f"{stage['name']} +{stage['took']:.0f}" for stage in waterfall["stages"])
    rest = waterfall["unexplained"]
    return f"{stages}  unexplained +{rest['p50']['value']:.0f} ms (p95 {rest['p95']['value']:.0f})   n={waterfall['n']}"


def instrument_block(found: Values) -> str:
    """The error of the instrument."""
    rows = [
        _row("the instrument adds", quantiles(found["error"])),
        _row("  way there", quantiles(found["way_there"])),
        _row("  way back", quantiles(found["way_back"])),
    ]
    lost = [_row("  tones without a beep", str(found["lost"]))] if found["lost"] else []
    return "\n".join(
        [f"instrument · {found['transport']} · {line_of(found['impairment'])}", *(f"  {r}" for r in rows + lost)]
    )


def level_line(level: Level) -> str:
    """One level of a load sweep."""
    v2v = (
        "—"
        if level.v2v is None
        else f"p50 {level.v2v.p50.value:.0f}  p95 {level.v2v.p95.value:.0f} ms  n={level.v2v.n}"
    )
    cpu = "" if level.cpu is None else f"  server {100 * level.cpu:.0f} % of the cores"
    refused = f"  refused {level.refused}" if level.refused else ""
    faults = f"  missed {level.missed}" * bool(level.missed) + f"  broke {len(level.failures)}" * bool(level.failures)
    late = f"  CAUTION: callers late {level.stalls} times" if level.stalls else ""
    return f"  {level.calls:3} calls  {v2v}{cpu}{refused}{faults}{late}"


def load_line(found: Values) -> str:
    """The result of a load sweep."""
    return f"  knee: {found['knee'] or 'below the smallest number tried'} calls; past it: {found['saturated']}"


def punctual_line(found: Punctual) -> str:
    """The pacing jitter of silent calls."""
    shares = ", ".join(f"{100 * share:.2g} % over {bound}" for share, bound in zip(found.late, LATE, strict=True))
    lost = f"  lost {found.lost:.2g} s" if found.lost else ""
    cpu = "" if found.cpu is None else f"  server {found.cpu:.2f} of a core"
    return (
        f"  {found.calls:3} calls  late p50 {found.p50:.1f}  p99 {found.p99:.1f}  most {found.most:.0f} ms  {shares} ms"
        f"{lost}{cpu}  n={found.frames}  (callers late p99 {found.own:.1f} ms)"
    )


def sample_line(seen: Sample, of: str = "calls") -> str:
    """The server's resources, during a soak test or a long call."""
    inner = "  ".join(f"{name} {value:g}" for name, value in seen.inner.items())
    return (
        f"  {seen.calls:5} {of}  {seen.resident / 2**20:.0f} MB  {seen.descriptors} descriptors  "
        f"{seen.threads} threads  {inner}"
    )


def soak_block(found: Values) -> str:
    """The result of a soak test."""
    return (
        f"  {found['calls']} calls: {found['failed']} broke, {found['refused']} refused, {found['silent']} unanswered\n"
        f"  growth per 1 000 calls: {_growth(found['slopes'])}"
    )


def long_block(found: Values) -> str:
    """The result of a long call."""
    broke = f"  it broke: {found['failure']}\n" if found["failure"] else ""
    return (
        f"  {found['minutes']:g} minutes, {found['turns']} turns, {found['missed']} without a reply\n{broke}"
        f"{_row('voice to voice, early', quantiles(found['early']))}\n"
        f"{_row('voice to voice, late', quantiles(found['late']))}\n"
        f"  growth per hour: {_growth(found['slopes'])}"
    )


def _growth(slopes: Values) -> str:
    return ", ".join(
        f"{name} {value / 2**20:+.1f} MB" if name == "resident" else f"{name} {value:+.1f}"
        for name, value in slopes.items()
    )


def _lines(run: Values) -> Iterator[str]:
    m = run["measures"]
    yield _row("voice to voice", quantiles(m["v2v"]))
    if m["missed"]["count"] or m["premature"]["count"]:
        yield _row("  of those answered", quantiles(m["answered"]))
    yield _row("missed", share(m["missed"]))
    yield _row("premature", share(m["premature"]))
    if m["waterfall"]["n"]:
        yield _row("latency by stages", waterfall_line(m["waterfall"]))
    if m["yielding"]["n"]:
        yield _row("stops for interruptions", share(m["yielding"]))
        yield _row("  silence after", quantiles(m["yield_ms"]))
    if run["history"]["error_words"]:
        yield _row("  history error", quantiles(run["history"]["error_words"], "words"))
    if m["selectivity"]["n"]:
        yield _row("goes on over other sounds", share(m["selectivity"]))
        yield _row("  gap in the reply", quantiles(m["resume_gap"]))
    if m["self_interruptions"]["count"] or m["false_turns"]:
        yield _row("cut without user speech", f"{m['self_interruptions']['count']} (turns opened: {m['false_turns']})")
    per_minute = m["underruns"] / m["spoken_minutes"] if m["spoken_minutes"] else 0.0
    yield _row(
        "underruns", f"{per_minute:.1f} a minute ({m['underruns']} in {m['spoken_minutes'] * 60:.0f} s of speech)"
    )
    if m["expected"]["n"]:
        yield _row("expected word in reply", share(m["expected"]))
    if run["refused"]:
        yield _row("calls refused", str(run["refused"]))
    for failure in run["failures"]:
        yield _row("call broke", failure)
    if run["stalls"]:
        yield _row("CAUTION", f"the caller itself was late {run['stalls']} times: this machine is overloaded")
    if (found := neighbours_of(run)) and not found.quiet:
        yield _row("CAUTION", f"{found.words}: these figures are not to be trusted")


def _row(name: str, text: str) -> str:
    return f"{name:<{WIDTH}}{text}"


def _few(n: int) -> str:
    return " (?)" if n < FEW else ""


def _columns() -> int:
    try:
        return os.get_terminal_size().columns
    except OSError:
        return 100
