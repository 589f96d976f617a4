"""Reads printed text in pictures with the networks of PP-OCR, on onnxruntime.

    pixels ──► detector: text or not, per pixel ──► regions ──► turned rectangles, grown by their margin
                                                                   │ cut out, 48 pixels high
               lines in reading order ◄── most likely characters ◄─┴─ recogniser (English, Chinese, and others)

After Liao et al. 2020 (differentiable binarization; margins: section 3.4) and Graves 2006 (CTC). No OpenCV: regions by
`components.py`, their rectangles by the second moments, the cutting by Pillow. Upside-down text is not read.
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
from vivavoce.model.vision.boxes import Pixels
from vivavoce.model.vision.components import Components, components

SIDE: Final = 640
"""Pixels of the longer side of what the detector sees; pages have smaller print: ..."""

PAGE_SIDE: Final = 1152
"""... larger pictures are searched again at this size where the first look finds much text."""

PAGE_LINES: Final = 8

MIN_PROBABILITY: Final = 0.3
MIN_MEAN: Final = 0.5
"""Of text: of a pixel, and of the pixels of a region on average (PP-OCR's own)."""

GROWTH: Final = 1.6
"""Margin of a region: its area by its perimeter, times this (PP-OCR's own)."""

MIN_SCORE: Final = 0.6
"""Of a line: the mean probability of its characters. Below, what is read is guessed."""

HEIGHT: Final = 48
MAX_WIDTH: Final = 1200
"""Pixels of a line as the recogniser sees it."""

MAX_LINES: Final = 24


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text. `box`: left, top, right, bottom as shares (0..1) of the picture; `score`: 0..1."""

    text: str
    box: tuple[float, float, float, float]
    score: float


@dataclass(frozen=True, slots=True)
class _Region:
    """A turned rectangle in pixels of the picture."""

    centre: tuple[float, float]
    width: float
    height: float
    angle: float  # radians


class TextReader:
    """Both networks. For one thread."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        """`folder`: with the files of the catalog. onnxruntime raises for missing or broken ones."""
        (detector,), (recogniser,) = folder.glob("*det*.onnx"), folder.glob("*rec*.onnx")
        self._detector = open_onnx(detector, threads)
        self._recogniser = open_onnx(recogniser, threads)
        characters = self._recogniser.get_modelmeta().custom_metadata_map["character"].splitlines()
        self._characters = ["", *characters, " "]  # the first is CTC's blank

    def read(self, pixels: Pixels, max_lines: int = MAX_LINES) -> tuple[Line, ...]:
        """The lines of a picture, (height, width, 3), in reading order; of more than `max_lines` the largest."""
        image = Image.fromarray(pixels)
        regions = self._regions(image, SIDE)
        if len(regions) >= PAGE_LINES and max(image.size) > SIDE:
            regions = self._regions(image, PAGE_SIDE)
        if len(regions) > max_lines:
            regions = sorted(regions, key=lambda region: region.width * region.height)[-max_lines:]
        lines = [self._line(image, region) for region in in_reading_order(regions)]
        return tuple(line for line in lines if line.text and line.score >= MIN_SCORE)

    def _regions(self, image: Image.Image, side: int) -> list[_Region]:
        scale = min(1.0, side / max(image.size))
        width, height = (max(32, round(size * scale / 32) * 32) for size in image.size)
        small = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), np.float32)
        given = (small[:, :, ::-1] / 127.5 - 1).transpose(2, 0, 1)[None]  # (1, 3, H, W), blue first
        (name,) = (given.name for given in self._detector.get_inputs())
        text = self._detector.run(None, {name: np.ascontiguousarray(given)})[0][0, 0]  # (H, W)
        stretch = image.width / width, image.height / height
        return regions_of(text, stretch)

    def _line(self, image: Image.Image, region: _Region) -> Line:
        cut = _cut(image, region)
        given = (np.asarray(cut, np.float32)[:, :, ::-1] / 127.5 - 1).transpose(2, 0, 1)[None]
        (name,) = (given.name for given in self._recogniser.get_inputs())
        likely = self._recogniser.run(None, {name: np.ascontiguousarray(given)})[0][0]  # (T, characters)
        text, score = self._decoded(likely)
        corners = np.array(_corners(region)) / image.size
        (left, top), (right, bottom) = corners.min(axis=0).clip(0, 1), corners.max(axis=0).clip(0, 1)
        return Line(text, (float(left), float(top), float(right), float(bottom)), score)

    def _decoded(self, likely: NDArray[np.float32]) -> tuple[str, float]:
        best, values = likely.argmax(axis=1), likely.max(axis=1)
        kept = (best != 0) & (best != np.concatenate(([0], best[:-1])))
        text = "".join(self._characters[number] for number in best[kept])
        return text.strip(), float(values[kept].mean()) if kept.any() else 0.0


def regions_of(text: NDArray[np.float32], stretch: tuple[float, float]) -> list[_Region]:
    """The regions of a map of probabilities, (H, W); `stretch`: pixels of the picture by those of the map."""
    found = components((text > MIN_PROBABILITY).astype(np.uint8), reach=1)
    regions = []
    for number in range(len(found.areas)):
        left, top, right, bottom = found.boxes[number]
        if min(right - left, bottom - top) < 3:
            continue
        mask = found.mask(number)
        if text[top:bottom, left:right][mask].mean() >= MIN_MEAN:
            regions.append(_rectangle(found, number, stretch))
    return regions


def _rectangle(found: Components, number: int, stretch: tuple[float, float]) -> _Region:
    """The rectangle along the region's longer axis, with the margin that the detector was trained to leave out."""
    left, top, *_ = found.boxes[number]
    y, x = np.nonzero(found.mask(number))
    x, y = (x + left + 0.5) * stretch[0], (y + top + 0.5) * stretch[1]
    dx, dy = x - x.mean(), y - y.mean()
    angle = 0.5 * math.atan2(2 * float((dx * dy).mean()), float((dx * dx).mean() - (dy * dy).mean()))
    if abs(angle) < math.radians(3) or abs(angle) > math.radians(60) or np.ptp(x) < 2 * np.ptp(y):
        angle = 0.0  # level; upright words of few letters are longer than wide only by chance
    along = dx * math.cos(angle) + dy * math.sin(angle)
    across = dy * math.cos(angle) - dx * math.sin(angle)
    width, height = np.ptp(along) + stretch[0], np.ptp(across) + stretch[1]
    middle, off = (along.max() + along.min()) / 2, (across.max() + across.min()) / 2
    margin = GROWTH * width * height / (2 * (width + height))
    centre = (
        float(x.mean() + middle * math.cos(angle) - off * math.sin(angle)),
        float(y.mean() + middle * math.sin(angle) + off * math.cos(angle)),
    )
    return _Region(centre, float(width + 2 * margin), float(height + 2 * margin), angle)


def _corners(region: _Region) -> list[tuple[float, float]]:
    """Top left, bottom left, bottom right, top right."""
    cos, sin = math.cos(region.angle), math.sin(region.angle)
    half = [(-0.5, -0.5), (-0.5, 0.5), (0.5, 0.5), (0.5, -0.5)]
    x, y = region.centre
    sides = [(a * region.width, b * region.height) for a, b in half]
    return [(x + a * cos - b * sin, y + a * sin + b * cos) for a, b in sides]


def _cut(image: Image.Image, region: _Region) -> Image.Image:
    width = min(max(round(HEIGHT * region.width / region.height), 16), MAX_WIDTH)
    corners = tuple(number for corner in _corners(region) for number in corner)
    cut = image.transform((width, HEIGHT), Image.Transform.QUAD, corners, Image.Resampling.BICUBIC)
    if width >= 320:
        return cut
    padded = Image.new("RGB", (max(width + 16, 64), HEIGHT), (127, 127, 127))  # 0 for the network, as in its training
    padded.paste(cut, (0, 0))
    return padded


def in_reading_order(regions: list[_Region]) -> list[_Region]:
    """Rows from top to bottom, each from left to right: of one row are those whose middles are within half a height."""
    rows: list[list[_Region]] = []
    for region in sorted(regions, key=lambda region: region.centre[1]):
        last = rows[-1][0] if rows else None
        if last is not None and region.centre[1] - last.centre[1] < min(last.height, region.height) / 2:
            rows[-1].append(region)
        else:
            rows.append([region])
    return [region for row in rows for region in sorted(row, key=lambda region: region.centre[0])]
