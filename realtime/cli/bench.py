"""`vivavoce bench`: calls a server as a user would, and measures how long the user waits.

options ──► speech prepared ──► [instrument calibrated] ──► scenarios, calls at once, soak, long call ──► table, report
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx

from vivavoce.model.errors import ModelError
from vivavoce.model.settings import CascadeSettings
from vivavoce.model.store import Store, catalog
from vivavoce.model.training.data.speech import Synthesizer
from vivavoce.realtime.bench import BenchError
from vivavoce.realtime.bench.caller import link_phone, scenario
from vivavoce.realtime.bench.caller.link import Target
from vivavoce.realtime.bench.caller.prepare import PreparedScenario, prepare
from vivavoce.realtime.bench.measure.call_record import CallRecord
from vivavoce.realtime.bench.measure.history import cut_histories, open_transcriber
from vivavoce.realtime.bench.options import BenchOptions
from vivavoce.realtime.bench.report import machine, report, table
from vivavoce.realtime.bench.report.html import page
from vivavoce.realtime.bench.report.report import compare
from vivavoce.realtime.bench.runs import load, long_call, soak
from vivavoce.realtime.bench.runs import punctuality as punctual
from vivavoce.realtime.bench.runs.calibration import calibrate
from vivavoce.realtime.bench.runs.quiet import Watch
from vivavoce.realtime.bench.runs.run import PHONE, Plan, run_calls
from vivavoce.realtime.bench.runs.server import serving, vitals
from vivavoce.realtime.cli import CommandFailed, models
from vivavoce.realtime.config import Config

ENVIRONMENT: Final = {
    "VIVAVOCE_SERVER_KEYS": "",
    "VIVAVOCE_SERVER_TLS_CERTIFICATE": "",
    "VIVAVOCE_SERVER_TLS_KEY": "",
    "VIVAVOCE_SERVER_MAX_DURATION": "86400",
    "VIVAVOCE_SERVER_SESSIONS_PER_MINUTE": "100000",
    "VIVAVOCE_SERVER_RESPONSES_PER_MINUTE": "10000",
}
"""Settings of the server that is started, so that no limit ends a measurement on loopback."""

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Bench:
    """A run under way. `pid`: process of the server, if it was started here; `results`: of the report, so far."""

    options: BenchOptions
    target: Target
    pid: int | None
    store: Store
    results: Values

    def cpu(self) -> float | None:
        """CPU seconds of this process and of the server, if that was started here."""
        server = vitals(self.pid) if self.pid else None
        return None if server is None else server.cpu + time.process_time()


def run(config: Config, options: BenchOptions) -> int:
    """Prints the table, and writes report.json and report.html into `options.output`; after a failure, the runs so far.
    Raises `CommandFailed`, `ModelError`."""
    results = _header(config, options)
    try:
        store = Store(config.home, catalog.load())
        plays = _prepare(store, config, options)
        with _target(config, options) as (target, pid):
            _measure(_Bench(options, target, pid, store, results), plays)
    except (BenchError, ModelError) as error:
        if options.output and results["runs"]:
            _write(results, options.output)
        if isinstance(error, ModelError):
            raise
        raise CommandFailed(str(error)) from error
    if options.output:
        _write(results, options.output)
    return 0


def compare_files(a: Path, b: Path) -> int:
    """Prints the changes from report `a` to report `b`. Raises `CommandFailed`."""
    try:
        print(compare(report.read(a), report.read(b)))
    except report.ReportError as error:
        raise CommandFailed(str(error)) from error
    return 0


def _prepare(store: Store, config: Config, options: BenchOptions) -> list[PreparedScenario]:
    names = options.scenarios or ("single",)
    scenarios = [scenario.load(name) for name in (scenario.names() if "all" in names else names)]
    models.prepare(store, _models(config, options))
    _print("Synthesizing the caller's speech …")
    studio = Synthesizer(store)
    try:
        return [prepare(one, studio, options.seed) for one in scenarios]
    except ValueError as error:
        raise scenario.ScenarioError(str(error)) from error


def _measure(bench: _Bench, plays: Sequence[PreparedScenario]) -> None:
    options = bench.options
    if options.calibrate:
        bench.results["instrument"] = [
            _calibrate(Plan(bench.target, transport, line, options.seed))
            for transport in options.transports
            for line in options.lines
            if transport != PHONE and (line.clean or not transport.endswith("websocket"))
        ]
    if not options.only_load:
        for play in plays:
            for transport in options.transports:
                _scenario(bench, play, transport)
    if options.calls:
        bench.results["load"] = _load(bench, plays[0])
    if options.punctual:
        bench.results["punctual"] = _punctual(bench)
    if options.soak and bench.pid:
        bench.results["soak"] = _soak(bench, plays[0], bench.pid)
    if options.long and bench.pid:
        bench.results["long"] = _long(bench, plays[0], bench.pid)


def _calibrate(plan: Plan) -> Values:
    _print(f"Calibrating the instrument over {plan.transport} …")
    values = report.describe_instrument(calibrate(plan), plan.impairment)
    print(table.instrument_block(values), flush=True)
    return values


def _scenario(bench: _Bench, play: PreparedScenario, transport: str) -> None:
    if play.scenario.picture and transport != "webrtc":
        return
    for line in bench.options.lines:
        if transport.endswith(("websocket", PHONE)) and not line.clean:
            continue  # TCP repeats lost packets
        plan = Plan(bench.target, transport, line, bench.options.seed, bench.options.turns)
        _print(f"\n{play.scenario.name} · {transport} · {report.line_of(asdict(line))}")
        watch = Watch(bench.cpu)
        calls = asyncio.run(run_calls(play, plan, _TurnPrinter()))
        neighbours = watch.neighbours()
        cuts = cut_histories(calls.records, open_transcriber(bench.store)) if play.scenario.interrupts else []
        values = report.describe_run(play, plan, calls, cuts, neighbours)
        bench.results["runs"].append(values)
        print(f"\n{table.run_block(values)}\n", flush=True)


def _load(bench: _Bench, play: PreparedScenario) -> Values:
    options = bench.options
    plan = Plan(bench.target, options.transports[0], options.lines[0], options.seed, options.turns)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    _print(f"\nload · {plan.transport} · {', '.join(map(str, options.calls))} calls at the same time")
    levels = load.sweep(play, plan, options.calls, cores, bench.pid, lambda level: print(table.level_line(level)))
    values = report.describe_load(levels, plan.transport)
    print(table.load_line(values), flush=True)
    return values


def _punctual(bench: _Bench) -> list[Values]:
    _print("\nIs the sound of quiet calls sent on time? · webrtc")
    target, calls = bench.target, bench.options.punctual
    levels = punctual.punctual(target, calls, bench.pid, lambda level: print(table.punctual_line(level), flush=True))
    return punctual.values(levels)


def _soak(bench: _Bench, play: PreparedScenario, pid: int) -> Values:
    transports = bench.options.transports
    plan = Plan(bench.target, "all" if len(transports) > 1 else transports[0], seed=bench.options.seed)
    _print(f"\nsoak · {bench.options.soak} calls · {plan.transport}")
    calls = soak.soak(play, plan, bench.options.soak, pid, lambda sample: _print(table.sample_line(sample)))
    values = soak.values(asyncio.run(calls))
    print(table.soak_block(values), flush=True)
    return values


def _long(bench: _Bench, play: PreparedScenario, pid: int) -> Values:
    plan = Plan(bench.target, bench.options.transports[0], seed=bench.options.seed)
    _print(f"\none call of {bench.options.long:g} minutes · {plan.transport}")
    minutes = bench.options.long
    call = long_call.long_call(play, plan, minutes, pid, lambda sample: _print(table.sample_line(sample, "turns")))
    values = long_call.values(asyncio.run(call))
    print(table.long_block(values), flush=True)
    return values


class _TurnPrinter:
    """Prints the turns of each call when it has ended."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, record: CallRecord) -> None:
        for turn in report.turn_values(record):
            self._count += 1
            _print(table.turn_line(turn, self._count))


