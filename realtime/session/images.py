"""Pictures of a message, from the data URIs of its parts to what the model sees.

Decoding needs a codec library, so the decoder is injected: `Decode` takes the bytes of a PNG or JPEG file and returns
RGB pixels, shape (height, width, 3), and raises ValueError for a damaged one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vivavoce.model.dialogue import Picture
from vivavoce.realtime.wire.errors import Refused
from vivavoce.realtime.wire.items import InputImage, MessageItem
from vivavoce.realtime.wire.validation import read_image

Decode = Callable[[bytes], NDArray[np.uint8]]
Look = Callable[[Any, str], tuple[Picture, ...]]


def look(item: object, path: str, decode: Decode, now: float) -> tuple[Picture, ...]:
    """The pictures of a message, as of `now`. Raises `Refused` for one that cannot be decoded."""
    if not isinstance(item, MessageItem):
        return ()
    found = []
    for i, part in enumerate(item.content):
        if isinstance(part, InputImage):
            param = f"{path}.content[{i}].image_url"
            try:
                found.append(Picture(decode(read_image(part.image_url, param)), now))
            except ValueError:
                raise Refused("invalid_value", f"Invalid '{param}': the image is damaged.", param) from None
    return tuple(found)
