"""Progress of downloads on standard error: a bar on a terminal, a plain line for each quarter in a file.

Store.pull ──(artefact, bytes present, bytes in all)──► Progress ──► tqdm │ plain lines
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Final, Self, TextIO

from tqdm import tqdm

FORMAT: Final = "{desc}{bar:24} {percentage:3.0f}%  {n_fmt}B / {total_fmt}B  {rate_fmt}"
INTERVAL: Final = 0.1
"""Seconds between two drawings of a bar."""
QUARTER: Final = 0.25
"""Share of an artefact between two plain lines."""


class Progress:
    """One bar, or a few lines, for each artefact. A context manager: leaving it ends a bar that was interrupted.

    moonshine-tiny-en   ##########--------------  42%  18.4MB / 43.9MB  11.8MB/s
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._terminal = out.isatty()
        self._artefact = ""
        self._bar: Any = None  # of tqdm, which has no types
        self._share = 0.0  # of the last plain line
        tqdm.monitor_interval = 0  # no thread that watches bars: a server goes on after its downloads

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_bar()

    def __call__(self, artefact: str, done: int, total: int) -> None:
        """`done` of `total` bytes of the artefact are present."""
        begins = artefact != self._artefact
        if begins:
            self._end_bar()
            self._artefact, self._share = artefact, 0.0
        elif self._share >= 1:
            return  # complete, and shown
        share = min(1.0, done / total) if total else 1.0
        if self._terminal:
            self._draw(done, total, share)
        elif share >= 1 or share - self._share >= QUARTER or (begins and share == 0):
            self._share = share
            print(f"{artefact}: {share:.0%} of {total / 1e6:.1f} MB", file=self._out, flush=True)

    def _draw(self, done: int, total: int, share: float) -> None:
        if self._bar is None:  # the rate counts from what an earlier run has left
            self._bar = tqdm(
                desc=f"{self._artefact:<20}",
                total=total,
                initial=done,
                file=self._out,
                unit="B",
                unit_scale=True,
                mininterval=INTERVAL,
                miniters=1,
                smoothing=0,
                ascii="-#",
                bar_format=FORMAT,
            )
        self._bar.update(done - self._bar.n)
        self._share = share
        if share >= 1:
            self._end_bar()

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