# --- the server ---------------------------------------------------------------------------------------------------


@contextmanager
def _target(config: Config, options: BenchOptions) -> Iterator[tuple[Target, int | None]]:
    """The server to call, and its process: the one at `options.url`, or one that is started for the run."""
    if options.url:
        target = Target(options.url, options.key, options.model or "vivavoce")
        yield replace(target, extras=_is_ours(target)), None
        return
    _print("Starting the server …")
    chosen = _models(config, options)
    file = ["--config", str(options.settings)] if options.settings else []
    environment = ENVIRONMENT | (link_phone.SETTINGS if PHONE in options.transports else {})
    if max(options.punctual, default=0) > config.server.max_sessions:
        environment |= {"VIVAVOCE_SERVER_MAX_SESSIONS": str(max(options.punctual))}
    with serving([*file, "serve", "--language", chosen.language, "--voice", chosen.voice], environment) as server:
        yield Target(server.url, extras=True), server.pid


def _models(config: Config, options: BenchOptions) -> CascadeSettings:
    return replace(config.model, language=options.language or config.model.language)


def _is_ours(target: Target) -> bool:
    """Whether the server is Vivavoce, which has events of its own; others may reject the request for them."""
    try:
        answer = httpx.get(f"{target.base}/models", headers=target.headers, timeout=10, trust_env=not target.loopback)
        return any(model.get("owned_by") == "vivavoce" for model in answer.json()["data"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError):
        return False


# --- the report ---------------------------------------------------------------------------------------------------


def _header(config: Config, options: BenchOptions) -> Values:
    chosen = _models(config, options)
    server = {"url": options.url, "model": options.model or "vivavoce"} if options.url else {"own": True}
    settings = {} if options.url else {"language": chosen.language, "voice": chosen.voice, "threads": chosen.threads}
    return {
        "schema": report.SCHEMA,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.describe(),
        "settings": {"server": server, "models": settings, "seed": options.seed, "turns": options.turns},
        "runs": [],
    }


def _write(results: Values, folder: Path) -> None:
    """Raises `CommandFailed`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        report.write(results, folder / "report.json")
        (folder / "report.html").write_text(page(results), encoding="utf-8")
    except OSError as error:
        raise CommandFailed(f"{folder} cannot be written: {error.strerror}.") from error
    _print(f"Written: {folder / 'report.json'}, {folder / 'report.html'}")


def _print(text: str) -> None:
    """To stderr: stdout holds the tables."""
    print(text, file=sys.stderr, flush=True)
