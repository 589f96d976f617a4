"""Packet loss and jitter on a caller's connection, without root. Pure.

    next_packet() ──► None: lost     seconds: delayed so much, and perhaps overtaken by the next packet

Loss comes in bursts (the Gilbert-Elliott model), delay is drawn for each packet alone. Seeded: the same path treats
the same packets alike.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Impairment:
    """`loss`: packet loss, 0 to 0.9; `burst`: mean number of packets lost in a row; `jitter`: seconds of random delay;
    `skew`: by how much the caller's clock is fast, in parts per million."""

    loss: float = 0.0
    burst: float = 3.0
    jitter: float = 0.0
    skew: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.loss <= 0.9 or self.burst < 1 or not 0 <= self.jitter <= 1 or abs(self.skew) > 10_000:
            raise ValueError(f"no such impairment: {self}")

    @property
    def clean(self) -> bool:
        """Whether packets pass unchanged."""
        return not self.loss and not self.jitter


@dataclass(slots=True)
class ImpairedPath:
    """One direction of one call."""

    impairment: Impairment
    seed: int
    lost: int = 0
    passed: int = 0
    _in_burst: bool = False
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def next_packet(self) -> float | None:
        """The delay of the next packet in seconds; None when it is lost."""
        impairment = self.impairment
        leave = 1 / impairment.burst
        enter = leave * impairment.loss / (1 - impairment.loss)
        self._in_burst = self._random.random() >= leave if self._in_burst else self._random.random() < enter
        if self._in_burst:
            self.lost += 1
            return None
        self.passed += 1
        return self._random.random() * impairment.jitter
