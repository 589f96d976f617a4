"""codecs/pictures.py: every way in which people send pictures, and files that lie about their size."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

from vivavoce.codecs.errors import Unreadable
from vivavoce.codecs.pictures import MAX_SIDE, decode_picture, is_picture, picture_size

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def halves() -> Image.Image:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", (320, 200), RED)
    image.paste(BLUE, (160, 0, 320, 200))
    return image


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png(width: int, height: int, *, of: tuple[int, int] | None = None, colour: int = 2, bits: int = 8) -> bytes:
    """A black PNG whose header says `width` x `height`, and whose data have `of`."""
    wide, high = of or (width, height)
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    rows = (b"\0" * (1 + wide * samples * bits // 8)) * high

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(rows, 9))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def close(pixel: Any, colour: tuple[int, int, int]) -> bool:
    """Lossy kinds are off by a few."""
    return bool(np.abs(pixel.astype(int) - colour).max() <= 4)


CORNERS = {
    1: (RED, BLUE, RED, BLUE),
    2: (BLUE, RED, BLUE, RED),
    3: (BLUE, RED, BLUE, RED),
    4: (RED, BLUE, RED, BLUE),
    5: (RED, RED, BLUE, BLUE),
    6: (RED, RED, BLUE, BLUE),
    7: (BLUE, BLUE, RED, RED),
    8: (BLUE, BLUE, RED, RED),
}
"""Colours of the corners that a viewer shows, by the orientation (EXIF 2.32, tag 0x0112): top left, top right, bottom
left, bottom right."""


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", CORNERS)
def test_a_photo_stands_upright(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = decode_picture(encoded(halves(), kind, exif=exif))
    assert pixels.shape == ((200, 320, 3) if orientation < 5 else (320, 200, 3))
    corners = pixels[20, 20], pixels[20, -20], pixels[-20, 20], pixels[-20, -20]
    for corner, colour in zip(corners, CORNERS[orientation], strict=True):
        assert close(corner, colour)


def test_a_photo_without_top_and_bottom_of_its_own_is_mirrored_right() -> None:
    image = Image.new("RGB", (320, 200), WHITE)
    image.paste(RED, (0, 0, 160, 100))  # the top left quarter
    seen = {}
    for orientation in CORNERS:
        exif = Image.Exif()
        exif[0x0112] = orientation
        pixels = decode_picture(encoded(image, "PNG", exif=exif))
        high, wide, _ = pixels.shape
        quarters = {"top": pixels[high // 4], "bottom": pixels[3 * high // 4]}
        (seen[orientation],) = (
            f"{side} {end}"
            for side, row in quarters.items()
            for end, place in (("left", wide // 4), ("right", 3 * wide // 4))
            if close(row[place], RED)
        )
    assert seen == {
        1: "top left",
        2: "top right",
        3: "bottom right",
        4: "bottom left",
        5: "top left",
        6: "top right",
        7: "bottom right",
        8: "bottom left",
    }


def palette() -> Image.Image:
    return halves().quantize(4)


KINDS: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: encoded(halves(), "JPEG", quality=95),
    "progressive JPEG": lambda: encoded(halves(), "JPEG", quality=95, progressive=True),
    "JPEG of a printer (CMYK)": lambda: encoded(halves().convert("CMYK"), "JPEG", quality=95),
    "JPEG with a second picture (MPO)": lambda: encoded(halves(), "MPO", save_all=True, append_images=[halves()]),
    "PNG": lambda: encoded(halves(), "PNG"),
    "PNG with a palette": lambda: encoded(palette(), "PNG"),
    "PNG with alpha": lambda: encoded(halves().convert("RGBA"), "PNG"),
    "animated PNG": lambda: encoded(halves(), "PNG", save_all=True, append_images=[Image.new("RGB", (320, 200))]),
    "WebP": lambda: encoded(halves(), "WEBP", quality=95),
    "lossless WebP": lambda: encoded(halves(), "WEBP", lossless=True),
    "animated WebP": lambda: encoded(halves(), "WEBP", save_all=True, append_images=[Image.new("RGB", (320, 200))]),
    "GIF": lambda: encoded(halves(), "GIF"),
    "interlaced GIF": lambda: encoded(halves(), "GIF", interlace=1),
    "animated GIF": lambda: encoded(halves(), "GIF", save_all=True, append_images=[Image.new("RGB", (320, 200))]),
}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_every_kind_is_decoded(make: Callable[[], bytes]) -> None:
    data = make()
    assert is_picture(data[:12])
    assert picture_size(data) == (320, 200)
    pixels = decode_picture(data)
    assert (pixels.shape, pixels.dtype) == ((200, 320, 3), np.uint8)
    assert close(pixels[100, 20], RED)
    assert close(pixels[100, -20], BLUE)


TRANSPARENT: dict[str, Callable[[], bytes]] = {
    "PNG": lambda: encoded(Image.new("RGBA", (8, 8), (0, 0, 0, 0)), "PNG"),
    "grey PNG": lambda: encoded(Image.new("LA", (8, 8), (0, 0)), "PNG"),
    "PNG with one transparent colour": lambda: encoded(Image.new("RGB", (8, 8)), "PNG", transparency=(0, 0, 0)),
    "PNG with a transparent entry of its palette": lambda: encoded(Image.new("P", (8, 8)), "PNG", transparency=0),
    "WebP": lambda: encoded(Image.new("RGBA", (8, 8), (0, 0, 0, 0)), "WEBP", lossless=True),
    "GIF": lambda: encoded(Image.new("P", (8, 8)), "GIF", transparency=0),
}


@pytest.mark.parametrize("make", TRANSPARENT.values(), ids=TRANSPARENT)
def test_what_is_transparent_is_white(make: Callable[[], bytes]) -> None:
    assert decode_picture(make()).min() == 255


def test_half_transparent_is_half_white() -> None:
    (pixel,) = np.unique(decode_picture(encoded(Image.new("RGBA", (8, 8), (0, 0, 0, 128)), "PNG")))
    assert pixel == 127


@pytest.mark.parametrize("value", [0, 0x1234, 0x9C40, 0xFFFF])
def test_sixteen_bits_of_grey_are_eight(value: int) -> None:
    data = encoded(Image.fromarray(np.full((8, 8), value, np.uint16)), "PNG")
    assert set(decode_picture(data).flat) == {value >> 8}


def test_black_and_white_is_black_and_white() -> None:
    assert set(decode_picture(encoded(halves().convert("1", dither=Image.Dither.NONE), "PNG")).flat) <= {0, 255}


@pytest.mark.slow
def test_a_large_photo_is_reduced() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = decode_picture(encoded(halves().resize((4000, 3000)), "JPEG", exif=exif))
    assert pixels.shape == (MAX_SIDE, MAX_SIDE * 3 // 4, 3)
    assert close(pixels[20, 20], RED)
    assert close(pixels[-20, 20], BLUE)


# --- files that lie, or are damaged ---


def jpeg_with_two_sizes(first: int, second: int) -> bytes:
    """A JPEG with a frame header before its own."""
    data = encoded(Image.new("RGB", (second, second)), "JPEG")
    frame = struct.pack(">BBHBHHB", 0xFF, 0xC0, 17, 8, first, first, 3) + bytes([1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1])
    return data[:2] + frame + data[2:]


def jpeg_of_size(side: int) -> bytes:
    """A JPEG of eight by eight pixels whose header says another size."""
    data = bytearray(encoded(Image.new("RGB", (8, 8)), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", side, side)
    return bytes(data)


def gif_with_a_larger_frame(screen: int, frame: int) -> bytes:
    data = bytearray(encoded(Image.new("P", (frame, frame)), "GIF"))
    data[6:10] = struct.pack("<HH", screen, screen)
    return bytes(data)


def webp_with_a_canvas(width: int, height: int) -> bytes:
    data = bytearray(encoded(Image.new("RGBA", (8, 8), (0, 0, 0, 0)), "WEBP", exif=b"Exif\0\0" + bytes(8)))
    assert data[12:16] == b"VP8X"
    data[24:30] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return bytes(data)


LIES: dict[str, Callable[[], bytes]] = {
    "a small PNG with large data": lambda: png(8, 8, of=(3000, 3000)),
    "a large PNG with small data": lambda: png(4000, 4000, of=(8, 8)),
    "a PNG of 10 Gpixels": lambda: png(100_000, 100_000, of=(8, 8)),
    "a PNG a little too large": lambda: png(4001, 4000, of=(8, 8)),
    "a JPEG with two sizes": lambda: jpeg_with_two_sizes(8, 3000),
    "a JPEG of two sizes, the larger one first": lambda: jpeg_with_two_sizes(65_500, 8),
    "a JPEG of the largest size": lambda: jpeg_of_size(65_500),
    "a GIF with a frame beyond its screen": lambda: gif_with_a_larger_frame(8, 5000),
    "a WebP with a large canvas": lambda: webp_with_a_canvas(16_000, 16_000),
    "a WebP with a small canvas": lambda: webp_with_a_canvas(2, 2),
    "a WebP of 281 Tpixels": lambda: webp_with_a_canvas(1 << 24, 1 << 24),
}


@pytest.mark.parametrize("make", LIES.values(), ids=LIES)
def test_a_file_that_lies_about_its_size_is_refused(make: Callable[[], bytes]) -> None:
    data = make()
    with pytest.raises(Unreadable):
        decode_picture(data)


LARGE = {
    name: make
    for name, make in LIES.items()
    if "two sizes" not in name and "of two" not in name and "small canvas" not in name
}


@pytest.mark.parametrize("make", LARGE.values(), ids=LARGE)
def test_nothing_is_allocated_for_a_header_that_cannot_be(
    make: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: pytest.fail("it was decoded"))
    data = make()
    with pytest.raises(Unreadable):
        decode_picture(data)


NO_PICTURES: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "text": lambda: b"a picture of a cat",
    "TIFF": lambda: encoded(halves(), "TIFF"),
    "BMP": lambda: encoded(halves(), "BMP"),
    "a sound": lambda: b"RIFF\x24\0\0\0WAVEfmt " + bytes(28),
    "the beginning of a PNG": lambda: png(4, 4)[:20],
    "a PNG without pixels": lambda: png(0, 4),
    "half a PNG": lambda: png(64, 64)[:60],
    "half a JPEG": lambda: encoded(halves(), "JPEG")[:400],
    "half a WebP": lambda: encoded(halves(), "WEBP")[:40],
    "half a GIF": lambda: encoded(halves(), "GIF")[:30],
    "a JPEG with a senseless segment": lambda: b"\xff\xd8\xff\xe0\xff\xff" + bytes(8),
}


@pytest.mark.parametrize("make", NO_PICTURES.values(), ids=NO_PICTURES)
def test_what_is_no_picture_is_refused(make: Callable[[], bytes]) -> None:
    data = make()
    with pytest.raises(Unreadable, match=r"^(is none of PNG, JPEG, WebP and GIF, or )?is damaged"):
        decode_picture(data)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of damaged EXIF
def test_damaged_exif_does_not_hide_the_picture() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(halves(), "JPEG", exif=exif)
    at = data.index(b"Exif")
    for place in range(at + 6, at + 24):
        pixels = decode_picture(data[:place] + b"\xff" + data[place + 1 :])
        assert {200, 320, 3} == set(pixels.shape)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Pillow's, of damaged metadata
def test_no_change_of_a_file_breaks_the_decoder() -> None:
    seeds = [make() for make in (*KINDS.values(), *TRANSPARENT.values(), *LIES.values())]
    chance = random.Random(5)
    for _ in range(3000):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 8)):
            at = chance.randrange(min(len(data), chance.choice([40, 200, len(data)])))
            value = chance.choice([0, 1, 0x7F, 0xFF, chance.randrange(256)])
            data[at : at + chance.choice([0, 1, 1, 1])] = bytes([value])
        try:
            pixels = decode_picture(bytes(data))
        except Unreadable:
            continue
        assert pixels.ndim == 3
