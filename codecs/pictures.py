"""Decodes pictures as people send them: PNG, JPEG, WebP, and the first frame of a GIF.

    file ──size in the header──► Pillow ──► at most MAX_SIDE ──► upright ──► on white, RGB: (height, width, 3), uint8
                                                                 all eight orientations of EXIF

A small file can hold an enormous picture, so the size in the header is bounded before anything is allocated, and a PNG
whose data cannot belong to its header is refused. Decoding takes up to half a second: not on an event loop.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import (
    GifImagePlugin,
    Image,
    ImageOps,
    JpegImagePlugin,
    PngImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from vivavoce.codecs.errors import Unreadable

MAX_PIXELS: Final = 16_000_000
"""Of one picture, as it is in its file."""

MAX_SIDE: Final = 2048
"""Pixels to which the longer side is reduced: models are shown no more (the Realtime API's `detail: high`)."""

_KINDS: Final = (
    PngImagePlugin.PngImageFile,
    JpegImagePlugin.JpegImageFile,
    WebPImagePlugin.WebPImageFile,
    GifImagePlugin.GifImageFile,
)
FORMATS: Final = tuple(kind.format for kind in _KINDS)
"""Imported here: Pillow would import its readers when the first picture comes, which takes 0.1 s."""

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG: Final = b"\xff\xd8\xff"
_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type (PNG specification, section 11.2.2)
_DEFLATED: Final = 1032  # bytes that one deflated byte can stand for, at most (zlib, "Maximum Compression Factor")
_BROKEN: Final = (OSError, SyntaxError, ValueError, EOFError, MemoryError, struct.error, Image.DecompressionBombError)
"""What Pillow raises for files that it cannot read."""


def is_picture(head: bytes) -> bool:
    """Whether a file of this beginning (12 bytes) is of a kind that is decoded here."""
    return head.startswith((_PNG, _JPEG, b"GIF8")) or (head.startswith(b"RIFF") and head[8:12] == b"WEBP")


def picture_size(data: bytes) -> tuple[int, int]:
    """Width and height of the picture in a file, by its header. Raises `Unreadable`."""
    with _opened(data, MAX_PIXELS) as image:
        return image.size


def decode_picture(data: bytes, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decodes the picture in a file, upright and on white: RGB, shape (height, width, 3). Raises `Unreadable`; its
    message is the predicate of a sentence about the file."""
    with _opened(data, max_pixels) as image:
        if image.mode.startswith("I"):  # 16 bits of grey
            exif = image.getexif()
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            image.info["exif"] = exif.tobytes()
        elif image.mode in ("P", "PA", "1"):  # whose values cannot be averaged
            image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        image.thumbnail((MAX_SIDE, MAX_SIDE))
        ImageOps.exif_transpose(image, in_place=True)
        if image.has_transparency_data:
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
        return np.array(image.convert("RGB"))


@contextmanager
def _opened(data: bytes, max_pixels: int) -> Iterator[Image.Image]:
    try:
        if data.startswith(_PNG):
            _check_png(data, max_pixels)
        elif data.startswith(b"RIFF"):
            _check_size(*_webp_size(data), max_pixels)  # Pillow's decoder of WebP allocates when it is opened
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_size(*image.size, max_pixels)
            yield image
    except UnidentifiedImageError as error:
        raise Unreadable("is none of PNG, JPEG, WebP and GIF, or is damaged") from error
    except _BROKEN as error:
        raise Unreadable(f"is damaged: {error}") from error


def _check_size(width: int, height: int, most: int) -> None:
    if width * height > most:
        raise Unreadable(f"has {width} x {height} pixels, more than {most}")


def _check_png(data: bytes, max_pixels: int) -> None:
    """Raises `Unreadable` where the data of a PNG is too long or too short for the size in its header, and `ValueError`
    where it has none."""
    width, height, bits, colour = struct.unpack_from(">IIBB", data, 16)
    _check_size(width, height, max_pixels)
    plain = height * (width * bits * _CHANNELS.get(colour, 4) // 8 + 1)
    deflated = sum(length for kind, length in _png_chunks(data) if kind == b"IDAT")
    # Interlacing adds to the lines, so the bounds are twice as wide as the ones of zlib.
    if deflated > 2 * plain + 1024 or 2 * deflated * _DEFLATED < plain:
        raise Unreadable("is damaged: its data do not belong to the size in its header")


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int]]:
    at = len(_PNG)
    while at + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 8], length
        at += 12 + length


def _webp_size(data: bytes) -> tuple[int, int]:
    """Width and height of the canvas (RFC 9649, sections 2.5 to 2.7)."""
    match data[12:16]:
        case b"VP8X":
            return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
        case b"VP8L":
            sides = int.from_bytes(data[21:25], "little")
            return 1 + (sides & 0x3FFF), 1 + (sides >> 14 & 0x3FFF)
    return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
