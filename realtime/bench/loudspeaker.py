"""The caller's ear: sound that arrives in pieces, laid on the call's clock as a real loudspeaker would play it.

    play(piece, at) ──► behind what still plays, or now ──► recording        flush(at): what has not sounded is gone

A piece is audible from its arrival, never earlier, and no buffer delays it on purpose: that is the quickest that any
client could be. A stream that pauses for want of data leaves a gap. A live stream (RTP) that was late and came in a
burst is brought back to the present in its next silence, as jitter buffers do. The module is a core.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from vivavoce.model.dialogue import SAMPLE_RATE, Samples
from vivavoce.realtime.bench.evidence import Gap

DIGITAL_SILENCE: Final = 1e-3
"""Peak (-60 dBFS) below which a piece of a live stream carries nothing."""

JITTER: Final = 0.02
"""Seconds that a piece of a live stream may be late before it counts as a gap: one frame, which no one hears."""

_GROWTH: Final = 60 * SAMPLE_RATE


@dataclass(slots=True)
class _Piece:
    item: str
    start: int
    end: int


@dataclass(slots=True)
class Loudspeaker:
    """`live`: the sender paces the sound (RTP), silence included; else it sends ahead (WebSocket)."""

    live: bool
    gaps: list[Gap] = field(default_factory=list)
    _sound: Samples = field(default_factory=lambda: np.zeros(_GROWTH, np.float32))
    _cursor: int = 0
    _pieces: list[_Piece] = field(default_factory=list)
    _item: str = ""
    _sounding: bool = False

    @property
    def until(self) -> float:
        """When all that has arrived will have been played."""
        return self._cursor / SAMPLE_RATE

    def play(self, samples: Samples, at: float, item: str = "") -> None:
        """Takes a piece that arrived at `at`, part of `item`."""
        now = round(at * SAMPLE_RATE)
        silent = not len(samples) or float(np.abs(samples).max()) < DIGITAL_SILENCE
        if self.live and silent:
            samples = samples[max(0, min(len(samples), self._cursor - now)) :]
        self._count_gap(now, item, silent)
        start = max(self._cursor, now)
        end = start + len(samples)
        while end > len(self._sound):
            self._sound = np.concatenate([self._sound, np.zeros(_GROWTH, np.float32)])
        self._sound[start:end] = samples
        self._cursor, self._item, self._sounding = end, item, not silent
        if item:
            self._pieces.append(_Piece(item, start, end))

    def flush(self, at: float) -> dict[str, float]:
        """Stops at `at`: what lies behind is not heard. Returns the seconds heard of each item that was cut short."""
        now = round(at * SAMPLE_RATE)
        cut = {piece.item for piece in self._pieces if piece.end > now}
        heard = {item: self.heard(item, at) for item in cut}
        self._sound[now : self._cursor] = 0
        self._cursor = min(self._cursor, now)
        self._pieces = [_Piece(p.item, p.start, min(p.end, now)) for p in self._pieces if p.start < now]
        self._item, self._sounding = "", False
        return heard

    def heard(self, item: str, at: float) -> float:
        """Seconds of `item` that have sounded by `at`."""
        now = round(at * SAMPLE_RATE)
        return sum(max(0, min(p.end, now) - p.start) for p in self._pieces if p.item == item) / SAMPLE_RATE

    def recording(self, until: float) -> Samples:
        """All that sounded from the beginning up to `until`."""
        return self._between(0, round(until * SAMPLE_RATE)).copy()

    def window(self, start: int, n: int) -> Samples:
        """`n` samples from sample `start` on; silence where nothing was played, before the beginning too."""
        if start < 0:
            skipped = min(n, -start)
            return np.concatenate([np.zeros(skipped, np.float32), self._between(0, n - skipped)])
        return self._between(start, start + n)

    def _between(self, start: int, end: int) -> Samples:
        found = self._sound[start:end]
        return np.pad(found, (0, max(0, end - start) - len(found)))

    def _count_gap(self, now: int, item: str, silent: bool) -> None:
        missing = (now - self._cursor) / SAMPLE_RATE
        if self.live:
            if self._sounding and not silent and missing > JITTER:
                self.gaps.append(Gap(self.until, missing))
        elif item and item == self._item and missing > 0:
            self.gaps.append(Gap(self.until, missing))
