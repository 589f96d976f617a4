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
meant. How clear it has to be falls with time, for waiting costs more and more (a sequential test): `cut_from`. Time is
windows of 32 ms. Every overlap is decided within `DECIDE_AFTER` windows of its first voiced one, whatever comes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from typing import Final, NamedTuple

HOLD_AFTER: Final = 11
"""Windows (352 ms) for which the voice goes on softly. A person who is not stopped by then feels ignored."""
DECIDE_AFTER: Final = 20
"""Windows (640 ms) after which there must be a decision: what is held meanwhile, at most 0.29 s, is added silence."""
OVER: Final = 4
"""Unvoiced windows (128 ms) after which the sound is over; between the halves of "uh-huh" there are fewer."""

CUT_FROM: Final = ((5, 0.97), (DECIDE_AFTER, 0.8))
"""(windows, probability): up to so many windows, an interruption must be so likely to stop the assistant."""
LEAST: Final = 0.2
"""At the last moment the assistant stops for anything that is likelier an interruption than this: to be talked over is
worse than to be stopped for nothing. With these two, 98 % of the development set's interruptions stop it, half of them
within 0.29 s, and 61 % of what should not does not (noise 99 %, echo 90 %, backchannels 49 %; n = 800)."""
OVER_CUT_FROM: Final = 0.5
"""The same once the sound is over; between the two it is worth waiting whether more comes."""
LATE_CUT_FROM: Final = 0.85
"""The same after the voice has gone on: to stop then is twice a disturbance."""
FREE_BELOW: Final = 0.05
"""An interruption as unlikely as that is none, and the voice need not wait for the end of the sound."""
FREE_AFTER: Final = 3
"""Windows before which nothing is that unlikely."""

REAL_SPEECH: Final = (7, 9)
"""Without a classifier: so many voiced windows among so many are an interruption."""


class Scores(NamedTuple):
    """What the sound may be, so far: probabilities that add up to 1."""

    interruption: float
    backchannel: float
    noise: float
    echo: float


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


class Overlap:
    """Judges what is heard while the assistant speaks, one window at a time."""

    def __init__(self, overhear: Overhear | None = None) -> None:
        """Without `overhear`, the pattern of voiced windows alone decides."""
        self.overhear = overhear
        self.reset()

    def reset(self) -> None:
        """Forgets the sound that is heard now."""
        self._state = _State.QUIET
        self.age = 0  # windows since the first voiced one of this sound, that one included
        self._silence = 0
        self._recent: deque[bool] = deque(maxlen=REAL_SPEECH[1])

    @property
    def active(self) -> bool:
        """A sound is being judged, or watched."""
        return self._state is not _State.QUIET

    def receive(self, voiced: bool, audible: bool) -> Verdict:
        """Takes the next window; `audible`: the assistant can be heard, and has not all but finished.

        After CUT, the turn began `age` windows ago and the caller resets."""
        if self._state is _State.QUIET and not (voiced and audible):
            return Verdict.NOTHING
        fresh = self._state is _State.QUIET
        self.age += 1
        self._silence = 0 if voiced else self._silence + 1
        self._recent.append(voiced)
        likely = self._likelihood(fresh)
        if fresh:
            self._state = _State.DUCKED
            return Verdict.DUCK
        if self._state is _State.WATCHED:
            return self._watch(likely)
        return self._judge(likely, audible)

    def _likelihood(self, fresh: bool) -> float:
        """Of an interruption."""
        if self.overhear is not None:
            return self.overhear(fresh).interruption
        needed, _ = REAL_SPEECH
        return 1.0 if sum(self._recent) >= needed else 0.2

    def _judge(self, likely: float, audible: bool) -> Verdict:
        over, late = self._silence >= OVER, self.age >= DECIDE_AFTER
        least = LEAST if late else OVER_CUT_FROM if over else cut_from(self.age)
        judged = self.overhear is not None or not (over or late)
        if (likely >= least and judged) or (not audible and self._speaks):
            return Verdict.CUT
        if over and (likely < LEAST or not judged):
            self.reset()
            return Verdict.RESUME
        if late or (self.age >= FREE_AFTER and likely <= FREE_BELOW):
            self._state = _State.WATCHED
            return Verdict.RESUME
        if self.age >= HOLD_AFTER and self._state is _State.DUCKED:
            self._state = _State.HELD
            return Verdict.HOLD
        return Verdict.NOTHING

    def _watch(self, likely: float) -> Verdict:
        if likely >= LATE_CUT_FROM and not self._silence:
            return Verdict.CUT
        if self._silence >= OVER:
            self.reset()
        return Verdict.NOTHING

    @property
    def _speaks(self) -> bool:
        """Three voiced windows in a row: enough where nobody is interrupted."""
        return len(self._recent) >= 3 and all(list(self._recent)[-3:])


def cut_from(age: int) -> float:
    """How likely an interruption must be to stop the assistant `age` windows after the sound began."""
    return next((likely for windows, likely in CUT_FROM if age <= windows), LATE_CUT_FROM)
