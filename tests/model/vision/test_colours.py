"""model/vision/colours.py: names of colours, areas and their shapes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from vivavoce.model.evaluation.looks import PALETTE, SHAPES, draw
from vivavoce.model.vision.colours import NAMES, areas, is_drawing, main_colours, named


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((0, 0, 0), "black"),
        ((128, 128, 128), "grey"),
        ((255, 255, 255), "white"),
        ((200, 20, 20), "red"),
        ((255, 140, 0), "orange"),
        ((250, 230, 30), "yellow"),
        ((20, 140, 40), "green"),
        ((40, 200, 200), "turquoise"),
        ((30, 60, 200), "blue"),
        ((120, 40, 170), "purple"),
        ((255, 160, 190), "pink"),
        ((110, 65, 30), "brown"),
        ((230, 210, 170), "beige"),
    ],
)
def test_colours_have_their_names(rgb: tuple[int, int, int], name: str) -> None:
    assert NAMES[named(np.full((1, 1, 3), rgb, np.uint8))[0, 0]] == name


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [22, 40])
@pytest.mark.parametrize("colour", ["red", "blue", "black"])
def test_areas_have_colour_shape_and_place(shape: str, size: int, colour: str) -> None:
    image = Image.new("RGB", (320, 240), "white")
    draw(image, shape, (80, 60), size, PALETTE[colour])
    (area,), background = areas(named(np.array(image)))
    assert (area.colour, area.shape, background) == (colour, shape, "white")
    assert area.box[0] < 80 / 320 < area.box[2]
    assert area.box[1] < 60 / 240 < area.box[3]


def test_specks_and_blurred_edges_are_no_areas() -> None:
    image = Image.new("RGB", (640, 480), "white")
    draw(image, "circle", (300, 240), 100, PALETTE["blue"])
    draw(image, "circle", (20, 20), 3, PALETTE["red"])
    found, _ = areas(named(np.array(image.resize((320, 240), Image.Resampling.BICUBIC))))
    assert [(area.colour, area.shape) for area in found] == [("blue", "circle")]


def test_noise_is_no_drawing() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3)).astype(np.uint8)
    assert not is_drawing(noise)
    assert is_drawing(np.full((40, 40, 3), 200, np.uint8))


def test_main_colours_come_largest_first() -> None:
    pixels = np.full((10, 10, 3), (200, 20, 20), np.uint8)
    pixels[:3] = (30, 60, 200)
    pixels[0, 0] = 0
    assert main_colours(named(pixels)) == ("red", "blue")
