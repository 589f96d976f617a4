"""Two reports side by side: what became better, what worse, and what is only chance.

A difference of medians counts when the two 95 % intervals do not overlap. Reports of different machines or seeds are
compared all the same, and said to be different."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from vivavoce.realtime.bench.report import line_of

Values = Mapping[str, Any]

LATENCIES: Final = {"v2v": "voice to voice", "yield_ms": "silent after cutting in", "resume_gap": "gap after agreement"}
RATES: Final = {
    "missed": ("missed", False),
    "premature": ("premature", False),
    "yielding": ("yields to interruptions", True),
    "selectivity": ("goes on over the rest", True),
}
"""Name of the measure -> words, and whether more is better."""


def compare(a: Values, b: Values) -> str:
    """The comparison as text, a line for each measure that both have."""
    return "\n".join([*_differences_of_setup(a, b), *_runs(a, b)])


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
            yield from _measures(old["measures"], run["measures"])


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
