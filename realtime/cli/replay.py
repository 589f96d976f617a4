"""`vivavoce replay FOLDER`: runs the cores on a recorded call again, and prints where their decisions differ."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vivavoce.model.store import Store, catalog
from vivavoce.realtime.cli import WrongUsage
from vivavoce.realtime.config import Config
from vivavoce.realtime.recording.reader import BadRecording, RecordingReader
from vivavoce.realtime.recording.replay import Models, Outcome, Replay
from vivavoce.realtime.recording.summary import Summary

SHOWN = 3
"""Differences that are printed whole."""

WIDTH = 300
"""Characters of a value that are printed."""


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """`against_models`: runs today's networks too. `pack`: writes the small form there, with today's decisions if
    `accept`."""

    as_json: bool = False
    against_models: bool = False
    pack: Path | None = None
    accept: bool = False


def run(config: Config, folder: Path, options: ReplayOptions) -> int:
    """Exit code 1 when there are differences. Raises `WrongUsage`, `ModelError`."""
    summary = Summary()
    try:
        recording = RecordingReader(folder)
        replay = Replay(recording, _models(config) if options.against_models else None, summary.receive)
        outcome = replay.run()
        if options.pack is not None:
            recording.pack(options.pack, replay.accepted if options.accept else None)
    except BadRecording as error:
        raise WrongUsage(str(error)) from error
    except OSError as error:
        raise WrongUsage(f"{options.pack} cannot be written: {error.strerror}.") from error
    if options.as_json:
        print(json.dumps(_report(recording, outcome, summary), default=str))
    else:
        _print(recording, outcome, summary)
    return 1 if outcome.count else 0


def _models(config: Config) -> Models:
    from vivavoce.model.turns.silero_vad import SileroVad
    from vivavoce.model.turns.smart_turn import SmartTurn

    store = Store(config.home, catalog.load())
    (file,) = store.path("smart-turn").glob("*.onnx")
    vad, smart_turn = SileroVad(store.path("silero-vad")), SmartTurn(file)
    state = vad.init_state()
    return Models(lambda window: vad.step(window, state), smart_turn.complete)


def _report(recording: RecordingReader, outcome: Outcome, summary: Summary) -> dict[str, Any]:
    """The whole outcome, as JSON values."""
    return {
        "folder": str(recording.folder),
        "vivavoce": recording.header["vivavoce"],
        "seconds": round(recording.seconds, 3),
        "end": recording.end,
        "calls": outcome.calls,
        "differences": outcome.count,
        "first": [asdict(difference) for difference in outcome.differences[:SHOWN]],
        "said": [asdict(line) for line in summary.lines()],
        "models": _compared(outcome),
    }


def _compared(outcome: Outcome) -> dict[str, dict[str, float]]:
    """Differences between the outputs of today's models and the recorded ones."""
    compared = {}
    for name, pairs in {"speech": outcome.chances, "complete": outcome.verdicts}.items():
        if pairs:
            compared[name] = {
                "n": len(pairs),
                "largest": round(max(abs(then - now) for then, now in pairs), 4),
                "other_side": sum((then >= 0.5) != (now >= 0.5) for then, now in pairs),
            }
    return compared


def _print(recording: RecordingReader, outcome: Outcome, summary: Summary) -> None:
    name, version = recording.folder.name, recording.header["vivavoce"]
    print(f"{name}: {recording.seconds:.1f} s, recorded by {version}, ended: {recording.end}")
    for line in summary.lines():
        print(f"  {line}")
    for difference in outcome.differences[:SHOWN]:
        print(f"\nentry {difference.call}")
        for before in difference.before:
            print(f"    after {before}")
        print(f"  differs at {difference.path}")
        print(f"    recorded {_short(difference.recorded)}\n    now      {_short(difference.now)}")
    for name, numbers in _compared(outcome).items():
        print(
            f"{name}: {numbers['n']} answers of the model compared, at most {numbers['largest']:g} apart, "
            f"{numbers['other_side']} on the other side of one half"
        )
    print(f"{outcome.calls} calls decided again, {outcome.count or 'no'} differences")


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= WIDTH else f"{text[:WIDTH]} …"
