"""`vivavoce bench`: calls a server as a user would, and says how long the user waits.

options ──► speech prepared ──► [instrument calibrated] ──► scenarios, calls at once, soak, long call ──► table, report
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx

from vivavoce.model.errors import BrokenAsr, BrokenTts, UnknownVoice
from vivavoce.model.settings import CascadeSettings
from vivavoce.model.store import Store, catalog
from vivavoce.model.training.data.speech import Studio
from vivavoce.realtime.bench.caller import link_phone, scenario
from vivavoce.realtime.bench.caller.calibration import calibrate
from vivavoce.realtime.bench.caller.call_record import CallRecord
from vivavoce.realtime.bench.caller.link import Broken, Refused, Target
from vivavoce.realtime.bench.caller.prepare import Play, prepare
from vivavoce.realtime.bench.caller.server import ServerFailed, serving
from vivavoce.realtime.bench.measure.history import listener, remembered
from vivavoce.realtime.bench.options import BenchOptions
from vivavoce.realtime.bench.report import machine, report, table
from vivavoce.realtime.bench.report.html import page
from vivavoce.realtime.bench.report.report import compare
from vivavoce.realtime.bench.runs import load, long_call, soak
from vivavoce.realtime.bench.runs import punctuality as punctual
from vivavoce.realtime.bench.runs.run import PHONE, Plan, run_calls
from vivavoce.realtime.cli import models
from vivavoce.realtime.config import Config

ENVIRONMENT: Final = {
    "VIVAVOCE_SERVER_KEYS": "",
    "VIVAVOCE_SERVER_TLS_CERTIFICATE": "",
    "VIVAVOCE_SERVER_TLS_KEY": "",
    "VIVAVOCE_SERVER_MAX_DURATION": "86400",
    "VIVAVOCE_SERVER_SESSIONS_PER_MINUTE": "100000",
    "VIVAVOCE_SERVER_RESPONSES_PER_MINUTE": "10000",
}
"""Settings of our own server that would stand in the way of a measurement on loopback."""

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Bench:
    """A run under way: what was asked for, whom to call, and what was found so far."""

    choice: BenchOptions
    target: Target
    pid: int | None
    store: Store
    made: Values


def run(config: Config, choice: BenchOptions) -> int:
    """Prints the table, and writes report.json and report.html where asked. Raises `ModelError`."""
    made = _header(config, choice)
    try:
        store = Store(config.home, catalog.load())
        plays = _prepare(store, config, choice)
        with _target(config, choice) as (target, pid):
            _measure(_Bench(choice, target, pid, store, made), plays)
    except (scenario.ScenarioError, ServerFailed, Refused, Broken, UnknownVoice, BrokenTts, BrokenAsr) as error:
        print(f"vivavoce: {error}", file=sys.stderr)
        if choice.output and made["runs"]:
            _keep(made, choice.output)  # what there is
        return 1
    return _keep(made, choice.output) if choice.output else 0


def compare_files(a: Path, b: Path) -> int:
    """Prints what has changed from report `a` to report `b`."""
    try:
        print(compare(report.read(a), report.read(b)))
    except report.ReportError as error:
        print(f"vivavoce: {error}", file=sys.stderr)
        return 1
    return 0


def _prepare(store: Store, config: Config, choice: BenchOptions) -> list[Play]:
    names = choice.scenarios or ("single",)
    wanted = [scenario.load(name) for name in (scenario.names() if "all" in names else names)]
    models.prepare(store, _models(config, choice))
    _say("Speaking what the caller will say …")
    studio = Studio(store)
    try:
        return [prepare(one, studio, choice.seed) for one in wanted]
    except ValueError as error:
        raise scenario.ScenarioError(str(error)) from error


def _measure(bench: _Bench, plays: Sequence[Play]) -> None:
    choice = bench.choice
    if choice.calibrate:
        bench.made["instrument"] = [
            _calibrated(Plan(bench.target, transport, line, choice.seed))
            for transport in choice.transports
            for line in choice.lines
            if transport != PHONE and (line.clean or not transport.endswith("websocket"))
        ]
    if not choice.only_load:
        for play in plays:
            for transport in choice.transports:
                _scenario(bench, play, transport)
    if choice.calls:
        bench.made["load"] = _load(bench, plays[0])
    if choice.punctual:
        bench.made["punctual"] = _punctual(bench)
    if choice.soak and bench.pid:
        bench.made["soak"] = _soak(bench, plays[0], bench.pid)
    if choice.long and bench.pid:
        bench.made["long"] = _long(bench, plays[0], bench.pid)


def _calibrated(plan: Plan) -> Values:
    _say(f"Calibrating the instrument over {plan.transport} …")
    found = report.describe_instrument(calibrate(plan), plan.impairment)
    print(table.instrument_block(found), flush=True)
    return found


def _scenario(bench: _Bench, play: Play, transport: str) -> None:
    if play.scenario.picture and transport != "webrtc":
        return
    for line in bench.choice.lines:
        if transport.endswith(("websocket", PHONE)) and not line.clean:
            continue  # a socket repeats what is lost
        plan = Plan(bench.target, transport, line, bench.choice.seed, bench.choice.turns)
        _say(f"\n{play.scenario.name} · {transport} · {report.line_of(asdict(line))}")
        calls = asyncio.run(run_calls(play, plan, _Progress()))
        cuts = remembered(calls.records, listener(bench.store)) if play.scenario.interrupts else []
        found = report.describe_run(play, plan, calls, cuts)
        bench.made["runs"].append(found)
        print(f"\n{table.run_block(found)}\n", flush=True)


def _load(bench: _Bench, play: Play) -> Values:
    plan = Plan(bench.target, bench.choice.transports[0], bench.choice.lines[0], bench.choice.seed, bench.choice.turns)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    _say(f"\nload · {plan.transport} · {', '.join(map(str, bench.choice.calls))} calls at the same time")
    levels = load.sweep(play, plan, bench.choice.calls, cores, bench.pid, lambda level: print(table.level_line(level)))
    found = report.describe_load(levels, plan.transport)
    print(table.load_line(found), flush=True)
    return found


def _punctual(bench: _Bench) -> list[Values]:
    _say("\nIs the sound of quiet calls sent on time? · webrtc")
    target, calls = bench.target, bench.choice.punctual
    found = punctual.punctual(target, calls, bench.pid, lambda level: print(table.punctual_line(level), flush=True))
    return punctual.values(found)


def _soak(bench: _Bench, play: Play, pid: int) -> Values:
    transports = bench.choice.transports
    plan = Plan(bench.target, "all" if len(transports) > 1 else transports[0], seed=bench.choice.seed)
    _say(f"\nsoak · {bench.choice.soak} calls · {plan.transport}")
    found = asyncio.run(soak.soak(play, plan, bench.choice.soak, pid, lambda seen: _say(table.sample_line(seen))))
    values = soak.values(found)
    print(table.soak_block(values), flush=True)
    return values


def _long(bench: _Bench, play: Play, pid: int) -> Values:
    plan = Plan(bench.target, bench.choice.transports[0], seed=bench.choice.seed)
    _say(f"\none call of {bench.choice.long:g} minutes · {plan.transport}")
    call = long_call.long_call(play, plan, bench.choice.long, pid, lambda seen: _say(table.sample_line(seen, "turns")))
    found = long_call.values(asyncio.run(call))
    print(table.long_block(found), flush=True)
    return found


class _Progress:
    """Shows the turns of each call when it has ended."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, record: CallRecord) -> None:
        for turn in report.turn_values(record):
            self._count += 1
            _say(table.turn_line(turn, self._count))


