"""Sound and picture files of the user's to arrays, whatever FFmpeg can read."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from vivavoce.model.dialogue import SAMPLE_RATE, Samples

MAX_SECONDS = 600
"""Of a sound file; more is no question."""


class Unreadable(Exception):
    """A file that is not what it should be; the message names it."""


def read_sound(path: Path) -> Samples:
    """The first audio stream, mono at `SAMPLE_RATE`. Raises `Unreadable`."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise Unreadable(f"{path} holds no sound.")
            resampler = av.AudioResampler("flt", "mono", SAMPLE_RATE)
            pieces = [
                out.to_ndarray()[0]
                for frame in [*container.decode(audio=0), None]
                for out in resampler.resample(frame)
            ]
    except (av.FFmpegError, OSError) as error:
        raise Unreadable(f"{path} cannot be read as sound: {error}.") from error
    sound = np.concatenate([np.zeros(0, np.float32), *pieces])
    if not 0 < len(sound) <= MAX_SECONDS * SAMPLE_RATE:
        raise Unreadable(f"{path} lasts {len(sound) / SAMPLE_RATE:.1f} s; expected more than 0 and at most {MAX_SECONDS} s.")
    return sound


def decode_picture(data: bytes) -> NDArray[np.uint8]:
    """A PNG or JPEG file's pixels, RGB, shape (height, width, 3). Raises ValueError for a damaged one."""
    try:
        with av.open(io.BytesIO(data)) as container:
            for frame in container.decode(video=0):
                return frame.to_ndarray(format="rgb24")
    except (av.FFmpegError, OSError, IndexError) as error:
        raise ValueError(f"the picture is damaged: {error}") from error
    raise ValueError("the file holds no picture")


def read_picture(path: Path) -> NDArray[np.uint8]:
    """The first picture of a file, RGB, shape (height, width, 3). Raises `Unreadable`."""
    try:
        return decode_picture(path.read_bytes())
    except (ValueError, OSError) as error:
        raise Unreadable(f"{path} cannot be read as a picture: {error}.") from error
