"""Does the assistant stop when it should, and only then? python -m vivavoce.realtime.bench.overlap_eval

    Case ─► microphone, 20 ms at a time, with the echo of what was just played ─► Listener ─► facts ─► Playout
                                                                             frames that left ─► Outcome ─► report

The real speech net, classifier, floor and playout at virtual time, in the order of a live call: a frame of 20 ms is
heard when it is complete, judged within `JUDGING`, and what follows sounds from the next frame that leaves. The real
ears are asked too, and take `READING` for it. The network and the devices are not in it. `--rule alone` measures the
classifier without the ears, `--rule pattern` what was done before both: a quarter of a second of voice stops it, and it
does not duck.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np

from vivavoce.model import catalog
from vivavoce.model.cascade.dialogue import overheard
from vivavoce.model.cascade.ears import Ears, open_ears
from vivavoce.model.dialogue import SAMPLE_RATE, AudioToken, Samples
from vivavoce.model.store import Store, default_home
from vivavoce.realtime.bench.overlap_set import FRAME, STOPS, Case, cases
from vivavoce.realtime.bench.studio import Studio
from vivavoce.realtime.events import Overlapped, TurnStarted
from vivavoce.realtime.fader import DUCKED
from vivavoce.realtime.playout import Playout
from vivavoce.realtime.tuning import TurnDetection
from vivavoce.realtime.turns.backchannel import OverlapNet
from vivavoce.realtime.turns.floor import Catch, Floor, FloorFact
from vivavoce.realtime.turns.listener import Listener
from vivavoce.realtime.turns.speech import SpeechNet, silero_path

SEED: Final = 11
ECHO_DELAY: Final = 4  # frames: 80 ms
JUDGING: Final = 0.005
"""Seconds that resampling, both nets and the floor may take for a frame; they take about 1 ms on an idle core."""
READING: Final = 2
"""Frames (40 ms) that the ears take for an answer; measured: 26 to 30 ms where no other work is done."""
Rule = Literal["words", "alone", "pattern"]
STORY: Final = (
    "The next train to the coast leaves at a quarter past nine, and the one after that about an hour later. "
    "From there it is a short walk along the river, and you will see the old lighthouse on the left.",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened in one case. Seconds from the sound's beginning: `ducked` until the voice was softer by 18 dB (or
    gone), `silent` until nothing more of it left, `cut` until the turn was given to the user; None: it never was.
    `gap`: silence that was added to the voice and followed by its continuation."""

    case: Case
    ducked: float | None
    silent: float | None
    cut: float | None
    gap: float

    @property
    def stopped(self) -> bool:
        return self.cut is not None


class Rig:
    """What every case is heard with."""

    def __init__(self, studio: Studio, rule: Rule, ears: Ears) -> None:
        self._speech = SpeechNet(silero_path())
        self._net = OverlapNet() if rule != "pattern" else None
        self._ears = ears if rule == "words" else None
        self._story = np.concatenate([studio.say(text).samples for text in STORY])

    def run(self, case: Case) -> Outcome:
        """One case from the first packet to the last."""
        state = self._speech.init_state()
        ear = self._net.init_state() if self._net else None
        floor = Floor(TurnDetection(), ear.scores if ear else None, ears=self._ears is not None)
        listener = Listener(lambda window: self._speech.step(window, state), floor, ear.push if ear else None)
        voice, gains = _playing(self._story), _playing(np.ones_like(self._story))
        played: list[Samples] = [np.zeros(FRAME, np.float32)] * (ECHO_DELAY + 1)
        shape: list[Samples] = []
        cut: int | None = None
        looks: deque[tuple[int, Catch]] = deque()  # with the frame in which the answer comes
        for start in range(0, len(case.microphone) - FRAME + 1, FRAME):
            frame = case.microphone[start : start + FRAME]
            if case.echo_db is not None:
                frame = frame + played[-1 - ECHO_DELAY] * np.float32(10 ** (case.echo_db / 20))
            facts = self._answered(floor, looks, start)
            facts += listener.receive(frame, voice.interruptible, busy=False)
            for fact in facts:
                if isinstance(fact, TurnStarted):
                    voice.cut(1)
                    gains.cut(1)
                    cut = start + FRAME if cut is None else cut
                elif isinstance(fact, Overlapped) and self._net:
                    voice.turn(fact.loudness)
                    gains.turn(fact.loudness)
                elif isinstance(fact, Catch) and not looks:
                    looks.append((start + READING * FRAME, fact))
            played.append(voice.take(FRAME).samples)
            shape.append(gains.take(FRAME).samples)
        return _outcome(case, np.concatenate(shape), cut)

    def _answered(self, floor: Floor, looks: deque[tuple[int, Catch]], now: int) -> list[FloorFact]:
        """What the floor makes of what the ears say now."""
        if self._ears is None or not looks or looks[0][0] > now:
            return []
        _, catch = looks.popleft()
        heard = overheard(self._ears, catch.samples)
        return floor.caught(catch.at, catch.age, heard.text, heard.interruption, asked=False)


