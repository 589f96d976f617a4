"""The heard ledger: reply audio waiting to be played, and an exact account of what has been.

    Play ──receive──► [ n: samples, word ends ] ──take(480)──► loudspeaker
    CutPlayout ─────►         │
                              └── heard(n): samples, and characters of text, that the user has heard

One `Playout` belongs to one call, whose pipeline alone changes it: the session core requests changes by actions, and
reads it as a `Ledger`. Replies play in the order in which their first sound was pushed, one after the other. A reply
that was cut takes nothing more: sound that arrives late for it is dropped by its number. The class keeps no clock: the
caller of `take` sets the pace.

While a sound over the assistant is classified, playback yields:

    full ──► ducked (-18 dB, goes on) ──► held (silent, nothing leaves)
      ▲            │                        │
      └────────────┴────────────────────────┘ at the very next sample

Each change is a ramp of 20 ms, so nothing clicks. Gain changes how loud a sample leaves, never whether it does.

The last 30 s that were played are kept, so that sound that did not arrive can be played again:

    take ──add(reply, samples)──► [ ... 30 s ... ] ──rewind(position)──► back to their accounts, from a word's beginning
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.model.dialogue import AudioToken, WordEnd
from vivavoce.realtime.audio.fader import Fader
from vivavoce.realtime.events import (
    CutPlayout,
    DropPlayout,
    FinishPlayout,
    Loudness,
    Play,
    PlayoutAction,
    PlayoutCut,
    Position,
    SetLoudness,
)

MAX_SECONDS = 600
"""Bound on sound waiting in one call; ten minutes is far beyond any spoken reply."""

KEPT = 64
"""Accounts kept of replies that have ended, for clients that truncate late."""

LONGEST_PAUSE: Final = SAMPLE_RATE
"""Samples (1 s) for which playback yields without a decision: none comes when the microphone's sound stops."""

CLOSING: Final = 3 * SAMPLE_RATE // 10
"""Samples (0.3 s) before its end in which a reply counts as over: speech then is no interruption."""

CLOSING_QUESTION: Final = 8 * SAMPLE_RATE // 10
"""The same (0.8 s) for a reply that ends in a question: people answer before they have heard its last word."""


class PlayoutFull(Exception):
    """More than `MAX_SECONDS` of sound are waiting."""


