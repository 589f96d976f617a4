"""Decide about speech over the assistant: a barge-in, or a backchannel, a cough, a dog, the assistant's own echo?

    ┌───────┐ voiced window: DUCK  ┌────────┐ undecided after 0.35 s: HOLD  ┌──────┐
    │ QUIET │ ───────────────────► │ DUCKED │ ────────────────────────────► │ HELD │
    └───────┘                      └────────┘                               └──────┘
        ▲                               │ sure of an interruption: CUT          │ sure, silence, or 0.64 s: as DUCKED
        │ silence                       │ sure of anything else, or             ▼
    ┌─────────┐        RESUME           │ silence and nothing to cut for
    │ WATCHED │ ◄───────────────────────┴───────────────────────────────────────┘
    └─────────┘ ──► an interruption after all ("yeah, but ..."): CUT

Playback is ducked at the first sign, which costs nothing, and cut when the intent is clear. Two models give evidence:
the overlap classifier, a small audio network that is asked at every window, and the ASR, which is asked now and then
(`LOOKS`) and answers some windows later (`recognized`) with the probability of an interruption and with the words.
Without the ASR the overlap classifier decides alone. Time is windows of 32 ms. Every overlap is decided within
`DECIDE_AFTER` windows of its first voiced one, whatever evidence comes or fails to come.
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
"""Windows (352 ms) for which playback goes on ducked. A user who is not given way to by then feels ignored."""
DECIDE_AFTER: Final = 20
"""Windows (640 ms) after which there must be a decision: playback that is held until then, at most 0.29 s, adds
silence."""
HANGOVER: Final = 4
"""Unvoiced windows (128 ms) after which the sound is over; between the halves of "uh-huh" there are fewer."""


class Thresholds(NamedTuple):
    """Probabilities of an interruption: from `cut` on playback is cut at once, from `over` when the sound is over, from
    `late` at the last moment, from `again` after playback has resumed (a second stop disturbs twice). Up to `free` it
    is none, and playback need not wait for the end of the sound."""

    cut: float
    over: float
    late: float
    again: float
    free: float


CLASSIFIER_ONLY: Final = Thresholds(cut=0.8, over=0.5, late=0.2, again=0.85, free=0.05)
"""With the overlap classifier only. At the last moment playback is cut when in doubt: talking over the user is worse
than a false interruption."""
EARLY: Final = (5, 0.97)
"""(windows, probability): within so many windows, the overlap classifier alone must be this sure to cut."""
WITH_ASR: Final = Thresholds(cut=0.8, over=0.5, late=0.62, again=0.7, free=0.17)
"""With the overlap classifier and the ASR. At the last moment playback goes on when in doubt, since both go on
listening."""
FREE_AFTER: Final = 3
"""Windows before which no probability counts as `free`."""

NO_USER: Final = 0.3
"""Probability of the user's voice, by the overlap classifier, up to which the ASR does not count: the ASR, which was
trained on speech, takes the assistant's own echo for an interruption."""
FADED_DB: Final = 15.0
FADED_BY: Final = 8
"""A sound that drops by this many dB within so many windows of its beginning, and stays so while playback is ducked,
may have been self-echo: ducked by 18 dB, the echo is gone 0.2 s later. The ASR does not count then."""
CLASSIFIER_WEIGHT: Final = 0.2
"""Weight of the overlap classifier's log-odds beside those of the ASR."""
WORD_LOG_ODDS: Final = {BackchannelReading.AGREES: -0.6, BackchannelReading.STOPS: 0.4}
"""Added for the words where the ASR gives a probability, which reflects most of them already."""
WORD_LOG_ODDS_ALONE: Final = {BackchannelReading.AGREES: -2.0, BackchannelReading.STOPS: 1.5}
"""The same where the ASR gives words and no probability; the overlap classifier counts in full then."""
ANSWER_LOG_ODDS: Final = 4.0
"""Added for "yes" and "mhm" when the assistant has just asked a question."""

VOICED_PATTERN: Final = (7, 9)
"""Without a classifier: so many voiced windows among so many are an interruption."""


ClassifyOverlap = Callable[[bool], Scores]
"""The overlap classifier's scores of the sound up to this window. True: the sound begins with it."""


