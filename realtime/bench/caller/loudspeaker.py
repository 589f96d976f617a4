"""The caller's loudspeaker: lay the received sound on the call's clock, as a real client would play it. A core.

    play(chunk, at) ──► after the chunks that still play, or now ──► recording       flush(at): drops unplayed sound

A chunk is audible from its arrival, never earlier, and no buffer delays it: no client could be quicker. A stream that
runs out of data leaves a gap. A live stream (RTP) that was late and came in a burst catches up in its next silence, as
with a jitter buffer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.realtime.bench.measure.call_record import Gap

DIGITAL_SILENCE: Final = 1e-3
"""Peak (-60 dBFS) below which a chunk of a live stream is silent."""

JITTER: Final = 0.02
"""Seconds that a chunk of a live stream may be late before it counts as a gap: one frame, which is inaudible."""

_GROWTH: Final = 60 * SAMPLE_RATE


@dataclass(slots=True)
class _Chunk:
    item: str
    start: int
    end: int


@dataclass(slots=True)
class Loudspeaker:
    """`live`: the sender paces the sound (RTP), silence included; else it sends ahead (WebSocket)."""

    live: bool
    gaps: list[Gap] = field(default_factory=list)
    _sound: Samples = field(default_factory=lambda: np.zeros(_GROWTH, np.float32))
    _first: int = 0  # sample of the call at which `_sound` begins
    _cursor: int = 0
    _chunks: list[_Chunk] = field(default_factory=list)
    _item: str = ""
    _sounding: bool = False

    @property
    def until(self) -> float:
        """Time at which all received sound will have been played."""
        return self._cursor / SAMPLE_RATE

    def play(self, samples: Samples, at: float, item: str = "") -> None:
        """Takes a chunk of `item` that arrived at `at`."""
        now = round(at * SAMPLE_RATE)
        silent = not len(samples) or float(np.abs(samples).max()) < DIGITAL_SILENCE
        if self.live and silent:
            samples = samples[max(0, min(len(samples), self._cursor - now)) :]
        self._count_gap(now, item, silent)
        start = max(self._cursor, now)
        end = start + len(samples)
        while end - self._first > len(self._sound):
            self._sound = np.concatenate([self._sound, np.zeros(_GROWTH, np.float32)])
        self._sound[start - self._first : end - self._first] = samples
        self._cursor, self._item, self._sounding = end, item, not silent
        if item:
            self._chunks.append(_Chunk(item, start, end))

    def flush(self, at: float) -> dict[str, float]:
        """Stops playback at `at`. Returns the seconds played of each item that was cut short."""
        now = round(at * SAMPLE_RATE)
        cut = {chunk.item for chunk in self._chunks if chunk.end > now}
        played = {item: self.played(item, at) for item in cut}
        self._sound[max(0, now - self._first) : max(0, self._cursor - self._first)] = 0
        self._cursor = min(self._cursor, now)
        self._chunks = [_Chunk(p.item, p.start, min(p.end, now)) for p in self._chunks if p.start < now]
        self._item, self._sounding = "", False
        return played

    def played(self, item: str, at: float) -> float:
        """Seconds of `item` that have been played by `at`."""
        now = round(at * SAMPLE_RATE)
        return sum(max(0, min(p.end, now) - p.start) for p in self._chunks if p.item == item) / SAMPLE_RATE

    def recording(self, until: float) -> Samples:
        """All sound from the beginning up to `until`; silence where it was forgotten."""
        return self._between(0, round(until * SAMPLE_RATE)).copy()

    def forget(self, before: float) -> None:
        """Drops the sound up to `before`, so that a long call does not fill the memory."""
        kept = min(round(before * SAMPLE_RATE), self._cursor)
        if kept > self._first:
            self._sound = self._sound[kept - self._first :].copy()
            self._first = kept
            self._chunks = [chunk for chunk in self._chunks if chunk.end > kept]

    def window(self, start: int, n: int) -> Samples:
        """`n` samples from sample `start` on; silence where no sound was played, and before the beginning."""
        if start < 0:
            skipped = min(n, -start)
            return np.concatenate([np.zeros(skipped, np.float32), self._between(0, n - skipped)])
        return self._between(start, start + n)

    def _between(self, start: int, end: int) -> Samples:
        forgotten = min(max(0, self._first - start), max(0, end - start))
        found = self._sound[max(0, start - self._first) : max(0, end - self._first)]
        return np.pad(found, (forgotten, max(0, end - start) - forgotten - len(found)))

    def _count_gap(self, now: int, item: str, silent: bool) -> None:
        missing = (now - self._cursor) / SAMPLE_RATE
        if self.live:
            if self._sounding and not silent and missing > JITTER:
                self.gaps.append(Gap(self.until, missing))
        elif item and item == self._item and missing > 0:
            self.gaps.append(Gap(self.until, missing))
