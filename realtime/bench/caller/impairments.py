"""Bad lines, without root: what happens to a caller's packets on their way, in both directions. Pure.

    fate(now) ──► None: lost     seconds: delayed so much, and so perhaps overtaken by the next packet

Loss comes in bursts (Gilbert and Elliott's two states), delay is drawn for each packet alone. Seeded: the same line
treats the same packets alike.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Impairment:
    """`loss`: share of packets lost, 0 to 0.9; `burst`: mean number lost in a row; `jitter`: seconds of random delay;
    `skew`: how much faster the caller's clock runs than the world's, in parts per million."""

    loss: float = 0.0
    burst: float = 3.0
    jitter: float = 0.0
    skew: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.loss <= 0.9 or self.burst < 1 or not 0 <= self.jitter <= 1 or abs(self.skew) > 10_000:
            raise ValueError(f"no such line: {self}")

    @property
    def clean(self) -> bool:
        """Packets pass as they are."""
        return not self.loss and not self.jitter


@dataclass(slots=True)
class Line:
    """One direction of one call."""

    impairment: Impairment
    seed: int
    lost: int = 0
    passed: int = 0
    _bad: bool = False
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def fate(self) -> float | None:
        """What becomes of the next packet: lost (None), or delayed by so many seconds."""
        line = self.impairment
        leave = 1 / line.burst
        enter = leave * line.loss / (1 - line.loss)
        self._bad = self._random.random() >= leave if self._bad else self._random.random() < enter
        if self._bad:
            self.lost += 1
            return None
        self.passed += 1
        return self._random.random() * line.jitter
