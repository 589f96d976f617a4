"""model/vision/text.py: from the detector's map to lines in reading order. The networks: test_eyes.py."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vivavoce.model.vision.text import _corners, _Region, in_reading_order, regions_of


def test_a_level_region_grows_by_its_margin() -> None:
    text = np.zeros((60, 120), np.float32)
    text[20:30, 10:90] = 0.9
    (region,) = regions_of(text, (2.0, 2.0))
    margin = 1.6 * 160 * 20 / (2 * (160 + 20))
    assert region.angle == 0
    assert region.centre == pytest.approx((100, 50))
    assert (region.width, region.height) == pytest.approx((160 + 2 * margin, 20 + 2 * margin), abs=0.1)


def test_a_turned_region_keeps_its_angle() -> None:
    y, x = np.mgrid[0:120, 0:160].astype(float)
    turn = math.radians(15)
    along, across = (
        (x - 80) * math.cos(turn) + (y - 60) * math.sin(turn),
        (y - 60) * math.cos(turn) - (x - 80) * math.sin(turn),
    )
    text = ((abs(along) < 60) & (abs(across) < 8)).astype(np.float32)
    (region,) = regions_of(text, (1.0, 1.0))
    assert math.degrees(region.angle) == pytest.approx(15, abs=1)
    assert region.centre == pytest.approx((80, 60), abs=1)
    first, second, third, _ = _corners(region)
    assert math.dist(first, second) == pytest.approx(region.height)
    assert math.dist(second, third) == pytest.approx(region.width)


def test_faint_and_tiny_regions_are_no_text() -> None:
    text = np.zeros((40, 40), np.float32)
    text[5:15, 5:35] = 0.4
    text[20:22, 5:35] = 0.9
    assert regions_of(text, (1.0, 1.0)) == []


def test_lines_are_read_row_by_row() -> None:
    regions = [_Region(centre, 20, 10, 0.0) for centre in ((80, 12), (20, 10), (20, 40), (80, 38))]
    assert [region.centre for region in in_reading_order(regions)] == [(20, 10), (80, 12), (20, 40), (80, 38)]
