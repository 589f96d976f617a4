"""Tells whether the machine was quiet while it was measured on: what other programs took of it, and its host.

    Watch ──began──► all processors, our processes ──ended──► Neighbours(cores, stolen) ──► trusted?

Linux only: /proc/stat counts the time of all processors (proc(5)), in ticks of 10 ms as a rule.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

OTHERS: Final = 0.1
"""Cores that other programs may take on average. A call's stages want all of a small machine at the same moment."""

STOLEN: Final = 0.02
"""Share of all processors' time that the host of a virtual machine may give to others."""

IDLE, IOWAIT, STEAL, GUEST = 3, 4, 7, 8
"""Columns of /proc/stat; those from `GUEST` on are counted in the first ones too."""


@dataclass(frozen=True, slots=True)
class Processors:
    """Seconds of all processors since the machine's start: `busy` with any program of this machine, `stolen` by its
    host, and all together."""

    busy: float
    stolen: float
    total: float


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The average use of a machine beside our own. `cores`: by other programs; `stolen`: share taken by its host."""

    cores: float
    stolen: float

    @property
    def quiet(self) -> bool:
        """Whether figures measured beside them can be trusted."""
        return self.cores <= OTHERS and self.stolen <= STOLEN

    @property
    def words(self) -> str:
        """What they took."""
        stolen = f", its host {100 * self.stolen:.0f} % of the time" if self.stolen > STOLEN else ""
        return f"other programs took {self.cores:.1f} of this machine's cores{stolen}"


class Watch:
    """Watches from now on. `own`: CPU seconds of our processes so far, None where they are not known."""

    def __init__(
        self,
        own: Callable[[], float | None],
        processors: Callable[[], Processors | None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._own, self._processors, self._clock = own, processors or read_processors, clock
        self._began = self._read()

    def neighbours(self) -> Neighbours | None:
        """Since the beginning; None where it cannot be known, and within the first second."""
        ended = self._read()
        if self._began is None or ended is None or ended[2] - self._began[2] < 1:
            return None
        (before, own_before, began), (after, own_after, now) = self._began, ended
        others = after.busy - before.busy - (own_after - own_before)
        stolen = (after.stolen - before.stolen) / max(after.total - before.total, 1e-9)
        return Neighbours(max(others / (now - began), 0.0), stolen)

    def _read(self) -> tuple[Processors, float, float] | None:
        processors, own = self._processors(), self._own()
        return None if processors is None or own is None else (processors, own, self._clock())


def read_processors(file: Path = Path("/proc/stat")) -> Processors | None:
    """The first line of `file`; None where there is no such file."""
    try:
        ticks = [int(part) for part in file.read_text().splitlines()[0].split()[1 : GUEST + 1]]
        per_second = os.sysconf("SC_CLK_TCK")
        idle, stolen = ticks[IDLE] + ticks[IOWAIT], ticks[STEAL]
    except (OSError, ValueError, IndexError):
        return None
    total = sum(ticks[:GUEST])
    return Processors((total - idle - stolen) / per_second, stolen / per_second, total / per_second)
