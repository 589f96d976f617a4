"""Describe observations: percentiles and rates with 95 % intervals. Pure, and the same on every run.

Never a mean alone: a server that answers in 0.3 s nine times of ten and in 4 s the tenth time does not answer in 0.7 s.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

FEW: Final = 10
"""Rates of fewer observations say little, and are marked."""

_RESAMPLES: Final = 2000
_SEED: Final = 20_011


@dataclass(frozen=True, slots=True)
class Quantile:
    """A percentile and the interval that holds it with 95 % probability."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Distribution:
    """`n` observations. `values` are kept sorted for plots."""

    n: int
    p50: Quantile
    p95: Quantile
    p99: Quantile
    least: float
    most: float
    values: tuple[float, ...]

    @property
    def few(self) -> bool:
        """Too few observations to rely on."""
        return self.n < FEW


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` of `n`, with Wilson's 95 % interval (0 of 10 is not a certain 0 %)."""

    count: int
    n: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The share, 0 to 1; NaN when nothing was observed."""
        return self.count / self.n if self.n else math.nan

    @property
    def few(self) -> bool:
        """Too few observations to rely on."""
        return self.n < FEW


def describe(values: Sequence[float]) -> Distribution | None:
    """The distribution of `values`; None when there are none. Percentiles interpolate linearly."""
    if not values:
        return None
    observed = np.sort(np.asarray(values, np.float64))
    draws = np.random.default_rng(_SEED).integers(0, len(observed), (_RESAMPLES, len(observed)))
    resampled = observed[draws]
    p50, p95, p99 = (_quantile(observed, resampled, percent) for percent in (50, 95, 99))
    return Distribution(
        len(observed), p50, p95, p99, float(observed[0]), float(observed[-1]), tuple(float(v) for v in observed)
    )


def rate(count: int, n: int) -> Rate:
    """`count` events in `n` chances."""
    if n == 0:
        return Rate(0, 0, 0.0, 1.0)
    z = 1.959964
    share, z2 = count / n, z * z
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return Rate(count, n, max(0.0, centre - half), min(1.0, centre + half))


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Theil and Sen's slope of y over x: the median over all pairs, which outliers do not move."""
    if len(points) > 400:  # more pairs take long and change little
        points = points[:: len(points) // 400 + 1]
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for i, a in enumerate(points) for b in points[i + 1 :] if b[0] != a[0]]
    return float(np.median(slopes)) if slopes else 0.0


def _quantile(observed: NDArray[np.float64], resampled: NDArray[np.float64], percent: float) -> Quantile:
    low, high = np.percentile(np.percentile(resampled, percent, axis=1), [2.5, 97.5])
    return Quantile(float(np.percentile(observed, percent)), float(low), float(high))
