"""Names colours, and finds areas of one colour with their shapes.

    pixels ──► at most SIDE pixels wide ──► the name of each pixel's colour ──► regions ──► Area: colour, shape, box

Names are the eleven basic colour terms of English (Berlin and Kay 1969) and two more that people use of clothes and
rooms. The shape is told from the outline's distance to the middle, as a function of the angle: a circle's is constant,
a polygon's has as many peaks as corners. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vivavoce.model.vision.boxes import Box, Pixels
from vivavoce.model.vision.components import components

NAMES: Final = (
    "",
    "black",
    "grey",
    "white",
    "red",
    "orange",
    "yellow",
    "green",
    "turquoise",
    "blue",
    "purple",
    "pink",
    "brown",
    "beige",
)
_NUMBER: Final = {name: number for number, name in enumerate(NAMES)}

MIN_AREA: Final = 0.002
"""Share of the picture; smaller areas are specks."""

FLAT: Final = 0.85
"""Share of pixels equal to their neighbours from which a picture is a drawing: only there do areas mean things. Photos
reach 0.6."""

_HUES: Final = (
    (14, "red"),
    (42, "orange"),
    (68, "yellow"),
    (165, "green"),
    (197, "turquoise"),
    (258, "blue"),
    (292, "purple"),
    (342, "pink"),
    (361, "red"),
)
"""Upper ends of the hues, in degrees."""


FEW: Final = 12
"""Colours (of 4096) that make up a drawing, but for its edges."""


@dataclass(frozen=True, slots=True)
class Area:
    """An area of one colour. `shape`: circle, square, rectangle, triangle, star, ... or "" for none of these. `share`
    (0..1) of the picture; `box`: left, top, right, bottom as shares of the picture."""

    colour: str
    shape: str
    share: float
    box: Box


def named(pixels: Pixels) -> NDArray[np.uint8]:
    """The number in NAMES of each pixel's colour: (H, W, 3) -> (H, W)."""
    red, green, blue = (pixels[:, :, channel].astype(np.int32) for channel in range(3))
    high, low = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    chroma = high - low
    spread = np.maximum(chroma, 1)
    hue = np.where(
        high == red,
        (green - blue) * 60 // spread % 360,
        np.where(high == green, 120 + (blue - red) * 60 // spread, 240 + (red - green) * 60 // spread),
    )
    names = np.zeros(high.shape, np.uint8)
    for limit, name in reversed(_HUES):
        names[hue < limit] = _NUMBER[name]
    strength = chroma * 100 // np.maximum(high, 1)  # saturation, percent
    warm = (hue >= 10) & (hue < 50)
    names[warm & (high < 165)] = _NUMBER["brown"]
    names[warm & (hue < 68) & (strength < 40) & (high >= 165)] = _NUMBER["beige"]
    names[((hue >= 330) | (hue < 10)) & (strength < 55) & (high >= 190)] = _NUMBER["pink"]
    dull = (chroma < 24) | (strength < 13)
    names[dull] = _NUMBER["grey"]
    names[dull & (high >= 205)] = _NUMBER["white"]
    names[(high < 50) | (dull & (high < 70))] = _NUMBER["black"]
    return names


def main_colours(names: NDArray[np.uint8], most: int = 3, least: float = 0.12) -> tuple[str, ...]:
    """The colours that cover at least the share `least`, the largest first."""
    counts = np.bincount(names.ravel(), minlength=len(NAMES)) / max(names.size, 1)
    order = np.argsort(-counts)[:most]
    return tuple(NAMES[number] for number in order if counts[number] >= least and NAMES[number])


def is_drawing(pixels: Pixels) -> bool:
    """Whether most pixels are like the one to their right, and of few colours: drawings, signs, screens; not photos."""
    if pixels.shape[1] < 2:
        return False
    steps = np.abs(np.diff(pixels.astype(np.int16), axis=1)).max(axis=2)
    if float((steps <= 2).mean()) < FLAT:
        return False
    coarse = (pixels >> 4).astype(np.int32) @ np.array((256, 16, 1), np.int32)
    counts = np.sort(np.bincount(coarse.ravel(), minlength=4096))
    return float(counts[-FEW:].sum()) >= FLAT * coarse.size


def areas(names: NDArray[np.uint8]) -> tuple[tuple[Area, ...], str]:
    """The areas of a drawing, the largest first, and the colour of its background ("" for none)."""
    height, width = names.shape
    found = components(names)
    edge = np.concatenate((names[0], names[-1], names[:, 0], names[:, -1]))
    background = int(np.bincount(edge, minlength=len(NAMES)).argmax())
    touching = found.classes == background
    areas = []
    for number in np.flatnonzero(found.areas >= max(MIN_AREA * names.size, 12)):
        left, top, right, bottom = map(int, found.boxes[number])
        if touching[number] and (left == 0 or top == 0 or right == width or bottom == height):
            continue
        mask = found.mask(int(number))
        if _is_edge(mask):
            continue
        box = (left / width, top / height, right / width, bottom / height)
        colour = NAMES[found.classes[number]]
        areas.append(Area(colour, shape_of(mask), float(found.areas[number] / names.size), box))
    covered = found.areas[touching].sum() / names.size
    kept = sorted(areas, key=lambda area: -area.share)
    return tuple(kept), NAMES[background] if covered > 0.25 else ""


def _is_edge(mask: NDArray[np.bool_]) -> bool:
    """Whether the area is the blurred edge of another one: it has no pixel within."""
    if min(mask.shape) < 5:
        return True
    inner = mask[1:-1, 1:-1] & mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
    return float(inner.sum()) < 0.4 * float(mask.sum())


ANGLES: Final = 72


def shape_of(mask: NDArray[np.bool_]) -> str:
    """The name of a filled shape; "" for none that is known."""
    height, width = mask.shape
    if min(height, width) < 9:
        return ""
    fill = mask.mean()
    long = max(height, width) / min(height, width)
    if fill > 0.93:
        return "square" if long < 1.15 else "rectangle"
    y, x = np.nonzero(mask)
    dy, dx = y - y.mean(), x - x.mean()
    radius = np.hypot(dy, dx)
    sector = ((np.arctan2(dy, dx) / (2 * np.pi) + 1) * ANGLES).astype(np.intp) % ANGLES
    outline = np.zeros(ANGLES)
    np.maximum.at(outline, sector, radius)
    known = np.flatnonzero(outline)
    outline = np.interp(np.arange(ANGLES), known, outline[known], period=ANGLES)  # some are missed in small shapes
    around = np.abs(np.fft.rfft(outline)) / outline.sum()  # around[k]: how much it has k peaks
    strongest = int(around[2:9].argmax()) + 2
    if around[2:9].max() < 0.02:
        return "circle"
    if strongest == 2:
        return "oval" if 0.74 < fill < 0.83 and around[4] < around[2] / 2 else ""
    full = {3: (0.4, 0.65), 4: (0.4, 0.93), 5: (0.6, 0.85), 6: (0.65, 0.9)}.get(strongest)
    if strongest == 5 and fill < 0.6:
        return "star"
    if full is None or not full[0] < fill < full[1]:
        return ""
    if strongest == 4 and fill > 0.75:
        return ""
    return {3: "triangle", 4: "diamond", 5: "pentagon", 6: "hexagon"}[strongest]
