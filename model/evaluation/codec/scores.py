"""From what was heard in each clip to figures: word error rates, quality, code use, with intervals. Pure.

    rows (one clip through one system) ─► summaries: set x system, and speaker by speaker

Word errors are counted twice: against what is said (`wer`), and against what the same recogniser hears in the original
(`changed`), which is the codec's doing alone. `ratio` is the system's error rate over the original's, on the same
clips. Intervals are the middle 95 % of a seeded bootstrap over clips.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

RESAMPLES: Final = 2000
_SEED: Final = 7

Table = NDArray[np.float64]
"""Counts of some clips, (clips, columns)."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What one recogniser made of a clip: the words, errors against what is said (`said` words), and against what it
    hears in the original (`original` words)."""

    text: str
    errors: int
    said: int
    changed: int
    original: int


@dataclass(frozen=True, slots=True)
class Row:
    """One clip through one system. `heard` by recogniser; `quality`: DNSMOS speech, background, overall, or nothing;
    `codes` of the first codebook."""

    set: str
    clip: str
    speaker: str
    system: str
    about: str
    seconds: float
    bits: int
    heard: dict[str, Heard] = field(default_factory=dict)
    quality: tuple[float, ...] = ()
    codes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Figure:
    """A value, and the ends of its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Words:
    """By one recogniser: see above. `ratio` is None where the original has no errors, or was not heard."""

    wer: Figure
    changed: Figure
    ratio: Figure | None
    words: int


@dataclass(frozen=True, slots=True)
class Summary:
    """A system on a set: `n` clips of `seconds` in all, `bitrate` in bit/s (0: unknown)."""

    n: int
    seconds: float
    bitrate: float
    words: dict[str, Words]
    quality: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class CodeUse:
    """Of `n` codes: how many different ones (`used`) of `cardinality`, how many a perfectly even choice would show
    (`even`), and what a code holds in bits (entropy of their distribution)."""

    n: int
    cardinality: int
    used: int
    even: float
    bits: float


def summarise(rows: Sequence[Row], originals: Sequence[Row]) -> Summary:
    """`rows`: some clips through one system, at least one; `originals`: the same set's, of which those count that are
    in `rows` too."""
    marks = {row.clip: row for row in originals}
    judges = dict.fromkeys(judge for row in rows for judge in row.heard)
    seconds = sum(row.seconds for row in rows)
    bits = sum(row.bits for row in rows)
    rated = np.array([row.quality for row in rows if row.quality])
    return Summary(
        len(rows),
        seconds,
        bits / seconds if all(row.bits for row in rows) else 0.0,
        {judge: _words(rows, marks, judge) for judge in judges},
        tuple(bootstrap(column[:, None], _mean) for column in rated.T),
    )


def by_speaker(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """The rows of each speaker, in order of appearance."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.speaker, []).append(row)
    return found


def code_use(codes: Sequence[int], cardinality: int) -> CodeUse:
    """How many codes are in use, of at least one."""
    counts = np.array(list(Counter(codes).values()), float)
    shares = counts / counts.sum()
    even = cardinality * (1 - (1 - 1 / cardinality) ** len(codes))
    return CodeUse(len(codes), cardinality, len(counts), even, float(-(shares * np.log2(shares)).sum()))


def bootstrap(table: Table, figure: Callable[[Table], NDArray[np.float64]]) -> Figure:
    """`figure` takes tables (draws, clips, columns) to values (draws,)."""
    rng = np.random.default_rng(_SEED)
    drawn = table[rng.integers(len(table), size=(RESAMPLES, len(table)))]
    values = figure(drawn)
    low, high = np.percentile(values[np.isfinite(values)], (2.5, 97.5)) if np.isfinite(values).any() else (np.nan,) * 2
    return Figure(float(figure(table[None])[0]), float(low), float(high))


def _words(rows: Sequence[Row], marks: dict[str, Row], judge: str) -> Words:
    heard = [row.heard[judge] for row in rows if judge in row.heard]
    counts = np.array([(one.errors, one.said, one.changed, one.original) for one in heard], float)
    pairs = [
        (*_counts(row.heard[judge]), *_counts(marks[row.clip].heard[judge]))
        for row in rows
        if row.clip in marks and judge in row.heard and judge in marks[row.clip].heard
    ]
    both = np.array(pairs, float)
    compared = len(pairs) and both[:, 2].sum() > 0
    return Words(
        bootstrap(counts[:, :2], _rate),
        bootstrap(counts[:, 2:], _rate),
        bootstrap(both, _ratio) if compared else None,
        int(counts[:, 1].sum()),
    )


def _counts(heard: Heard) -> tuple[int, int]:
    return heard.errors, heard.said


def _rate(tables: Table) -> NDArray[np.float64]:
    """Of columns errors, words."""
    sums = tables.sum(axis=1)
    return _divided(sums[:, 0], sums[:, 1])


def _ratio(tables: Table) -> NDArray[np.float64]:
    """Of columns errors, words, errors of the original, words."""
    sums = tables.sum(axis=1)
    return _divided(sums[:, 0] * sums[:, 3], sums[:, 2] * sums[:, 1])


def _mean(tables: Table) -> NDArray[np.float64]:
    return np.asarray(tables[:, :, 0].mean(axis=1))


def _divided(above: Table, below: Table) -> Table:
    """NaN where nothing is below."""
    return np.asarray(np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0))
