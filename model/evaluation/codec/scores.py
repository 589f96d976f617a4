"""Computes word error rates, quality and code use from the rows of clips, with intervals. Pure.

    rows (one clip through one system) ─► summaries: set x system, and speaker by speaker

Word errors are counted twice: against the transcript (`wer`), and against the same recogniser's words for the original
(`changed`), which are errors of the codec alone. `ratio` is the system's error rate over the original's, on the same
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
class Recognition:
    """One recogniser's words for a clip: `errors` against the transcript (`said` words), and words `changed` against
    its words for the original (`original` words)."""

    text: str
    errors: int
    said: int
    changed: int
    original: int


@dataclass(frozen=True, slots=True)
class Row:
    """One clip through one system. `about`: the system's weights; `recognized`: by recogniser; `quality`: DNSMOS of
    speech, background, overall, or empty; `codes`: of the first codebook."""

    set: str
    clip: str
    speaker: str
    system: str
    about: str
    seconds: float
    bits: int
    recognized: dict[str, Recognition] = field(default_factory=dict)
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
    """Rates of one recogniser, as above. `ratio` is None where the original has no errors, or was not recognized."""

    wer: Figure
    changed: Figure
    ratio: Figure | None
    words: int


@dataclass(frozen=True, slots=True)
class Summary:
    """A system on a set: `n` clips of `seconds` in all; `bitrate` in bit/s (0: unknown); `words` by recogniser."""

    n: int
    seconds: float
    bitrate: float
    words: dict[str, Words]
    quality: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class CodeUse:
    """Use of `cardinality` codes in `n` codes: different ones (`used`), how many an even distribution would use
    (`even`), and entropy in bits per code (`bits`)."""

    n: int
    cardinality: int
    used: int
    even: float
    bits: float


def summarise(rows: Sequence[Row], originals: Sequence[Row]) -> Summary:
    """Summarises `rows`, clips through one system, at least one. `originals`: the original's rows of the same set."""
    references = {row.clip: row for row in originals}
    recognizers = dict.fromkeys(recognizer for row in rows for recognizer in row.recognized)
    seconds = sum(row.seconds for row in rows)
    bits = sum(row.bits for row in rows)
    rated = np.array([row.quality for row in rows if row.quality])
    return Summary(
        len(rows),
        seconds,
        bits / seconds if all(row.bits for row in rows) else 0.0,
        {recognizer: _words(rows, references, recognizer) for recognizer in recognizers},
        tuple(bootstrap(column[:, None], _mean) for column in rated.T),
    )


def by_speaker(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Groups rows by speaker, in order of appearance."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.speaker, []).append(row)
    return found


def code_use(codes: Sequence[int], cardinality: int) -> CodeUse:
    """Computes the use of codes, of at least one."""
    counts = np.array(list(Counter(codes).values()), float)
    shares = counts / counts.sum()
    even = cardinality * (1 - (1 - 1 / cardinality) ** len(codes))
    return CodeUse(len(codes), cardinality, len(counts), even, float(-(shares * np.log2(shares)).sum()))


def bootstrap(table: Table, figure: Callable[[Table], NDArray[np.float64]]) -> Figure:
    """A figure with its interval. `figure`: tables (draws, clips, columns) -> values (draws,)."""
    rng = np.random.default_rng(_SEED)
    drawn = table[rng.integers(len(table), size=(RESAMPLES, len(table)))]
    values = figure(drawn)
    low, high = np.percentile(values[np.isfinite(values)], (2.5, 97.5)) if np.isfinite(values).any() else (np.nan,) * 2
    return Figure(float(figure(table[None])[0]), float(low), float(high))


def _words(rows: Sequence[Row], references: dict[str, Row], recognizer: str) -> Words:
    found = [row.recognized[recognizer] for row in rows if recognizer in row.recognized]
    counts = np.array([(one.errors, one.said, one.changed, one.original) for one in found], float)
    compared_rows = [(row.recognized, references[row.clip].recognized) for row in rows if row.clip in references]
    pairs = [
        (*_counts(ours[recognizer]), *_counts(original[recognizer]))
        for ours, original in compared_rows
        if recognizer in ours and recognizer in original
    ]
    both = np.array(pairs, float)
    compared = len(pairs) and both[:, 2].sum() > 0
    return Words(
        bootstrap(counts[:, :2], _rate),
        bootstrap(counts[:, 2:], _rate),
        bootstrap(both, _ratio) if compared else None,
        int(counts[:, 1].sum()),
    )


def _counts(recognition: Recognition) -> tuple[int, int]:
    return recognition.errors, recognition.said


def _rate(tables: Table) -> NDArray[np.float64]:
    """Error rates of columns (errors, words)."""
    sums = tables.sum(axis=1)
    return _divided(sums[:, 0], sums[:, 1])


def _ratio(tables: Table) -> NDArray[np.float64]:
    """Ratios of the rates of columns (errors, words, the original's errors, its words)."""
    sums = tables.sum(axis=1)
    return _divided(sums[:, 0] * sums[:, 3], sums[:, 2] * sums[:, 1])


def _mean(tables: Table) -> NDArray[np.float64]:
    return np.asarray(tables[:, :, 0].mean(axis=1))


def _divided(above: Table, below: Table) -> Table:
    """Quotients; NaN where `below` is 0."""
    return np.asarray(np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0))
