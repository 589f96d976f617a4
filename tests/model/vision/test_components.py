"""model/vision/components.py: regions of a picture."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from vivavoce.model.vision.components import components


def flooded(classes: NDArray[np.uint8], corners: bool) -> list[tuple[int, int]]:
    """Class and area of each region, by flooding, in the order of their first pixels."""
    left = {(int(y), int(x)) for y, x in zip(*np.nonzero(classes), strict=True)}
    steps = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if corners or not (a and b)]
    found = []
    for start in sorted(left):
        if start not in left:
            continue
        left.remove(start)
        todo, area = [start], 0
        while todo:
            y, x = todo.pop()
            area += 1
            for near in ((y + a, x + b) for a, b in steps):
                if near in left and classes[near] == classes[start]:
                    left.remove(near)
                    todo.append(near)
        found.append((int(classes[start]), area))
    return found


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("reach", [0, 1])
def test_regions_are_those_that_flooding_finds(seed: int, reach: int) -> None:
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 3, (rng.integers(1, 20), rng.integers(1, 20))).astype(np.uint8)
    found = components(classes, reach)
    assert list(zip(found.classes.tolist(), found.areas.tolist(), strict=True)) == flooded(classes, bool(reach))
    for number, (left, top, right, bottom) in enumerate(found.boxes.tolist()):
        mask = found.mask(number)
        assert mask.sum() == found.areas[number]
        assert mask.any(axis=0).all() or mask.any(axis=1).all() or reach
        assert (classes[top:bottom, left:right][mask] == found.classes[number]).all()


def test_an_empty_picture_has_no_regions() -> None:
    assert len(components(np.zeros((5, 7), np.uint8)).areas) == 0
