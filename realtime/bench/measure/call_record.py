"""The record of one call: raw data, from which all measures are computed. Pure data.

    caller.py ──► CallRecord ──► audio_truth.py ──► measures.py ──► report.py

All times are seconds on the call's clock, which began with the caller's microphone. The recording has the same clock:
sample n was audible at n / SAMPLE_RATE.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from vivavoce.codecs.audio import Samples

Kind = Literal["turn", "interruption", "backchannel", "noise"]
"""The label of a sound of the caller: a turn wants a reply, an interruption wants silence, the others want neither."""


@dataclass(frozen=True, slots=True)
class Said:
    """A sound of the caller. `began`, `ended`: its first and last audible moment. `turn`: number of the turn; an
    overlap has the number of the turn whose reply it overlaps."""

    kind: Kind
    turn: int
    text: str
    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class Event:
    """A server event, with the time of its arrival."""

    at: float
    body: Mapping[str, Any]

    @property
    def type(self) -> str:
        """Its type on the wire."""
        return str(self.body.get("type", ""))


@dataclass(frozen=True, slots=True)
class Gap:
    """An underrun: the loudspeaker had no data from `at` on for `seconds`, in the middle of a reply."""

    at: float
    seconds: float


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call. `flushes`: times at which the caller itself stopped its loudspeaker, as clients over WebSocket do.
    `concealed`: seconds of lost sound that the decoder concealed. `stalls`: how often the caller's own machine was too
    late to send; such a call measures the caller. `failure`: why it ended early, if it did."""

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
    """Item -> seconds of it that were played before the caller stopped it."""

    def of(self, kind: str) -> tuple[Event, ...]:
        """The events of a type, in order."""
        return tuple(event for event in self.events if event.type == kind)


def no_sound() -> Samples:
    """An empty recording."""
    return np.zeros(0, np.float32)
