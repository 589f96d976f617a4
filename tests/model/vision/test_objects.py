"""model/vision/objects.py: anchors, boxes, doubles. The networks: test_eyes.py."""

from __future__ import annotations

import numpy as np
import pytest

from vivavoce.model.vision.boxes import overlap
from vivavoce.model.vision.objects import NAMES, anchors, decoded, without_doubles


def test_there_are_as_many_anchors_as_the_network_has_rows() -> None:
    assert anchors().shape == (1917, 4)
    assert anchors()[0] == pytest.approx((0.5 / 19, 0.5 / 19, 0.1, 0.1))
    assert anchors()[-1] == pytest.approx((0.5, 0.5, np.sqrt(0.95), np.sqrt(0.95)))


def test_offsets_move_and_stretch_an_anchor() -> None:
    anchor = np.array([[0.5, 0.5, 0.2, 0.4]], np.float32)
    assert decoded(np.zeros((1, 4), np.float32), anchor)[0] == pytest.approx((0.3, 0.4, 0.7, 0.6))
    moved = np.array([[10, 0, 5 * np.log(2), 0]], np.float32)  # down by its height, twice as high
    assert decoded(moved, anchor)[0] == pytest.approx((0.3, 0.5, 0.7, 0.9))


def test_of_boxes_that_overlap_the_best_is_kept() -> None:
    boxes = np.array([[0, 0, 0.5, 0.5], [0.01, 0, 0.5, 0.5], [0.6, 0.6, 1, 1], [0, 0, 1, 1]], np.float32)
    kept = without_doubles(boxes, np.array([0.7, 0.9, 0.8, 0.1], np.float32), 0.5)
    assert [round(score, 1) for score, _ in kept] == [0.9, 0.8]
    assert overlap((0, 0, 0.5, 1), (0.25, 0, 0.75, 1)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 0.5, 1), (0.5, 0, 1, 1)) == 0


def test_classes_have_the_numbers_of_coco() -> None:
    assert len(NAMES) == 80
    assert (NAMES[1], NAMES[17], NAMES[47], NAMES[90]) == ("person", "cat", "cup", "toothbrush")
