"""Recognizes one turn as a stream, with any recognizer that continues forced tokens.

    sound:  │ settled ............ │ segment .................................. │ waiting
            └ text is final        └ cut                stable ▏ tail           └ pushed since

Each update decodes the segment again as a whole, because later sound corrects earlier words; the stable tokens are
forced and the rest of the last hypothesis is offered as a draft, so that only changed tokens cost decoder steps. A
segment that grows long is cut at a pause, at the latest after `LONGEST` samples, which bounds the cost of an update
however long the turn is.

Stable tokens: local agreement (Liu et al. 2020, "Low-Latency Sequence-to-Sequence Speech Recognition", section 3).
The tokens that two hypotheses, made from different lengths of the same sound, have in common will most likely stay.
Here they end at the beginning of a word, since the last word of a hypothesis may be half of a longer one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import numpy as np

from vivavoce.model.cascade.asr.contract import SAMPLE_RATE, Hypothesis, Samples
from vivavoce.model.cascade.asr.loudness import FRAME, is_empty, levels_of, longest_pause, quietest, voiced

LOOP_TOKENS: Final = 12
"""Tokens that have to be periodic before they count as a loop; people do say "no, no, no, no"."""
LOOP_ROUNDS: Final = 4
"""Rounds of the same tokens that make a loop."""


def agreed(older: Sequence[int], newer: Sequence[int], starts_word: Callable[[int], bool]) -> int:
    """How many leading tokens of `newer` both hypotheses share, rounded down to whole words of `newer`."""
    common = 0
    for one, other in zip(older, newer, strict=False):
        if one != other:
            break
        common += 1
    while common and (common == len(newer) or not starts_word(newer[common])):
        common -= 1
    return common


def loop_start(tokens: Sequence[int]) -> int | None:
    """Where a loop at the end of `tokens` begins to repeat itself (its first round is to be kept); None without one."""
    for period in range(1, len(tokens) // LOOP_ROUNDS + 1):
        needed = max(period * LOOP_ROUNDS, LOOP_TOKENS)
        if len(tokens) < needed:
            continue
        first = len(tokens) - needed
        if all(tokens[at] == tokens[at + period] for at in range(first, len(tokens) - period)):
            while first and tokens[first - 1] == tokens[first - 1 + period]:
                first -= 1
            return first + period
    return None


SHORTEST: Final = 4 * SAMPLE_RATE
"""Samples that stand at least before a cut: the recognizer needs context."""
LONG: Final = 8 * SAMPLE_RATE
"""Samples from which on a segment is cut at the next pause."""
LONGEST: Final = 12 * SAMPLE_RATE
"""Samples at which a segment is cut where it is quietest."""
WAITING: Final = 300 * SAMPLE_RATE
"""Samples that may wait for an update."""

_VOTE: Final = 12_800  # samples, 0.8 s: hypotheses closer together than this agree on errors too
_AFTER: Final = 3_200  # samples, 0.2 s kept behind the end of speech: the decay of its last sound


class Recognizer(Protocol):
    """Decodes speech to tokens."""

    def recognize(self, samples: Samples, draft: Sequence[int], forced: int) -> list[int]:
        """Tokens of `samples`, which begin with `draft[:forced]`; the rest of `draft` is a guess that saves decoder
        steps."""

    def text(self, tokens: Sequence[int]) -> str:
        """Text of `tokens`, without outer spaces."""

    def starts_word(self, token: int) -> bool:
        """Whether text may be divided before `token`."""

    @property
    def end_of_turn(self) -> float | None:
        """Probability (0..1) that a turn is over which ends like the sound recognized last; None: not known."""

    @property
    def separator(self) -> str:
        """Text between two segments: a space, or nothing in languages written without."""


class SegmentedRecognition:
    """Implements `Recognition` on a `Recognizer`. `decodes` counts its runs."""

    def __init__(self, recognizer: Recognizer) -> None:
        self._recognizer = recognizer
        self._waiting: deque[Samples] = deque()  # filled by push on its thread, drained by update on its own
        self._arrived = 0  # samples pushed
        self._segment: Samples = np.zeros(0, np.float32)
        self._start = 0  # sample of the turn at which the segment begins
        self._settled = ""
        self._loudest = -np.inf  # level of the settled speech, dBFS
        self._tokens: list[int] = []
        self._stable = 0  # tokens
        self._safe = 0  # sample of the segment before which all stable tokens were said
        self._voter: list[int] = []
        self._voted = 0  # samples of the segment that the voter covers
        self._last = Hypothesis("", "", 0)
        self._finished = False
        self.decodes = 0

    def push(self, samples_16k: Samples) -> None:
        if self._finished:
            raise RuntimeError("this recognition has finished; open another for the next turn")
        if self._arrived - self._last.covered + len(samples_16k) > WAITING:
            raise BufferError(f"{WAITING // SAMPLE_RATE} s of sound wait for the recognizer; call update() more often")
        self._waiting.append(np.array(samples_16k, np.float32))  # a copy: callers reuse their buffers
        self._arrived += len(samples_16k)

    def update(self) -> Hypothesis:
        if self._finished or not self._gather():
            return self._last
        self._settle(LONG)
        self._decode()
        self._vote()
        self._last = self._hypothesis(self._stable)
        return self._last

    def finish(self, end: int | None = None) -> Hypothesis:
        if self._finished:
            return self._last
        self._gather()
        if not self._covers_speech(end):
            if end is not None:
                self._segment = self._segment[: max(0, end + _AFTER - self._start)]
            self._settle(LONGEST)
            self._decode()
        self._finished = True
        self._last = self._hypothesis(len(self._tokens))
        return self._last

    def _gather(self) -> bool:
        """Moves waiting sound to the segment; returns whether there was any."""
        chunks: list[Samples] = []
        while self._waiting:
            chunks.append(self._waiting.popleft())
        self._segment = np.concatenate((self._segment, *chunks))
        return any(map(len, chunks))

    def _covers_speech(self, end: int | None) -> bool:
        """Whether the last hypothesis covers all speech: up to `end`, or else up to the silence at the end."""
        if end is not None:
            return self._last.covered >= min(end, self._start + len(self._segment))
        new = max(0, self._last.covered - self._start) // FRAME
        return not voiced(levels_of(self._segment))[new:].any()

    def _settle(self, limit: int) -> None:
        """Cuts a segment longer than `limit` samples, and makes the text before the cut final."""
        while (cut := self._cut(limit)) is not None:
            rest = self._segment[cut:]
            self._segment = self._segment[:cut]
            self._decode()
            self._loudest = max(self._loudest, float(np.percentile(levels_of(self._segment), 95)))
            self._settled = self._joined(self._recognizer.text(self._tokens))
            self._start += cut
            self._segment = rest
            self._tokens, self._voter = [], []
            self._stable = self._safe = self._voted = 0

    def _cut(self, limit: int) -> int | None:
        """Sample of the segment at which to cut it, never inside stable text; None while it is shorter than `limit`."""
        if len(self._segment) < limit:
            return None
        first = max(SHORTEST, self._safe) // FRAME
        last = min(len(self._segment), LONGEST) // FRAME
        levels = levels_of(self._segment)
        pause = longest_pause(levels, first, last)
        if pause is None and len(self._segment) >= LONGEST:
            pause = quietest(levels, first, last)
        return None if pause is None else pause * FRAME

    def _decode(self) -> None:
        if is_empty(levels_of(self._segment), self._loudest) and not self._stable:
            self._tokens = []
            return
        self.decodes += 1
        tokens = self._recognizer.recognize(self._segment, self._tokens, self._stable)
        while len(tokens) > self._stable > 0 and not self._recognizer.starts_word(tokens[self._stable]):
            del tokens[self._stable]  # the stable part ends a word: this is nearly always a comma that came late
        self._tokens = tokens

    def _vote(self) -> None:
        """Local agreement of the new hypothesis with the voter before it; their common tokens become stable."""
        if len(self._segment) - self._voted < _VOTE:
            return
        common = agreed(self._voter, self._tokens, self._recognizer.starts_word)
        if common > self._stable:
            self._stable, self._safe = common, self._voted
        self._voter, self._voted = self._tokens, len(self._segment)

    def _hypothesis(self, stable: int) -> Hypothesis:
        text = self._recognizer.text
        return Hypothesis(
            stable=self._joined(text(self._tokens[:stable])),
            tail=text(self._tokens[stable:]),
            covered=self._start + len(self._segment),
            end_of_turn=self._recognizer.end_of_turn if self._tokens else None,
        )

    def _joined(self, text: str) -> str:
        return self._recognizer.separator.join(part for part in (self._settled, text) if part)