# --- the server ---------------------------------------------------------------------------------------------------


@contextmanager
def _target(config: Config, choice: BenchOptions) -> Iterator[tuple[Target, int | None]]:
    """The server to call, and its process: somebody's, or our own for as long as it is needed."""
    if choice.url:
        target = Target(choice.url, choice.key, choice.model or "vivavoce")
        yield replace(target, extras=_is_ours(target)), None
        return
    _say("Starting the server …")
    chosen = _models(config, choice)
    file = ["--config", str(choice.settings)] if choice.settings else []
    environment = ENVIRONMENT | (link_phone.SETTINGS if PHONE in choice.transports else {})
    if max(choice.punctual, default=0) > config.server.max_sessions:
        environment |= {"VIVAVOCE_SERVER_MAX_SESSIONS": str(max(choice.punctual))}
    with serving([*file, "serve", "--language", chosen.language, "--voice", chosen.voice], environment) as own:
        yield Target(own.url, extras=True), own.pid


def _models(config: Config, choice: BenchOptions) -> CascadeSettings:
    return replace(config.model, language=choice.language or config.model.language)


def _is_ours(target: Target) -> bool:
    """Whether it understands our own events; other servers may stumble over the wish for them."""
    try:
        answer = httpx.get(f"{target.base}/models", headers=target.headers, timeout=10, trust_env=not target.loopback)
        return any(model.get("owned_by") == "vivavoce" for model in answer.json()["data"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError):
        return False


# --- the report ---------------------------------------------------------------------------------------------------


def _header(config: Config, choice: BenchOptions) -> Values:
    chosen = _models(config, choice)
    server = {"url": choice.url, "model": choice.model or "vivavoce"} if choice.url else {"own": True}
    settings = {} if choice.url else {"language": chosen.language, "voice": chosen.voice, "threads": chosen.threads}
    return {
        "schema": report.SCHEMA,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.describe(),
        "settings": {"server": server, "models": settings, "seed": choice.seed, "turns": choice.turns},
        "runs": [],
    }


def _keep(made: Values, folder: Path) -> int:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        report.write(made, folder / "report.json")
        (folder / "report.html").write_text(page(made), encoding="utf-8")
    except OSError as error:
        print(f"vivavoce: {folder} cannot be written: {error.strerror}.", file=sys.stderr)
        return 1
    _say(f"Written: {folder / 'report.json'}, {folder / 'report.html'}")
    return 0


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)
