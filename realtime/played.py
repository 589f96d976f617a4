"""The last sound that was played, so that what did not arrive can be played again.

    Playout.take ──add(reply, samples)──► [ ... 30 s ... ] ──rewind(place)──► back to their accounts

Positions are those of the playout's ledger. It goes back to the beginning of a word, for half a word is no word.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from vivavoce.model.dialogue import SAMPLE_RATE, Samples, WordEnd

REMEMBERED: Final = 30 * SAMPLE_RATE
"""Samples (30 s) that are kept: longer than a dead connection goes unnoticed."""

LONGEST_WORD: Final = 3 * SAMPLE_RATE // 2
"""Samples (1.5 s) within which a word begins that lies on a position; further back its beginning is not looked for."""


class Account(Protocol):
    """One reply in the playout's ledger."""

    words: list[WordEnd]
    played: int
    cut: bool

    def take_back(self, samples: Samples) -> None:
        """The last `samples` that were played have to be played again."""


class Played:
    """Pieces of replies, in the order in which they were played."""

    def __init__(self) -> None:
        self._pieces: deque[tuple[int, Samples]] = deque()
        self._samples = 0

    def add(self, number: int, samples: Samples) -> None:
        """`samples` of reply `number` were played."""
        self._pieces.append((number, samples))
        self._samples += len(samples)
        while self._samples - len(self._pieces[0][1]) >= REMEMBERED:
            self._samples -= len(self._pieces.popleft()[1])

    def rewind(self, accounts: Mapping[int, Account], number: int, sample: int) -> None:
        """Gives back to their accounts what was played after `sample` of reply `number`, from the beginning of the word
        on which that lies, as far as it is remembered."""
        target = accounts.get(number)
        sample = begins(target.words, sample) if target and sample < target.played else sample
        while (newest := self.newest()) is not None and (account := accounts.get(newest)):
            surplus = account.played - (sample if newest == number else 0)
            if newest == number and (account.cut or surplus <= 0):
                return
            _, piece = self.back()
            kept = max(0, len(piece) - surplus)
            if kept:
                self.add(newest, piece[:kept])
            account.take_back(piece[kept:])
            if newest == number and surplus <= len(piece):
                return

    def newest(self) -> int | None:
        """The reply that was played last; None when nothing is remembered."""
        return self._pieces[-1][0] if self._pieces else None

    def back(self) -> tuple[int, Samples]:
        """Takes the newest piece away. There has to be one."""
        number, samples = self._pieces.pop()
        self._samples -= len(samples)
        return number, samples


def begins(words: Iterable[WordEnd], sample: int) -> int:
    """The beginning of the word on which `sample` lies: the end of the one before it. Where no word ends near it, it is
    `sample` itself."""
    ends = [word.sample for word in words]
    if not ends:
        return sample
    last = max((end for end in ends if end <= sample), default=0)
    return last if sample - last <= LONGEST_WORD else sample
