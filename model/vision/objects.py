"""Finds everyday things with their boxes (SSD MobileNet V2, COCO), and names the main thing of a picture
(EfficientNet-Lite3, ImageNet).

    pixels ──► 300 x 300 ──► SSD: 1917 anchors, offsets and scores ──► boxes, without doubles ──► Things, surest first
    pixels ──► 280 x 280 ──► EfficientNet ──► the likeliest of 1000 classes

Liu et al. 2016 (SSD), section 2; anchors as in TensorFlow's `ssd_anchor_generator` with the model's published settings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vivavoce.codecs.onnx_session import open_onnx
from vivavoce.model.vision.boxes import Box, overlap
from vivavoce.model.vision.frozen_graph import FrozenGraph
from vivavoce.model.vision.tflite_graph import TfliteGraph

Floats = NDArray[np.float32]

SIDE: Final = 300
GRIDS: Final = (19, 10, 5, 3, 2, 1)
SCALES: Final = (0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0)
"""Of the anchors of each grid, by the picture; the last is that of the extra anchor of the last grid."""

OVERLAP: Final = 0.6
"""Intersection over union from which two boxes are one thing."""

MIN_SCORE: Final = 0.25
"""Below, half of what is found is not there. From SURE on nearly all is."""

SURE: Final = 0.6

_COCO: Final = (
    "person|bicycle|car|motorcycle|airplane|bus|train|truck|boat|traffic light|fire hydrant||stop sign|parking meter|"
    "bench|bird|cat|dog|horse|sheep|cow|elephant|bear|zebra|giraffe||backpack|umbrella|||handbag|tie|suitcase|frisbee|"
    "skis|snowboard|ball|kite|baseball bat|baseball glove|skateboard|surfboard|tennis racket|bottle||wine glass|cup|"
    "fork|knife|spoon|bowl|banana|apple|sandwich|orange|broccoli|carrot|hot dog|pizza|donut|cake|chair|couch|plant|"
    "bed||table|||toilet||tv|laptop|mouse|remote|keyboard|phone|microwave|oven|toaster|sink|refrigerator||book|clock|"
    "vase|scissors|teddy bear|hair dryer|toothbrush"
)
NAMES: Final[dict[int, str]] = {number: name for number, name in enumerate(_COCO.split("|"), start=1) if name}
"""COCO's classes by number. Some in a word that people use: ball (sports ball), plant (potted plant), table (dining
table), phone (cell phone)."""

_HEADS: Final = tuple(
    ([f"BoxPredictor_{grid}/{kind}/BiasAdd" for grid in range(len(GRIDS))], size)
    for kind, size in (("BoxEncodingPredictor", 4), ("ClassPredictor", 91))
)


@dataclass(frozen=True, slots=True)
class Thing:
    """A thing of a class, with its probability (0..1)."""

    name: str
    score: float
    box: Box


class ObjectDetector:
    """The network. For one thread."""

    def __init__(self, file: Path, threads: int = 1) -> None:
        """`file`: the frozen graph as published. Raises for a missing or broken one."""
        self._session = open_onnx(FrozenGraph(file).onnx("Preprocessor/sub", SIDE, _HEADS), threads)
        self._anchors = anchors()

    def find(self, image: Image.Image) -> tuple[Thing, ...]:
        """The things in a picture (RGB), the surest first."""
        small = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float32)
        given = np.ascontiguousarray((small / 127.5 - 1).transpose(2, 0, 1)[None])
        codes, logits = self._session.run(None, {"image": given})
        scores = 1 / (1 + np.exp(-logits[0]))  # (1917, 91); class 0: the background
        boxes = decoded(codes[0], self._anchors)
        found: list[Thing] = []
        for number, name in NAMES.items():
            found += (Thing(name, *kept) for kept in without_doubles(boxes, scores[:, number], MIN_SCORE))
        return tuple(sorted(found, key=lambda thing: -thing.score))


def anchors() -> Floats:
    """Boxes from which the network's offsets count: (1917, 4), as centre y, centre x, height, width."""
    rows = []
    for level, size in enumerate(GRIDS):
        scale, after = SCALES[level], SCALES[level + 1]
        if level == 0:
            shapes = [(0.1, 1.0), (scale, 2.0), (scale, 0.5)]
        else:
            shapes = [(scale, ratio) for ratio in (1.0, 2.0, 0.5, 3.0, 1 / 3)] + [(math.sqrt(scale * after), 1.0)]
        for y in range(size):
            for x in range(size):
                centre = ((y + 0.5) / size, (x + 0.5) / size)
                rows += [(*centre, side / math.sqrt(ratio), side * math.sqrt(ratio)) for side, ratio in shapes]
    return np.array(rows, np.float32)


def decoded(codes: Floats, anchored: Floats) -> Floats:
    """Offsets (n, 4) from anchors as boxes (n, 4): left, top, right, bottom."""
    y, x = (anchored[:, axis] + codes[:, axis] / 10 * anchored[:, axis + 2] for axis in (0, 1))
    height, width = (anchored[:, axis] * np.exp(codes[:, axis] / 5) for axis in (2, 3))
    return np.stack((x - width / 2, y - height / 2, x + width / 2, y + height / 2), axis=1).clip(0, 1)


def without_doubles(boxes: Floats, scores: Floats, least: float) -> list[tuple[float, Box]]:
    """Score and box of the best of each group of boxes that overlap (non-maximum suppression)."""
    kept: list[tuple[float, Box]] = []
    for place in np.argsort(-scores):
        if scores[place] < least:
            break
        left, top, right, bottom = map(float, boxes[place])
        box = (left, top, right, bottom)
        if all(overlap(box, other) < OVERLAP for _, other in kept):
            kept.append((float(scores[place]), box))
    return kept


class Classifier:
    """The network. For one thread."""

    def __init__(self, file: Path, labels: Path, threads: int = 1) -> None:
        """The files as published. Raises for missing or broken ones."""
        graph = TfliteGraph(file)
        self._session = open_onnx(graph.onnx(280), threads)
        self._labels = [line.split(",")[0] for line in labels.read_text(encoding="utf-8").splitlines()]

    def classify(self, image: Image.Image) -> tuple[str, float]:
        """The likeliest class of the picture (RGB), and its probability (0..1)."""
        small = np.asarray(image.resize((280, 280), Image.Resampling.BICUBIC), np.float32)
        # Not by the scale in the file, with which a clock was a spotlight (model/LOG.md).
        given = np.ascontiguousarray((small / 128 - 127 / 128).transpose(2, 0, 1)[None])
        likely = self._session.run(None, {"image": given})[0][0]
        best = int(likely.argmax())
        return self._labels[best], float(likely[best])