class Decision(Enum):
    """What a window changes about playback. RESUME after HOLD ends a false interruption."""

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
    """Decides, one window at a time, about the sound over the assistant."""

    def __init__(self, overlap_classifier: ClassifyOverlap | None = None, asr: bool = False) -> None:
        """Without `overlap_classifier`, the pattern of voiced windows decides. `asr`: the caller asks the ASR when
        `asr_due` is set, and passes its answers to `recognized`."""
        self.overlap_classifier = overlap_classifier
        self.asr = asr
        self.reset()

    def reset(self) -> None:
        """Forgets the current sound."""
        self._state = _State.QUIET
        self.age = 0  # windows since the first voiced one of this sound, that one included
        self._silence = 0
        self._recent: deque[bool] = deque(maxlen=VOICED_PATTERN[1])
        self._interruption = 0.0  # probability, by the overlap classifier
        self._user = 1.0  # probability of the user's voice, whatever it says
        self._loudest = -inf  # dB
        self._faded = False  # the sound went away with the ducked playback
        self._asr: tuple[float | None, float] | None = None  # probability of an interruption, log-odds of the words
        self._asr_age = 0  # windows of the sound that the ASR had for it

    @property
    def active(self) -> bool:
        """A sound is undecided, or watched."""
        return self._state is not _State.QUIET

    @property
    def asr_due(self) -> bool:
        """The ASR should be asked now about the sound so far."""
        pause = self._silence in (1, 3) and self.age > LOOKS[0]
        return self.asr and self.active and self.age <= LOOKS[-1] and (pause or self.age in LOOKS)

    def receive(self, voiced: bool, audible: bool, level: float = 0.0) -> Decision:
        """Takes the next window, whose level is `level` dB; `audible`: the assistant is audible, and has not all but
        finished.

        After CUT, the turn began `age` windows ago and the caller resets."""
        if self._state is _State.QUIET and not (voiced and audible):
            return Decision.NOTHING
        fresh = self._state is _State.QUIET
        self.age += 1
        self._silence = 0 if voiced else self._silence + 1
        self._recent.append(voiced)
        self._classify(fresh)
        self._follow_level(level)
        if fresh:
            self._state = _State.DUCKED
            return Decision.DUCK
        if self._state is _State.WATCHED:
            return self._watch()
        return self._decide(audible)

    def recognized(self, age: int, text: str, interruption: float | None, asked: bool) -> Decision:
        """Takes the ASR's answer about the first `age` windows of this sound: words ("" for none), and the probability
        of an interruption, if the ASR gives one. `asked`: the assistant has just asked the user a question."""
        if not self.active or age <= self._asr_age:
            return Decision.NOTHING
        reading = read(text)
        words = (WORD_LOG_ODDS_ALONE if interruption is None else WORD_LOG_ODDS).get(reading, 0.0)
        if asked and reading is BackchannelReading.AGREES:
            words = ANSWER_LOG_ODDS
        self._asr, self._asr_age = (interruption, words), age
        return self._watch() if self._state is _State.WATCHED else self._decide(audible=True)

    def _follow_level(self, level: float) -> None:
        """Notices a sound that goes away when playback is ducked: it was self-echo."""
        if self._state is not _State.WATCHED:
            self._loudest = max(self._loudest, level)
            gone = level < self._loudest - FADED_DB
            self._faded = gone and (self._faded or self.age <= FADED_BY)

    def _classify(self, fresh: bool) -> None:
        """Asks the overlap classifier."""
        if self.overlap_classifier is not None:
            scores = self.overlap_classifier(fresh)
            self._interruption, self._user = scores.interruption, scores.interruption + scores.backchannel
        else:
            needed, _ = VOICED_PATTERN
            self._interruption = 1.0 if sum(self._recent) >= needed else 0.2

    def _weigh(self) -> tuple[float, Thresholds]:
        """The probability of an interruption by all evidence, and the thresholds for it."""
        if self._asr is None or self._user <= NO_USER or self._faded:
            return self._interruption, CLASSIFIER_ONLY
        interruption, words = self._asr
        if interruption is None:
            return _probability(_log_odds(self._interruption) + words), CLASSIFIER_ONLY
        classifier = CLASSIFIER_WEIGHT * _log_odds(self._interruption)
        return _probability(_log_odds(interruption) + classifier + words), WITH_ASR

    def _decide(self, audible: bool) -> Decision:
        probability, thresholds = self._weigh()
        over, late = self._silence >= HANGOVER, self.age >= DECIDE_AFTER
        needed = thresholds.late if late else thresholds.over if over else self._cut_threshold(thresholds)
        classified = self._classified or not (over or late)
        if (probability >= needed and classified) or (not audible and self._speaking):
            return Decision.CUT
        if over and (probability < CLASSIFIER_ONLY.late or thresholds is WITH_ASR or not classified):
            self.reset()
            return Decision.RESUME
        if late or (self.age >= FREE_AFTER and probability <= thresholds.free):
            self._state = _State.WATCHED
            return Decision.RESUME
        if self.age >= HOLD_AFTER and self._state is _State.DUCKED:
            self._state = _State.HELD
            return Decision.HOLD
        return Decision.NOTHING

    def _cut_threshold(self, thresholds: Thresholds) -> float:
        """The probability from which on to cut at once. While the ASR has time to answer, the overlap classifier does
        not cut alone."""
        if self._asr is None and self.asr and self.age < HOLD_AFTER:
            return _NEVER
        return EARLY[1] if thresholds is CLASSIFIER_ONLY and self.age <= EARLY[0] else thresholds.cut

    def _watch(self) -> Decision:
        probability, thresholds = self._weigh()
        if probability >= thresholds.again and not self._silence:
            return Decision.CUT
        if self._silence >= HANGOVER:
            self.reset()
        return Decision.NOTHING

    @property
    def _classified(self) -> bool:
        """A model has given evidence, besides the pattern of windows."""
        return self.overlap_classifier is not None or self._asr is not None

    @property
    def _speaking(self) -> bool:
        """Three voiced windows in a row: enough once the assistant is silent."""
        return len(self._recent) >= 3 and all(list(self._recent)[-3:])


def _log_odds(probability: float) -> float:
    """Bounded to probabilities from 0.01 to 0.99: no model is surer than that."""
    bounded = min(max(probability, 0.01), 0.99)
    return log(bounded / (1 - bounded))


def _probability(log_odds: float) -> float:
    return 1 / (1 + exp(-log_odds))


_NEVER: Final = 2.0
"""A probability that is never reached."""