def _playing(sound: Samples) -> Playout:
    playout = Playout()
    playout.push(1, AudioToken(sound))
    return playout


def _outcome(case: Case, gain: Samples, cut: int | None) -> Outcome:
    """`gain` of the voice, sample by sample from one frame after the first packet on."""
    delay = FRAME + round(JUDGING * SAMPLE_RATE) - case.onset
    after = np.flatnonzero(gain[case.onset :] <= DUCKED * 1.01)
    ends = int(np.flatnonzero(gain)[-1]) + 1
    zeros = int((gain[:ends] == 0).sum())
    return Outcome(
        case,
        (case.onset + int(after[0]) + delay) / SAMPLE_RATE if len(after) else None,
        (ends + delay) / SAMPLE_RATE if cut is not None else None,
        (cut - FRAME + delay) / SAMPLE_RATE if cut is not None else None,
        zeros / SAMPLE_RATE if cut is None else 0.0,
    )


def report(outcomes: Sequence[Outcome]) -> str:
    """Rates and times with their intervals, and what went wrong."""
    stops = [o for o in outcomes if o.case.kind in STOPS]
    others = [o for o in outcomes if o.case.kind not in STOPS]
    lines = [_rate("yield: real interruptions that stop it", [o.stopped for o in stops])]
    lines += [_rate(f"    {kind}", [o.stopped for o in stops if o.case.kind == kind]) for kind in STOPS]
    lines.append(_rate("selectivity: others that do not", [not o.stopped for o in others]))
    for kind in ("backchannel", "noise", "echo"):
        lines.append(_rate(f"    {kind}", [not o.stopped for o in others if o.case.kind == kind]))
    lines.append(_times("to duck (-18 dB), real interruptions", [o.ducked for o in stops]))
    lines.append(_times("to silence, held or cut", [o.silent for o in stops]))
    lines.append(_times("to the cut", [o.cut for o in stops]))
    lines.append(_times("resume gap where it was held", [o.gap for o in others if not o.stopped and o.gap > 0]))
    held = sum(o.gap > 0 for o in others if not o.stopped)
    lines.append(f"held and resumed: {held} of {sum(not o.stopped for o in others)}")
    wrong = Counter(
        (o.case.kind, o.case.text, o.case.condition) for o in outcomes if o.stopped != (o.case.kind in STOPS)
    )
    lines += [f"  wrong: {' | '.join(what)}" for what in sorted(wrong)]
    return "\n".join(lines)


def _rate(name: str, hits: Sequence[bool]) -> str:
    if not hits:
        return f"{name}: none"
    low, high = _interval(np.array(hits, float), np.mean)
    return f"{name}: {100 * np.mean(hits):.1f} % [{100 * low:.1f}, {100 * high:.1f}]  n={len(hits)}"


def _times(name: str, seconds: Iterable[float | None]) -> str:
    found = 1000 * np.array([value for value in seconds if value is not None])
    if not len(found):
        return f"{name}: none"
    low, high = _interval(found, np.median)
    p50, p95 = np.percentile(found, [50, 95])
    return f"{name}: p50 {p50:.0f} ms [{low:.0f}, {high:.0f}]  p95 {p95:.0f} ms  n={len(found)}"


def _interval(values: np.ndarray, of: object) -> tuple[float, float]:
    """95 %, by bootstrap over the cases."""
    assert callable(of)
    rng = np.random.default_rng(SEED)
    drawn = [float(of(rng.choice(values, len(values)))) for _ in range(1000)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m vivavoce.realtime.bench.overlap_eval")
    parser.add_argument("--rule", choices=get_args(Rule), default="words")
    parser.add_argument("--seed", type=int, default=SEED)
    asked = parser.parse_args(argv)
    store = Store(default_home(os.environ, sys.platform), catalog.load())
    studio = Studio(store)
    rig = Rig(studio, asked.rule, open_ears("en", store.path, 1))
    print(report([rig.run(case) for case in cases(studio, asked.seed)]))


if __name__ == "__main__":
    main(sys.argv[1:])
