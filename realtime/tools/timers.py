"""Keep the timers of one call: set, counting down, fired once. Pure; times are seconds on the call's clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from vivavoce.realtime.tools import ToolError

MAX_TIMERS: Final = 16
MAX_SECONDS: Final = 24 * 3600.0
MAX_NAME: Final = 64


class TimerError(ToolError):
    """There is no such timer, or it cannot be set."""


@dataclass(frozen=True, slots=True)
class Timer:
    """Fires at `due`, `seconds` after it was set."""

    number: int
    name: str
    seconds: float
    due: float

    def __str__(self) -> str:
        return f"timer {self.number}" + (f" ({self.name})" if self.name else "")


class Timers:
    """The running timers, soonest first."""

    def __init__(self) -> None:
        self._timers: list[Timer] = []
        self._count = 0

    def __iter__(self) -> Iterator[Timer]:
        return iter(self._timers)

    @property
    def next_due(self) -> float | None:
        """Time at which the next one fires."""
        return self._timers[0].due if self._timers else None

    def set(self, seconds: float, name: str, now: float) -> Timer:
        """Sets a timer. Raises `TimerError`."""
        if not 1 <= seconds <= MAX_SECONDS:
            raise TimerError("A timer runs for at least a second and at most 24 hours.")
        if len(self._timers) >= MAX_TIMERS:
            raise TimerError(f"{MAX_TIMERS} timers are running already.")
        self._count += 1
        timer = Timer(self._count, " ".join(name.split())[:MAX_NAME], seconds, now + seconds)
        self._timers = sorted([*self._timers, timer], key=lambda one: (one.due, one.number))
        return timer

    def cancel(self, which: str) -> list[Timer]:
        """Cancels the timers of this number or name; all for "all". Raises `TimerError` when there is none."""
        given = which.strip().lower().removeprefix("timer").strip()
        cancelled = [
            t for t in self._timers if given in ("", "all", str(t.number)) or (t.name and t.name.lower() in given)
        ]
        if given == "" and len(self._timers) > 1:
            raise TimerError(f"Which one? {'; '.join(map(str, self._timers))}.")
        if not cancelled:
            raise TimerError("There is no such timer." if self._timers else "No timer is running.")
        self._timers = [timer for timer in self._timers if timer not in cancelled]
        return cancelled

    def fire(self, now: float) -> list[Timer]:
        """Removes the timers that are due, and returns them."""
        due = [timer for timer in self._timers if timer.due <= now]
        self._timers = [timer for timer in self._timers if timer.due > now]
        return due


def duration_in_words(seconds: float) -> str:
    """A duration in words: "1 hour 5 minutes"."""
    rest = max(round(seconds), 0)
    parts = []
    for size, name in ((3600, "hour"), (60, "minute"), (1, "second")):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {name}{'' if count == 1 else 's'}")
    return " ".join(parts) or "0 seconds"
