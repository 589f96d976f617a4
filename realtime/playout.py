"""The heard ledger: reply audio waiting to be played, and an exact account of what has been.

    reply n ──push──► [ n: samples, word ends ] ──take(480)──► loudspeaker
                              │
                              └── heard(n), cut(n): how many samples, and characters of text, left for the user's ear

One `Playout` belongs to one call. Replies play in the order in which their first sound was pushed, one after the
other. A reply that was cut takes nothing more: what arrives late for it is dropped by its number. The class keeps no
clock: whoever calls `take` sets the pace.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from vivavoce.model.dialogue import SAMPLE_RATE, AudioToken, Samples, WordEnd

MAX_SECONDS = 600
"""Bound on sound waiting in one call; ten minutes is far beyond any spoken reply."""

KEPT = 64
"""Accounts kept of replies that have ended, for clients that truncate late."""


class PlayoutFull(Exception):
    """More than `MAX_SECONDS` of sound are waiting."""


@dataclass(slots=True)
class _Account:
    """One reply: what was pushed, what was played."""

    chunks: deque[Samples] = field(default_factory=deque)
    words: list[WordEnd] = field(default_factory=list)
    pushed: int = 0
    played: int = 0
    complete: bool = False  # nothing more will be pushed
    cut: bool = False
    started: bool = False  # told to the caller of `take`
    ended: bool = False

    @property
    def over(self) -> bool:
        """Nothing is left to play, now or later."""
        return self.cut or (self.complete and self.played == self.pushed)


@dataclass(frozen=True, slots=True)
class Frame:
    """What `take` hands out: sound, and the replies which began and ended within it."""

    samples: Samples
    started: list[int]
    ended: list[int]


class Playout:
    """Sound of the call's replies on its way to the ear, counted to the sample."""

    def __init__(self) -> None:
        self._accounts: dict[int, _Account] = {}

    def push(self, number: int, token: AudioToken) -> bool:
        """Queues sound of reply `number`; False when that reply was cut and the sound is dropped.

        Raises `PlayoutFull`."""
        account = self._open(number)
        if account.cut:
            return False
        if self.waiting + len(token.samples) > MAX_SECONDS * SAMPLE_RATE:
            raise PlayoutFull(f"{MAX_SECONDS} s of speech are waiting to be played")
        account.chunks.append(token.samples)
        account.words.extend(token.words)
        account.pushed += len(token.samples)
        return True

    def finish(self, number: int) -> None:
        """Nothing more will be pushed for reply `number`."""
        self._open(number).complete = True

    def take(self, n: int) -> Frame:
        """The next `n` samples for the loudspeaker, shape (n,); silence where there is nothing to say."""
        frame = Frame(np.zeros(n, np.float32), [], [])
        filled = 0
        for number, account in self._accounts.items():
            if account.ended or account.cut:
                continue
            filled += self._drain(account, frame.samples[filled:])
            if account.played and not account.started:
                account.started = True
                frame.started.append(number)
            if account.over:
                account.ended = True
                if account.started:
                    frame.ended.append(number)
            else:
                break  # the frame is full, or the reply is still being made and keeps its place
        return frame

    def heard(self, number: int) -> tuple[int, int]:
        """How much of reply `number` has been played: samples, and characters of its text."""
        account = self._accounts.get(number)
        if account is None:
            return 0, 0
        return account.played, self.chars_at(number, account.played)

    def chars_at(self, number: int, sample: int) -> int:
        """Characters of the reply's text said within its first `sample` samples, whole words only."""
        account = self._accounts.get(number)
        words = account.words if account else []
        return max((word.chars for word in words if word.sample <= sample), default=0)

    def pushed(self, number: int) -> int:
        """Samples of reply `number` queued so far, played or not."""
        account = self._accounts.get(number)
        return account.pushed if account else 0

    def cut(self, number: int) -> tuple[int, int]:
        """Stops reply `number` at once and for good; returns what `heard` does."""
        account = self._open(number)
        account.cut = True
        account.chunks.clear()
        return self.heard(number)

    @property
    def audible(self) -> int | None:
        """The reply whose sound is leaving now (or pausing for more), if any."""
        for number, account in self._accounts.items():
            if account.pushed and not account.over:
                return number
        return None

    @property
    def waiting(self) -> int:
        """Samples pushed and not yet played, of all replies."""
        return sum(a.pushed - a.played for a in self._accounts.values() if not a.cut)

    def _open(self, number: int) -> _Account:
        account = self._accounts.setdefault(number, _Account())
        for old in [k for k, a in self._accounts.items() if a.over and k != number][:-KEPT]:
            del self._accounts[old]
        return account

    @staticmethod
    def _drain(account: _Account, out: Samples) -> int:
        filled = 0
        while filled < len(out) and account.chunks:
            chunk = account.chunks.popleft()
            part = chunk[: len(out) - filled]
            out[filled : filled + len(part)] = part
            if len(part) < len(chunk):
                account.chunks.appendleft(chunk[len(part) :])
            filled += len(part)
        account.played += filled
        return filled
