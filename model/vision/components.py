"""Finds connected regions of a picture of small numbers, by runs: numpy for the runs, union-find for the rows.

    classes (H, W) ──runs of one class in each row──► runs that touch in adjacent rows are one ──► Components

Takes some milliseconds for a picture of 240 x 180. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Components:
    """Regions 0 .. n - 1 of a picture. Of each run: row, first column, column behind the last, region. Of each region:
    its class, area in pixels, and box: left, top, right, bottom (exclusive)."""

    rows: Ints
    starts: Ints
    stops: Ints
    regions: Ints
    classes: Ints
    areas: Ints
    boxes: Ints  # (n, 4)

    def mask(self, region: int) -> NDArray[np.bool_]:
        """The region within its box: shape (height, width)."""
        left, top, right, bottom = self.boxes[region]
        mask = np.zeros((bottom - top, right - left), np.bool_)
        for run in np.flatnonzero(self.regions == region):
            mask[self.rows[run] - top, self.starts[run] - left : self.stops[run] - left] = True
        return mask


def components(classes: NDArray[np.uint8], reach: int = 0) -> Components:
    """Regions of pixels of one class, other than class 0. Runs touch if they share a column; `reach`: or if they are
    that many columns apart (1: pixels touch at corners too)."""
    height, width = classes.shape
    framed = np.zeros((height, width + 2), np.uint8)
    framed[:, 1:-1] = classes
    rows, columns = np.nonzero(framed[:, 1:] != framed[:, :-1])  # a change between columns c - 1 and c
    kinds = framed[rows, columns + 1].astype(np.intp)  # of what begins there
    begins = np.flatnonzero(kinds)
    rows, starts, kinds = rows[begins], columns[begins], kinds[begins]
    # Each run ends where the next change of its row is: the frame closes the last.
    ends = np.nonzero(framed[:, 1:] != framed[:, :-1])[1][begins + 1] if len(begins) else starts
    regions = _joined(rows, starts, ends, kinds, reach)
    count = int(regions.max()) + 1 if len(regions) else 0
    boxes = np.zeros((count, 4), np.intp)
    boxes[:, :2] = max(height, width)
    np.minimum.at(boxes[:, 0], regions, starts)
    np.minimum.at(boxes[:, 1], regions, rows)
    np.maximum.at(boxes[:, 2], regions, ends)
    np.maximum.at(boxes[:, 3], regions, rows + 1)
    of = np.zeros(count, np.intp)
    of[regions] = kinds
    areas = np.bincount(regions, ends - starts, count).astype(np.intp)
    return Components(rows, starts, ends, regions, of, areas, boxes)


def _joined(rows: Ints, starts: Ints, stops: Ints, kinds: Ints, reach: int) -> Ints:
    """The region of each run, numbered from 0 in the order of their first runs."""
    parents = list(range(len(rows)))

    def root(run: int) -> int:
        while parents[run] != run:
            parents[run] = run = parents[parents[run]]
        return run

    row, start, stop, kind = rows.tolist(), starts.tolist(), stops.tolist(), kinds.tolist()
    above = 0
    for run in range(len(row)):
        while row[above] < row[run] - 1 or (row[above] == row[run] - 1 and stop[above] + reach <= start[run]):
            above += 1
        other = above
        while row[other] == row[run] - 1 and start[other] < stop[run] + reach:
            if kind[other] == kind[run]:
                first, second = sorted((root(other), root(run)))
                parents[second] = first
            other += 1
    _, regions = np.unique([root(run) for run in range(len(row))], return_inverse=True)
    return np.asarray(regions, np.intp)
