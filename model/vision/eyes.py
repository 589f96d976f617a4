"""Looks at pictures: all networks, and one thread for them.

    pixels ──► Eyes.look ──► Scene          text, things, main thing, colours, light, one after the other on one core
                  ▲ on the thread of `Looking`, whose queue is bounded: the newest pictures are looked at

The networks are loaded when the first picture comes, which takes a second: nobody pays for what is not looked at.
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vivavoce.model.vision.boxes import Pixels
from vivavoce.model.vision.colours import NAMES, areas, is_drawing, main_colours, named
from vivavoce.model.vision.objects import Classifier, ObjectDetector, Thing
from vivavoce.model.vision.scene import BLACK, Scene
from vivavoce.model.vision.text import TextReader

COLOUR_SIDE: Final = 320
"""Pixels of the longer side of the picture whose colours are named."""

MAX_WAITING: Final = 8
"""Looks that wait or are under way, of all conversations; the oldest gives way."""

MIN_SIDE: Final = 8
"""Pixels. There is nothing to be seen in less."""

log = logging.getLogger(__name__)


class Seeing(Protocol):
    """What looks at a picture: the networks, or a test's script."""

    def look(self, pixels: Pixels) -> Scene:
        """`pixels`: RGB, shape (height, width, 3)."""


class Eyes:
    """The networks. For one thread."""

    def __init__(self, directory_of: Callable[[str], Path], threads: int = 1) -> None:
        """`directory_of`: the folder of a catalog artefact. Raises `ModelError` for a missing one."""
        things, main = directory_of("ssd-mobilenet-v2"), directory_of("efficientnet-lite3")
        self._text = TextReader(directory_of("pp-ocrv6"), threads)
        self._objects = ObjectDetector(things / "frozen_inference_graph.pb", threads)
        self._main = Classifier(main / "efficientnet_lite3.tflite", main / "efficientnet_labels.txt", threads)
        _give_back_memory()

    def look(self, pixels: Pixels) -> Scene:
        image = Image.fromarray(pixels)
        grey = small_of(pixels)
        light = float(grey.mean())
        if min(image.size) < MIN_SIDE or (light < BLACK and float(grey.std()) < BLACK / 2):
            return Scene(light=light, covered=light < BLACK, small=grey)
        little = image.copy()
        little.thumbnail((COLOUR_SIDE, COLOUR_SIDE), Image.Resampling.BOX)
        names = named(np.asarray(little))
        drawing = is_drawing(pixels)
        lines = tuple(line for line in self._text.read(pixels) if drawing or len(line.text) > 1)
        shapes, background = areas(names) if drawing else ((), "")
        written = [line.box for line in lines]
        shapes = tuple(area for area in shapes if not any(_within(area.box, box) for box in written))
        things = self._objects.find(image)
        return Scene(
            things=things,
            colours=tuple(_colour(names, thing) for thing in things),
            thing=self._main.classify(image),
            lines=lines,
            areas=shapes,
            background=background,
            main_colours=main_colours(names),
            drawing=drawing,
            light=light,
            small=grey,
        )


class Looking:
    """One thread that looks, for all conversations. `load` makes what looks, when the first picture is announced."""

    def __init__(self, load: Callable[[], Seeing]) -> None:
        self._load = load
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="looking")
        self._pool.submit(lambda: None)  # the thread begins here, with the owner's, not in the midst of a call
        self._eyes: Seeing | None = None
        self._waiting: list[Future[Scene]] = []

    def prepare(self) -> None:
        """Loads the networks, if that has not begun: a camera is on. Returns at once."""
        if self._eyes is None and not self._waiting:
            self._submit(Scene)

    def look(self, pixels: Pixels) -> Future[Scene]:
        """Begins a look. Its future fails where the networks cannot be loaded; it is cancelled when too many wait."""
        return self._submit(lambda: self._seen(pixels))

    def close(self) -> None:
        """Ends the thread, after the look that it is at. Blocks until then."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _submit(self, work: Callable[[], Scene]) -> Future[Scene]:
        self._waiting = [future for future in self._waiting if not future.done()]
        if len(self._waiting) >= MAX_WAITING:
            next((future for future in self._waiting if future.cancel()), None)
        future = self._pool.submit(copy_context().run, self._run, work)
        self._waiting.append(future)
        return future

    def _run(self, work: Callable[[], Scene]) -> Scene:
        try:
            if self._eyes is None:
                self._eyes = self._load()
            return work()
        except Exception:  # the border of this thread: who waits gets it, and says that it cannot see
            log.exception("looking failed")
            raise

    def _seen(self, pixels: Pixels) -> Scene:
        assert self._eyes is not None
        return self._eyes.look(pixels)


def small_of(pixels: Pixels) -> NDArray[np.float32]:
    """The picture in grey, shape (24, 32), values 0..1, by which two are compared. A millisecond."""
    grey = Image.fromarray(pixels).convert("L").resize((32, 24), Image.Resampling.BOX)
    return np.asarray(np.asarray(grey, np.float32) / 255, np.float32)


def _give_back_memory() -> None:
    """What was freed after the conversion stays with glibc's heap otherwise: 125 MB."""
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _within(box: tuple[float, ...], other: tuple[float, ...]) -> bool:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    inside = other[0] <= x <= other[2] and other[1] <= y <= other[3]
    return inside and box[3] - box[1] <= 1.3 * (other[3] - other[1])


def _colour(names: NDArray[np.uint8], thing: Thing) -> str:
    """The commonest colour in the middle of a thing's box; of a person, of the clothes on the chest."""
    left, top, right, bottom = thing.box
    inset = 0.3 if thing.name == "person" else 0.2
    upper, lower = (0.45, 0.1) if thing.name == "person" else (inset, inset)
    height, width = names.shape
    across, down = right - left, bottom - top
    rows = slice(int((top + upper * down) * height), int((bottom - lower * down) * height) + 1)
    columns = slice(int((left + inset * across) * width), int((right - inset * across) * width) + 1)
    counts = np.bincount(names[rows, columns].ravel(), minlength=len(NAMES))
    best = int(counts.argmax())
    return NAMES[best] if counts[best] >= 0.35 * max(counts.sum(), 1) else ""
