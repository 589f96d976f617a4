"""model/vision/eyes.py: the thread with scripted eyes, and the real networks on real pictures."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from vivavoce.model.store import Store
from vivavoce.model.vision.boxes import Pixels
from vivavoce.model.vision.eyes import MAX_WAITING, Eyes, Looking, Seeing
from vivavoce.model.vision.scene import Scene, report

PIXELS = np.zeros((8, 8, 3), np.uint8)


class Held:
    """Looks when it may."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.looks = 0

    def look(self, pixels: Pixels) -> Scene:
        self.may.wait(5)
        self.looks += 1
        return Scene(light=float(pixels.mean()))


def test_nothing_is_loaded_before_the_first_picture_and_then_once() -> None:
    held, loads = Held(), []

    def load() -> Seeing:
        loads.append(1)
        return held

    looking = Looking(load)
    assert loads == []
    held.may.set()
    looking.prepare()
    assert looking.look(PIXELS).result(5) == Scene(light=0.0)
    assert looking.look(PIXELS).result(5) == Scene(light=0.0)
    looking.close()
    assert (loads, held.looks) == ([1], 2)


def test_the_oldest_look_that_waits_gives_way() -> None:
    held = Held()
    looking = Looking(lambda: held)
    futures: list[Future[Scene]] = [looking.look(PIXELS)]
    while not futures[0].running():
        pass
    futures += [looking.look(PIXELS) for _ in range(MAX_WAITING)]
    assert [future.cancelled() for future in futures] == [False, True] + [False] * (MAX_WAITING - 1)
    held.may.set()
    assert futures[-1].result(5) == Scene(light=0.0)
    looking.close()


def test_a_failure_reaches_the_one_who_waits(caplog: pytest.LogCaptureFixture) -> None:
    def load() -> Seeing:
        raise OSError("no such file")

    looking = Looking(load)
    with pytest.raises(OSError, match="no such file"):
        looking.look(PIXELS).result(5)
    looking.close()
    assert "looking failed" in caplog.text


@pytest.fixture(scope="module")
def eyes(models: Store) -> Eyes:
    return Eyes(models.path)


@pytest.mark.models
@pytest.mark.slow
def test_photographs_are_told_apart(eyes: Eyes, models: Store) -> None:
    folder = models.path("photographs")
    seen = {
        file: eyes.look(np.array(Image.open(folder / file).convert("RGB"))) for file in ("chelsea.png", "coffee.png")
    }
    assert [(thing.name, colour) for thing, colour in seen["chelsea.png"].sure] == [("cat", "brown")]
    assert "cup" in [thing.name for thing, _ in seen["coffee.png"].sure]
    assert seen["chelsea.png"].maybe == "it looks like an Egyptian cat"
    assert not any(scene.lines or scene.drawing for scene in seen.values())


@pytest.mark.models
@pytest.mark.slow
@pytest.mark.parametrize("angle", [0, 8])
def test_printed_words_are_read(eyes: Eyes, angle: int) -> None:
    image = Image.new("RGB", (640, 480), "white")
    pen = ImageDraw.Draw(image)
    pen.text((80, 100), "Platform 9", fill="black", font=ImageFont.load_default(60))
    pen.text((80, 260), "to Leeds", fill="black", font=ImageFont.load_default(60))
    scene = eyes.look(np.array(image.rotate(angle, Image.Resampling.BICUBIC, fillcolor="white")))
    assert scene.text == "Platform 9 / to Leeds"


@pytest.mark.models
@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 900, 3), (480, 640, 3), (2048, 30, 3)])
def test_black_and_odd_pictures_are_looked_at(eyes: Eyes, shape: tuple[int, ...], tmp_path: Path) -> None:
    assert "black" in report(eyes.look(np.zeros(shape, np.uint8)))
    assert not eyes.look(np.full(shape, 180, np.uint8)).covered
