"""Images of messages, from the data URIs of their parts to the pictures that the model sees.

    message ──images_in──► data URIs ──decode_images──► pixels (attachments.py) ──► session core ──look──► Picture

Memory is bounded by the pixels of a message, not by those to which its data unpack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from vivavoce.codecs.errors import Unreadable
from vivavoce.codecs.pictures import MAX_PIXELS, decode_picture, picture_size
from vivavoce.model.dialogue import Picture
from vivavoce.realtime.wire import ClientEvent
from vivavoce.realtime.wire.base64_text import read_base64
from vivavoce.realtime.wire.client_events import ItemCreate, ResponseCreate
from vivavoce.realtime.wire.errors import Refused
from vivavoce.realtime.wire.items import InputImage, MessageItem

MAX_MESSAGE_PIXELS: Final = 4 * MAX_PIXELS
"""Of the files of one message: five photos of a telephone, up to 2 s of work."""

MAX_KEPT_PIXELS: Final = 32_000_000
"""Of the decoded pictures of one message, or of a conversation: 96 MB."""

T = TypeVar("T")

Pixels = NDArray[np.uint8]
Decode = Callable[[InputImage, str], Pixels]
"""Gives the picture of a part: RGB, shape (height, width, 3). Takes the path of its `image_url`; raises `Refused`."""

Look = Callable[[Any, str], tuple[Picture, ...]]


def images_in(event: ClientEvent) -> list[tuple[InputImage, str]]:
    """The images of an event, with the paths of their `image_url`."""
    match event:
        case ItemCreate(item=item):
            return list(_images(item, "item"))
        case ResponseCreate(response=params) if params is not None:
            items = enumerate(params.input or ())
            return [found for i, item in items for found in _images(item, f"response.input[{i}]")]
    return []


def decode_images(images: Iterable[tuple[InputImage, str]]) -> dict[str, Pixels]:
    """The pictures of one event by their data URIs. Takes up to seconds. Raises `Refused`."""
    files: dict[str, tuple[bytes, str]] = {}
    pixels = 0
    for image, path in images:
        files[image.image_url] = file, _ = _file(image, path), path
        width, height = _read(picture_size, file, path)
        pixels += width * height
        if pixels > MAX_MESSAGE_PIXELS:
            raise _invalid(path, f"the images of one message have more than {MAX_MESSAGE_PIXELS} pixels")
    decoded: dict[str, Pixels] = {}
    for uri, (file, path) in files.items():
        decoded[uri] = _read(decode_picture, file, path)
        if sum(map(pixel_count, decoded.values())) > MAX_KEPT_PIXELS:
            raise _invalid(path, f"the images of one message, reduced, have more than {MAX_KEPT_PIXELS} pixels")
    return decoded


def pixel_count(pixels: Pixels) -> int:
    """Height times width."""
    return pixels.size // 3


def decode_image(image: InputImage, path: str) -> Pixels:
    """Implements `Decode`, at once: for replays, and for sessions without a call."""
    return decode_images([(image, path)])[image.image_url]


def look(item: object, path: str, decode: Decode, now: float) -> tuple[Picture, ...]:
    """The pictures of a message, as of `now`. Raises `Refused`."""
    return tuple(Picture(decode(image, where), now) for image, where in _images(item, path))


def _images(item: object, path: str) -> Iterator[tuple[InputImage, str]]:
    for i, part in enumerate(item.content if isinstance(item, MessageItem) else ()):
        if isinstance(part, InputImage):
            yield part, f"{path}.content[{i}].image_url"


def _file(image: InputImage, path: str) -> bytes:
    try:
        return read_base64(image.image_url.partition(",")[2])
    except ValueError as fault:
        raise _invalid(path, f"the image is not valid base64: {fault}") from None


def _read(reader: Callable[[bytes], T], file: bytes, path: str) -> T:
    try:
        return reader(file)
    except Unreadable as fault:
        raise _invalid(path, f"the image {fault}") from None


def _invalid(param: str, why: str) -> Refused:
    return Refused("invalid_value", f"Invalid '{param}': {why}.", param)
