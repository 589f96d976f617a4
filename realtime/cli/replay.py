"""`vivavoce replay folder`: decides a recorded call again, and says where today's code decides otherwise."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vivavoce.model.store import Store, catalog
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
    """`against_models`: today's networks are asked too. `pack`: write the small form there, with today's answers if
    `accept`."""

    as_json: bool = False
    against_models: bool = False
    pack: Path | None = None
    accept: bool = False


def run(config: Config, folder: Path, wishes: ReplayOptions) -> int:
    """Exit code 1 when there are differences, 2 when there is nothing to replay. Raises `ModelError`."""
    summary = Summary()
    try:
        tape = RecordingReader(folder)
        replay = Replay(tape, _models(config) if wishes.against_models else None, summary.receive)
        outcome = replay.run()
        if wishes.pack is not None:
            tape.pack(wishes.pack, replay.accepted if wishes.accept else None)
    except BadRecording as error:
        print(f"vivavoce: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"vivavoce: {wishes.pack} cannot be written: {error.strerror}.", file=sys.stderr)
        return 2
    if wishes.as_json:
        print(json.dumps(_report(tape, outcome, summary), default=str))
    else:
        _print(tape, outcome, summary)
    return 1 if outcome.count else 0


def _models(config: Config) -> Models:
    from vivavoce.model.turns.silero_vad import SileroVad
    from vivavoce.model.turns.smart_turn import SmartTurn

    store = Store(config.home, catalog.load())
    (file,) = store.path("smart-turn").glob("*.onnx")
    net, judge = SileroVad(store.path("silero-vad")), SmartTurn(file)
    state = net.init_state()
    return Models(lambda window: net.step(window, state), judge.complete)


def _report(tape: RecordingReader, outcome: Outcome, summary: Summary) -> dict[str, Any]:
    """Everything that is known, as JSON values."""
    return {
        "folder": str(tape.folder),
        "vivavoce": tape.header["vivavoce"],
        "seconds": round(tape.seconds, 3),
        "end": tape.end,
        "calls": outcome.calls,
        "differences": outcome.count,
        "first": [asdict(difference) for difference in outcome.differences[:SHOWN]],
        "said": [asdict(line) for line in summary.lines()],
        "models": _compared(outcome),
    }


def _compared(outcome: Outcome) -> dict[str, dict[str, float]]:
    """How far today's models are from the recorded ones."""
    found = {}
    for name, pairs in {"speech": outcome.chances, "complete": outcome.verdicts}.items():
        if pairs:
            found[name] = {
                "n": len(pairs),
                "largest": round(max(abs(then - now) for then, now in pairs), 4),
                "other_side": sum((then >= 0.5) != (now >= 0.5) for then, now in pairs),
            }
    return found


def _print(tape: RecordingReader, outcome: Outcome, summary: Summary) -> None:
    print(f"{tape.folder.name}: {tape.seconds:.1f} s, recorded by {tape.header['vivavoce']}, ended: {tape.end}")
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
