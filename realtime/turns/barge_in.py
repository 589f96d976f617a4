"""Somebody speaks over the assistant: an interruption, or a "mhm", a cough, a dog, its own echo?

    ┌───────┐ voiced window: DUCK  ┌────────┐ undecided after 0.35 s: HOLD  ┌──────┐
    │ QUIET │ ───────────────────► │ DUCKED │ ────────────────────────────► │ HELD │
    └───────┘                      └────────┘                               └──────┘
        ▲                               │ sure of an interruption: CUT          │ sure, silence, or 0.64 s: as DUCKED
        │ silence                       │ sure of anything else, or             ▼
    ┌─────────┐        RESUME           │ silence and nothing to cut for
    │ WATCHED │ ◄───────────────────────┴───────────────────────────────────────┘
    └─────────┘ ──► an interruption after all ("yeah, but ..."): CUT

The assistant's voice gives way at the first sign, when that costs nothing, and is stopped when it is clear what is
meant. Two give evidence: the ear, a small network that is asked at every window (`backchannel.py`), and the ears, the
recogniser, who are asked now and then (`LOOKS`) and answer some windows later (`caught`): what they take the sound for,
and the words. Who has only the ear decides by it. Time is windows of 32 ms. Every overlap is decided within
`DECIDE_AFTER` windows of its first voiced one, whatever comes or does not come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from math import exp, inf, log
from typing import Final, NamedTuple

from vivavoce.model.turns.overlap_classifier import LOOKS, Scores
from vivavoce.realtime.turns.backchannel_words import BackchannelReading, read

HOLD_AFTER: Final = 11
"""Windows (352 ms) for which the voice goes on softly. A person who is not stopped by then feels ignored."""
DECIDE_AFTER: Final = 20
"""Windows (640 ms) after which there must be a decision: what is held meanwhile, at most 0.29 s, is added silence."""
OVER: Final = 4
"""Unvoiced windows (128 ms) after which the sound is over; between the halves of "uh-huh" there are fewer."""


class Demands(NamedTuple):
    """How likely an interruption must be: `cut` to stop the assistant at once, `over` when the sound is over, `late` at
    the last moment, `again` after the voice has gone on (to stop then is twice a disturbance). `free`: as unlikely as
    that, it is none, and the voice need not wait for the end of the sound."""

    cut: float
    over: float
    late: float
    again: float
    free: float


ALONE: Final = Demands(cut=0.8, over=0.5, late=0.2, again=0.85, free=0.05)
"""For the ear alone. It stops for what is not sure at the last moment: to be talked over is worse than to be stopped
for nothing."""
EARLY: Final = (5, 0.97)
"""(windows, probability): up to so many, the ear alone must be so sure to stop it."""
TOGETHER: Final = Demands(cut=0.8, over=0.5, late=0.62, again=0.7, free=0.17)
"""For ear and ears. At the last moment it goes on when in doubt, for they go on listening."""
FREE_AFTER: Final = 3
"""Windows before which the ear is never that sure."""

NOBODY: Final = 0.3
"""When the ear finds the user's voice no likelier than that, nobody speaks: the ears, who have learned from speech,
take the assistant's own echo for an interruption."""
FADED_DB: Final = 15.0
FADED_BY: Final = 8
"""A sound that is softer by so much so many windows after its beginning, and stays so while the voice gives way, may
have been the assistant's own: ducked by 18 dB, its echo is gone 0.2 s later. The ears do not count then."""
EAR_SHARE: Final = 0.2
"""What the ear's log-odds count for, beside the ears' opinion."""
WORDS: Final = {BackchannelReading.AGREES: -0.6, BackchannelReading.STOPS: 0.4}
"""Log-odds that words add to the ears' opinion, which knows most of it."""
WORDS_ALONE: Final = {BackchannelReading.AGREES: -2.0, BackchannelReading.STOPS: 1.5}
"""The same where the ears have words and no opinion of their own; the ear counts in full then."""
ANSWERS: Final = 4.0
"""Log-odds of "yes" and "mhm" when the assistant has just asked something."""

REAL_SPEECH: Final = (7, 9)
"""Without a classifier: so many voiced windows among so many are an interruption."""


Overhear = Callable[[bool], Scores]
"""What is the sound up to this window? True: it begins now, forget the last one."""


class Verdict(Enum):
    """What a window changes."""

    NOTHING = auto()
    DUCK = auto()
    HOLD = auto()
    RESUME = auto()
    CUT = auto()


class _State(Enum):
    QUIET = auto()
    DUCKED = auto()
    HELD = auto()
    WATCHED = auto()


