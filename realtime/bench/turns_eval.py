"""What the endpointing makes of labelled turns: too early, how late, or never. The real parts, at virtual time.

    Turn ─20 ms─► Listener ─► Floor ─► TurnEnded at sample n ──► Outcome: n against the turn's annotated end
                     │  Ask ─► SmartTurn ── its answer `judge` later ──┘
                     └─ TurnSound ─► ears ── their text a look later ──┘

Detector, judge and recogniser are the real ones and get exactly the sound that they would have in a call; only the time
which judge and ears take is put in, as measured on two cores, so that the figures do not depend on what else the
machine does. What a call adds (network, jitter buffer) is not counted here.

`turns_report.py` runs it and prints the figures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final, Protocol

from vivavoce.codecs.resample import Resampler
from vivavoce.model.cascade.ears import Ears, Hypothesis, Listening
from vivavoce.model.dialogue import SAMPLE_RATE, Samples, joined
from vivavoce.realtime.bench.turns_set import Turn
from vivavoce.realtime.events import TurnEnded, TurnSound, TurnStarted
from vivavoce.realtime.tuning import TurnDetection
from vivavoce.realtime.turns.endpoint import Ask
from vivavoce.realtime.turns.floor import Floor, FloorFact
from vivavoce.realtime.turns.listener import NET_RATE, Listener

FRAME: Final = SAMPLE_RATE // 50
"""Sound comes 20 ms at a time."""
UPDATE: Final = NET_RATE // 4
"""The ears look again after this much new sound, and at the first unvoiced window of a pause (model/cascade)."""


class Judge(Protocol):
    """`SmartTurn`, or what stands for it."""

    def complete(self, samples_16k: Samples) -> float: ...


class Net(Protocol):
    """`SpeechNet` with a state of its own: the speech probability of the next window."""

    def __call__(self, window: Samples) -> float: ...


@dataclass(frozen=True, slots=True)
class Lags:
    """Seconds of audio that pass while the models work; as measured on two cores of a small cloud machine, with both at
    work at once. The ears' look costs a base and so much for each second of the segment."""

    judge: float = 0.085
    ears: float = 0.025
    ears_per_second: float = 0.025


USUAL: Final = Lags()

FIRST_SOUND: Final = 0.56
"""Seconds from the user's last sound to the first of the answer, which is begun at the pause (median of `vivavoce
bench` on two cores)."""
TAKEN_UP: Final = 0.06
"""Seconds from the end of the turn to the first sound of an answer that was ready by then."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What listens. `open_net` makes a detector for one turn."""

    open_net: Callable[[], Net]
    judge: Judge
    ears: Ears


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a turn. `ended`: samples at which the floor went back, None when never. `began`: whether the turn
    was heard to begin at all. `text`: what the ears had said until then."""

    turn: Turn
    began: bool
    ended: int | None
    text: str

    @property
    def premature(self) -> bool:
        """The answer would have begun before the user had finished."""
        return self.ended is not None and self.ended < self.turn.speech_end

    @property
    def heard(self) -> bool:
        """The answer would have sounded before the user went on. Else it is dropped unheard, and for the model both
        halves are one turn."""
        begun = [pause for pause in self.turn.pauses if self.ended is not None and pause[0] < self.ended]
        if not self.premature or self.ended is None or not begun:
            return False
        paused, went_on = begun[-1]
        return max(paused + FIRST_SOUND * SAMPLE_RATE, self.ended + TAKEN_UP * SAMPLE_RATE) < went_on

    @property
    def missed(self) -> bool:
        """No answer at all."""
        return self.ended is None

    @property
    def delay(self) -> float:
        """Seconds from the last audible sound to the end of the turn; NaN when there was none, or one too early."""
        if self.ended is None or self.premature:
            return float("nan")
        return (self.ended - self.turn.speech_end) / SAMPLE_RATE


def listen(turn: Turn, parts: Parts, detection: TurnDetection, lags: Lags = USUAL) -> Outcome:
    """Plays a turn to a fresh floor. A turn that ends before the speech began was noise, and is passed over."""
    return _Hearing(turn, parts, detection, lags).run()


class _Look:
    """The ears' schedule within one turn of the floor, as the cascade keeps it. Counts samples at `NET_RATE`."""

    def __init__(self, listening: Listening) -> None:
        self.listening = listening
        self._resampler = Resampler(SAMPLE_RATE, NET_RATE)
        self.pushed = self.seen = self.voiced_end = 0
        self._paused = self.busy = False

    def hear(self, sound: TurnSound) -> bool:
        """Whether it is time to look."""
        samples = self._resampler.push(sound.samples)
        self.listening.push(samples)
        self._paused = not sound.voiced and (self._paused or self.voiced_end == self.pushed)
        self.pushed += len(samples)
        if sound.voiced:
            self.voiced_end = self.pushed
        return self.wanted

    @property
    def wanted(self) -> bool:
        return not self.busy and (self._paused or self.pushed - self.seen >= UPDATE)

    def look(self) -> Hypothesis:
        self.busy, self._paused, self.seen = True, False, self.pushed
        return self.listening.update()


class _Hearing:
    """One turn on its way through the parts; `now` in samples since its first."""

    def __init__(self, turn: Turn, parts: Parts, detection: TurnDetection, lags: Lags) -> None:
        self._turn = turn
        self._parts = parts
        self._lags = lags
        self._floor = Floor(detection)
        self._listener = Listener(parts.open_net(), self._floor)
        self._due: list[tuple[int, int, Callable[[], list[FloorFact]]]] = []
        self._order = 0
        self._judging = False
        self._look: _Look | None = None
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
            self._take(self._listener.receive(samples[start : start + FRAME], audible=False, busy=False))
            if self._ended is not None:
                break
        return Outcome(self._turn, self._began, self._ended, self._text)

    def _take(self, facts: list[FloorFact]) -> None:
        for fact in facts:
            match fact:
                case TurnStarted():
                    self._look = _Look(self._parts.ears.open())
                    self._text = ""
                case TurnSound():
                    self._began = self._began or (fact.voiced and self._now > self._turn.speech_start)
                    if self._look is not None and self._look.hear(fact):
                        self._start_look(self._look)
                case Ask() if not self._judging:
                    self._start_judging(fact)
                case TurnEnded():
                    self._look = None
                    if self._now > self._turn.speech_start and self._ended is None:
                        self._ended = self._now

    def _start_judging(self, ask: Ask) -> None:
        self._judging = True
        probability = self._parts.judge.complete(self._listener.recent())

        def answer() -> list[FloorFact]:
            self._judging = False
            return self._floor.answer(ask.at, probability)

        self._after(self._lags.judge, answer)

    def _start_look(self, look: _Look) -> None:
        hypothesis = look.look()
        text = joined(hypothesis.stable, hypothesis.tail)

        def hear() -> list[FloorFact]:
            look.busy = False
            if look is not self._look:
                return []
            self._text = text
            facts = self._floor.heard(text, hypothesis.finished) if look.voiced_end <= look.seen else []
            if look.wanted and not any(isinstance(fact, TurnEnded) for fact in facts):
                self._start_look(look)
            return facts

        self._after(self._lags.ears + self._lags.ears_per_second * look.seen / NET_RATE, hear)

    def _after(self, lag: float, deliver: Callable[[], list[FloorFact]]) -> None:
        self._order += 1
        heappush(self._due, (self._now + round(lag * SAMPLE_RATE), self._order, deliver))
