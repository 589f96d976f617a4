"""Reads sound and picture files (any format of FFmpeg's) as arrays; writes WAV files.

    file ─read_sound─► Samples, 24 kHz mono ─write_sound─► WAV          file ─read_picture─► RGB, (height, width, 3)

Only the first stream of a file is read.
"""

from __future__ import annotations

import wave
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, Final

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.codecs.errors import Unreadable
from vivavoce.codecs.pictures import decode_picture, is_picture

MAX_SECONDS: Final = 600
"""Longest sound file that is read."""

MAX_PIXELS: Final = 200_000_000
"""Of a picture that is read: the most that a telephone's camera has."""


def read_sound(path: Path) -> Samples:
    """Reads the first audio stream as mono at `SAMPLE_RATE`, shape (n,), up to `MAX_SECONDS`. Raises `Unreadable`."""
    pieces: list[Samples] = []
    length = 0
    with _opened(path) as container:
        if not container.streams.audio:
            raise Unreadable(f"{path} holds no sound.")
        for piece in _resampled(container):
            pieces.append(piece)
            length += len(piece)
            if length > MAX_SECONDS * SAMPLE_RATE:  # before the rest fills the memory
                raise Unreadable(f"{path} lasts too long; expected at most {MAX_SECONDS} s.")
    if not length:
        raise Unreadable(f"{path} holds no sound.")
    return np.concatenate(pieces)


def write_sound(path: Path, samples: Samples) -> None:
    """Writes a WAV file: mono, 16 bit, `SAMPLE_RATE`. Raises `OSError`."""
    with path.open("wb") as file:
        write_wav(file, samples)


def write_wav(file: IO[bytes], samples: Samples) -> None:
    """Writes the same into an open file."""
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(SAMPLE_RATE)
        sound.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Reads a photo, or the first picture of a film: RGB, shape (height, width, 3). Raises `Unreadable`."""
    try:
        with path.open("rb") as file:
            if is_picture(file.read(12)):
                return decode_picture(path.read_bytes(), MAX_PIXELS)
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}.") from error
    except Unreadable as error:
        raise Unreadable(f"{path} {error}.") from error
    with _opened(path) as container:
        for frame in container.decode(video=0) if container.streams.video else ():
            return frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
    raise Unreadable(f"{path} holds no picture.")


@contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    try:
        with av.open(str(path)) as container:
            yield container
    except (av.FFmpegError, OSError) as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror or error}.") from error


def _resampled(container: InputContainer) -> Iterator[Samples]:
    """Mixes to mono by the mean: FFmpeg's own mixing makes sound on both sides 3 dB louder, beyond -1..1."""
    resampler = av.AudioResampler("fltp", None, SAMPLE_RATE)
    for frame in chain(container.decode(audio=0), [None]):
        for piece in resampler.resample(frame):
            yield piece.to_ndarray().mean(axis=0, dtype=np.float32)  # (channels, samples) -> (samples,)
