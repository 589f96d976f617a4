"""Pictures attached to messages: data URIs with PNG or JPEG, measured before anyone decodes them.

A small file can hold an enormous picture, so the size is read from the header, and a picture that is too large never
reaches a decoder. Decoding itself is not done here.
"""

from __future__ import annotations

import binascii
from typing import Final

from vivavoce.realtime.protocol.errors import Refused

MAX_BYTES: Final = 8 * 2**20
MAX_PIXELS: Final = 16_000_000

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # JPEG markers that carry the size (ITU T.81, B.1.1.3)
_BARE = frozenset([0x01, *range(0xD0, 0xD8)])  # JPEG markers without a length


def read(uri: str, param: str) -> bytes:
    """The picture in a data URI, as the bytes of its file.

    Raises `Refused` with the field's path `param` when it is not PNG or JPEG, over 8 MiB, or over 16 million pixels."""
    head, comma, body = uri.partition(",")
    if not comma or head.lower() not in ("data:image/png;base64", "data:image/jpeg;base64", "data:image/jpg;base64"):
        raise _invalid(param, "expected a data URI with a PNG or JPEG image in base64")
    if len(body) > MAX_BYTES * 4 // 3 + 4:
        raise _invalid(param, f"the image is larger than {MAX_BYTES // 2**20} MiB")
    try:
        content = binascii.a2b_base64(body, strict_mode=True)
    except ValueError:
        raise _invalid(param, "the image is not valid base64") from None
    size = _png_size(content) if content.startswith(_PNG) else _jpeg_size(content)
    if size is None or 0 in size:
        raise _invalid(param, "the image is neither PNG nor JPEG, or is damaged")
    if size[0] * size[1] > MAX_PIXELS:
        raise _invalid(param, f"the image has {size[0]} x {size[1]} pixels, more than {MAX_PIXELS}")
    return content


def _invalid(param: str, why: str) -> Refused:
    return Refused("invalid_value", f"Invalid '{param}': {why}.", param)


def _png_size(content: bytes) -> tuple[int, int] | None:
    """Width and height from the first chunk (PNG specification, section 11.2.2)."""
    if len(content) < 24 or content[12:16] != b"IHDR":
        return None
    return int.from_bytes(content[16:20]), int.from_bytes(content[20:24])


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    """Width and height from the frame header (ITU T.81, section B.2.2)."""
    if not content.startswith(_JPEG):
        return None
    at = 2
    while at + 9 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker in _FRAMES:
            return int.from_bytes(content[at + 7 : at + 9]), int.from_bytes(content[at + 5 : at + 7])
        if marker == 0xFF:  # padding
            at += 1
        elif marker in _BARE:
            at += 2
        else:
            at += 2 + int.from_bytes(content[at + 2 : at + 4])
    return None
