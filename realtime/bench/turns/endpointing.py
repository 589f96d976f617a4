"""Measure endpointing on labelled turns: early starts, delays and misses, by condition and kind of turn.

    python -m vivavoce.realtime.bench.turns.endpointing --part evaluation --conditions clean noise

    Turn ─20 ms─► MicrophoneWindows ─► Floor ─► TurnEnded at sample n ──► Outcome: n against the annotated end
                     │  AskEndpoint ─► Smart Turn ── its answer, `Lags.end_of_turn` later ──┘
                     └─ TurnSound ─► ASR ── its text, an update later ──────────────────────┘

VAD, end-of-turn classifier and ASR are the real ones and get exactly the sound of a call, at virtual time. Only the
time that classifier and ASR take is put in, as measured on two cores, so that the figures do not depend on other work
of the machine. Network and jitter buffer are not included.

`figures` is pure; `main` opens the models of this machine. Intervals are the middle 95 % of a seeded bootstrap over
turns.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.codecs.resample import Resampler
from vivavoce.model.cascade.asr import Asr, Hypothesis, Recognition, open_asr
from vivavoce.model.dialogue import joined
from vivavoce.model.store import Store, catalog, default_home
from vivavoce.model.training.data.speech import Synthesizer
from vivavoce.model.training.data.turns import COMPLETE, CONDITIONS, LEAD, Turn, turns
from vivavoce.model.turns.silero_vad import SileroVad
from vivavoce.model.turns.smart_turn import SmartTurn
from vivavoce.realtime.events import TurnDetection, TurnEnded, TurnSound, TurnStarted
from vivavoce.realtime.turns.endpointing import AskEndpoint
from vivavoce.realtime.turns.floor import Floor, FloorFact
from vivavoce.realtime.turns.windows import NET_RATE, MicrophoneWindows

FRAME: Final = SAMPLE_RATE // 50
"""Sound comes 20 ms at a time."""
UPDATE: Final = NET_RATE // 4
"""The ASR updates its hypothesis after this much new sound, and at the first unvoiced window of a pause
(model/cascade)."""


class EndOfTurn(Protocol):
    """`SmartTurn`, or a fake."""

    def complete(self, samples_16k: Samples) -> float: ...


class SpeechProbability(Protocol):
    """`SileroVad` with a state of its own: the speech probability of the next window."""

    def __call__(self, window: Samples) -> float: ...


@dataclass(frozen=True, slots=True)
class Lags:
    """Seconds of audio that pass while the models work, as measured on two cores of a small cloud machine with both at
    work at once. An update of the ASR costs `asr`, and `asr_per_second` for each second of the segment."""

    end_of_turn: float = 0.085
    asr: float = 0.025
    asr_per_second: float = 0.025


USUAL: Final = Lags()

FIRST_SOUND: Final = 0.56
"""Seconds from the user's last sound to the first of the reply, which is generated from the pause on (median of
`vivavoce bench` on two cores)."""
READY_SOUND: Final = 0.06
"""Seconds from the end of the turn to the first sound of a reply that was ready by then."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The models. `open_vad` makes a VAD for one turn."""

    open_vad: Callable[[], SpeechProbability]
    end_of_turn: EndOfTurn
    asr: Asr


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one turn. `ended`: sample at which the floor ended it, None for never. `began`: whether the VAD
    noticed it at all. `text`: the words that the ASR had recognized by then."""

    turn: Turn
    began: bool
    ended: int | None
    text: str

    @property
    def premature(self) -> bool:
        """The floor ended the turn before the user had finished."""
        return self.ended is not None and self.ended < self.turn.speech_end

    @property
    def audible(self) -> bool:
        """The reply would have been audible before the user went on. Else it is dropped, and for the model both halves
        are one turn."""
        begun = [pause for pause in self.turn.pauses if self.ended is not None and pause[0] < self.ended]
        if not self.premature or self.ended is None or not begun:
            return False
        paused, went_on = begun[-1]
        return max(paused + FIRST_SOUND * SAMPLE_RATE, self.ended + READY_SOUND * SAMPLE_RATE) < went_on

    @property
    def missed(self) -> bool:
        """The floor never ended the turn: no reply at all."""
        return self.ended is None

    @property
    def delay(self) -> float:
        """Seconds from the last audible sound to the end of the turn; NaN when missed or premature."""
        if self.ended is None or self.premature:
            return float("nan")
        return (self.ended - self.turn.speech_end) / SAMPLE_RATE


def listen(turn: Turn, parts: Parts, detection: TurnDetection, lags: Lags = USUAL) -> Outcome:
    """Plays a turn to a fresh floor. A turn that ends before the speech began was noise, and is passed over."""
    return _Run(turn, parts, detection, lags).run()


class _AsrSchedule:
    """The schedule of the ASR's updates within one turn of the floor, as in the cascade. Counts samples at
    `NET_RATE`."""

    def __init__(self, recognition: Recognition) -> None:
        self.recognition = recognition
        self._resampler = Resampler(SAMPLE_RATE, NET_RATE)
        self.pushed = self.updated = self.voiced_end = 0
        self._paused = self.busy = False

    def push(self, sound: TurnSound) -> bool:
        """Takes sound. Returns whether an update is due."""
        samples = self._resampler.push(sound.samples)
        self.recognition.push(samples)
        self._paused = not sound.voiced and (self._paused or self.voiced_end == self.pushed)
        self.pushed += len(samples)
        if sound.voiced:
            self.voiced_end = self.pushed
        return self.due

    @property
    def due(self) -> bool:
        return not self.busy and (self._paused or self.pushed - self.updated >= UPDATE)

    def update(self) -> Hypothesis:
        self.busy, self._paused, self.updated = True, False, self.pushed
        return self.recognition.update()


class _Run:
    """One turn on its way through the models; `now` in samples since its first."""

    def __init__(self, turn: Turn, parts: Parts, detection: TurnDetection, lags: Lags) -> None:
        self._turn = turn
        self._parts = parts
        self._lags = lags
        self._floor = Floor(detection)
        self._windows = MicrophoneWindows(parts.open_vad(), self._floor)
        self._due: list[tuple[int, int, Callable[[], list[FloorFact]]]] = []
        self._order = 0
        self._classifying = False
        self._schedule: _AsrSchedule | None = None
        self._now = 0
        self._began = False
        self._ended: int | None = None
        self._text = ""

    def run(self) -> Outcome:
        samples = self._turn.samples
        for start in range(0, len(samples) - FRAME, FRAME):
            while self._due and self._due[0][0] < start + FRAME:
                self._now, _, deliver = heappop(self._due)
                self._take(deliver())
            self._now = start + FRAME
            self._take(self._windows.receive(samples[start : start + FRAME], audible=False, busy=False))
            if self._ended is not None:
                break
        return Outcome(self._turn, self._began, self._ended, self._text)

    def _take(self, facts: list[FloorFact]) -> None:
        for fact in facts:
            match fact:
                case TurnStarted():
                    self._schedule = _AsrSchedule(self._parts.asr.open())
                    self._text = ""
                case TurnSound():
                    self._began = self._began or (fact.voiced and self._now > self._turn.speech_start)
                    if self._schedule is not None and self._schedule.push(fact):
                        self._start_update(self._schedule)
                case AskEndpoint() if not self._classifying:
                    self._start_classifying(fact)
                case TurnEnded():
                    self._schedule = None
                    if self._now > self._turn.speech_start and self._ended is None:
                        self._ended = self._now

    def _start_classifying(self, ask: AskEndpoint) -> None:
        self._classifying = True
        probability = self._parts.end_of_turn.complete(self._windows.recent())

        def answer() -> list[FloorFact]:
            self._classifying = False
            return self._floor.end_of_turn(ask.at, probability)

        self._after(self._lags.end_of_turn, answer)

    def _start_update(self, schedule: _AsrSchedule) -> None:
        hypothesis = schedule.update()
        text = joined(hypothesis.stable, hypothesis.tail)

        def recognized() -> list[FloorFact]:
            schedule.busy = False
            if schedule is not self._schedule:
                return []
            self._text = text
            whole = schedule.voiced_end <= schedule.updated
            facts = self._floor.recognized(text, hypothesis.end_of_turn) if whole else []
            if schedule.due and not any(isinstance(fact, TurnEnded) for fact in facts):
                self._start_update(schedule)
            return facts

        self._after(self._lags.asr + self._lags.asr_per_second * schedule.updated / NET_RATE, recognized)

    def _after(self, lag: float, deliver: Callable[[], list[FloorFact]]) -> None:
        self._order += 1
        heappush(self._due, (self._now + round(lag * SAMPLE_RATE), self._order, deliver))


RESAMPLES: Final = 2000

Figure = tuple[float, float, float]
"""A value and the ends of its interval."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Of `n` turns: the share of premature ends, and of those whose reply would be audible; the delay's median and 95th
    percentile in seconds (of turns that ended in time); and how many were missed."""

    n: int
    premature: Figure
    audible: Figure
    median: Figure
    p95: Figure
    missed: int

    def __str__(self) -> str:
        early, median, p95 = self.premature, self.median, self.p95
        return (
            f"n {self.n:4}   early {early[0]:6.1%} ({early[1]:.1%}..{early[2]:.1%}), audible {self.audible[0]:.1%}   "
            f"median {median[0] * 1000:5.0f} ms ({median[1] * 1000:.0f}..{median[2] * 1000:.0f})   "
            f"p95 {p95[0] * 1000:5.0f} ms   missed {self.missed}"
        )


def figures(outcomes: Sequence[Outcome]) -> Figures:
    """The figures of one or more turns."""
    early = np.array([outcome.premature for outcome in outcomes], float)
    delays = np.array([outcome.delay for outcome in outcomes])
    return Figures(
        len(outcomes),
        _figure(early, np.mean),
        _figure(np.array([outcome.audible for outcome in outcomes], float), np.mean),
        _figure(delays, np.nanmedian),
        _figure(delays, lambda values: np.nanpercentile(values, 95)),
        sum(outcome.missed for outcome in outcomes),
    )


def report(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Lines for each condition: all turns, complete ones, those with pauses, and every kind."""
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
    """VAD, end-of-turn classifier and English ASR of this machine, on one thread each."""
    vad = SileroVad(store.path("silero-vad"))
    end_of_turn = SmartTurn(store.path("smart-turn") / "smart-turn-v3.2-cpu.onnx", threads=1)

    def open_vad() -> SpeechProbability:
        state = vad.init_state()

        def probability(window: Samples) -> float:
            return vad.step(window, state)

        return probability

    return Parts(open_vad, end_of_turn, open_asr("en", store.path, threads=1))


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m vivavoce.realtime.bench.turns.endpointing", description="Measure endpointing."
    )
    parser.add_argument("--part", choices=("evaluation", "development"), default="evaluation")
    parser.add_argument("--conditions", nargs="+", choices=CONDITIONS, default=list(CONDITIONS))
    parser.add_argument("--eagerness", choices=("low", "medium", "high", "auto"), default="auto")
    parser.add_argument("--lead", type=float, default=LEAD, help="seconds of background before the speech")
    parser.add_argument("--seed", type=int, default=4)
    options = parser.parse_args(arguments)
    store = Store(default_home(os.environ, sys.platform), catalog.load())
    parts, studio = open_parts(store), Synthesizer(store)
    detection = TurnDetection(kind="semantic_vad", eagerness=options.eagerness)
    material = turns(studio, options.part, options.conditions, seed=options.seed, lead=options.lead)
    found = [listen(turn, parts, detection) for turn in material]
    for outcome in found:
        if outcome.premature or outcome.missed:
            print(
                f"{'early' if outcome.premature else 'missed'}: {outcome.turn.condition}, {outcome.turn.voice}: "
                f"{outcome.turn.text!r}, recognized {outcome.text!r}"
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
