"""Reads the folder of a recording: the header, the calls of the cores in order, and the sound to which they refer.

A folder that was cut short (a crash, a full disk) is read as far as it goes; `end` says how it ended. `pack` makes the
small form for a bug report or a test, without loss: FLAC instead of WAV, the rest compressed.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

import av
import msgspec
import numpy as np
from numpy.typing import NDArray

from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.realtime.recording.recorder import FORMAT
from vivavoce.realtime.recording.serialization import upgraded
from vivavoce.realtime.recording.writer import BYTES, EVENTS, HEADER, SOUND

PACKED_SOUND: Final = "sound.flac"
READABLE: Final = (1, FORMAT)
CRASHED: Final = "crash: the recording has no end"

CALLS: Final = {
    "floor.answer": "floor.end_of_turn",
    "floor.heard": "floor.recognized",
    "floor.caught": "floor.overlap_recognized",
    "floor.give_up": "floor.end_stuck_turn",
}
"""Methods of cores that have been renamed since they were first recorded: old core.method -> new core.method."""


class BadRecording(Exception):
    """Not a recording that can be read; the message names the folder."""


@dataclass(slots=True)
class Accepted:
    """The results of a replay, accepted as the right ones: all entries with them, and the (sample, 16-bit sound) of the
    right side where it has changed."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    right: list[tuple[int, bytes]] = field(default_factory=list)


class RecordingReader:
    """One recording of `format`. `header` and `entries`: JSON values as event_recorder.py wrote them."""

    def __init__(self, folder: Path) -> None:
        """Raises `BadRecording`."""
        self.folder = folder
        try:
            lines = _read(folder, EVENTS).split(b"\n")
            self._bytes = _read(folder, BYTES)
            self._sound = _sound(folder)
        except (OSError, EOFError, gzip.BadGzipFile, av.FFmpegError) as error:
            raise BadRecording(f"{folder} is no recording: {error}") from error
        entries = list(_parsed(lines))
        if not entries or entries[0].get("format") not in READABLE:
            raise BadRecording(f"{folder} is no recording of this version: expected format {FORMAT} in its first line.")
        self.format: int = entries[0]["format"]
        if self.format == 1:
            entries = [upgraded(entry) for entry in entries]
        for entry in entries:
            if "call" in entry:
                entry["call"] = CALLS.get(entry["call"], entry["call"])
        head = takewhile(lambda entry: "call" not in entry and "end" not in entry, entries)
        self.header = {key: fact for entry in head for key, fact in entry.items()}
        self.end: str = entries[-1].get("end", CRASHED)
        self.entries = list(self._readable(entry for entry in entries[1:] if "call" in entry))

    @property
    def seconds(self) -> float:
        """Length of the sound."""
        return len(self._sound) / SAMPLE_RATE

    def fetch(self, place: dict[str, Any]) -> bytes:
        """The bytes to which an entry refers."""
        if "left" in place:
            return self.side(0, place["left"], place["size"] // 2)
        return self._bytes[place["at"] : place["at"] + place["size"]]

    def side(self, column: int, start: int, length: int) -> bytes:
        """16-bit sound of the user (0) or the assistant (1)."""
        return self._sound[start : start + length, column].tobytes()

    def pack(self, target: Path, accepted: Accepted | None = None) -> None:
        """Writes the small form into a new folder, with the `accepted` results in place of the old ones. Raises
        OSError."""
        sound, entries = self._sound, self.entries
        if accepted is not None:
            sound, entries = sound.copy(), accepted.entries
            for start, pcm in accepted.right:
                sound[start : start + len(pcm) // 2, 1] = np.frombuffer(pcm, "<i2")[: len(sound) - start]
        target.mkdir(mode=0o700, parents=True)
        lines = b"\n".join(map(msgspec.json.encode, [self.header, *entries, {"end": self.end}]))
        for name, content in {EVENTS: lines + b"\n", BYTES: self._bytes}.items():
            (target / f"{name}.gz").write_bytes(gzip.compress(content, 9, mtime=0))
        (target / PACKED_SOUND).write_bytes(_flac(sound))

    def _readable(self, entries: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The entries before the first whose sound was not written any more."""
        for entry in entries:
            for given in entry.get("with", ()):
                if (
                    isinstance(given, dict)
                    and "left" in given
                    and given["left"] + given["size"] // 2 > len(self._sound)
                ):
                    return
            yield entry


def _parsed(lines: list[bytes]) -> Iterator[dict[str, Any]]:
    """Parses the lines; the last one may be incomplete."""
    for line in lines:
        try:
            entry = msgspec.json.decode(line)
        except msgspec.DecodeError:
            return
        if not isinstance(entry, dict):
            return
        yield entry


def _read(folder: Path, name: str) -> bytes:
    packed = folder / f"{name}.gz"
    return gzip.decompress(packed.read_bytes()) if packed.exists() else (folder / name).read_bytes()


def _sound(folder: Path) -> NDArray[np.int16]:
    """Shape (samples, 2)."""
    packed = folder / PACKED_SOUND
    if not packed.exists():
        pcm = (folder / SOUND).read_bytes()[HEADER:]
        return np.frombuffer(pcm[: len(pcm) // 4 * 4], "<i2").reshape(-1, 2)
    with av.open(str(packed)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]  # each (1, 2 * samples)
    return np.concatenate(frames, axis=1).reshape(-1, 2).astype("<i2") if frames else np.zeros((0, 2), "<i2")


def _flac(sound: NDArray[np.int16]) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="flac") as container:
        stream = container.add_stream("flac", rate=SAMPLE_RATE, layout="stereo", format="s16")
        stream.options = {"compression_level": "8"}
        for start in range(0, len(sound), SAMPLE_RATE):
            piece = np.ascontiguousarray(sound[start : start + SAMPLE_RATE]).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(piece, "s16", "stereo")
            frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, start, Fraction(1, SAMPLE_RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()
