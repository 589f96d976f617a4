"""How the floor and the front end are set, as the protocol's session settings say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class TurnDetection:
    """Settings of the floor, from the protocol's `turn_detection`. Milliseconds of audio time."""

    kind: Literal["server_vad", "semantic_vad"] = "server_vad"
    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500
    idle_timeout_ms: int | None = None
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"


@dataclass(frozen=True, slots=True)
class Noise:
    """The protocol's `noise_reduction`: where the microphone is, and how much is to be done (1 is the usual)."""

    kind: Literal["near_field", "far_field"]
    strength: float = 1.0
