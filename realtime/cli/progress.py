"""Draws how far a download is, for people: a bar on a terminal, plain lines in a file.

Bar is called with (artefact, bytes there, bytes in all), as model/store/pull.py's Progress says, and writes to the
stream
that it was given. It decides nothing and never fails because of what it is told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

WIDTH = 24  # columns of the bar itself
INTERVAL = 0.1  # seconds between two drawings of one line
QUARTER = 0.25  # share between two plain lines


class Bar:
    """One line for each artefact. `clock` gives seconds, for the rate; any origin.

    piper-joe           ##########--------------  42 %   26.5 / 63.2 MB  11.8 MB/s
    """

    def __init__(self, out: TextIO, clock: Callable[[], float]) -> None:
        self._out, self._clock = out, clock
        self._redraws = out.isatty()
        self._artefact = ""
        self._began = self._drawn = 0.0
        self._first = 0  # bytes that were there when the artefact began
        self._share = 0.0  # as last written on a plain line

    def __call__(self, artefact: str, done: int, total: int) -> None:
        """`done` of `total` bytes of the artefact are there."""
        now = self._clock()
        begins = artefact != self._artefact
        if begins:
            self._artefact, self._began, self._first, self._share = artefact, now, done, 0.0
        elif self._share >= 1:
            return  # said already
        share = min(1.0, done / total) if total else 1.0
        if self._redraws:
            if begins or share >= 1 or now - self._drawn >= INTERVAL:
                self._drawn = now
                end = "\n" if share >= 1 else ""
                self._write(f"\r{self._line(done, total, share, now)}\x1b[K{end}")
        elif share >= 1 or share - self._share >= QUARTER or (begins and share == 0):
            self._write(f"{artefact}: {share:.0%} of {total / 1e6:.1f} MB\n")
        else:
            return
        self._share = share

    def _line(self, done: int, total: int, share: float, now: float) -> str:
        filled = int(share * WIDTH)
        bar = "#" * filled + "-" * (WIDTH - filled)
        seconds = now - self._began
        rate = f"  {(done - self._first) / seconds / 1e6:.1f} MB/s" if seconds > 0.5 and done > self._first else ""
        return f"{self._artefact:<20}{bar} {share:>4.0%} {done / 1e6:>7.1f} / {total / 1e6:.1f} MB{rate}"

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
