"""Measures the endpointing and prints the figures: early starts, delays, misses, by condition and kind of turn.

    python -m vivavoce.realtime.bench.turns_report --part evaluation --conditions clean noise

`figures` is pure; `main` opens the models of this machine. Intervals are the middle 95 % of a seeded bootstrap over
turns.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vivavoce.model import catalog
from vivavoce.model.cascade.ears import open_ears
from vivavoce.model.dialogue import Samples
from vivavoce.model.store import Store, default_home
from vivavoce.realtime.bench.studio import Studio
from vivavoce.realtime.bench.turns_eval import Net, Outcome, Parts, listen
from vivavoce.realtime.bench.turns_set import COMPLETE, CONDITIONS, LEAD, turns
from vivavoce.realtime.tuning import TurnDetection
from vivavoce.realtime.turns.smart_turn import SmartTurn
from vivavoce.realtime.turns.speech import SpeechNet, silero_path

RESAMPLES: Final = 2000

Figure = tuple[float, float, float]
"""A value and the ends of its interval."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Of `n` turns: the share begun too early, and so that the user would hear it; the delay's median and 95th
    percentile in seconds (of those that were not); and how many got no answer."""

    n: int
    premature: Figure
    heard: Figure
    median: Figure
    p95: Figure
    missed: int

    def __str__(self) -> str:
        early, median, p95 = self.premature, self.median, self.p95
        return (
            f"n {self.n:4}   early {early[0]:6.1%} ({early[1]:.1%}..{early[2]:.1%}), heard {self.heard[0]:.1%}   "
            f"median {median[0] * 1000:5.0f} ms ({median[1] * 1000:.0f}..{median[2] * 1000:.0f})   "
            f"p95 {p95[0] * 1000:5.0f} ms   missed {self.missed}"
        )


def figures(outcomes: Sequence[Outcome]) -> Figures:
    """The figures of some turns, at least one."""
    early = np.array([outcome.premature for outcome in outcomes], float)
    delays = np.array([outcome.delay for outcome in outcomes])
    return Figures(
        len(outcomes),
        _figure(early, np.mean),
        _figure(np.array([outcome.heard for outcome in outcomes], float), np.mean),
        _figure(delays, np.nanmedian),
        _figure(delays, lambda values: np.nanpercentile(values, 95)),
        sum(outcome.missed for outcome in outcomes),
    )


def report(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Lines: for each condition all turns, complete ones, those with pauses, and every kind."""
    for condition in dict.fromkeys(outcome.turn.condition for outcome in outcomes):
        these = [outcome for outcome in outcomes if outcome.turn.condition == condition]
        yield f"{condition}"
        groups = {
            "all turns": these,
            "complete sentences": [outcome for outcome in these if outcome.turn.kind in COMPLETE],
            "turns with pauses": [outcome for outcome in these if outcome.turn.kind not in COMPLETE],
        }
        for kind in dict.fromkeys(outcome.turn.kind for outcome in these):
            groups[f"  {kind}"] = [outcome for outcome in these if outcome.turn.kind == kind]
        for name, group in groups.items():
            if group:
                yield f"  {name:20} {figures(group)}"


def open_parts(store: Store) -> Parts:
    """The detector, judge and English ears of this machine, on one thread each."""
    net = SpeechNet(silero_path())
    judge = SmartTurn(store.path("smart-turn") / "smart-turn-v3.2-cpu.onnx", threads=1)

    def open_net() -> Net:
        state = net.init_state()

        def probability(window: Samples) -> float:
            return net.step(window, state)

        return probability

    return Parts(open_net, judge, open_ears("en", store.path, threads=1))


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="turns_report", description="Measure where turns end.")
    parser.add_argument("--part", choices=("evaluation", "development"), default="evaluation")
    parser.add_argument("--conditions", nargs="+", choices=CONDITIONS, default=list(CONDITIONS))
    parser.add_argument("--eagerness", choices=("low", "medium", "high", "auto"), default="auto")
    parser.add_argument("--lead", type=float, default=LEAD, help="seconds of background before the speech")
    parser.add_argument("--seed", type=int, default=4)
    options = parser.parse_args(arguments)
    store = Store(default_home(os.environ, sys.platform), catalog.load())
    parts, studio = open_parts(store), Studio(store)
    detection = TurnDetection(kind="semantic_vad", eagerness=options.eagerness)
    material = turns(studio, options.part, options.conditions, seed=options.seed, lead=options.lead)
    found = [listen(turn, parts, detection) for turn in material]
    for outcome in found:
        if outcome.premature or outcome.missed:
            print(
                f"{'early' if outcome.premature else 'missed'}: {outcome.turn.condition}, {outcome.turn.voice}: "
                f"{outcome.turn.text!r}, heard {outcome.text!r}"
            )
    print("\n".join(report(found)))


def _figure(values: NDArray[np.float64], statistic: Callable[[NDArray[np.float64]], np.floating]) -> Figure:
    if np.isnan(values).all():
        return (float("nan"), float("nan"), float("nan"))
    rng = np.random.default_rng(1)
    drawn = [values[rng.integers(len(values), size=len(values))] for _ in range(RESAMPLES)]
    spread = [statistic(sample) for sample in drawn if not np.isnan(sample).all()]
    low, high = np.percentile(spread, (2.5, 97.5))
    return (float(statistic(values)), float(low), float(high))


if __name__ == "__main__":
    main(sys.argv[1:])
