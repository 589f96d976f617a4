"""What one call left behind, and nothing computed from it: the border between who makes calls and who judges them.

    caller.py ──► CallRecord ──► truth.py ──► measures.py ──► report.py

All times are seconds on the call's own clock, which began when the caller's microphone did. The recording lies on the
same clock: sample n was audible at n / SAMPLE_RATE. Pure data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from vivavoce.codecs.audio import Samples

Kind = Literal["turn", "interruption", "backchannel", "noise"]
"""What the caller meant by a sound: a turn wants an answer, an interruption wants silence, the others want neither."""


@dataclass(frozen=True, slots=True)
class Said:
    """A sound of the caller's. `began`, `ended`: its first and last audible moment. `turn`: number of the scenario's
    turn; an overlap has the number of the turn whose reply it meets."""

    kind: Kind
    turn: int
    text: str
    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class Event:
    """A server event, and when it arrived."""

    at: float
    body: Mapping[str, Any]

    @property
    def type(self) -> str:
        """Its name on the wire."""
        return str(self.body.get("type", ""))


@dataclass(frozen=True, slots=True)
class Gap:
    """The loudspeaker ran dry at `at` for `seconds`, in the middle of a reply."""

    at: float
    seconds: float


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call. `flushes`: when the caller itself stopped the loudspeaker, as clients that play by themselves do.
    `concealed`: seconds of sound that the caller's line lost and its decoder guessed. `stalls`: how often the caller's
    own machine was too late to speak; such a call measures the caller. `failure`: why it ended early, if it did."""

    transport: str
    scenario: str
    said: tuple[Said, ...]
    recording: Samples
    events: tuple[Event, ...]
    gaps: tuple[Gap, ...] = ()
    flushes: tuple[float, ...] = ()
    concealed: float = 0.0
    stalls: int = 0
    failure: str = ""
    truncated: Mapping[str, float] = field(default_factory=dict)
    """Item -> seconds of it that the caller heard before it stopped playing."""

    def of(self, kind: str) -> tuple[Event, ...]:
        """The events of a type, in order."""
        return tuple(event for event in self.events if event.type == kind)


def no_sound() -> Samples:
    """An empty recording."""
    return np.zeros(0, np.float32)