class BargeIn:
    """Judges what is heard while the assistant speaks, one window at a time."""

    def __init__(self, overhear: Overhear | None = None, ears: bool = False) -> None:
        """Without `overhear`, the pattern of voiced windows alone decides. `ears`: somebody carries what is `wanted`
        to the ears, and their answers to `caught`."""
        self.overhear = overhear
        self.ears = ears
        self.reset()

    def reset(self) -> None:
        """Forgets the sound that is heard now."""
        self._state = _State.QUIET
        self.age = 0  # windows since the first voiced one of this sound, that one included
        self._silence = 0
        self._recent: deque[bool] = deque(maxlen=REAL_SPEECH[1])
        self._ear = 0.0  # what the ear finds, of an interruption
        self._user = 1.0  # and of the user's voice, whatever it says
        self._loudest = -inf  # dB
        self._faded = False  # it went away with the voice
        self._caught: tuple[float | None, float] | None = None  # the ears' opinion, and what their words add to it
        self._caught_at = 0  # windows of the sound that they had heard

    @property
    def active(self) -> bool:
        """A sound is being judged, or watched."""
        return self._state is not _State.QUIET

    @property
    def wanted(self) -> bool:
        """The ears should say now what they make of the sound so far."""
        pause = self._silence in (1, 3) and self.age > LOOKS[0]
        return self.ears and self.active and self.age <= LOOKS[-1] and (pause or self.age in LOOKS)

    def receive(self, voiced: bool, audible: bool, level: float = 0.0) -> Verdict:
        """Takes the next window, whose level is `level` dB; `audible`: the assistant can be heard, and has not all but
        finished.

        After CUT, the turn began `age` windows ago and the caller resets."""
        if self._state is _State.QUIET and not (voiced and audible):
            return Verdict.NOTHING
        fresh = self._state is _State.QUIET
        self.age += 1
        self._silence = 0 if voiced else self._silence + 1
        self._recent.append(voiced)
        self._listen(fresh)
        self._follow_level(level)
        if fresh:
            self._state = _State.DUCKED
            return Verdict.DUCK
        if self._state is _State.WATCHED:
            return self._watch()
        return self._judge(audible)

    def caught(self, age: int, text: str, interruption: float | None, asked: bool) -> Verdict:
        """Takes what the ears made of the first `age` windows of this sound: words ("" for none), and how likely it is
        an interruption, if they can tell. `asked`: the assistant has just asked the user something."""
        if not self.active or age <= self._caught_at:
            return Verdict.NOTHING
        reading = read(text)
        words = (WORDS_ALONE if interruption is None else WORDS).get(reading, 0.0)
        if asked and reading is BackchannelReading.AGREES:
            words = ANSWERS
        self._caught, self._caught_at = (interruption, words), age
        return self._watch() if self._state is _State.WATCHED else self._judge(audible=True)

    def _follow_level(self, level: float) -> None:
        """Has the sound gone when the voice was ducked? Then it was that voice, through loudspeaker and microphone."""
        if self._state is not _State.WATCHED:
            self._loudest = max(self._loudest, level)
            gone = level < self._loudest - FADED_DB
            self._faded = gone and (self._faded or self.age <= FADED_BY)

    def _listen(self, fresh: bool) -> None:
        """Asks the ear."""
        if self.overhear is not None:
            scores = self.overhear(fresh)
            self._ear, self._user = scores.interruption, scores.interruption + scores.backchannel
        else:
            needed, _ = REAL_SPEECH
            self._ear = 1.0 if sum(self._recent) >= needed else 0.2

    def _weigh(self) -> tuple[float, Demands]:
        """How likely an interruption is, and what that has to be for what."""
        if self._caught is None or self._user <= NOBODY or self._faded:
            return self._ear, ALONE
        opinion, words = self._caught
        if opinion is None:
            return _likely(_odds(self._ear) + words), ALONE
        return _likely(_odds(opinion) + EAR_SHARE * _odds(self._ear) + words), TOGETHER

    def _judge(self, audible: bool) -> Verdict:
        likely, demands = self._weigh()
        over, late = self._silence >= OVER, self.age >= DECIDE_AFTER
        least = demands.late if late else demands.over if over else self._cut_from(demands)
        judged = self._judged or not (over or late)
        if (likely >= least and judged) or (not audible and self._speaks):
            return Verdict.CUT
        if over and (likely < ALONE.late or demands is TOGETHER or not judged):
            self.reset()
            return Verdict.RESUME
        if late or (self.age >= FREE_AFTER and likely <= demands.free):
            self._state = _State.WATCHED
            return Verdict.RESUME
        if self.age >= HOLD_AFTER and self._state is _State.DUCKED:
            self._state = _State.HELD
            return Verdict.HOLD
        return Verdict.NOTHING

    def _cut_from(self, demands: Demands) -> float:
        """How likely an interruption must be now to stop the assistant. Where the ears will say more, the ear does not
        decide that before they have had their time."""
        if self._caught is None and self.ears and self.age < HOLD_AFTER:
            return _NEVER
        return EARLY[1] if demands is ALONE and self.age <= EARLY[0] else demands.cut

    def _watch(self) -> Verdict:
        likely, demands = self._weigh()
        if likely >= demands.again and not self._silence:
            return Verdict.CUT
        if self._silence >= OVER:
            self.reset()
        return Verdict.NOTHING

    @property
    def _judged(self) -> bool:
        """Somebody has an opinion, besides the pattern of windows."""
        return self.overhear is not None or self._caught is not None

    @property
    def _speaks(self) -> bool:
        """Three voiced windows in a row: enough where nobody is interrupted."""
        return len(self._recent) >= 3 and all(list(self._recent)[-3:])


def _odds(likely: float) -> float:
    """Log-odds, bounded: nobody is surer than that."""
    bounded = min(max(likely, 0.01), 0.99)
    return log(bounded / (1 - bounded))


def _likely(odds: float) -> float:
    return 1 / (1 + exp(-odds))


_NEVER: Final = 2.0
