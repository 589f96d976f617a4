"""Render a report as one self-contained page: tables, plots, and definitions. Pure.

All text of a server (its transcripts above all) is escaped; the page runs no script. A template engine would be one
more dependency of a call's installation, for markup that type checks here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from vivavoce.realtime.bench.measure.distribution import FEW
from vivavoce.realtime.bench.report import plots
from vivavoce.realtime.bench.report.report import line_of, neighbours_of
from vivavoce.realtime.bench.report.table import quantiles
from vivavoce.realtime.bench.runs.load import KNEE
from vivavoce.realtime.bench.runs.punctuality import LATE

GOALS: Final = {"goal for the median": 300.0, "goal for the 95th percentile": 500.0}

Values = Mapping[str, Any]


def page(report: Values) -> str:
    """The whole page."""
    body = "".join(
        [
            *_head(report),
            *_figures(report),
            *_instrument(report),
            *_load(report),
            *_punctual(report),
            *_soak(report),
            *_long(report),
            *_foot(report),
        ]
    )
    style = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Voice to voice</title><style>{style}</style></head><body><main>{body}</main></body></html>\n"
    )


def _head(report: Values) -> Iterator[str]:
    machine, settings = report["machine"], report["settings"]
    yield "<h1>Voice to voice</h1>"
    about = [
        str(machine.get("cpu", "")),
        f"{machine.get('cores', '?')} cores",
        " ".join(machine.get("flags", [])),
        f"load before {machine.get('load_before', ['?'])[0]}",
    ]
    yield f'<p class="soft">{escape(report["made"])} · {escape(" · ".join(about))}<br>'
    yield f"{escape(_settings(settings))} · commit {escape(str(machine.get('commit', 'unknown')))}</p>"


def _settings(settings: Values) -> str:
    server, models = settings["server"], settings["models"]
    name = "own server" if server.get("own") else f"{server.get('url')} ({server.get('model')})"
    return " · ".join([name, *(f"{model} {value}" for model, value in models.items()), f"seed {settings['seed']}"])


def _figures(report: Values) -> Iterator[str]:
    runs = report["runs"]
    if not runs:
        return
    yield "<h2>Figures</h2><div class=card>" + _table(_HEADS, [_row(run) for run in runs]) + "</div>"
    rows = [(_label(run), run["measures"]["v2v"]) for run in runs if run["measures"]["v2v"]]
    yield "<h2>Voice-to-voice latency</h2><p>From the last audible moment of the user's speech to the first audible "
    yield "sound of the reply, both in the caller's recording. One dot is one turn; a missed or premature turn counts "
    yield "as 5 s. The band is the 95 % interval of the median.</p>"
    yield f"<div class=card>{plots.strips(rows, GOALS, 'Voice to voice latency of every turn')}</div>"
    falls = plots.waterfalls([(_label(run), run["measures"]["waterfall"]) for run in runs], "Stages of a turn")
    if falls:
        yield "<h2>Latency by stages</h2><p>Medians of the server's own marks, and the caller's latency beyond them: "
        yield "the way there and back, frames of 20 ms, and delays that the server does not see.</p>"
        yield f"<div class=card>{falls}</div>"
    if loss := _loss(runs):
        plot = plots.lines(loss, "packet loss, %", "ms", None, "Latency over packet loss")
        yield f"<h2>Packet loss</h2><div class=card>{plot}</div>"
    for run in runs:
        yield _every_turn(run)


_HEADS: Final = (
    "run", "n", "V2V p50", "p95", "p99", "missed", "premature", "stops", "silence after", "history error", "goes on",
    "underruns",
)  # fmt: skip


def _row(run: Values) -> list[str]:
    m = run["measures"]
    v2v, silent = m["v2v"], m["yield_ms"]
    cells = [f"{escape(_label(run))}<br><small>{escape(run['title'])}</small>", str(v2v["n"] if v2v else 0)]
    cells += [_quantile(v2v, name) for name in ("p50", "p95", "p99")]
    cells += [_share(m["missed"]), _share(m["premature"]), _share(m["yielding"])]
    cells += [_quantile(silent, "p50") + " / " + _quantile(silent, "p95") if silent else "—"]
    cells += [_quantile(run["history"]["error_words"], "p95"), _share(m["selectivity"])]
    return [*cells, str(m["underruns"]) + _cautions(run)]


def _cautions(run: Values) -> str:
    words = [f"{len(run['failures'])} calls broke"] if run["failures"] else []
    words += [f"{run['refused']} calls refused"] if run["refused"] else []
    words += [f"caller late {run['stalls']}×"] if run["stalls"] else []
    found = neighbours_of(run)
    words += [found.words] if found and not found.quiet else []
    return "".join(f'<br><span class="bad">{caution}</span>' for caution in words)


def _quantile(values: Values | None, name: str) -> str:
    if values is None:
        return "—"
    q = values[name]
    return f"{q['value']:.0f} <small>{q['low']:.0f}–{q['high']:.0f}</small>"


def _share(values: Values) -> str:
    if not values["n"]:
        return "—"
    doubt = " ?" if values["n"] < FEW else ""
    return f"{100 * values['count'] / values['n']:.0f} % <small>{values['count']}/{values['n']}{doubt}</small>"


def _loss(runs: Iterable[Values]) -> dict[str, list[tuple[float, float]]]:
    """p50 and p95 over packet loss, of runs at more than one loss."""
    found: dict[str, list[tuple[float, float]]] = {}
    for run in runs:
        for name in ("p50", "p95"):
            if run["measures"]["v2v"]:
                point = (100 * run["impairment"]["loss"], run["measures"]["v2v"][name]["value"])
                found.setdefault(f"{run['scenario']}, {run['transport']} {name}", []).append(point)
    return {name: sorted(line) for name, line in found.items() if len({x for x, _ in line}) > 1}


def _every_turn(run: Values) -> str:
    rows = []
    for turn in run["turns"]:
        took = (
            f"{turn['v2v']:.0f} ms"
            if turn["v2v"] is not None
            else f'<span class="bad">{escape(turn["outcome"])}</span>'
        )
        marks = ", ".join(f"{name} {value:.0f}" for name, value in turn["marks"].items() if name != "speech_end")
        rows.append([escape(turn["text"]), took, escape(turn["answer"]), escape(marks)])
    for over in run["overlaps"]:
        when = "" if over["silence"] is None else f", silence after {over['silence']:.0f} ms"
        rows.append(
            [f"{escape(over['text'])} <small>({escape(over['kind'])})</small>", escape(over["reaction"]) + when, "", ""]
        )
    table = _table(("user", "latency", "reply", "the server's marks, ms"), rows)
    return f"<details><summary>Every turn: {escape(_label(run))}</summary><div class=card>{table}</div></details>"


def _instrument(report: Values) -> Iterator[str]:
    if report.get("instrument"):
        rows = [
            [
                escape(f"{one['transport']}, {line_of(one['impairment'])}"),
                *(
                    f"{_quantile(one[name], 'p50')} / {_quantile(one[name], 'p95')}"
                    for name in ("error", "way_there", "way_back")
                ),
                str(one["error"]["n"]),
                str(one["lost"]),
            ]
            for one in report["instrument"]
        ]
        heads = ("transport", "added, p50 / p95 ms", "way there", "way back", "n", "no beep")
        yield "<h2>Error of the instrument</h2><p>Known delays of 0, 100 and 300 ms, measured over the same links "
        yield "against a peer that beeps: the caller's frames and the transport add as much to every figure above. "
        yield "Nothing is subtracted.</p>"
        yield f"<div class=card>{_table(heads, rows)}</div>"


def _load(report: Values) -> Iterator[str]:
    load = report.get("load")
    if not load:
        return
    levels = load["levels"]
    series = {
        name: [(level["calls"], level["v2v"][name]["value"]) for level in levels if level["v2v"]]
        for name in ("p50", "p95")
    }
    yield f"<h2>Calls at the same time</h2><p>Knee: {escape(str(load['knee'] or 'below the smallest number tried'))}"
    yield f" (most calls with p95 within {KNEE:.0f} ms). Past it: {escape(load['saturated'])}.</p>"
    yield f"<div class=card>{plots.lines(series, 'calls', 'ms', KNEE, 'Voice to voice over the number of calls')}"
    rows = [
        [
            str(level["calls"]), _quantile(level["v2v"], "p50"), _quantile(level["v2v"], "p95"), str(level["missed"]),
            f"{level['refused']} ({level['polite']} with a time to retry)", str(level["underruns"]),
            "—" if level["cpu"] is None else f"{100 * level['cpu']:.0f} %",
        ]
        for level in levels
    ]  # fmt: skip
    yield (
        _table(("calls", "p50", "p95", "missed", "refused", "underruns", "server's share of the cores"), rows)
        + "</div>"
    )


def _punctual(report: Values) -> Iterator[str]:
    levels = report.get("punctual")
    if not levels:
        return
    yield "<h2>Pacing jitter</h2><p>Silent calls in one process: how much later than the most punctual one "
    yield "each 20 ms frame of the server arrived.</p>"
    late = [f"over {bound} ms" for bound in LATE]
    rows = [
        [
            str(level["calls"]),
            *(f"{level[name]:.1f} ms" for name in ("p50", "p99", "most")),
            *(f"{100 * share:.2g} %" for share in level["late"]),
            "—" if level["cpu"] is None else f"{level['cpu']:.2f} of a core",
        ]
        for level in levels
    ]
    yield _table(("calls", "median", "p99", "most", *late, "server"), rows)


def _soak(report: Values) -> Iterator[str]:
    soak = report.get("soak")
    if not soak:
        return
    yield f"<h2>Many short calls</h2><p>{soak['calls']} calls, {soak['failed']} broke, {soak['refused']} refused, "
    yield f"{soak['silent']} without a reply. Growth per 1 000 calls, once warm:</p><div class=card>"
    memory = {"MB": [(s["calls"], s["resident"] / 2**20) for s in soak["samples"]]}
    yield _growth(soak) + plots.lines(memory, "calls", "MB", None, "Memory over calls") + "</div>"


def _long(report: Values) -> Iterator[str]:
    call = report.get("long")
    if not call:
        return
    yield f"<h2>One long call</h2><p>{call['minutes']:g} minutes, {call['turns']} turns, {call['missed']} without a "
    yield f"reply. {escape('It broke: ' + call['failure'] + '. ') if call['failure'] else ''}Voice to voice, first "
    yield f"quarter: {escape(quantiles(call['early']))}; last quarter: {escape(quantiles(call['late']))}. "
    yield "Growth per hour, once warm:</p>"
    memory = {"MB": [(s["seconds"] / 60, s["resident"] / 2**20) for s in call["samples"]]}
    yield f"<div class=card>{_growth(call)}{plots.lines(memory, 'minutes', 'MB', None, 'Memory over time')}</div>"


def _growth(found: Values) -> str:
    rows = [
        [escape(name), f"{value / 2**20:.1f} MB" if name == "resident" else f"{value:.1f}"]
        for name, value in found["slopes"].items()
    ]
    return _table(("resource", "growth"), rows)


def _foot(report: Values) -> Iterator[str]:
    versions = ", ".join(f"{name} {value}" for name, value in report["machine"].get("versions", {}).items())
    yield f"<footer><p>A rate with ? has fewer than {FEW} observations. Small figures are 95 % intervals (bootstrap; "
    yield f"Wilson for rates). {escape(report['schema'])}; {escape(versions)}.</p></footer>"


def _label(run: Values) -> str:
    line = line_of(run["impairment"])
    return f"{run['scenario']}, {run['transport']}" + ("" if line == "clean" else f", {line}")


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{head}</th>" for head in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