@dataclass(slots=True)
class _Account:
    """The sound of one reply: samples pushed and played."""

    chunks: deque[Samples] = field(default_factory=deque)
    words: list[WordEnd] = field(default_factory=list)
    pushed: int = 0
    played: int = 0
    complete: bool = False  # nothing more will be pushed
    closing: int = CLOSING
    cut: bool = False
    started: bool = False  # reported by `take`
    ended: bool = False

    @property
    def over(self) -> bool:
        """Whether nothing is left to play, now or later."""
        return self.cut or (self.complete and self.played == self.pushed)

    def take_back(self, samples: Samples) -> None:
        """Takes back the last samples that were played, to play them again."""
        if self.cut:
            return
        self.chunks.appendleft(samples)
        self.played -= len(samples)
        if self.ended or not self.played:
            self.started = self.ended = False


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of playback: sound, and the replies that began and ended within it."""

    samples: Samples
    started: list[int]
    ended: list[int]


class Ledger(Protocol):
    """A playout, to be read only."""

    @property
    def audible(self) -> int | None: ...
    def heard(self, number: int) -> tuple[int, int]: ...
    def chars_at(self, number: int, sample: int) -> int: ...
    def pushed(self, number: int) -> int: ...
    def left(self, number: int) -> int | None: ...


class Playout:
    """Plays the sound of a call's replies, counted to the sample. Implements `Ledger`."""

    def __init__(self) -> None:
        self._accounts: dict[int, _Account] = {}
        self._played = Played()
        self.away = False
        """The client is disconnected for the moment, and nothing is taken."""
        self._fader = Fader()
        self._yielded: int | None = None  # samples since playback yielded

    def receive(self, action: PlayoutAction) -> PlayoutCut | None:
        """Performs an action of the session; answers `CutPlayout`. Raises `PlayoutFull`."""
        match action:
            case Play(number=number, token=token):
                self.push(number, token)
            case FinishPlayout(number=number, asks=asks):
                self.finish(number, asks)
            case SetLoudness(loudness=loudness):
                self.turn(loudness)
            case DropPlayout(number=number):
                self.cut(number)
            case CutPlayout(numbers=numbers):
                return PlayoutCut(tuple(Position(number, *self._stop(number)) for number in numbers))
        return None

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

    def finish(self, number: int, asks: bool = False) -> None:
        """Nothing more will be pushed for reply `number`; `asks`: it ends in a question."""
        account = self._open(number)
        account.complete = True
        account.closing = CLOSING_QUESTION if asks else CLOSING

    def take(self, n: int) -> Frame:
        """The next `n` samples for the loudspeaker, shape (n,); silence where no sound waits, or it is held."""
        frame = Frame(np.zeros(n, np.float32), [], [])
        self._count_pause(n)
        if self._fader.room == 0:
            return frame
        out = frame.samples[: self._fader.room]
        filled = 0
        for number, account in self._accounts.items():
            if account.ended or account.cut:
                continue
            filled += self._drain(number, account, out[filled:])
            if account.played and not account.started:
                account.started = True
                frame.started.append(number)
            if account.over:
                account.ended = True
                if account.started:
                    frame.ended.append(number)
            else:
                break  # the frame is full, or the reply is still generated, and later replies wait for it
        self._fader.apply(out[:filled])
        return frame

    def turn(self, loudness: Loudness) -> None:
        """Sets the loudness from the next sample on: "ducked", paused ("held"), or "full", which it becomes by itself
        after `LONGEST_PAUSE`."""
        if self.audible is None or loudness == "full":
            self._yielded = None
        elif self._yielded is None:
            self._yielded = 0
        if self.audible is None:
            self._fader.jump()
        else:
            self._fader.turn(loudness)

    def heard(self, number: int) -> tuple[int, int]:
        """How much of reply `number` has been played: samples, and characters of its text."""
        account = self._accounts.get(number)
        if account is None:
            return 0, 0
        return account.played, self.chars_at(number, account.played)

    def chars_at(self, number: int, sample: int) -> int:
        """Characters of the reply's text spoken within its first `sample` samples, whole words only."""
        account = self._accounts.get(number)
        words = account.words if account else []
        return max((word.chars for word in words if word.sample <= sample), default=0)

    def pushed(self, number: int) -> int:
        """Samples of reply `number` queued so far, played or not."""
        account = self._accounts.get(number)
        return account.pushed if account else 0

    def left(self, number: int) -> int | None:
        """Samples of reply `number` that wait to be played; None when it was cut, or is unknown."""
        account = self._accounts.get(number)
        return None if account is None or account.cut else account.pushed - account.played

    def finished(self, number: int) -> bool:
        """Whether nothing more will be pushed for reply `number`."""
        account = self._accounts.get(number)
        return account is not None and (account.cut or account.complete)

    @property
    def place(self) -> tuple[int, int]:
        """The position of playback: the reply that was played last, and its samples played; (0, 0) before the first."""
        number = self._played.newest() or 0
        return number, self.heard(number)[0]

    def leave(self, away: bool) -> None:
        """The client is disconnected (`away`), or is back."""
        self.away = away

    def rewind(self, number: int, sample: int) -> None:
        """Plays again the sound after `sample` of reply `number`, which did not arrive: as far as it is kept, from the
        beginning of the word at that position. A reply that has ended ends once more; one that was cut stays cut."""
        self._played.rewind(self._accounts, number, sample)

    def cut(self, number: int) -> tuple[int, int]:
        """Stops reply `number` at once and for good; returns its `heard`."""
        account = self._open(number)
        account.cut = True
        account.chunks.clear()
        if self.audible is None:
            self.turn("full")
        return self.heard(number)

    @property
    def audible(self) -> int | None:
        """The reply whose sound is leaving now (or pausing for more), if any."""
        for number, account in self._accounts.items():
            if account.pushed and not account.over:
                return number
        return None

    @property
    def interruptible(self) -> bool:
        """Whether a reply is audible and is not about to end: speech now is speech over it."""
        left = [account for account in self._accounts.values() if account.pushed and not account.over]
        ending = len(left) == 1 and left[0].complete and left[0].pushed - left[0].played <= left[0].closing
        return bool(left) and not ending

    @property
    def waiting(self) -> int:
        """Samples pushed and not yet played, of all replies."""
        return sum(a.pushed - a.played for a in self._accounts.values() if not a.cut)

    def _stop(self, number: int) -> tuple[int, int]:
        """Cuts a reply, except one that was played to its end: `take` is about to report that."""
        account = self._accounts.get(number)
        whole = account is not None and account.complete and account.played == account.pushed
        return self.heard(number) if whole else self.cut(number)

    def _count_pause(self, n: int) -> None:
        if self._yielded is not None:
            self._yielded += n
            if self._yielded > LONGEST_PAUSE:
                self.turn("full")

    def _open(self, number: int) -> _Account:
        account = self._accounts.setdefault(number, _Account())
        for old in [k for k, a in self._accounts.items() if a.over and k != number][:-KEPT]:
            del self._accounts[old]
        return account

    def _drain(self, number: int, account: _Account, out: Samples) -> int:
        filled = 0
        while filled < len(out) and account.chunks:
            chunk = account.chunks.popleft()
            part = chunk[: len(out) - filled]
            out[filled : filled + len(part)] = part
            if len(part) < len(chunk):
                account.chunks.appendleft(chunk[len(part) :])
            account.played += len(part)
            self._played.add(number, part)
            filled += len(part)
        return filled


REMEMBERED: Final = 30 * SAMPLE_RATE
"""Samples (30 s) that are kept: more than are lost before a dead connection is noticed."""

LONGEST_WORD: Final = 3 * SAMPLE_RATE // 2
"""Samples (1.5 s) before a position within which its word begins; the beginning is not searched further back."""


class Account(Protocol):
    """One reply in the playout."""

    words: list[WordEnd]
    played: int
    cut: bool

    def take_back(self, samples: Samples) -> None:
        """Takes back the last `samples` that were played, to play them again."""


class Played:
    """The pieces of replies that were played last, in order."""

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
        """Returns the sound after `sample` of reply `number` to its accounts, from the beginning of the word at that
        position, as far as it is kept."""
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
        """The reply that was played last; None when nothing is kept."""
        return self._pieces[-1][0] if self._pieces else None

    def back(self) -> tuple[int, Samples]:
        """Removes the newest piece and returns it. There has to be one."""
        number, samples = self._pieces.pop()
        self._samples -= len(samples)
        return number, samples


def begins(words: Iterable[WordEnd], sample: int) -> int:
    """The beginning of the word at `sample`: the end of the word before it. Where no word ends near it, `sample`."""
    ends = [word.sample for word in words]
    if not ends:
        return sample
    last = max((end for end in ends if end <= sample), default=0)
    return last if sample - last <= LONGEST_WORD else sample
